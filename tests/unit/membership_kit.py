"""A tiny federation in memory: identities, sites, and a pump that delivers, loses, repeats and reorders messages."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocols import wire
from protocols.core import Effect, LinkUp, Persist, Received, Send, Tick
from protocols.identity import Identity, NodeId
from protocols.kinds import KINDS
from protocols.membership.acts import describe
from protocols.membership.bodies import Node
from protocols.membership.charter import Charter, Steward, found
from protocols.membership.kinds import MEMBERSHIP
from protocols.membership.roster import Roster
from protocols.membership.store import open_store
from protocols.message import Message
from protocols.records.events import Publish
from protocols.records.exchange import Exchange
from protocols.records.kind import Kind, Kinds
from protocols.records.record import Record, sign_record
from protocols.records.store import RecordStore


class Note(Message, frozen=True):
    """The body of a kind that exists in tests only."""

    text: str


NOTES_MAX = 8
NOTES = Kinds((*MEMBERSHIP, Kind("note", Note, 64 * 1024, NOTES_MAX)))
"""The kinds of membership, and one that any member may write."""


def identity(number: int) -> Identity:
    """The identity with this number: always the same."""
    return Identity(number.to_bytes(32, "big"))


def node_body(name: str, *endpoints: str) -> Node:
    """A node's description."""
    return Node(name, f"Hospital {name}", endpoints, "0.1.0")


def charter_of(stewards: Sequence[Identity], admit_quorum: int = 1) -> Record:
    """A charter founded by the first of the stewards."""
    named = tuple(Steward(steward.node, f"Organisation {number}") for number, steward in enumerate(stewards))
    return found(stewards[0], Charter("Test federation", named, admit_quorum, 3, 1_700_000_000))


def note(author: Identity, store: RecordStore, subject: str, text: str, sequence: int = 1) -> Record:
    """A note by an author."""
    return sign_record(author, store.authority.federation, "note", subject, Note(text), sequence=sequence)


def node_record(author: Identity, roster: Roster, name: str, *, sequence: int = 1) -> Record:
    """A node's record about itself."""
    return describe(author, roster.federation, node_body(name), sequence=sequence)


def digests(store: RecordStore) -> set[bytes]:
    """What stands in a store."""
    return {held.digest for held in store.find()}


@dataclass
class Site:
    """One node with its store, and all effects it ever gave."""

    identity: Identity
    store: RecordStore
    roster: Roster
    exchange: Exchange
    effects: list[Effect] = field(default_factory=list)

    @property
    def node(self) -> NodeId:
        """Its id."""
        return self.identity.node

    def persisted(self) -> list[Record]:
        """The records made durable, in order."""
        return [one.fact for one in self.effects if isinstance(one, Persist) and isinstance(one.fact, Record)]


def site(who: Identity, charter: Record, kinds: Kinds = KINDS) -> Site:
    """A site of a federation that knows its charter only."""
    store, roster = open_store(charter, kinds)
    return Site(who, store, roster, Exchange(who.node, store))


class Pump:
    """Delivers what sites send, through the wire's own encoding."""

    def __init__(self, sites: Iterable[Site], seed: int = 0) -> None:
        self.sites = {one.node: one for one in sites}
        self.now = 0.0
        self.loss = 0.0
        self.repeat = 0.0
        self.sent = 0
        self._random = random.Random(seed)
        self._queue: list[tuple[NodeId, NodeId, bytes]] = []

    def link_all(self) -> None:
        """Every site gets a link to every other."""
        for one in self.sites.values():
            for peer in self.sites:
                if peer != one.node:
                    self.carry_out(one, one.exchange.handle(LinkUp(peer), self.now))

    def publish(self, who: Identity, *records: Record) -> Sequence[Effect]:
        """A site publishes records."""
        one = self.sites[who.node]
        effects = one.exchange.handle(Publish(records), self.now)
        self.carry_out(one, effects)
        return effects

    def carry_out(self, one: Site, effects: Iterable[Effect]) -> None:
        """Take note of effects and queue what is to be sent."""
        for effect in effects:
            one.effects.append(effect)
            if isinstance(effect, Send):
                self.sent += 1
                self._queue.append((one.node, effect.to, wire.encode(effect.message)))

    def run(self) -> None:
        """Deliver in any order until nothing is on its way."""
        for _ in range(100_000):
            if not self._queue:
                return
            sender, to, data = self._queue.pop(self._random.randrange(len(self._queue)))
            if self._random.random() < self.loss:
                continue
            if self._random.random() < self.repeat:
                self._queue.append((sender, to, data))
            receiver = self.sites.get(to)
            if receiver is not None:
                event = Received(sender, wire.decode(data))
                self.carry_out(receiver, receiver.exchange.handle(event, self.now))
        raise AssertionError("the messages never end")

    def rounds(self, count: int) -> None:
        """Let the time of `count` rounds of comparison pass."""
        for _ in range(count):
            self.now += 30.0
            for one in self.sites.values():
                self.carry_out(one, one.exchange.handle(Tick(), self.now))
            self.run()
