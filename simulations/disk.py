"""A node's disk in the virtual world: what it made durable, as far as it is still of use.

It keeps what the daemon's database keeps: records until they are superseded or revoked, of a round its highest
attempt, vote and vector until the round is certified, certificates for good. So a run of a million events needs no more
memory than a daemon does.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from protocols.job.clock import Waited
from protocols.job.events import Joined
from protocols.message import Payload
from protocols.records.record import Record
from protocols.secagg.effects import Certified, Entered, Signed


class DiskFullError(Exception):
    """The disk takes nothing more: the process that wrote to it ends, as the daemon does."""


@dataclass(frozen=True, slots=True)
class Made:
    """Fact of the worker: the integers of a round, kept until the round is certified. bound: see `VectorReady`."""

    job: bytes
    round: int
    words: Payload
    bound: int


class Disk:
    """Durable facts. full: whether it takes no more."""

    def __init__(self, *, forgets: bool = True) -> None:
        """forgets: whether what a certificate makes needless goes with it."""
        self.full = False
        self._forgets = forgets
        self._facts: dict[Hashable, object] = {}

    def __iter__(self) -> Iterator[object]:
        return iter([*self._facts.values()])

    def __len__(self) -> int:
        return len(self._facts)

    def append(self, fact: object) -> None:
        """Make a fact durable. Raises `DiskFullError`."""
        if self.full:
            raise DiskFullError
        place = _place(fact)
        if isinstance(fact, Entered):
            known = self._facts.get(place)
            if isinstance(known, Entered) and known.attempt >= fact.attempt:
                return
        if isinstance(fact, Certified) and self._forgets:
            job, number = fact.certificate.job, fact.certificate.round
            for kind in (Entered, Signed, Made):
                self._facts.pop((kind, job, number), None)
        self._facts[place] = fact

    def extend(self, facts: Iterable[object]) -> None:
        """Make several facts durable."""
        for fact in facts:
            self.append(fact)

    def drop(self, record: Record) -> None:
        """A record stands no longer."""
        self._facts.pop(_place(record), None)

    def snapshot(self) -> dict[Hashable, object]:
        """A backup."""
        return dict(self._facts)

    def restore(self, backup: dict[Hashable, object]) -> None:
        """Bring back an old backup: whatever was made durable since is forgotten."""
        self._facts = dict(backup)


def _place(fact: object) -> Hashable:
    match fact:
        case Record():
            return Record, fact.author, fact.kind, fact.subject, fact.sequence, fact.signature
        case Entered() | Made():
            return type(fact), fact.job, fact.round
        case Signed():
            return Signed, fact.vote.job, fact.vote.round
        case Waited():
            return Waited, fact.job
        case Certified():
            return Certified, fact.certificate.job, fact.certificate.round
        case Joined():
            return Joined, fact.job, fact.cohort
    return id(fact)
