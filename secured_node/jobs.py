"""The site's side of jobs: policy answers, workers work, results are kept.

Each job has one task here, which takes the core's wishes in order: bring the state up to a sum, make a vector, finish.
What the worker says goes back to the core as an event. A worker that dies is started again and brought up to date from
the stored sums; one that keeps dying ends the job here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
import structlog

from protocols.catalogue import DATA_SET
from protocols.core import Event
from protocols.job.events import Advance, Decide, Moved, StartWork, Updated, VectorReady, WorkFailed
from protocols.job.job import Job
from protocols.job.kinds import DECISION, Answer, CohortBody
from protocols.job.life import ENDED, State
from protocols.message import Payload
from protocols.node import ForJob, Node, Proposed
from protocols.records.events import Dropped, Learned
from secured_node.budget import Budgets, holds
from secured_node.config import Config
from secured_node.datasets import DataSets
from secured_node.driver import Broken
from secured_node.policy import decide
from secured_node.store.store import LOCAL_REASONS, RESULTS, Row, Store
from secured_node.work.errors import FAILED
from secured_node.work.noise import noise_of
from secured_node.work.supervisor import JobFailed, JobResult, OpenJob, Session, Supervisor, WorkerDied

log = structlog.get_logger()
T = TypeVar("T")

RESTARTS_MAX: Final = 5
"""A worker that dies so often in one job does so for a reason."""
RESTART_AFTER_S: Final = 1.0
"""Doubles with each death."""
FORGET_AGAIN_S: Final = 300.0
"""After no worker could be had for it, or one died over it: the integers of an ended job are in nobody's way."""


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a finished job. data, tables: the task's; arrays: safetensors; ended: UTC."""

    data: dict[str, Any]
    tables: list[Any]
    arrays: bytes
    problem: str
    ended: str


@dataclass(slots=True)
class _Running:
    wishes: asyncio.Queue[Advance | StartWork | Moved]
    task: asyncio.Task[None]


