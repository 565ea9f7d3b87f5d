"""The daemon's workers: one for each running job, one for a moment's check, and one spare that is ready.

A worker takes a third of a second to start and import what it needs; the spare has that behind it when a job opens. Its
successor is started a little later, so that it does not take the processor from the job that just began.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from secured_node.work.documents import DataReport, Description, decode_document, encode_document
from secured_node.work.errors import JobFailed, WorkerDied, WorkError
from secured_node.work.frames import (
    PATH_CHARS_MAX,
    Check,
    Checked,
    Forget,
    Forgotten,
    FrameError,
    Noise,
    Open,
    Opened,
    Try,
    Walled,
)
from secured_node.work.launch import ChildLauncher, Launcher, SocketLauncher, Worker
from secured_node.work.session import LOCAL_S, Dialogue, JobResult, Session

__all__ = [
    "Checkup",
    "ChildLauncher",
    "JobFailed",
    "JobResult",
    "Launcher",
    "OpenJob",
    "Session",
    "SocketLauncher",
    "Supervisor",
    "WorkError",
    "WorkerDied",
]

log = structlog.get_logger()

OPEN_S: Final = 600.0
"""To read a data set of 10^7 rows from a slow disk takes a minute or two."""
WALLS_S: Final = 60.0
"""Walls take a tenth of a second; a dead network mount among the paths delays them."""
FORGET_S: Final = 60.0
SPARE_AFTER_S: Final = 2.0
"""When a spare is replaced: a small job is over by then."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """What a worker is told of a job.

    job: its id in hexadecimal. task, parameters (a JSON object), members (of the cohort), word_bits, min_rows,
    rounds_max: of the job record and the cohort. path: of this site's data set, absolute, as the worker sees it; None
    for a task without data, and for a node that only reads along. schema, mapping: as TOML; a node that reads along
    needs the schema too. noise: None for exact sums. before: what a successor takes over.
    """

    job: str
    task: str
    parameters: bytes
    members: int
    word_bits: Literal[32, 64]
    min_rows: int
    rounds_max: int
    path: str | None = None
    schema: str | None = None
    mapping: str | None = None
    noise: Noise | None = None
    before: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkup:
    """A data set as the worker found it, and the walls behind which it did."""

    report: DataReport
    walls: Walled


class Supervisor:
    """Starts and ends workers. Methods raise `JobFailed` and `WorkerDied`, and nothing else that is the worker's doing.

    launcher: where workers come from. local_s: how long one vector may take. spare: whether one worker is kept ready.
    """

    def __init__(self, launcher: Launcher, *, local_s: float = LOCAL_S, spare: bool = True) -> None:
        self._launcher, self._local_s, self._keeps_spare = launcher, local_s, spare
        self._spare: asyncio.Future[Worker] | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._busy: set[Dialogue] = set()
        self._ending: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Have a spare worker started."""
        self._make_spare()

    async def close(self) -> None:
        """End every worker."""
        self._keeps_spare = False
        if self._refill is not None:
            self._refill.cancel()
        spare, self._spare = self._spare, None
        if spare is not None:
            await _discard(spare)
        await asyncio.gather(*self._ending, *(dialogue.close() for dialogue in self._busy))
        self._busy.clear()

    # -- what the daemon asks for ----------------------------------------------------------------------------------

    async def try_walls(self) -> Walled:
        """How the walls of a worker stand on this machine, without any data."""
        dialogue = await self._begin()
        try:
            await dialogue.order(Try(), WALLS_S)
            walls: Walled = (await dialogue.answer(Walled, WALLS_S)).frame
            return walls
        finally:
            await self._end(dialogue)

    async def check(self, path: str, schema: str, mapping: str | None) -> Checkup:
        """Read a data set and describe it. path: absolute, as the worker sees it. schema, mapping: as TOML."""
        dialogue = await self._begin()
        try:
            description = encode_document(Description(schema, mapping))
            await dialogue.attach("description", Check, _absolute(path), part=description, within_s=WALLS_S)
            walls: Walled = (await dialogue.answer(Walled, WALLS_S)).frame
            answer = await dialogue.answer(Checked, OPEN_S)
            try:
                return Checkup(decode_document(memoryview(answer.attached or b""), DataReport), walls)
            except FrameError as error:
                raise WorkerDied(f"worker {dialogue.process}: its report cannot be read ({error})") from None
        finally:
            await self._end(dialogue)

    async def open(self, job: OpenJob) -> Session:
        """A worker that has taken up the job, at its start: it is to be given the sums of all past rounds.

        The caller closes the session. One worker a job: a second one is refused by the first one's lock.
        """
        dialogue = await self._begin()
        try:
            description = encode_document(Description(job.schema, job.mapping, _text(job.parameters)))
            numbers = (job.members, job.word_bits, job.min_rows, job.rounds_max)
            named = (job.job, job.task, _absolute(job.path), *numbers, job.noise, job.before)
            await dialogue.attach("description", Open, *named, part=description, within_s=WALLS_S)
            walls: Walled = (await dialogue.answer(Walled, WALLS_S)).frame
            opened: Opened = (await dialogue.answer(Opened, OPEN_S)).frame
        except BaseException:
            await self._end(dialogue)
            raise
        log.info("worker_opened", worker=dialogue.process, job=job.job, walls=walls.raised)
        return Session(dialogue, walls, opened, self._local_s)

    async def forget(self, job: str) -> None:
        """Delete what a worker kept for a job that has ended; its session must be closed. job: in hexadecimal."""
        worker = await self._take()
        dialogue = Dialogue(worker)
        await dialogue.order(Forget(job), FORGET_S)
        await dialogue.answer(Forgotten, FORGET_S)
        if self._keeps_spare and self._spare is None:
            self._spare = asyncio.get_running_loop().create_future()
            self._spare.set_result(worker)
        else:
            await dialogue.close()

    # -- workers ---------------------------------------------------------------------------------------------------

    async def _begin(self) -> Dialogue:
        self._busy = {dialogue for dialogue in self._busy if not dialogue.over}
        dialogue = Dialogue(await self._take())
        self._busy.add(dialogue)
        return dialogue

    async def _end(self, dialogue: Dialogue) -> None:
        await dialogue.close()
        self._busy.discard(dialogue)

    async def _take(self) -> Worker:
        """The spare, if it lives; else a new worker, which is waited for."""
        spare, self._spare = self._spare, None
        if self._keeps_spare and self._refill is None:
            self._refill = asyncio.get_running_loop().call_later(SPARE_AFTER_S, self._make_spare)
        if spare is not None:
            try:
                worker = await asyncio.shield(spare)
            except WorkerDied as death:
                log.warning("spare_worker_died", reason=str(death))
            except asyncio.CancelledError:
                self._give_back(spare)
                raise
            else:
                if worker.alive:
                    return worker
                log.warning("spare_worker_died", reason=await worker.stop())
        return await self._launcher.launch()

    def _give_back(self, spare: asyncio.Future[Worker]) -> None:
        """Who waited for the spare does not want it any more."""
        if self._keeps_spare and self._spare is None:
            self._spare = spare
        else:
            ending = asyncio.get_running_loop().create_task(_discard(spare))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _make_spare(self) -> None:
        self._refill = None
        if self._keeps_spare and self._spare is None:
            self._spare = asyncio.get_running_loop().create_task(self._launcher.launch())


def _text(parameters: bytes) -> str:
    try:
        return parameters.decode()
    except UnicodeDecodeError:
        raise JobFailed("the job's parameters are not UTF-8 text", "submit it with a JSON object", "data") from None


def _absolute(path: str | None) -> str | None:
    if path is not None and (not path.startswith("/") or len(path) > PATH_CHARS_MAX or not path.isprintable()):
        raise JobFailed("the data set's path must begin at /, be short and printable", "name it so", "data")
    return path


async def _discard(spare: asyncio.Future[Worker]) -> None:
    """End a worker that may still be starting."""
    spare.cancel()
    with contextlib.suppress(asyncio.CancelledError, WorkerDied):
        await (await spare).stop()
