"""Members whose masked segments do not match the root that they signed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from protocols.core import Effect, Event, Send
from protocols.message import Payload
from protocols.secagg.messages import Segment
from simulations.adversaries.adversary import Behaviour


class WrongSegment(Behaviour):
    """Spoils its segments on their way to some members, or the first ones to each; the rest are true.

    Whoever got a wrong one asks again, the author first and then anybody who has it.
    """

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own segments: a bit turned, zeros, or bytes of chance."""
        message = send.message
        if not self.spoils(message, Segment) or send.payload is None or not self._wanted(send):
            return (send,)
        self.did("wrong segment")
        return (dataclasses.replace(send, payload=self._spoilt(send.payload)),)

    def _wanted(self, send: Send) -> bool:
        message = send.message
        if self.once("by members", lambda: self.chance.random() < 0.5):
            return send.to in self.once("whom", lambda: self.some(self.others()))
        place = (send.to, message.round, message.attempt, message.segment)  # type: ignore[attr-defined]
        first = place not in self._chosen
        self._chosen[place] = True
        return first

    def _spoilt(self, payload: Payload) -> Payload:
        way = self.chance.randrange(3)
        if way == 0:
            return np.zeros_like(payload)
        if way == 1:
            return np.frombuffer(self.draw(payload.nbytes), np.uint8)
        words = payload.copy()
        words[self.chance.randrange(words.nbytes)] ^= np.uint8(1 << self.chance.randrange(8))
        return words


class ShortSegment(Behaviour):
    """Sends segments of another size than the layout says."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own segments, a word shorter or longer, to some members at a time."""
        message = send.message
        if not self.spoils(message, Segment) or send.payload is None or self.chance.random() < 0.5:
            return (send,)
        self.did("short segment")
        more = np.concatenate([send.payload, np.zeros(8, np.uint8)])
        return (dataclasses.replace(send, payload=self.chance.choice((send.payload[8:].copy(), more))),)


class HolderOverride(Behaviour):
    """Waits with its own segments until it knows the others' sum of one that it holds, then sends what it would rather
    have put in."""

    def __init__(self) -> None:
        self._held: list[Send] = []

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its segments wait for the sum; those that are asked for later are replaced, too."""
        message = send.message
        if not self.spoils(message, Segment) or send.payload is None:
            return (send,)
        if not self._knows(message):  # type: ignore[arg-type]
            self._held.append(send)
            return ()
        return (self._replaced(send),)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """The sum is known: out with the other segments."""
        ready = [send for send in self._held if self._knows(send.message)]  # type: ignore[arg-type]
        if not ready:
            return ()
        self._held = [send for send in self._held if not any(send is one for one in ready)]
        return [self._replaced(send) for send in ready]

    def _knows(self, message: Segment) -> bool:
        seen = self.transcript(message.job)
        if seen is None or seen.number != message.attempt or not seen.rooted:
            return True
        held = seen.layout.held_by(seen.cohort.members.index(self.me))
        return any(not seen.authors_missing(segment) for segment in held)

    def _replaced(self, send: Send) -> Send:
        self.did("segment replaced")
        payload = send.payload.copy() if send.payload is not None else None
        if payload is not None:
            payload[0] ^= np.uint8(1)
        return dataclasses.replace(send, payload=payload)
