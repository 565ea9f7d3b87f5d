"""How a hub that puts nothing in gets the result: it replays certified sums.

The submitter's hub may have no data, and a job may name other readers. They ask the members, in turn, for one round's
certificate and sum after the other, and check each against the history so far: t signatures a round suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocols.core import Computed, Effect, Event, Persist, Received, Refused, Send, Tick
from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.job.events import Advance, Updated
from protocols.message import Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Certified
from protocols.secagg.intake import Intake
from protocols.secagg.messages import Ask, Certificate
from protocols.secagg.signing import RoundId, verify_votes

ASK_EVERY_S: Final = 2.0
"""A round takes seconds at least; what is asked is one small message."""


class Follower:
    """Certified sums, one after the other. finished: whether the worker said that the task is done."""

    def __init__(self, cohort: Cohort, history: bytes, rounds_done: int) -> None:
        self.cohort = cohort
        self._intake = Intake(cohort)
        self.history = history
        self.rounds_done = rounds_done
        self.finished = False
        self._asked = 0
        self._ask_at = float("-inf")
        self._updated = False

    @property
    def wake_at(self) -> float | None:
        """When the next ask is due."""
        return self._ask_at if self._updated and not self.finished else None

    def start(self, now: float) -> Sequence[Effect]:
        """Bring the worker up to what is there already."""
        self._ask_at = now
        return [Advance(self.cohort.job, self.rounds_done, None)]

    def expects(self, certificate: Certificate, size: int) -> bool:
        """Whether the sum beside a certificate is wanted. Raises `PeerError` for a certificate that is none."""
        wanted = self._updated and not self.finished and certificate.round == self._place.number
        return wanted and self._intake.expects(self._place, certificate, size)

    @property
    def _place(self) -> RoundId:
        return RoundId(self.rounds_done + 1, self.history)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event."""
        match event:
            case Updated(round=number, done=done) if number == self.rounds_done:
                self._updated, self.finished = True, done
                return self._ask(now)
            case Tick() if self._updated and now >= self._ask_at:
                return self._ask(now)
            case Received(message=Certificate() as certificate) if event.payload is not None:
                return list(self._take(event.sender, certificate, event.payload))
            case Computed(token=("follow", number)) if number == self.rounds_done + 1:
                return self._checked(event.value, now)
        return []

    def _ask(self, now: float) -> list[Effect]:
        if self.finished:
            return []
        peer = self.cohort.members[self._asked % self.cohort.size]
        self._asked += 1
        self._ask_at = now + ASK_EVERY_S
        return [Send(peer, Ask(self.cohort.job, self.rounds_done + 1, 0, certificate=True))]

    def _take(self, sender: NodeId, certificate: Certificate, payload: Payload) -> Sequence[Effect]:
        place = self._place
        if certificate.round != place.number or self._intake.busy or not self._updated:
            return []
        try:
            verify_votes(self.cohort, certificate.votes, place.number, certificate.history)
            return self._intake.take(place, sender, certificate, payload, ("follow", place.number))
        except PeerError as error:
            return [Refused(sender, error.code, error.detail)]

    def _checked(self, history: Any, now: float) -> list[Effect]:
        match self._intake.checked(history):
            case Certified() as fact:
                self.history, self.rounds_done, self._updated = history, fact.certificate.round, False
                return [Persist(fact), Advance(self.cohort.job, self.rounds_done, fact.total)]
            case Refused() as refused:
                return [refused, *self._ask(now)]
        return []
