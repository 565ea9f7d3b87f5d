"""Who can take part together: closing a collection at the submitter's hub, and checking the result at each member.

Both sides use the same rules, so a cohort that an honest hub closes is one that honest members accept; a member never
relies on the submitter for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from protocols.errors import LocalError
from protocols.groups import Groups, Refusal, Standing
from protocols.identity import NodeId
from protocols.job.kinds import Answer, CohortBody, Decision, JobSpec
from protocols.message import DIGEST_BYTES
from protocols.secagg.cohort import Cohort
from protocols.secagg.messages import MEMBERS_MAX


@dataclass(frozen=True, slots=True)
class Decided:
    """A hub's latest decision. digest: of its record."""

    decision: Decision
    digest: bytes


@dataclass(frozen=True, slots=True)
class Closing:
    """How a collection stands: a cohort, or what is waited for, or why it can never close."""

    cohort: CohortBody | None = None
    waits: tuple[NodeId, ...] = ()
    failure: str = ""


def close(
    spec: JobSpec, decisions: Mapping[NodeId, Decided], groups: Groups, min_cohort: int, *, time_up: bool
) -> Closing:
    """What the submitter's hub makes of the decisions so far."""
    joined = {node for node, d in decisions.items() if d.decision.answer is Answer.JOIN}
    if spec.members:
        closing = _listed(spec, decisions, joined, time_up)
        refusal = None if closing.failure or closing.waits else first_refusal(spec, spec.members, groups, min_cohort)
        return Closing(failure=refusal.reason) if refusal else _safe(spec, closing)
    able = together(spec, joined, groups, min_cohort)
    if len(able) < spec.min_nodes or (len(able) < spec.max_nodes and not time_up):
        if not time_up:
            return Closing(
                waits=tuple(n for n, d in sorted(decisions.items()) if d.decision.answer in (Answer.ASK, Answer.WAIT))
            )
        return Closing(failure=f"{len(able)} hubs can take part together, {spec.min_nodes} must; {len(joined)} joined")
    return _safe(spec, Closing(_body(able, decisions)))


def _safe(spec: JobSpec, closing: Closing) -> Closing:
    """A cohort for which the job's parameters do not hold would fail at every member."""
    if closing.cohort is None:
        return closing
    try:
        cohort_of(spec, bytes(DIGEST_BYTES), closing.cohort)
    except LocalError as error:
        return Closing(failure=str(error))
    return closing


def _listed(spec: JobSpec, decisions: Mapping[NodeId, Decided], joined: set[NodeId], time_up: bool) -> Closing:
    """A job that lists its members waits for all of them, and fails with the first that refuses."""
    for node in spec.members:
        if node in decisions and decisions[node].decision.answer is Answer.REFUSE:
            return Closing(failure=f"{node} refused: {decisions[node].decision.reason}")
    waits = tuple(node for node in spec.members if node not in joined)
    if waits:
        return Closing(failure=f"no answer from {', '.join(waits)}") if time_up else Closing(waits=waits)
    return Closing(_body(spec.members, decisions))


def _body(members: Iterable[NodeId], decisions: Mapping[NodeId, Decided]) -> CohortBody:
    ordered = tuple(sorted(members))
    return CohortBody(ordered, tuple(decisions[m].digest for m in ordered))


def together(spec: JobSpec, joined: Iterable[NodeId], groups: Groups, min_cohort: int) -> tuple[NodeId, ...]:
    """The largest part of those who joined in which nobody's group is cut and nobody would be seen alone.

    Above `max_nodes` free hubs are left out first, as they have no groups that could be cut.
    """
    able = set(joined)
    if spec.data is None:
        return tuple(sorted(able)[: spec.max_nodes])
    name = spec.data.name
    while True:
        out = {node for node in able if groups.refusal(node, name, able, min_cohort) is not None}
        if not out:
            break
        able -= out
    while len(able) > spec.max_nodes:
        free = groups.free(name, able)
        if len(free) <= min_cohort:
            return ()
        able.remove(free[-1])
    return tuple(sorted(able))