class Jobs:
    """What the driver hands on: everything that needs the site's policy or data."""

    def __init__(
        self,
        node: Node,
        store: Store,
        data: DataSets,
        budgets: Budgets,
        supervisor: Supervisor,
        config: Callable[[], Config],
        *,
        post: Callable[[Event], None],
        on_record: Callable[[Learned | Dropped], None],
    ) -> None:
        self._node, self._store, self._data, self._supervisor = node, store, data, supervisor
        self._budgets, self._config, self._post, self._on_record = budgets, config, post, on_record
        self._joining: set[bytes] = set()
        self._approved: set[bytes] = set()
        """Jobs to which a data manager said yes in this life of the daemon."""
        self._running: dict[bytes, _Running] = {}
        self._to_forget: set[str] = set()
        self._forgetting: asyncio.Task[None] | None = None

    def learned(self, effect: Learned | Dropped) -> None:
        """A record came or went."""
        self._on_record(effect)

    def take(self, effect: Proposed | Advance | StartWork | Moved) -> None:
        """A job wants something of the site."""
        if isinstance(effect, Proposed):
            self._propose(self._node.jobs[effect.job])
            return
        running = self._running.get(effect.job)
        if running is None:
            if isinstance(effect, Moved) and effect.state is not State.DONE:
                if effect.state in ENDED:
                    self._forget(self._node.jobs[effect.job])
                return
            queue: asyncio.Queue[Advance | StartWork | Moved] = asyncio.Queue()
            live = self._make_up if isinstance(effect, Moved) else self._live
            task = asyncio.get_running_loop().create_task(live(self._node.jobs[effect.job], queue))
            task.add_done_callback(self._ended)
            running = self._running[effect.job] = _Running(queue, task)
        running.wishes.put_nowait(effect)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._post(Broken(error))

    async def stop(self) -> None:
        """End all jobs' tasks; the workers go with them."""
        for running in [*self._running.values()]:
            running.task.cancel()
        if self._forgetting is not None:
            self._forgetting.cancel()
        tasks = [r.task for r in self._running.values()] + ([self._forgetting] if self._forgetting else [])
        await asyncio.gather(*tasks, return_exceptions=True)

    def _propose(self, job: Job) -> None:
        """Answer what is new, and anew what waits: the policy may be another by now. A person's yes stands."""
        answered = self._node.store.get(DECISION, self._node.identity.node, job.subject)
        if (answered is None or answered.body.answer is Answer.WAIT) and job.state not in ENDED:
            judged = self.judge(job)
            if judged.answer is Answer.ASK and job.job in self._approved:
                judged = Decide(Answer.JOIN)
            if judged.answer is Answer.JOIN:
                self._joining.add(job.job)
            self._post(ForJob(job.job, judged))

    def judge(self, job: Job) -> Decide:
        """What the policy says to a job now."""
        spec, config = job.spec, self._config()
        member = not spec.members or self._node.identity.node in spec.members
        facts = self._data.facts(spec.data.name) if spec.data else None
        earlier = {
            job.job,
            *(of.job for of, _ in job.before),
        }  # what these may still cost, they will not once it begins
        others = (other for other in self.counted() if other.job not in earlier)
        budget = self._budgets.budget(spec.data.name, config.privacy, others) if spec.data else None
        floor = config.worker.min_rows
        return decide(config.policy, config.privacy, job.author, spec, facts, budget, member=member, floor=floor)

    def approve(self, job: Job) -> Decide:
        """As `judge`, when a data manager approves: unless it is refused, its cost is set aside from now on."""
        judged = self.judge(job)
        if judged.answer is not Answer.REFUSE:
            self._joining.add(job.job)
            self._approved.add(job.job)
        return judged

    def counted(self) -> list[Job]:
        """The jobs whose cost is set aside: joined, or about to be, and not ended."""
        return [job for job in self._node.jobs.values() if holds(job, self._answer(job))]

    def _answer(self, job: Job) -> Answer | None:
        """What this hub answered, or is about to answer once its record comes back."""
        own = job.decisions.get(self._node.identity.node)
        answer = own.decision.answer if own else None
        return Answer.JOIN if job.job in self._joining and answer in (None, Answer.ASK) else answer

    # -- one job -------------------------------------------------------------------------------------------------

    async def _live(self, job: Job, wishes: asyncio.Queue[Advance | StartWork | Moved]) -> None:
        work = _Work(job, self._node, self._store, self._data, self._supervisor)
        try:
            ended = await self._serve(job, work, wishes)
            while not ended:
                wish = await wishes.get()
                ended = isinstance(wish, Moved) and wish.state in ENDED
            await work.close()
            self._forget(job)
        finally:
            self._running.pop(job.job, None)
            await work.close()

    async def _make_up(self, job: Job, wishes: asyncio.Queue[Advance | StartWork | Moved]) -> None:
        """A job that was done already when the daemon started: it may have been killed before the result was kept."""
        if await self._store.row(RESULTS, job.job) is None:
            await self._live(job, wishes)
        else:
            self._running.pop(job.job, None)
            self._forget(job)

    async def _serve(self, job: Job, work: _Work, wishes: asyncio.Queue[Advance | StartWork | Moved]) -> bool:
        """Grant wishes until the job has ended (True), or cannot go on here."""
        try:
            while True:
                wish = await wishes.get()
                if isinstance(wish, Moved):
                    if wish.state is State.DONE:
                        await self._keep(job, await work.finish())
                    if wish.state in ENDED:
                        return True
                    continue
                self._post(ForJob(job.job, await self._grant(job, work, wish)))
        except JobFailed as error:
            log.error("job_failed_here", job=job.subject, reason=error.reason, todo=error.todo)
            await self._keep_reason(job, str(error))
            self._post(ForJob(job.job, WorkFailed(error.public)))
        except WorkerDied as error:
            log.error("job_failed_here", job=job.subject, reason=str(error))
            await self._keep_reason(job, str(error))
            self._post(ForJob(job.job, WorkFailed(FAILED)))
        return job.state in ENDED

    async def _keep_reason(self, job: Job, reason: str) -> None:
        """For this site's own people; the others are told less."""
        await self._store.commit((Row(LOCAL_REASONS, job.job, reason.encode()),))

    def _forget(self, job: Job) -> None:
        """The integers that a worker kept have had their time: the job has ended, durably, and no worker has it."""
        self._to_forget.add(job.subject)
        if self._forgetting is None:
            self._forgetting = asyncio.get_running_loop().create_task(self._forget_all())
            self._forgetting.add_done_callback(self._ended)

    async def _forget_all(self) -> None:
        """One worker after the other: a hub that starts may have many ended jobs. Those of before a crash are among
        them, since the core tells of every ended job at the start."""
        while self._to_forget:
            for job in sorted(self._to_forget):
                try:
                    await self._supervisor.forget(job)
                except (JobFailed, WorkerDied) as error:
                    log.warning("integers_left_behind", job=job, reason=str(error), again_s=FORGET_AGAIN_S)
                else:
                    self._to_forget.discard(job)
            if self._to_forget:
                await asyncio.sleep(FORGET_AGAIN_S)
        self._forgetting = None

    async def _grant(self, job: Job, work: _Work, wish: Advance | StartWork) -> Event:
        if isinstance(wish, Advance):
            return Updated(wish.round, await work.advance(wish.round, wish.total))
        if wish.round == 1 and not wish.again:
            self._judge_again(job)
        words, bound = await work.vector(wish.round, wish.again)
        await self._budgets.book(job, wish.round, self._config().privacy)
        return VectorReady(wish.round, words, bound)

    def _judge_again(self, job: Job) -> None:
        """Before the first vector of a job: it may have collected for weeks, and the policy is another by now.

        Raises `JobFailed` for what would be refused today. What would be left to a person was: this site joined.
        """
        judged = self.judge(job) if job.body is not None and self._node.identity.node in job.body.members else None
        if judged is not None and judged.answer is Answer.REFUSE:
            todo = "this site's policy or data set changed since it joined: submit the job again once they fit"
            raise JobFailed(judged.reason, todo, "policy")

    async def _keep(self, job: Job, result: Result) -> None:
        await self._store.commit((Row(RESULTS, job.job, msgspec.msgpack.encode(result)),))
        log.info("job_done", job=job.subject, rounds=job.rounds_done)


