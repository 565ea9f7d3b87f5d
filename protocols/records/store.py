"""The records that stand: an index in memory, which accepts, supersedes, keeps evidence, and lets fall.

Theory of operation. Each key (kind, author, subject) has one slot. The highest sequence holds it; an older record is
ignored. Two different records of one key and sequence are a *fork*: the author has signed both, so both are kept, in
the slot until a higher sequence comes and as evidence for good. Of more than two, the slot holds the two with the
lowest digests, so that all nodes end with the same two.

A record is judged in the order of what it costs: already held (a digest), older (a number), well formed (a decoder),
permitted (the roster), within its author's room, and only then by its signature. What is held is never verified again.

When a node is revoked, its records no longer stand except those that the revocation keeps, and what stood only by them
falls too; `add` says which. What stands in the end depends on the set of records alone, not on the order of arrival,
with one bound: an author that goes over its room (`per_author_max`) may be held differently by different nodes.

What this cannot express: "not yet". A record that its author may not write now is refused and forgotten; the next
exchange brings it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.records.authority import Authority, Held
from protocols.records.buckets import Buckets
from protocols.records.index import Index
from protocols.records.kind import Kinds
from protocols.records.record import FIRST, Key, Record, check_signature, key_digest, key_of, record_digest

HEADS_MAX: Final = 2
"""Records of one sequence kept under a key: two prove that their author said two things, a third proves no more."""
FORKS_PER_AUTHOR_MAX: Final = 16
"""Keys of one author for which superseded evidence is kept: one is proof enough, the rest helps people understand."""


class Outcome(Enum):
    """What became of a record that was offered."""

    NEW = "new"
    """Accepted: nothing or something older was held."""
    KNOWN = "known"
    """Held already."""
    STALE = "stale"
    """Ignored: something later is held, or two others of the same sequence."""
    FORK = "fork"
    """Accepted, and evidence: another of the same key and sequence is held."""
    REFUSED = "refused"
    """Not accepted; the reason is told."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Two different records of one key and sequence: proof, by its own signatures, of what their author did."""

    first: Record
    second: Record


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a record, and of others because of it.

    outcome: see there. digest: of the record. held: the record, if it was accepted. fork: the evidence, if it is one.
    superseded: records that it took the place of. fallen: records that stand no longer since it came.
    code, detail: why it was refused.
    """

    outcome: Outcome
    digest: bytes
    held: Held | None = None
    fork: Fork | None = None
    superseded: tuple[Held, ...] = ()
    fallen: tuple[Held, ...] = ()
    code: str = ""
    detail: str = ""


class RecordStore:
    """The records of one federation that stand at one node."""

    def __init__(self, kinds: Kinds, authority: Authority) -> None:
        """kinds: what may be held. authority: who may write; it is told of all that is accepted."""
        self.kinds: Final = kinds
        self.authority: Final = authority
        self.buckets: Final = Buckets()
        self._federation: Final = authority.federation
        self._slots: Final[dict[bytes, tuple[Held, ...]]] = {}
        self._held: Final[dict[bytes, Held]] = {}
        self._index: Final = Index()
        self._room: Final[Counter[tuple[str, NodeId]]] = Counter()
        self._evidence: Final[dict[bytes, Fork]] = {}
        self._forks: Final[Counter[NodeId]] = Counter()
        self._unsettled = False

    # --- Asking ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, digest: bytes) -> bool:
        """Whether the record of this digest stands."""
        return digest in self._held

    def by_digest(self, digest: bytes) -> Held | None:
        """The standing record of this digest, or None."""
        return self._held.get(digest)

    def heads(self, kind: str, author: NodeId, subject: str) -> tuple[Held, ...]:
        """What holds the slot: nothing, one record, or the two of a fork, the lower digest first."""
        return self._slots.get(key_digest(self._federation, Key(kind, author, subject)), ())

    def get(self, kind: str, author: NodeId, subject: str) -> Held | None:
        """The record that holds the slot, or None. Of a fork the one of the lower digest: the same at every node."""
        heads = self.heads(kind, author, subject)
        return heads[0] if heads else None

    def find(self, kind: str | None = None, author: NodeId | None = None, subject: str | None = None) -> list[Held]:
        """The standing records that fit all that is given, by rank of kind, then digest."""
        found = self._index.find(kind, author, subject)
        return sorted(found, key=lambda held: (held.rank, held.digest))

    def forks(self) -> list[Fork]:
        """The evidence: each fork seen, superseded or not."""
        return list(self._evidence.values())

    def digest_of(self, record: Record) -> bytes:
        """The digest of what a record says in this federation."""
        return record_digest(self._federation, record)

    def is_stale(self, place: bytes, sequence: int, digest: bytes) -> bool:
        """Whether a record of this key digest, sequence and digest would be ignored."""
        return _adds_nothing(self._slots.get(place, ()), sequence, digest)

    def next_sequence(self, kind: str, author: NodeId, subject: str) -> int:
        """The sequence with which the author may speak next under this key."""
        heads = self.heads(kind, author, subject)
        return heads[0].record.sequence + 1 if heads else FIRST

    # --- Adding ---------------------------------------------------------------------------------------------------

    def add(self, record: Record) -> Added:
        """Judge a record and, if it stands, keep it. Never raises for what a peer sent."""
        digest = self.digest_of(record)
        if digest in self._held:
            return Added(Outcome.KNOWN, digest)
        place = key_digest(self._federation, key_of(record))
        slot = self._slots.get(place, ())
        if _adds_nothing(slot, record.sequence, digest):
            return Added(Outcome.STALE, digest)
        try:
            held = self.kinds.hold(self._federation, record)
            self._permit(held, slot)
            check_signature(self._federation, record)
        except PeerError as error:
            return Added(Outcome.REFUSED, digest, code=error.code, detail=error.detail)
        added = self._accept(held, slot)
        return replace(added, fallen=self._sweep()) if self._unsettled else added

    def restore(self, records: Iterable[Record]) -> tuple[Held, ...]:
        """Take back what this node had made durable, in any order, without verifying signatures again.

        Gives the records that stand no longer (a crash fell between a revocation and its consequences): the driver
        forgets them. A record that does not decode any more (an older version's kind) is left out likewise, silently.
        """
        for record in sorted(records, key=lambda record: record.sequence):
            try:
                held = self.kinds.hold(self._federation, record)
            except PeerError:
                continue
            slot = self._slots.get(held.key_digest, ())
            if held.digest not in self._held and not _adds_nothing(slot, record.sequence, held.digest):
                self._accept(held, slot)
        return self._sweep()

    def _permit(self, held: Held, slot: tuple[Held, ...]) -> None:
        refusal = self._refusal(held)
        if refusal is not None:
            raise PeerError(refusal, f"{held.record.author} may not write a {held.record.kind}")
        room = self.kinds[held.record.kind].per_author_max
        if not slot and self._room[held.record.kind, held.record.author] >= room:
            raise PeerError("author_full", f"{held.record.author} holds {room} records of kind {held.record.kind}")

    def _refusal(self, held: Held) -> str | None:
        record = held.record
        kind = self.kinds[record.kind]
        if not kind.outsiders and not self.authority.admitted(record.author):
            return "not_a_member"
        if self.authority.cut(held):
            return "revoked"
        return kind.may_write(record, held.body, self.authority)

    def _accept(self, held: Held, slot: tuple[Held, ...]) -> Added:
        forked = bool(slot) and slot[0].record.sequence == held.record.sequence
        heads = sorted((*slot, held), key=lambda head: head.digest)[:HEADS_MAX] if forked else [held]
        fork = self._witness(slot[0], held) if forked else None
        replaced = [old for old in slot if old not in heads]
        for old in replaced:
            self._take_out(old)
        self._slots[held.key_digest] = tuple(heads)
        self._room[held.record.kind, held.record.author] += not slot
        self._put_in(held)
        return Added(
            Outcome.FORK if forked else Outcome.NEW,
            held.digest,
            held=held,
            fork=fork,
            superseded=tuple(old for old in replaced if not self._is_evidence(old)),
        )

    def _witness(self, first: Held, second: Held) -> Fork:
        fork = Fork(first.record, second.record)
        author = first.record.author
        if first.key_digest not in self._evidence and self._forks[author] < FORKS_PER_AUTHOR_MAX:
            self._evidence[first.key_digest] = fork
            self._forks[author] += 1
        return fork

    def _is_evidence(self, held: Held) -> bool:
        fork = self._evidence.get(held.key_digest)
        return fork is not None and held.record in (fork.first, fork.second)

    def _put_in(self, held: Held) -> None:
        self._held[held.digest] = held
        self._index.add(held)
        self.buckets.add(held)
        self._unsettled |= self.authority.learn(held)

    def _take_out(self, held: Held) -> None:
        del self._held[held.digest]
        self._index.remove(held)
        self.buckets.remove(held)
        self.authority.forget(held)

    def _sweep(self) -> tuple[Held, ...]:
        """Let fall what stands no longer, and what stood only by that, until all that is left stands."""
        fallen: list[Held] = []
        while gone := [held for held in self._held.values() if self._refusal(held) is not None]:
            for held in gone:
                self._take_out(held)
                self._vacate(held)
            fallen += gone
        self._unsettled = False
        return tuple(fallen)

    def _vacate(self, held: Held) -> None:
        heads = tuple(head for head in self._slots[held.key_digest] if head is not held)
        if heads:
            self._slots[held.key_digest] = heads
            return
        del self._slots[held.key_digest]
        self._room[held.record.kind, held.record.author] -= 1


def _adds_nothing(slot: tuple[Held, ...], sequence: int, digest: bytes) -> bool:
    if not slot:
        return False
    standing = slot[0].record.sequence
    return sequence < standing or (
        sequence == standing and len(slot) == HEADS_MAX and digest > max(head.digest for head in slot)
    )
