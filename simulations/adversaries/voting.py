"""Members that vote twice, and makers of certificates that are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import msgspec
import numpy as np

from protocols.core import Effect, Event, Received, Send
from protocols.secagg.effects import Certified
from protocols.secagg.messages import Certificate, Offer, Root, Vote
from protocols.secagg.signing import UNSIGNED
from simulations.adversaries.adversary import Behaviour


class TwoVotes(Behaviour):
    """Votes for another history before the sum is known, and for the true one after it: to some members, or to all."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """A false vote as soon as somebody is heard in a round."""
        message = event.message if isinstance(event, Received) else None
        if not isinstance(message, Offer | Root):
            return ()
        whom = self.once(
            message.round, lambda: self.chance.choice((self.others(message.job), self.some(self.others())))
        )
        fresh = [n for n in whom if (n, message.round, message.attempt) not in self._chosen]
        for node in fresh:
            self._chosen[node, message.round, message.attempt] = True
            self.did("false vote")
        return [Send(node, self._false_vote(message)) for node in fresh]

    def _false_vote(self, message: Offer | Root) -> Vote:
        history = self.once((message.job, message.round, "history"), lambda: self.draw(32))
        unsigned = Vote(message.job, message.round, message.attempt, self.me, history, UNSIGNED)
        return self.resigned(unsigned)


class FalseCertificates(Behaviour):
    """Sends certificates that are none: too few votes, one vote often, old votes, votes for another history; and true
    ones with a false sum."""

    def __init__(self) -> None:
        self._votes: dict[tuple[bytes, int], dict[str, Vote]] = {}

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """Collect votes."""
        if isinstance(event, Received) and isinstance(event.message, Vote):
            vote = event.message
            self._votes.setdefault((vote.job, vote.round), {})[vote.author] = vote
        return (event,)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """A false certificate for whoever speaks of a round."""
        message = event.message if isinstance(event, Received) else None
        if not isinstance(message, Offer | Root | Vote):
            return ()
        certificate = self._false(message)
        self.did("false certificate")
        payload = np.zeros(8 * self.chance.randint(1, 64), np.uint8) if self.chance.random() < 0.5 else None
        return [Send(event.sender, certificate, payload)] if isinstance(event, Received) else ()

    def _false(self, message: Offer | Root | Vote) -> Certificate:
        history = self.once((message.job, message.round, "history"), lambda: self.draw(32))
        unsigned = Vote(message.job, message.round, message.attempt, self.me, history, UNSIGNED)
        votes = [self.resigned(unsigned)]
        old = [v for (job, number), votes in self._votes.items() if job == message.job for v in votes.values()]
        way = self.chance.randrange(4)
        if way == 1:
            votes *= 5
        elif way == 2:
            votes += [msgspec.structs.replace(v, round=message.round, history=history) for v in old[-5:]]
        elif way == 3 and old:
            votes = old[-5:]
            history = self.chance.choice(votes).history
        return Certificate(message.job, message.round, history, tuple(votes))


class FalseSums(Behaviour):
    """Passes true certificates on with sums that are not theirs."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The sum beside a certificate, replaced."""
        if not isinstance(send.message, Certificate) or send.payload is None:
            return (send,)
        self.did("false sum served")
        return (dataclasses.replace(send, payload=np.zeros_like(send.payload)),)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Whoever votes gets a false sum with the last certificate that is known here, asked for or not."""
        if not (isinstance(event, Received) and isinstance(event.message, Vote | Root)):
            return ()
        certified = self._last(event.message.job)
        if certified is None:
            return ()
        self.did("false sum served")
        return [Send(event.sender, certified.certificate, np.ones_like(certified.total))]

    def _last(self, job: bytes) -> Certified | None:
        known = [fact for (where, _), fact in self.hub._sums.items() if where == job]
        return max(known, key=lambda fact: fact.certificate.round, default=None)
