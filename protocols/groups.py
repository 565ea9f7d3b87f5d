"""Groups: who may only ever be summed together.

Rules. For each data set (all its versions, all jobs) a node is *free* until its first job on it; then it belongs to one
*group* of at least `min_cohort` nodes that all signed the same list, or it *stands alone* because its own policy said
so. It signs a root only if its whole group is in the cohort. So its vectors only ever come out added to those of the
honest rest of its group, whoever lies and whatever else is released: no history of sums is needed.

A group never grows. A node that changed its list would let the difference of two sums show somebody, so the first list
that a node signs for a data set is final here; splitting a group needs the signatures of all, and is not offered yet.
As a list is final from its first signature, two first jobs on one data set must not gather the same free nodes at once:
a free node *pledges* itself to one job at a time, until that job ends or its group is signed. A list that some member
can never sign, since it signed another, is *torn*: whoever signed it is told so and not left waiting.

What this cannot express: noise. It does not lift the rule: a member that was summed without its group, behind noise of
its own, would uncover what the exact sums of the group hide of the others, for which they booked nothing. It would take
the word of the whole group, with a cost for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from protocols.identity import NodeId
from protocols.message import Id, Message
from protocols.records.kind import Kind
from protocols.records.record import Record
from protocols.secagg.messages import MEMBERS_MAX

GROUP: Final = "group"
DATA_SETS_MAX: Final = 1024
"""Data sets on which one node may ever take part."""


class GroupBody(Message, frozen=True):
    """Body of a `group` record; its subject is the data set's name.

    members: sorted, the author among them; only the author itself where it stands alone.
    """

    members: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]


def _check(record: Record, body: GroupBody) -> str | None:
    if not record.subject:
        return "a group is about a data set"
    if list(body.members) != sorted(set(body.members)) or record.author not in body.members:
        return "a group lists its members in order, its author among them"
    return None


GROUP_KIND: Final = Kind(GROUP, GroupBody, 64 * MEMBERS_MAX, DATA_SETS_MAX, check=_check, final=True)


class Standing(StrEnum):
    """How a node stands towards a data set."""

    FREE = "free"
    GROUPED = "grouped"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node may not take part with these others. code: for machines. reason: for its data manager."""

    code: str
    reason: str


class Groups:
    """What each node has signed about each data set."""

    def __init__(self) -> None:
        self._signed: dict[tuple[str, NodeId], tuple[NodeId, ...]] = {}
        self._pledges: dict[str, bytes] = {}

    def learn(self, node: NodeId, data: str, members: tuple[NodeId, ...]) -> None:
        """Take note of an accepted `group` record; the first one stands."""
        self._signed.setdefault((data, node), members)

    def standing(self, node: NodeId, data: str) -> Standing:
        """Whether the node is free, grouped (its own signature suffices) or stands alone."""
        members = self._signed.get((data, node))
        if members is None:
            return Standing.FREE
        return Standing.ALONE if members == (node,) else Standing.GROUPED

    def members(self, node: NodeId, data: str) -> tuple[NodeId, ...]:
        """The list that the node signed; empty while it is free."""
        return self._signed.get((data, node), ())

    def unsigned(self, data: str, members: Iterable[NodeId]) -> tuple[NodeId, ...]:
        """Who of a group has yet to sign exactly this list: until nobody is left, none of them signs a root."""
        group = tuple(sorted(members))
        return tuple(m for m in group if self._signed.get((data, m)) != group)

    def torn(self, data: str, members: Iterable[NodeId]) -> tuple[NodeId, ...]:
        """Who of a group has signed another list: this one can never be complete."""
        return tuple(m for m in self.unsigned(data, members) if (data, m) in self._signed)

    def pledge(self, data: str, job: bytes) -> None:
        """This node, free, would join a job on the data set; the first job that asked has it."""
        self._pledges.setdefault(data, job)

    def release(self, data: str, job: bytes) -> None:
        """This node would not, or the job needs it no more."""
        if self._pledges.get(data) == job:
            del self._pledges[data]

    def pledged(self, data: str) -> bytes | None:
        """The job that this node, free, would join."""
        return self._pledges.get(data)

    def free(self, data: str, nodes: Iterable[NodeId]) -> tuple[NodeId, ...]:
        """The free ones among these nodes, sorted."""
        return tuple(sorted(n for n in nodes if self.standing(n, data) is Standing.FREE))

    def refusal(self, node: NodeId, data: str, cohort: Collection[NodeId], min_cohort: int) -> Refusal | None:
        """Why this node may not be summed with this cohort, or None if it may."""
        standing = self.standing(node, data)
        if standing is Standing.GROUPED:
            missing = [m for m in self.members(node, data) if m not in cohort]
            names = ", ".join(missing)
            reason = f"{names} of its group for {data!r} would be missing: sums with and without them show their values"
            return Refusal("group_cut", reason) if missing else None
        if standing is Standing.FREE:
            free = self.free(data, cohort)
            if len(free) < min_cohort:
                return Refusal("seen_alone", _seen_alone(data, len(free), min_cohort))
        return None


def _seen_alone(data: str, free: int, min_cohort: int) -> str:
    who = "this site" if free == 1 else f"these {free} sites"
    return (
        f"the others already form groups for {data!r}: set against sums over them, this sum would show {who} alone. "
        f"It needs {min_cohort} sites that are new to the data set, or the data manager may choose to stand alone"
    )
