"""What this site allows: every job is judged here before anything of it runs. Deny by default.

The first rule whose patterns fit a job decides; where none fits, the default does. Who is refused by that learns
nothing else: not what the site has, nor how much of it. A rule that says `join` must be
satisfied in its numbers too; a job that fits its patterns but asks for less or more than it allows is refused. No job
may be content with sites of fewer than ten rows unless the rule that fits it says so itself, and none with fewer than
the worker's own floor, which holds even if this process is taken over (`work.computation`). What the policy says is
`join`, `ask` (a data manager decides) or `refuse`; the protocol may still turn a join into a refusal
(`protocols.job.cohorting.objection`), never the other way round.

Noise: whatever a job says, it is refused if it hides less than `privacy.noise` and the rule that fits want, or if it
costs more than is left of the data set's budget. Nobody but this site's configuration can change either.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction

from protocols.identity import NodeId
from protocols.job.events import Decide
from protocols.job.kinds import Answer, JobSpec
from protocols.privacy.accounting import epsilon_of
from secured_node.config import NOISE_LEVELS, NoiseLevel, Policy, Privacy, Rule
from secured_node.data.rows import ROWS_MIN, too_few


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What this site knows of a data set that a job names. schema: its digest; rows: complete ones or all."""

    version: str
    schema: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on a data set, in zCDP: altogether, and still."""

    rho: Fraction
    left: Fraction


def decide(
    policy: Policy,
    privacy: Privacy,
    submitter: NodeId,
    spec: JobSpec,
    data: DataFacts | None,
    budget: Budget | None,
    *,
    member: bool,
    floor: int = ROWS_MIN,
) -> Decide:
    """This site's answer to a job.

    data: the site's own data set of that name, None if it has none; budget: what may still be spent on it. member:
    whether the job lists this hub or nobody. floor: the worker's own, which refuses jobs that are content with fewer
    rows: said here, before anything runs.
    """
    if not member:
        return Decide(Answer.REFUSE, "the job lists its members, and this hub is not one of them")
    rule = next((r for r in policy.rule if _fits(r, submitter, spec)), None)
    action = rule.action if rule is not None else policy.default
    words = "this site's policy refuses such jobs" if rule is not None else "no rule of this site's policy fits the job"
    if action == "refuse":
        return Decide(Answer.REFUSE, words)  # and nothing of the data, the budget or the floor
    against = ""
    if spec.data is not None:
        against = _misfit(spec, data) or _below(floor, spec)
        against = against or _shows_more(privacy.noise, spec) or _overspends(privacy, spec, budget)
    if not against and rule is not None:
        against = _exceeds(rule, spec) or _too_loud(rule, privacy, spec)
    against = against or _short(rule.min_rows if rule is not None else ROWS_MIN, floor, spec, data)
    if against:
        return Decide(Answer.REFUSE, against)
    return Decide(Answer(action), words if rule is None and action != "join" else "")


def _misfit(spec: JobSpec, data: DataFacts | None) -> str:
    wanted = spec.data
    if wanted is None:
        return ""
    if data is None:
        return f"this site has no data set {wanted.name!r}"
    if (data.version, data.schema) != (wanted.version, wanted.schema):
        return f"this site has {wanted.name!r} in version {data.version}, or under another schema"
    return ""


def _below(floor: int, spec: JobSpec) -> str:
    if spec.min_rows >= floor:
        return ""
    return f"the job is content with {spec.min_rows} rows of a site; this site's worker wants {floor}"


def _fits(rule: Rule, submitter: NodeId, spec: JobSpec) -> bool:
    named = ((rule.task, spec.task), (rule.submitter, submitter), (rule.purpose, spec.purpose))
    data = spec.data.name if spec.data else ""
    return all(fnmatchcase(value, pattern) for pattern, value in (*named, (rule.data, data)))


def _exceeds(rule: Rule, spec: JobSpec) -> str:
    if spec.min_nodes < rule.min_nodes:
        return f"the job is content with {spec.min_nodes} hubs; this site's policy wants {rule.min_nodes}"
    if spec.rounds_max > rule.max_rounds:
        return f"the job may take {spec.rounds_max} sums; this site's policy allows {rule.max_rounds}"
    return ""


def _shows_more(wanted: NoiseLevel, spec: JobSpec) -> str:
    """Why the job's sums would show more than the site allows."""
    offered = spec.privacy.unit if spec.privacy is not None else "none"
    if spec.data is None or NOISE_LEVELS.index(offered) >= NOISE_LEVELS.index(wanted):
        return ""
    has = "asks for exact sums" if spec.privacy is None else f"adds noise that hides one {offered}"
    return f"the job {has}; this site's policy wants noise that hides one {wanted}"


def _too_loud(rule: Rule, privacy: Privacy, spec: JobSpec) -> str:
    """Why a rule finds the job's noise too weak."""
    against = _shows_more(rule.noise, spec)
    if against or spec.privacy is None or spec.data is None:
        return against
    epsilon = epsilon_of(spec.privacy.rho, privacy.delta)
    if epsilon <= rule.epsilon_max * (1 + 1e-9):
        return ""
    return (
        f"the job costs epsilon {epsilon:.3g} (delta {privacy.delta:g}); this site's policy allows {rule.epsilon_max:g}"
    )


def _overspends(privacy: Privacy, spec: JobSpec, budget: Budget | None) -> str:
    """Why the job costs more than may still be spent."""
    if spec.privacy is None or spec.data is None or (budget and Fraction(spec.privacy.rho) <= budget.left):
        return ""
    left, whole = (float(budget.left), float(budget.rho)) if budget else (0.0, 0.0)
    return (
        f"the job costs rho {spec.privacy.rho:.3g} (epsilon {epsilon_of(spec.privacy.rho, privacy.delta):.3g}); of "
        f"this site's budget for {spec.data.name!r}, rho {whole:.3g} (epsilon {privacy.epsilon_of(spec.data.name):g}), "
        f"{left:.3g} (epsilon {epsilon_of(left, privacy.delta):.3g}) is left"
    )


def _short(rows_min: int, floor: int, spec: JobSpec, data: DataFacts | None) -> str:
    """Why the site has too few rows. rows_min: that its policy wants.

    The job's number is its author's choice, so it is held against the published number of rows; the site's own are
    always the same, and tell the same each time.
    """
    if data is None or spec.data is None:
        return ""
    noisy = spec.privacy is not None
    if too_few(data.rows, spec.min_rows, floor, noisy=noisy):
        return f"this site has fewer than the {spec.min_rows} rows that the job asks for, or about so few"
    if too_few(data.rows, rows_min, rows_min, noisy=noisy):
        return f"this site has fewer than the {rows_min} rows that its policy wants"
    if spec.min_rows < min(rows_min, ROWS_MIN):  # the worker counts the usable rows by the job's own number
        return f"the job is content with {spec.min_rows} rows of a site; this site's policy wants {rows_min}"
    return ""
