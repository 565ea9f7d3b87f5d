"""Several that act as one: they share a plot, and each sees what the others see.

Up to c of them gain nothing over one: all but the honest rest of a cohort never make a quorum twice, nor all holders of
a segment.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from protocols.core import Computed, Draw, Effect, Event, Send
from protocols.identity import Identity, NodeId
from protocols.message import Payload
from protocols.secagg.attempt import Token, Total
from protocols.secagg.mask import segment_digest
from protocols.secagg.messages import Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.signing import UNSIGNED, next_history
from simulations.adversaries.adversary import Behaviour
from simulations.adversaries.inconsistency import shifted
from simulations.hub import Hub


class Plot:
    """What colluders share. members: who they are, as they start. chance: of the first one's seed."""

    def __init__(self) -> None:
        self.members: set[NodeId] = set()
        self.agreed: dict[Hashable, Any] = {}
        self.chance = random.Random(0)  # noqa: S311 - the first colluder's seed takes its place

    def side(self, job: bytes, others: Sequence[NodeId]) -> set[NodeId]:
        """One half of the honest members: those who are shown the second version."""
        honest = [node for node in others if node not in self.members]
        if job not in self.agreed:
            self.agreed[job] = set(self.chance.sample(honest, max(1, len(honest) // 2)))
        return set(self.agreed[job])


class Colluder(Behaviour):
    """One of several with a plot."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot

    def begin(self, hub: Hub, identity: Identity, draw: Draw) -> None:
        """Take part in the plot."""
        super().begin(hub, identity, draw)
        if not self.plot.members:
            self.plot.chance = random.Random(draw(16))  # noqa: S311
        self.plot.members.add(identity.node)

    def agree(self, key: Hashable, value: Any) -> Any:
        """What the first of them chose for a key."""
        return self.plot.agreed.setdefault(key, value)


class LyingHolders(Colluder):
    """Sign the same false digest for each segment that one of them holds: to be believed they would have to be all
    holders of a segment."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The sum that they agreed on; other words for it."""
        message = send.message
        if isinstance(message, SumWords) and send.payload is not None:
            return (dataclasses.replace(send, payload=shifted(send.payload)),)
        if not (isinstance(message, Sum) and message.author == self.me):
            return (send,)
        seen = self.transcript(message.job)
        words = seen.words.get(message.segment) if seen is not None else None
        if words is None:
            return (send,)
        self.did("false sum")
        return (dataclasses.replace(send, message=self.resigned(message, digest=segment_digest(shifted(words)))),)


class TwoWorlds(Colluder):
    """Show one half of the honest members one set of keys and the other half another, all of them alike."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its offers, as the receiver's half is shown them."""
        message = send.message
        if not (isinstance(message, Offer) and message.author == self.me):
            return (send,)
        if send.to not in self.plot.side(message.job, self.others(message.job)):
            return (send,)
        self.did("other key")
        key = self.once((message.round, message.attempt), self.other_key)
        return (dataclasses.replace(send, message=self.resigned(message, key=key)),)


class SplitVote(Colluder):
    """Put in one vector before one half of the honest members and another before the other, and vote for both sums: a
    quorum for each would be two certificates of one round."""

    honest_input: ClassVar[bool] = False

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Roots, segments and votes, as the receiver's half is shown them."""
        message = send.message
        side = self.plot.side(getattr(message, "job", b""), self.others(getattr(message, "job", None)))
        if send.to not in side:
            return (send,)
        match message:
            case Root() if message.author == self.me and self._first(message.job):
                return self._other_root(send, message)
            case Segment() if message.author == self.me and send.payload is not None and self._first(message.job):
                return (dataclasses.replace(send, payload=shifted(send.payload)),)
            case Vote() if message.author in self.plot.members:
                return self._other_vote(send, message)
        return (send,)

    def _first(self, job: bytes) -> bool:
        """One of them puts in two vectors; the others only vote for both sums."""
        return bool(self.agree(("first", job), self.me) == self.me)

    def _other_root(self, send: Send, message: Root) -> Iterable[Send]:
        seen = self.transcript(message.job)
        mine = seen.cohort.members.index(self.me) if seen is not None else 0
        if seen is None or (mine, 0) not in seen.inputs:
            return (send,)
        self.did("other vector")
        digests = tuple(segment_digest(shifted(seen.inputs[mine, s])) for s in range(len(message.digests)))
        return (dataclasses.replace(send, message=self.resigned(message, digests=digests)),)

    def _other_vote(self, send: Send, message: Vote) -> Iterable[Send]:
        other = self.plot.agreed.get(("other", message.job, message.round))
        if other is None or message.author != self.me:
            return ()
        self.did("other vote")
        return (dataclasses.replace(send, message=self.resigned(message, history=other)),)

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """The sum is known: so is the other one."""
        token = event.token if isinstance(event, Computed) else None
        if isinstance(token, tuple) and isinstance(token[-1], Token) and isinstance(event, Computed):
            here = self.round(token[0])
            if isinstance(event.value, Total) and here is not None:
                other = next_history(here.place.history, here.place.number, self._other_total(event.value.words))
                self.agree(("other", token[0], token[1].round), other)
        return (event,)

    def _other_total(self, words: Payload) -> Payload:
        """The sum with the other vector in it: of a long sum, with each segment shifted."""
        seen = next((here._attempt.transcript for here in self.rounds()), None)
        if seen is None or seen._layout is None:
            return shifted(words)
        spans = [seen.layout.span(s) for s in range(seen.layout.segments)]
        return np.concatenate([shifted(words[span]) for span in spans])


class VoteForBoth(Colluder):
    """Vote in each round for the true history and for another that they agreed on, each before one half."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """The false votes, early."""
        sends: list[Effect] = []
        for here in self.rounds():
            place = here.cohort.job, here.place.number
            if place in self._chosen:
                continue
            self._chosen[place] = True
            history = self.agree(place, self.draw(32))
            vote = self.resigned(Vote(*place, here._attempt.number, self.me, history, UNSIGNED))
            self.did("false vote")
            sends += [Send(node, vote) for node in self.plot.side(place[0], self.others(place[0]))]
        return sends


class Combined(Behaviour):
    """One node with several behaviours: each changes what the one before it made."""

    def __init__(self, *parts: Behaviour) -> None:
        self.parts = parts

    def begin(self, hub: Hub, identity: Identity, draw: Draw) -> None:
        """All of them begin."""
        super().begin(hub, identity, draw)
        for part in self.parts:
            part.begin(hub, identity, draw)
            part.deeds = self.deeds

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """Through all of them."""
        events: Iterable[Event] = (event,)
        for part in self.parts:
            events = [changed for one in events for changed in part.hear(one, now)]
        return events

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Through all of them."""
        sends: Iterable[Send] = (send,)
        for part in self.parts:
            sends = [changed for one in sends for changed in part.say(one, now)]
        return sends

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """All of them."""
        return [effect for part in self.parts for effect in part.act(event, now)]
