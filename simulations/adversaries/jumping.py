"""Members that pull the others into other attempts: far above the limit, and within it again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.core import Effect, Event, Received, Send
from protocols.secagg.messages import Offer
from protocols.secagg.round import ATTEMPT_JUMP_MAX, Round
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
        offer = self._offer(here, message.attempt + ATTEMPT_JUMP_MAX + above)
        return [Send(node, offer) for node in self.others(message.job)]

    def _offer(self, here: Round, attempt: int) -> Offer:
        place = (here.cohort.job, here.place.number, attempt)
        return self.resigned(
            Offer(*place, self.me, context0(here.cohort, here.place, attempt), self.draw(32), UNSIGNED)
        )


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
        if here.over or here._signed is not None or here._vector is None:
            return ()
        self._jumped_at = now
        self.did("jump")
        by = self.chance.choice((1, 2, self.chance.randint(3, ATTEMPT_JUMP_MAX)))
        here._replace_attempt(here._new_attempt(here._attempt.number + by))
        return here._enter(now)
