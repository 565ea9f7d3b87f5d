"""Members that sign another list of their group than the cohort's, late, or never.

Nobody takes part in a round before its whole group has signed: the job waits for the signature, or ends in words.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols.groups import GROUP, GroupBody
from protocols.identity import NodeId
from protocols.records.record import Record
from simulations.adversaries.telling import Teller, body_of


class OtherGroup(Teller):
    """Signs another list than the others: itself alone, or less one; shown to all, or to some only."""

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """The other list."""
        if record.kind != GROUP:
            return (record,)
        others = self.others()
        if to not in self.once((record.subject, "whom"), lambda: self.chance.choice((others, self.some(others)))):
            return (record,)
        self.did("other group")
        body = self.once(record.subject, lambda: self._other(body_of(record, GroupBody)))
        return (self.record(GROUP, record.subject, body),)

    def _other(self, body: GroupBody) -> GroupBody:
        if self.chance.random() < 0.5:
            return GroupBody((self.me,))
        out = self.chance.choice([node for node in body.members if node != self.me])
        return GroupBody(tuple(node for node in body.members if node != out))


class LateGroup(Teller):
    """Signs late: between a few seconds and some minutes after it should."""

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """Nothing before its time."""
        if record.kind != GROUP:
            return (record,)
        if now >= self.once(record.subject, lambda: now + self.chance.choice((3.0, 45.0, 400.0))):
            return (record,)
        self.did("late")
        return ()


class NeverGroup(Teller):
    """Never signs."""

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """All but groups."""
        if record.kind != GROUP:
            return (record,)
        self.did("unsigned")
        return ()
