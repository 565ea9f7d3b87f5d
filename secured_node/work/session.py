"""The daemon's hold on one open job: orders to its worker, one at a time, and what comes back."""

from __future__ import annotations

import asyncio
import mmap
import os
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from protocols.message import Payload
from protocols.secagg.layout import CHECK_BITS
from secured_node.work.channel import Packet
from secured_node.work.documents import ResultDocument, decode_document
from secured_node.work.errors import PASSING, JobFailed, WorkerDied
from secured_node.work.frames import (
    Applied,
    Apply,
    Failed,
    Finish,
    Finished,
    Frame,
    FrameError,
    Local,
    Opened,
    Vector,
    Walled,
)
from secured_node.work.launch import Worker
from secured_node.work.memfd import Part, seal

LOCAL_S: Final = 3600.0
"""For one vector: a pass over millions of rows, or an epoch of training. The site's configuration says its own."""
APPLY_S: Final = 600.0
"""For one update, and for the result: linear algebra on what was summed, without the data."""
_INLINE_BYTES_MAX: Final = 1 << 20
"""Up to here a memfd is written where we are (0.2 ms); more goes to a thread, and the event loop stays free."""

F = TypeVar("F", bound=Frame)


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame of the kind that was waited for, and what was attached to it."""

    frame: Any
    attached: mmap.mmap | None


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job found out. data, tables: plain values. arrays: safetensors. problem: why there is no answer, or ""."""

    data: dict[str, Any]
    tables: list[dict[str, Any]]
    arrays: bytes
    problem: str