def reachable(
    spec: JobSpec, decisions: Mapping[NodeId, Decided], members: Iterable[NodeId], groups: Groups, min_cohort: int
) -> tuple[NodeId, ...]:
    """Who could take part together if every member of the federation that has not refused joined.

    Fewer than `min_nodes`: the collection comes to nothing unless somebody takes a refusal back, or a new member joins.
    """
    refused = {node for node, d in decisions.items() if d.decision.answer is Answer.REFUSE}
    hopeful = set(spec.members or members) - refused
    return together(msgspec.structs.replace(spec, max_nodes=MEMBERS_MAX), hopeful, groups, min_cohort)


def first_refusal(spec: JobSpec, members: Iterable[NodeId], groups: Groups, min_cohort: int) -> Refusal | None:
    """The first member's reason not to be summed with these others."""
    cohort = tuple(members)
    if spec.data is None:
        return None
    reasons = (groups.refusal(node, spec.data.name, cohort, min_cohort) for node in cohort)
    return next((r for r in reasons if r is not None), None)


def objection(spec: JobSpec, me: NodeId, groups: Groups, min_cohort: int, members: int) -> Refusal | None:
    """Why this hub cannot join, as far as that is known when it decides: for a job that lists its members, fully.

    members: how many nodes the federation has.
    """
    if spec.members and me not in spec.members:
        return Refusal("not_listed", "the job lists its members, and this hub is not one")
    if spec.min_nodes < min_cohort:
        return Refusal(
            "min_cohort", f"the job wants {spec.min_nodes} nodes, the federation's charter at least {min_cohort}"
        )
    if spec.min_nodes > members:
        return Refusal("too_few", f"the job wants {spec.min_nodes} nodes, the federation has {members}")
    if spec.holders not in (1, spec.colluders + 1):
        return Refusal(
            "unsafe", f"{spec.holders} holders guard against {spec.colluders} colluders in no way known here"
        )
    if spec.members and spec.data is not None:
        return groups.refusal(me, spec.data.name, spec.members, min_cohort)
    return None


@dataclass(frozen=True, slots=True)
class Checked:
    """A cohort record as a member finds it. fault: why it is refused, or empty. free: who forms a new group by it."""

    fault: str = ""
    free: tuple[NodeId, ...] = ()


def check_cohort(
    spec: JobSpec, body: CohortBody, decisions: Mapping[bytes, tuple[NodeId, Decision]], min_cohort: int
) -> Checked:
    """Whether a cohort record fits its job and the decisions that it names.

    decisions: by digest, all of this job that are known here. Who is free is read from the decisions that the record
    names, so that all members compute the same new group.
    """
    if spec.members and body.members != spec.members:
        return Checked("the cohort is not the list of members in the job")
    if not max(spec.min_nodes, min_cohort) <= len(body.members) <= spec.max_nodes:
        return Checked(f"a cohort of {len(body.members)}; the job wants {spec.min_nodes} to {spec.max_nodes}")
    free = []
    for member, digest in zip(body.members, body.decisions, strict=True):
        author, decision = decisions.get(digest, (None, None))
        if author != member or decision is None or decision.answer is not Answer.JOIN:
            return Checked(f"{member} did not decide to join")
        if decision.standing is Standing.FREE:
            free.append(member)
    if spec.data is None:
        return Checked()
    if free and len(free) < min_cohort:
        return Checked(f"{len(free)} members that are new to the data set would be seen alone")
    return Checked(free=tuple(free))


def cohort_of(spec: JobSpec, job: bytes, body: CohortBody) -> Cohort:
    """The facts that every sum of the job rests on. Raises `LocalError` for parameters that would not be safe."""
    if not body.members:
        raise LocalError("a cohort has members")
    return Cohort(job, body.members, spec.word_bits, spec.colluders, spec.holders, spec.suite)