class _Work:
    """A job's worker, started again when it dies.

    Rounds are the job's own out there, and counted on from what it takes over in here.
    """

    def __init__(self, job: Job, node: Node, store: Store, data: DataSets, supervisor: Supervisor) -> None:
        self._job, self._node, self._store, self._data, self._supervisor = job, node, store, data, supervisor
        self._session: Session | None = None
        self._deaths = 0
        self._before = tuple((earlier.job, rounds) for earlier, rounds in job.before)
        self._taken_over = sum(rounds for _, rounds in self._before)
        self._round = self._delivered = 0
        self._done = False

    async def advance(self, number: int, total: Payload | None) -> bool:
        """Bring the worker's state up to a round's sum; whether the task has its result."""
        return await self._surviving(lambda: self._advance(number, total))

    async def vector(self, number: int, again: bool) -> tuple[Payload, int]:
        """This site's words for a round, and their bound."""
        return await self._surviving(lambda: self._vector(number, again))

    async def finish(self) -> Result:
        """The task's result."""
        return await self._surviving(self._finish)

    async def close(self) -> None:
        """End the worker."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _surviving(self, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        while True:
            try:
                return await step()
            except WorkerDied as death:
                await self.close()
                self._deaths += 1
                if self._deaths > RESTARTS_MAX:
                    raise
                log.warning("worker_died", job=self._job.subject, reason=str(death), deaths=self._deaths)
                await asyncio.sleep(RESTART_AFTER_S * 2.0 ** (self._deaths - 1))

    async def _opened(self, number: int) -> Session:
        """The session, its state brought up to the sum of round `number`."""
        if self._session is None:
            self._session = await self._supervisor.open(self._description())
            self._round, self._done = 0, self._session.done
        while self._round < number:
            fact = await self._store.certified(*self._place(self._round + 1))
            if fact is None:
                raise JobFailed("a certified sum is missing from this hub's store", "restore it from your backup")
            self._done = await self._session.apply(self._round + 1, fact.total)
            self._round += 1
        return self._session

    def _place(self, number: int) -> tuple[bytes, int]:
        """The job, and its round, that a sum of the line comes from."""
        for job, rounds in self._before:
            if number <= rounds:
                return job, number
            number -= rounds
        return self._job.job, number

    async def _advance(self, number: int, total: Payload | None) -> bool:
        number += self._taken_over
        if total is None or self._round != number - 1:
            await self._opened(number)
            return self._done
        session = await self._opened(number - 1)
        self._done = await session.apply(number, total)
        self._round = number
        return self._done

    async def _vector(self, number: int, again: bool) -> tuple[Payload, int]:
        number += self._taken_over
        session = await self._opened(number - 1)
        words, bound = await session.local(number, again or self._delivered == number)
        self._delivered = number
        return words, bound

    async def _finish(self) -> Result:
        session = await self._opened(self._taken_over + self._job.rounds_done)
        made: JobResult = await session.finish()
        self._session = None
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        return Result(made.data, made.tables, made.arrays, made.problem, ended)

    def _description(self) -> OpenJob:
        spec, body = self._job.spec, self._job.body
        member = body is not None and self._node.identity.node in body.members
        data = self._data.get(spec.data.name) if spec.data is not None and member else None
        if member and spec.data is not None and (data is None or not data.is_what(spec.data)):
            why = f"the data set {spec.data.name!r} was replaced since this site joined: it has another schema"
            raise JobFailed(why, "finish jobs on a data set before it is replaced", "data")
        return OpenJob(
            job=self._job.subject,
            task=spec.task,
            parameters=spec.parameters,
            members=_size(body),
            word_bits=spec.word_bits,
            min_rows=spec.min_rows,
            rounds_max=spec.rounds_max,
            path=data.path if data else None,
            schema=data.schema if data else self._published_schema(),
            mapping=(data.mapping or None) if data else None,
            noise=noise_of(spec),
            before=tuple((_size(earlier.body), rounds) for earlier, rounds in self._job.before),
        )

    def _published_schema(self) -> str | None:
        """The schema that the job names, for a hub that follows it without data of its own."""
        wanted = self._job.spec.data
        if wanted is None:
            return None
        offers = (held.body for held in self._node.store.find(DATA_SET, subject=wanted.name))
        return next((body.schema for body in offers if body.digest == wanted.schema), None)


def _size(body: CohortBody | None) -> int:
    return len(body.members) if body is not None else 0
