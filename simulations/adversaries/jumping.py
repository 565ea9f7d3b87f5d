"""Members that pull the others into other attempts: far above the limit, and within it again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.core import Effect, Event, Received, Send
from protocols.identity import NodeId
from protocols.secagg.jumps import ATTEMPT_JUMP_MAX, JUMPS_BURST
from protocols.secagg.messages import Ask, Offer, Root
from protocols.secagg.round import Round
from protocols.secagg.signing import UNSIGNED, context0
from simulations.adversaries.adversary import Behaviour

JUMPS_MAX: Final = 200
"""Jumps of one life: the others follow eight at once and one in two seconds after that."""


class AttemptJump(Behaviour):
    """Shows signed offers of attempts that lie more than the limit above: they are ignored."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """An offer of a far attempt for each offer that it hears."""
        message = event.message if isinstance(event, Received) else None
        here = self.round(message.job) if isinstance(message, Offer) else None
        if not isinstance(message, Offer) or here is None or here.place.number != message.round:
            return ()
        self.did("far offer")
        above = self.chance.choice((1, 2, 1 << 20, 1 << 60))
        offer = _offer(self, here, message.attempt + ATTEMPT_JUMP_MAX + above)
        return [Send(node, offer) for node in self.others(message.job)]


class JumpSplit(Behaviour):
    """Pulls one member up in great leaps, one after the other, and shows the others nothing of it.

    from_s: when it begins, in its hub's seconds. victim: whom it pulls up; drawn unless it is set.
    """

    def __init__(self, from_s: float = 0.0, victim: NodeId | None = None) -> None:
        self._leaps_at, self.victim = from_s, victim

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Nobody hears of its hub in the attempts of its leaps, as two offers would convict it; nor its root before."""
        message = send.message
        high = isinstance(message, Offer | Ask) and message.attempt > 1 and message.attempt % ATTEMPT_JUMP_MAX == 1
        return () if high or (isinstance(message, Root) and self._leaping) else (send,)

    @property
    def _leaping(self) -> bool:
        return self.deeds["leap"] < JUMPS_BURST

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """As many leaps as a member follows at once."""
        here = next(iter(self.rounds()), None)
        if here is None or not self._leaping or now < self._leaps_at:
            return ()
        self._leaps_at = now + 0.5
        self.did("leap")
        self.victim = self.victim or self.chance.choice(self.others(here.cohort.job))
        return [Send(self.victim, _offer(self, here, 1 + self.deeds["leap"] * ATTEMPT_JUMP_MAX))]


def _offer(adversary: Behaviour, here: Round, attempt: int) -> Offer:
    """An offer of the adversary for any attempt of a round, as the others would sign it."""
    fixed = context0(here.cohort, here.place, attempt)
    place = (here.cohort.job, here.place.number, attempt)
    return adversary.resigned(Offer(*place, adversary.me, fixed, adversary.other_key(), UNSIGNED))


class JumpFlood(Behaviour):
    """Enters higher attempts without need, all the time, and shows its offers of them: each costs the others theirs."""

    def __init__(self) -> None:
        self._jumped_at = float("-inf")

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """On to another attempt, at most so often as it drew."""
        every_s = self.once("every", lambda: self.chance.choice((0.05, 0.5, 2.5)))
        if now < self._jumped_at + every_s or self.deeds.total() >= JUMPS_MAX:
            return ()
        effects: list[Effect] = []
        for here in self.rounds():
            effects += self._jump(here, now)
        return effects

    def _jump(self, here: Round, now: float) -> Iterable[Effect]:
        if here.over or here.signed is not None or here._vector is None:
            return ()
        self._jumped_at = now
        self.did("jump")
        by = self.chance.choice((1, 2, self.chance.randint(3, ATTEMPT_JUMP_MAX)))
        here._replace_attempt(here._new_attempt(here._attempt.number + by))
        return here._enter(now)
