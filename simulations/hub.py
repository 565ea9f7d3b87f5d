"""A hub of a simulated federation: a `Node`, and around it what the daemon is in a hospital.

It answers the effects that need a world: policy, worker, stored sums. They are answered at once and in process; what
the daemon does between the same effects and events takes longer, and nothing else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from protocols.core import Draw, Effect, Event, Persist, Send
from protocols.identity import Identity, NodeId
from protocols.job.events import Advance, Decide, Serve, StartWork, Updated, VectorReady, WorkFailed
from protocols.job.job import Job
from protocols.job.kinds import DECISION
from protocols.job.restore import restore
from protocols.message import Message, Payload
from protocols.node import ForJob, Node, Proposed
from protocols.records.record import Record
from protocols.secagg.effects import Certified


class Worker(Protocol):
    """The part of a hub that has data."""

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        """Bring the state of a job up to the sum of round `number` (0: the start); whether it has its result."""

    def vector(self, job: Job, number: int) -> tuple[Payload, int]:
        """This site's words for a round, and their bound. The same round, the same words. Raises `ValueError`."""


class Hub:
    """A core for `World`. disk: what was durable before. policy: answers proposed jobs; None: a person will."""

    def __init__(
        self,
        identity: Identity,
        charter: Record,
        draw: Draw,
        worker: Worker,
        policy: Callable[[Job], Decide | None],
        disk: Iterable[object] = (),
    ) -> None:
        kept = list(disk)
        self.node = Node(identity, charter, draw, _records(kept), restore(kept))
        self.worker, self.policy = worker, policy
        self._sums = {(f.certificate.job, f.certificate.round): f for f in kept if isinstance(f, Certified)}

    @property
    def wake_at(self) -> float | None:
        """When the node wants a `Tick`."""
        return self.node.wake_at

    def start(self, now: float) -> Sequence[Effect]:
        """Begin, or begin again."""
        return self._answer(self.node.start(now), now)

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        return self._answer(self.node.handle(event, now), now)

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a bulk payload would be received."""
        return self.node.expects(sender, message, size)

    def _answer(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        result: list[Effect] = []
        for effect in effects:
            result.append(effect)
            if isinstance(effect, Persist) and isinstance(effect.fact, Certified):
                certificate = effect.fact.certificate
                self._sums[certificate.job, certificate.round] = effect.fact
            for event in self._react(effect):
                result += self._answer(self.node.handle(event, now), now)
            result += self._serve(effect) if isinstance(effect, Serve) else []
        return result

    def _react(self, effect: Effect) -> list[Event]:
        match effect:
            case Proposed(job):
                here = self.node.jobs[job]
                answered = self.node.store.get(DECISION, self.node.identity.node, here.subject)
                answer = None if answered is not None else self.policy(here)
                return [ForJob(job, answer)] if answer is not None else []
            case Advance(job, number, total):
                return [ForJob(job, self._advance(self.node.jobs[job], number, total))]
            case StartWork(job, number):
                return [ForJob(job, self._work(self.node.jobs[job], number))]
        return []

    def _advance(self, job: Job, number: int, total: Payload | None) -> Updated:
        if total is not None:
            return Updated(number, self.worker.advance(job, number, total))
        done = self.worker.advance(job, 0, None)
        for earlier in range(1, number + 1):
            done = self.worker.advance(job, earlier, self._sums[job.job, earlier].total)
        return Updated(number, done)

    def _work(self, job: Job, number: int) -> Event:
        try:
            words, bound = self.worker.vector(job, number)
        except ValueError as error:
            return WorkFailed(str(error))
        return VectorReady(number, words, bound)

    def _serve(self, effect: Serve) -> list[Effect]:
        fact = self._sums.get((effect.job, effect.round))
        if fact is None:
            return []
        return [Send(effect.to, fact.certificate, fact.total if effect.with_sum else None)]


def _records(disk: Iterable[object]) -> list[Record]:
    return [fact for fact in disk if isinstance(fact, Record)]