class Dialogue:
    """Orders and answers with one worker. Whatever goes wrong is the worker's end.

    Not for two tasks at a time. An order that is cancelled half-way ends the worker too: its answer would otherwise be
    taken for that of the next.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._closing: asyncio.Task[str] | None = None

    @property
    def over(self) -> bool:
        """Whether the worker has ended."""
        return self._closing is not None and self._closing.done()

    @property
    def process(self) -> int:
        """The worker's process, as it says itself."""
        return self._worker.process

    async def order(self, frame: Frame, within_s: float, descriptor: int | None = None) -> None:
        """Send an order. Raises `WorkerDied`."""
        self._check_alive()
        try:
            async with asyncio.timeout(within_s):
                await self._worker.channel.send(frame, descriptor)
        except TimeoutError:
            raise await self._died(f"it took no order within {within_s:g} s") from None
        except OSError:
            pass  # it is gone, but may have said why before
        except BaseException:
            await self.close()
            raise

    async def answer(self, kind: type[Frame], within_s: float) -> Answer:
        """Wait for a frame of this kind. Raises `JobFailed`, `WorkerDied`."""
        self._check_alive()
        try:
            async with asyncio.timeout(within_s):
                packet = await self._worker.channel.receive()
        except TimeoutError:
            raise await self._died(f"it gave no answer within {within_s:g} s") from None
        except OSError:
            raise await self._died("") from None
        except FrameError as error:
            raise await self._died(f"what it sent is no answer ({error})") from None
        except BaseException:
            await self.close()
            raise
        return await self._judge(packet, kind)

    async def _judge(self, packet: Packet | None, kind: type[Frame]) -> Answer:
        if packet is None:
            raise await self._died("")
        if isinstance(packet.frame, Failed):
            await self.close()
            failure = packet.frame
            if failure.code in PASSING:
                raise WorkerDied(f"worker {self.process}: {failure.reason}; {failure.todo}")
            raise JobFailed(failure.reason, failure.todo, failure.code)
        if not isinstance(packet.frame, kind):
            raise await self._died(f"it sent {type(packet.frame).__name__} where {kind.__name__} was due")
        return Answer(packet.frame, packet.attached)

    async def attach(self, name: str, frame: type[F], *fields: Any, part: Part, within_s: float) -> None:
        """Send an order with a memfd that holds `part`. frame: its type; fields: those after the size."""
        self._check_alive()
        try:
            descriptor, size = seal(name, [part]) if len(part) <= _INLINE_BYTES_MAX else await _seal_aside(name, part)
        except OSError as error:
            raise await self._died(f"there is no memory for what it needs ({error})") from None
        except BaseException:
            await self.close()
            raise
        try:
            await self.order(frame(size, *fields), within_s, descriptor)
        finally:
            os.close(descriptor)

    def _check_alive(self) -> None:
        if self._closing is not None:
            how = self._closing.result() if self._closing.done() else "it is being ended"
            raise WorkerDied(f"worker {self.process}: {how}")

    async def _died(self, why: str) -> WorkerDied:
        ending = await self.close()
        return WorkerDied(f"worker {self.process}: {why or ending}")

    async def close(self) -> str:
        """End the worker, if it has not ended; how, in words."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._worker.stop())
        return await asyncio.shield(self._closing)


async def _seal_aside(name: str, part: Part) -> tuple[int, int]:
    """As `seal`, in a thread. What is made after nobody wants it any more is closed."""
    making = asyncio.get_running_loop().run_in_executor(None, seal, name, [part])
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_close_made)
        raise


def _close_made(making: asyncio.Future[tuple[int, int]]) -> None:
    if not making.cancelled() and making.exception() is None:
        os.close(making.result()[0])


class Session:
    """An open job. Every method may raise `JobFailed` (the job is over) and `WorkerDied` (open it again).

    walls: how the worker's walls stand. opened: rows, problems and rounds, as the worker counted them. done: whether
    the task has its result.
    """

    def __init__(self, dialogue: Dialogue, walls: Walled, opened: Opened, local_s: float) -> None:
        self._dialogue, self._local_s = dialogue, local_s
        self.walls, self.opened = walls, opened
        self.done = opened.done

    @property
    def process(self) -> int:
        """The worker's process, as it says itself."""
        return self._dialogue.process

    async def local(self, number: int, again: bool = False) -> tuple[Payload, int]:
        """This site's words for a round, mapped from the worker's memfd and read-only, and the bound of each word.

        Always the same words for a round, also from another worker after this one died. again: they were handed over
        before a restart, so if they are lost the job fails.
        """
        await self._dialogue.order(Local(number, again), self._local_s)
        answer = await self._dialogue.answer(Vector, self._local_s)
        if answer.frame.round != number or answer.attached is None:
            raise await self._wrong_round(answer.frame.round, number)
        return np.frombuffer(answer.attached, np.uint8), answer.frame.bound

    async def apply(self, number: int, total: Payload) -> bool:
        """Take a round's certified sum into the worker's state; whether the task has its result.

        total: the words as the round gave them, check words included: they are cut off here.
        """
        words = total.data[: -CHECK_BITS // 8]
        await self._dialogue.attach("sum", Apply, number, part=words, within_s=APPLY_S)
        answer = await self._dialogue.answer(Applied, APPLY_S)
        if answer.frame.round != number:
            raise await self._wrong_round(answer.frame.round, number)
        self.done = bool(answer.frame.done)
        return self.done

    async def finish(self) -> JobResult:
        """The result of a job that is done. The worker ends."""
        await self._dialogue.order(Finish(), APPLY_S)
        answer = await self._dialogue.answer(Finished, APPLY_S)
        content = memoryview(b"" if answer.attached is None else answer.attached)
        cut = answer.frame.document_bytes
        await self._dialogue.close()
        try:
            document = decode_document(content[:cut], ResultDocument)
        except FrameError as error:
            raise WorkerDied(f"worker {self.process}: its result cannot be read ({error})") from None
        return JobResult(document.data, document.tables, bytes(content[cut:]), document.problem)

    async def _wrong_round(self, answered: int, number: int) -> WorkerDied:
        await self._dialogue.close()
        return WorkerDied(f"worker {self.process}: it answered for round {answered} where {number} was due")

    async def close(self) -> None:
        """End the worker. Its kept integers stay, for the next one."""
        await self._dialogue.close()
