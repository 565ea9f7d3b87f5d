"""How records reach everybody: news at once to all peers, and comparison again and again with each of them.

Theory of operation. Who says something new tells its peers; whoever accepts it for the first time tells a few more,
chosen by its digest, since most have heard it from its author. A peer that has it answers nothing. What a peer missed
(it was away, the message was lost, it could not accept it yet) it finds by comparison: on a new link and then every
`EXCHANGE_S` to a few peers in turn, a node sends the digests of its 256 buckets; the peer lists what it holds in
those that differ; the node pulls what it lacks, batch by batch, membership before what depends on it. Each side pulls
for itself and nobody pushes what was not asked for, but news. So

    Summary ->   <- Listing   Pull ->   <- Records   Pull ->   <- Records ...

A talk with a peer has no states to get stuck in: a lost answer ends it, and the next summary begins it anew.

Bounds. Every message has a limit. Answers to one peer are paid from an allowance of bytes, so that small questions
cannot draw large answers without end. An author may supersede its records only so often. The first wrong signature,
which no honest peer would have passed on, ends the reading of its message and the talk. Refusals are told once per
message and reason.

What this cannot express: that a peer is up to date. A peer may hide what it knows; another will tell.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.core import Effect, Event, LinkUp, Persist, Received, Refused, Send, Tick
from protocols.identity import NodeId
from protocols.message import DIGEST_BYTES, Message
from protocols.records.allowance import Allowance
from protocols.records.authority import Held
from protocols.records.buckets import BUCKETS
from protocols.records.events import Dropped, Forked, Learned, Publish
from protocols.records.messages import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    ENTRIES_MAX,
    LISTING_BYTES_MAX,
    Entry,
    Listing,
    Pull,
    Records,
    Summary,
)
from protocols.records.record import Record, encode_record, key_of
from protocols.records.store import Added, Outcome, RecordStore

EXCHANGE_S: Final = 30.0
"""Seconds between two rounds of comparison: what news missed is found within half a minute per `EXCHANGE_PEERS`."""
EXCHANGE_PEERS: Final = 3
"""Peers compared with in a round, in turn: 25 KiB of summaries each half minute, however large the federation."""
NEWS_PEERS_MAX: Final = 128
"""Peers whom a node tells at once of what it says itself: a whole cohort of the largest size."""
NEWS_ON_MAX: Final = 6
"""Peers to whom it passes on what another said, unless the kind is urgent. In a full mesh all heard the author; else
so many calls of each leave e^-6 of the nodes without it (Demers et al., "Epidemic algorithms for replicated database
maintenance", PODC 1987, section 1.4), and comparison tells those. All to all would cost n^2 copies of each record."""
ANSWER_BYTES_BURST: Final = 16 * 2**20
"""Bytes of answers a peer may draw at once: a newcomer's first exchange of 20,000 records takes about 10 MiB."""
ANSWER_BYTES_PER_S: Final = 256 * 2**10
"""Bytes of answers a peer may draw each second after that: one full listing."""
SUPERSEDE_BURST: Final = 32
"""Records of one author that may be superseded at once: a site that changes all its answers on one evening."""
SUPERSEDE_PER_S: Final = 0.1
"""Records of one author that may be superseded each second after that: each makes every node tell all its peers."""
VAIN_MAX: Final = 4096
"""Refused records remembered so as not to pull them again: two full listings."""

LIES: Final = frozenset({"bad_signature", "bad_node_id", "weak_key"})
"""Refusals that cost a verification, of what no honest peer passes on. (What is malformed here may be well formed to a
newer version; it costs nothing and is merely refused.)"""
FOR_NOW: Final = frozenset({"bad_signature", "too_often"})
"""Refusals after which another copy, or the same one later, may be accepted; others wait for the roster to change."""


@dataclass(slots=True)
class _Talk:
    """What is going on with one peer.

    answers: what it may still draw from this node. wanted: digests still to be pulled from it, most wanted first.
    start: the bucket at which its last listing was to start. following: where the next one should; it only rises until
    the next round, so that a peer cannot draw summaries without end. version: of the roster when the round began; if
    it has risen since, what was refused on the way is worth another round at once.
    """

    answers: Allowance
    wanted: dict[bytes, None] = field(default_factory=dict)
    start: int = 0
    following: int | None = None
    version: int = 0


class Exchange:
    """The core that keeps a store of records equal to those of its peers."""

    def __init__(self, me: NodeId, store: RecordStore) -> None:
        """me: this node. store: changed by this core alone."""
        self._me: Final = me
        self._store: Final = store
        self._talks: Final[dict[NodeId, _Talk]] = {}
        self._supersedes: Final[dict[NodeId, Allowance]] = {}
        self._vain: Final[set[bytes]] = set()
        self._vain_since = store.authority.version
        self._last_asked = me
        self._wake_at: float | None = None

    @property
    def wake_at(self) -> float | None:
        """The next round of comparison; None before the first link."""
        return self._wake_at

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event and say what is to be done. Raises `LocalError` only."""
        match event:
            case Received(sender=sender, message=message):
                return self._receive(sender, message, now)
            case LinkUp(peer=peer):
                return self._link_up(peer, now)
            case Tick():
                return self._tick(now)
            case Publish(records=records):
                return self._publish(records)
        return ()

    # --- Links and time -------------------------------------------------------------------------------------------

    def _link_up(self, peer: NodeId, now: float) -> Sequence[Effect]:
        if not self._store.authority.allowed(peer):
            return ()
        self._talk(peer, now)
        if self._wake_at is None:
            self._wake_at = now + EXCHANGE_S
        return (self._ask(peer, 0),)

    def _tick(self, now: float) -> Sequence[Effect]:
        if self._wake_at is None or now < self._wake_at:
            return ()
        self._wake_at = now + EXCHANGE_S
        ring = self._peers()
        after = [peer for peer in ring if peer > self._last_asked]
        asked = (after + [peer for peer in ring if peer <= self._last_asked])[:EXCHANGE_PEERS]
        if asked:
            self._last_asked = asked[-1]
        return tuple(self._ask(peer, 0) for peer in asked)

    def _peers(self) -> list[NodeId]:
        """The members that ever had a link to this node, in order; those revoked since are forgotten."""
        for peer in [peer for peer in self._talks if not self._store.authority.allowed(peer)]:
            del self._talks[peer]
        return sorted(self._talks)

    def _talk(self, peer: NodeId, now: float) -> _Talk:
        if peer not in self._talks:
            self._talks[peer] = _Talk(Allowance(ANSWER_BYTES_BURST, ANSWER_BYTES_PER_S, now))
        return self._talks[peer]

    def _ask(self, peer: NodeId, start: int) -> Send:
        talk = self._talks[peer]
        talk.start = start
        if start == 0:
            talk.version = self._store.authority.version
        return Send(peer, Summary(self._store.buckets.digests(), start))

    # --- Messages -------------------------------------------------------------------------------------------------

    def _receive(self, sender: NodeId, message: Message, now: float) -> Sequence[Effect]:
        if not self._store.authority.allowed(sender):
            return (Refused(sender, "not_a_member", "no records are exchanged with who is not a member"),)
        talk = self._talk(sender, now)
        match message:
            case Summary():
                return self._list(sender, message, talk, now)
            case Listing():
                return self._compare(sender, message, talk)
            case Pull():
                return self._give(sender, message, talk, now)
            case Records():
                return self._take(sender, message, talk, now)
        return ()

    def _list(self, sender: NodeId, summary: Summary, talk: _Talk, now: float) -> Sequence[Effect]:
        theirs = summary.buckets
        if theirs == self._store.buckets.digests():
            return ()
        entries: list[Entry] = []
        following: int | None = None
        for number in range(summary.start, BUCKETS):
            offset = number * DIGEST_BYTES
            if theirs[offset : offset + DIGEST_BYTES] == self._store.buckets.digest(number):
                continue
            listing = self._store.buckets.listing(number)
            if entries and len(entries) + len(listing) > ENTRIES_MAX:
                following = number
                break
            entries += map(_entry, listing[:ENTRIES_MAX])
        if not entries:
            return ()
        cost = LISTING_BYTES_MAX * len(entries) // ENTRIES_MAX
        return self._answer(sender, Listing(tuple(entries), following), cost, talk, now)

    def _give(self, sender: NodeId, pull: Pull, talk: _Talk, now: float) -> Sequence[Effect]:
        held = (self._store.by_digest(digest) for digest in pull.digests)
        batch = next(_batches(one.record for one in held if one is not None), None)
        if batch is None:
            return ()
        return self._answer(sender, Records(tuple(batch)), sum(map(_size, batch)), talk, now)

    def _answer(self, peer: NodeId, message: Message, cost: int, talk: _Talk, now: float) -> Sequence[Effect]:
        if not talk.answers.take(cost, now):
            return (Refused(peer, "too_fast", f"asks for more than {ANSWER_BYTES_PER_S} bytes a second"),)
        return (Send(peer, message),)

    def _compare(self, sender: NodeId, listing: Listing, talk: _Talk) -> Sequence[Effect]:
        kinds = self._store.kinds
        wanted = [entry for entry in listing.entries if kinds.get(entry.kind) is not None and self._wants(entry)]
        wanted.sort(key=lambda entry: kinds.rank(entry.kind))
        talk.wanted = dict.fromkeys(entry.digest for entry in wanted)
        following = listing.following
        talk.following = following if following is not None and following > talk.start else None
        return self._go_on(sender, talk)

    def _wants(self, entry: Entry) -> bool:
        if entry.digest in self._store:
            return False
        if entry.digest in self._vain and self._vain_since == self._store.authority.version:
            return False
        return not self._store.is_stale(entry.key, entry.sequence, entry.digest)

    def _go_on(self, peer: NodeId, talk: _Talk) -> Sequence[Effect]:
        """The next step of a talk: pull what is still wanted, ask for the rest of the listing, ask again, or rest."""
        if talk.wanted:
            digests = tuple(digest for digest, _ in zip(talk.wanted, range(BATCH_RECORDS_MAX), strict=False))
            return (Send(peer, Pull(digests)),)
        start, talk.following = talk.following, None
        if start is not None:
            return (self._ask(peer, start),)
        return (self._ask(peer, 0),) if talk.version != self._store.authority.version else ()

    # --- Records --------------------------------------------------------------------------------------------------

    def _take(self, sender: NodeId, message: Records, talk: _Talk, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        news: list[Held] = []
        refused: Counter[tuple[str, str]] = Counter()
        pulled = False
        for record in message.records:
            added = self._add(record, now)
            asked = added.digest in talk.wanted
            talk.wanted.pop(added.digest, None)
            pulled |= asked
            if added.outcome is Outcome.REFUSED:
                refused[added.code, added.detail] += 1
                if added.code in LIES:
                    talk.wanted, talk.following, pulled = {}, None, False
                    break
            if added.held is not None:
                effects += self._accepted(added, added.held, sender)
                if not asked or self._store.kinds[record.kind].urgent:
                    news.append(added.held)
        effects += [Refused(sender, code, f"{detail} ({count})") for (code, detail), count in refused.items()]
        effects += self._tell(news, sender)
        return [*effects, *self._go_on(sender, talk)] if pulled else effects

    def _add(self, record: Record, now: float) -> Added:
        author, digest = record.author, self._store.digest_of(record)
        if digest in self._store:
            return Added(Outcome.KNOWN, digest)
        superseding = self._supersedes_one(record)
        allowance = self._supersedes.get(author)
        if superseding and allowance is not None and allowance.left(now) < 1:
            code, detail = "too_often", f"{author} supersedes its records too often"
            return Added(Outcome.REFUSED, digest, code=code, detail=detail)
        added = self._store.add(record)
        if added.outcome is Outcome.REFUSED and added.code not in FOR_NOW:
            self._remember(added.digest)
        if superseding and added.held is not None:
            allowance = self._supersedes.setdefault(author, Allowance(SUPERSEDE_BURST, SUPERSEDE_PER_S, now))
            allowance.take(1, now)
        return added

    def _remember(self, digest: bytes) -> None:
        """Do not pull this record again before the roster changes."""
        version = self._store.authority.version
        if version != self._vain_since or len(self._vain) >= VAIN_MAX:
            self._vain.clear()
            self._vain_since = version
        self._vain.add(digest)

    def _supersedes_one(self, record: Record) -> bool:
        heads = self._store.heads(*key_of(record))
        return bool(heads) and heads[0].record.sequence < record.sequence

    def _accepted(self, added: Added, held: Held, source: NodeId | None) -> Iterator[Effect]:
        yield Persist(held.record)
        yield Learned(held.record, held.body, held.digest, source)
        if added.fork is not None:
            yield Forked(added.fork)
        for old in added.superseded:
            yield Dropped(old.record, old.digest, "superseded")
        for old in added.fallen:
            yield Dropped(old.record, old.digest, "revoked")

    def _publish(self, records: tuple[Record, ...]) -> Sequence[Effect]:
        effects: list[Effect] = []
        news: list[Held] = []
        for record in records:
            added = self._store.add(record)
            if added.outcome is Outcome.REFUSED:
                effects.append(Refused(None, added.code, added.detail))
            if added.held is not None:
                effects += self._accepted(added, added.held, None)
                news.append(added.held)
        return [*effects, *self._tell(news, None)]

    def _tell(self, news: Sequence[Held], source: NodeId | None) -> Iterator[Effect]:
        if not news:
            return
        peers = [peer for peer in self._peers() if peer != source]
        told: dict[NodeId, list[Record]] = {}
        for held in news:
            for peer in self._hearers(held, peers, NEWS_PEERS_MAX if source is None else NEWS_ON_MAX):
                told.setdefault(peer, []).append(held.record)
        for peer, records in told.items():
            for batch in _batches(records):
                yield Send(peer, Records(tuple(batch)))

    def _hearers(self, held: Held, peers: list[NodeId], at_most: int) -> list[NodeId]:
        if len(peers) <= at_most or self._store.kinds[held.record.kind].urgent:
            return peers
        spot = hashlib.sha256(held.digest + self._me.encode()).digest()
        start = int.from_bytes(spot[:8], "big") % len(peers)
        return (peers[start:] + peers[:start])[:at_most]


def _entry(held: Held) -> Entry:
    return Entry(held.record.kind, held.key_digest, held.record.sequence, held.digest)


def _size(record: Record) -> int:
    return len(encode_record(record))


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in batches that fit a message, in their order."""
    batch: list[Record] = []
    size = 0
    for record in records:
        if batch and (len(batch) == BATCH_RECORDS_MAX or size + _size(record) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += _size(record)
    if batch:
        yield batch
