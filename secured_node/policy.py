"""What this site allows: every job is judged here before anything of it runs. Deny by default.

The first rule whose patterns fit a job decides; where none fits, the default does. A rule that says `join` must be
satisfied in its numbers too; a job that fits its patterns but asks for less or more than it allows is refused. No job
may be content with sites of fewer than ten rows unless the rule that fits it says so itself, and none with fewer than
the worker's own floor, which holds even if this process is taken over (`work.computation`). What the policy says is
`join`, `ask` (a data manager decides) or `refuse`; the protocol may still turn a join into a refusal
(`protocols.job.cohorting.objection`), never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from protocols.identity import NodeId
from protocols.job.events import Decide
from protocols.job.kinds import Answer, JobSpec
from secured_node.config import Policy, Rule

ROWS_MIN: Final = 10
"""Sums over fewer rows of a site say too much of each of them."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What this site knows of a data set that a job names. schema: its digest; rows: complete ones or all."""

    version: str
    schema: bytes
    rows: int


def decide(
    policy: Policy, submitter: NodeId, spec: JobSpec, data: DataFacts | None, *, member: bool, floor: int = ROWS_MIN
) -> Decide:
    """This site's answer to a job.

    data: the site's own data set of that name, None if it has none. member: whether the job lists this hub or nobody.
    floor: the worker's own, which refuses jobs that are content with fewer rows: said here, before anything runs.
    """
    if not member:
        return Decide(Answer.REFUSE, "the job lists its members, and this hub is not one of them")
    if spec.data is not None:
        against = _misfit(spec, data) or _below(floor, spec)
        if against:
            return Decide(Answer.REFUSE, against)
    rule = next((r for r in policy.rule if _fits(r, submitter, spec)), None)
    if rule is None:
        against = _too_few(ROWS_MIN, spec, data)
        if against:
            return Decide(Answer.REFUSE, against)
        return Decide(
            Answer(policy.default), "no rule of this site's policy fits the job" if policy.default != "join" else ""
        )
    if rule.action != "refuse":
        against = _exceeds(rule, spec, data)
        if against:
            return Decide(Answer.REFUSE, against)
    return Decide(Answer(rule.action), "this site's policy refuses such jobs" if rule.action == "refuse" else "")


def _misfit(spec: JobSpec, data: DataFacts | None) -> str:
    wanted = spec.data
    if wanted is None:
        return ""
    if data is None:
        return f"this site has no data set {wanted.name!r}"
    if (data.version, data.schema) != (wanted.version, wanted.schema):
        return f"this site has {wanted.name!r} in version {data.version}, or under another schema"
    if data.rows < spec.min_rows:
        return f"this site has fewer than the {spec.min_rows} rows that the job asks for"
    return ""


def _below(floor: int, spec: JobSpec) -> str:
    if spec.min_rows >= floor:
        return ""
    return f"the job is content with {spec.min_rows} rows of a site; this site's worker wants {floor}"


def _fits(rule: Rule, submitter: NodeId, spec: JobSpec) -> bool:
    named = ((rule.task, spec.task), (rule.submitter, submitter), (rule.purpose, spec.purpose))
    data = spec.data.name if spec.data else ""
    return all(fnmatchcase(value, pattern) for pattern, value in (*named, (rule.data, data)))


def _exceeds(rule: Rule, spec: JobSpec, data: DataFacts | None) -> str:
    if spec.min_nodes < rule.min_nodes:
        return f"the job is content with {spec.min_nodes} hubs; this site's policy wants {rule.min_nodes}"
    if spec.rounds_max > rule.max_rounds:
        return f"the job may take {spec.rounds_max} sums; this site's policy allows {rule.max_rounds}"
    return _too_few(rule.min_rows, spec, data)


def _too_few(rows_min: int, spec: JobSpec, data: DataFacts | None) -> str:
    if data is None:
        return ""
    if data.rows < rows_min:
        return f"this site has fewer than the {rows_min} rows that its policy wants"
    if spec.min_rows < min(rows_min, ROWS_MIN):  # the worker counts the usable rows by the job's own number
        return f"the job is content with {spec.min_rows} rows of a site; this site's policy wants {rows_min}"
    return ""
