"""Members that repeat: old messages, the same again, back to their author, to somebody else; and that contradict
themselves.

Whoever receives such a message refuses it or finds that it changes nothing.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Final

from protocols.core import Effect, Event, Received, Send
from protocols.secagg.messages import Offer, Root, Sum
from simulations.adversaries.adversary import Behaviour

KEPT: Final = 500
"""Messages that a replayer remembers."""
REPLAYS_MAX: Final = 3000
"""Messages that one sends again in its life: more than a job of a few rounds has; an answer could draw another."""


class _Replayer(Behaviour, ABC):
    """Remembers what it heard; `again` says what it sends."""

    def __init__(self) -> None:
        self._heard: deque[Received] = deque(maxlen=KEPT)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Something again."""
        if not isinstance(event, Received) or self.deeds.total() >= REPLAYS_MAX:
            return ()
        sends = [*self.again(event)]
        self._heard.append(event)
        self.deeds["replayed"] += len(sends)
        return sends

    @abstractmethod
    def again(self, event: Received) -> Iterable[Send]:
        """What is sent when this was heard."""


class ReplayOld(_Replayer):
    """Sends messages of the past, of other rounds and attempts, anybody's, to anybody."""

    def again(self, event: Received) -> Iterable[Send]:
        """One or two from memory."""
        if not self._heard:
            return []
        old = [self.chance.choice(self._heard) for _ in range(self.chance.randint(1, 2))]
        return [Send(self.chance.choice(self.others()), one.message, one.payload) for one in old]


class ReplaySameRound(Behaviour):
    """Says everything twice or three times."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The same again."""
        self.did("repeated")
        return (send,) * self.chance.randint(2, 3)


class Reflection(_Replayer):
    """Sends back to each what it said."""

    def again(self, event: Received) -> Iterable[Send]:
        """The same, to its sender."""
        return [Send(event.sender, event.message, event.payload)]


class Misdirection(_Replayer):
    """Passes what A said to it on to C."""

    def again(self, event: Received) -> Iterable[Send]:
        """The same, to another."""
        others = [node for node in self.others() if node != event.sender]
        return [Send(self.chance.choice(others), event.message, event.payload)] if others else []


class ConflictingDuplicate(Behaviour):
    """Signs each offer, root and sum twice, the second time with other content, and shows both to the same member."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The true one and another."""
        message = send.message
        match message:
            case Offer() if message.author == self.me:
                other = self.resigned(message, key=self.other_key())
            case Root() if message.author == self.me:
                other = self.resigned(message, digests=tuple(self.draw(32) for _ in message.digests))  # type: ignore[assignment]
            case Sum() if message.author == self.me:
                other = self.resigned(message, digest=self.draw(32))  # type: ignore[assignment]
            case _:
                return (send,)
        self.did("contradiction")
        pair = [send, dataclasses.replace(send, message=other)]
        self.chance.shuffle(pair)
        return pair
