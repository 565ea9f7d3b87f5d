"""Members that are silent: to some, at times, about some things, or altogether."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.core import Send
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, Sum, SumWords, Vote
from simulations.adversaries.adversary import Behaviour

OF_A_ROUND = Offer | Root | Segment | Sum | SumWords | Vote | Certificate | Ask


class SelectiveSilence(Behaviour):
    """Drops messages of rounds to some members, each with the same chance: whoever lacks one asks again or another."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Some get less."""
        if not isinstance(send.message, OF_A_ROUND):
            return (send,)
        victims = self.once("whom", lambda: self.some(self.others()))
        if send.to not in victims or self.chance.random() > self.once("loss", lambda: self.chance.uniform(0.3, 0.7)):
            return (send,)
        self.did("dropped")
        return ()


class Shunning(Behaviour):
    """Never says anything about rounds to some members, and everything to the others."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Some get nothing."""
        whom = self.once("whom", lambda: self.some(self.others()))
        if not isinstance(send.message, OF_A_ROUND) or send.to not in whom:
            return (send,)
        self.did("dropped")
        return ()


class Flapping(Behaviour):
    """Is there and away in turn, for times between a tenth of a second and some more than an attempt's time-out."""

    def __init__(self) -> None:
        self._until, self._away = 0.0, False

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Nothing while it is away: that it is when a round begins."""
        if not isinstance(send.message, OF_A_ROUND):
            return (send,)
        if now >= self._until:
            self._away = not self._away
            self._until = now + self.chance.choice((0.1, 1.0, 5.0, 12.0))
        if not self._away:
            return (send,)
        self.did("away")
        return ()


class Mute(Behaviour):
    """Joins and is not heard of again, from the beginning of a round or from some step of it on."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Nothing of what it chose."""
        kinds = ((OF_A_ROUND,), (Root, Segment, Sum, SumWords, Vote, Certificate), (Segment, Sum, SumWords))
        if not isinstance(send.message, self.once("kinds", lambda: self.chance.choice(kinds))):
            return (send,)
        self.did("silent")
        return ()
