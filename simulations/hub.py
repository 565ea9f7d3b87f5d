"""A hub of a simulated federation: a `Node`, and around it what the daemon and its worker are in a hospital.

It answers the effects that need a world: policy, worker, stored sums. Policy answers at once; the site's work takes
virtual time and goes through the world's executor. What the worker made is durable before the node hears of it, and the
same integers are handed out again after a restart, until the round is certified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from protocols.core import Computed, Draw, Effect, Event, Persist, Received, Send
from protocols.identity import Identity, NodeId
from protocols.job.events import Advance, Decide, Serve, StartWork, Updated, VectorReady, WorkFailed
from protocols.job.job import Job
from protocols.job.kinds import DECISION, Answer
from protocols.job.restore import restore
from protocols.message import Payload
from protocols.node import ForJob, Node, Proposed
from protocols.records.record import Record
from protocols.secagg.effects import Certified
from simulations.disk import Made
from simulations.world import Failed, Work

WORK_S: Final = 0.01
"""Virtual seconds that a site's work takes unless its worker says otherwise."""
INTEGERS_LOST: Final = "the integers of this round are lost; made again they would differ"

Result = tuple[Payload, int]
"""A site's words for a round, and the largest absolute value of one of them."""


class Worker(Protocol):
    """The part of a hub that has data. A successor's sums are counted on from those that it takes over."""

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        """Bring the state of a job up to the sum of round `number` (0: the start); whether it has its result."""

    def vector(self, job: Job, number: int) -> Callable[[], Result]:
        """What makes this site's vector of a round: without arguments, and to be pickled if other processes work.

        Raises `ValueError` if the task is not for this site; an exception of the call itself fails the job.
        """


Policy = Callable[[Job], Decide | None]
"""Answers a proposed job; None: a person will."""


class Hub:
    """A core for `World`. disk: what was durable before."""

    def __init__(
        self,
        identity: Identity,
        charter: Record,
        draw: Draw,
        worker: Worker,
        policy: Policy,
        disk: Iterable[object] = (),
    ) -> None:
        kept = list(disk)
        records = [fact for fact in kept if isinstance(fact, Record)]
        self.node = Node(identity, charter, draw, records, restore(kept))
        self.worker, self.policy = worker, policy
        self._sums = {(f.certificate.job, f.certificate.round): f for f in kept if isinstance(f, Certified)}
        self._made = {(f.job, f.round): f for f in kept if isinstance(f, Made)}

    @property
    def wake_at(self) -> float | None:
        """When the node wants a `Tick`."""
        return self.node.wake_at

    @property
    def id(self) -> NodeId:
        """The node's id."""
        return self.node.identity.node

    def start(self, now: float) -> Sequence[Effect]:
        """Begin, or begin again."""
        return self._answer(self.node.start(now), now)

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        if isinstance(event, Computed) and isinstance(event.token, StartWork):
            return self._worked(event.token, event.value, now)
        return self._answer(self.node.handle(event, now), now)

    def receives(self, event: Received) -> bool:
        """Whether the payload of a message would be received."""
        return event.payload is None or self.node.expects(event.sender, event.message, event.payload.nbytes)

    def _answer(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        result: list[Effect] = []
        for effect in effects:
            result.append(effect)
            match effect:
                case Persist(fact=Certified() as fact):
                    self._certified(fact)
                case Proposed(job):
                    result += self._propose(self.node.jobs[job], now)
                case Advance(job, number, total):
                    result += self._tell(job, self._advance(self.node.jobs[job], number, total), now)
                case StartWork():
                    result += self._work(effect, now)
                case Serve():
                    result += self._serve(effect)
        return result

    def _tell(self, job: bytes, event: Event, now: float) -> list[Effect]:
        return self._answer(self.node.handle(ForJob(job, event), now), now)

    def _certified(self, fact: Certified) -> None:
        place = fact.certificate.job, fact.certificate.round
        self._sums[place] = fact
        self._made.pop(place, None)

    def _propose(self, job: Job, now: float) -> list[Effect]:
        answered = self.node.store.get(DECISION, self.id, job.subject)
        if answered is not None and answered.body.answer is not Answer.WAIT:
            return []
        answer = self.policy(job)
        if answered is not None and (answer is None or answer.answer is Answer.ASK):
            answer = Decide(Answer.JOIN)  # the person has said yes, or it would not wait
        return self._tell(job.job, answer, now) if answer is not None else []

    def _advance(self, job: Job, number: int, total: Payload | None) -> Updated:
        if total is not None:
            return Updated(number, self.worker.advance(job, job.rounds_before + number, total))
        done = self.worker.advance(job, 0, None)
        line = [*((earlier.job, rounds) for earlier, rounds in job.before), (job.job, number)]
        places = [(of, k) for of, rounds in line for k in range(1, rounds + 1)]
        for count, place in enumerate(places, 1):
            done = self.worker.advance(job, count, self._sums[place].total)
        return Updated(number, done)

    def _work(self, wish: StartWork, now: float) -> list[Effect]:
        made = self._made.get((wish.job, wish.round))
        if made is not None:
            return self._tell(wish.job, VectorReady(wish.round, made.words, made.bound), now)
        if wish.again:
            return self._tell(wish.job, WorkFailed(INTEGERS_LOST), now)
        if wish.round == 1:
            judged = self.policy(self.node.jobs[wish.job])
            if judged is not None and judged.answer is Answer.REFUSE:
                return self._tell(wish.job, WorkFailed(judged.reason), now)
        try:
            job = self.node.jobs[wish.job]
            call = self.worker.vector(job, job.rounds_before + wish.round)
        except ValueError as error:
            return self._tell(wish.job, WorkFailed(str(error)), now)
        return [Work(wish, call, getattr(self.worker, "work_s", WORK_S))]

    def _worked(self, wish: StartWork, value: Result | Failed, now: float) -> list[Effect]:
        if isinstance(value, Failed):
            return self._tell(wish.job, WorkFailed(f"{type(value.error).__name__}: {value.error}"), now)
        words, bound = value
        made = Made(wish.job, wish.round, words, bound)
        self._made[wish.job, wish.round] = made
        return [Persist(made), *self._tell(wish.job, VectorReady(wish.round, words, bound), now)]

    def _serve(self, effect: Serve) -> list[Effect]:
        fact = self._sums.get((effect.job, effect.round))
        if fact is None:
            return []
        return [Send(effect.to, fact.certificate, fact.total if effect.with_sum else None)]
