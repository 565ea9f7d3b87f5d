"""The daemon against workers that answer wrongly, late, or not at all. No process: the other end is played here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from secured_node.work import frames, session
from secured_node.work.channel import AsyncChannel, Channel
from secured_node.work.documents import ResultDocument, encode_document
from secured_node.work.frames import TO_DAEMON, TO_WORKER, Failed, Frame, Opened, Vector, Walled
from secured_node.work.launch import Worker
from secured_node.work.memfd import seal
from secured_node.work.session import Dialogue, Session
from secured_node.work.supervisor import JobFailed, OpenJob, Supervisor, WorkerDied

JOB = OpenJob("5e" * 32, "bench", b"{}", 4, 32, 10, 100)
WALLED = Walled("strict", True, ("seccomp",), {}, (), ())
OPENED = Opened(0, 0, 1, False)
WORDS = np.arange(6, dtype="<u4").view(np.uint8)

Script = Callable[[Channel, Frame], None]


@dataclass
class Actor:
    """Plays a worker: for each order the next line of the script; at its end it hangs up, unless it lingers."""

    script: Sequence[Script]
    lingers: bool = False
    orders: list[Frame] = field(default_factory=list)

    def play(self, connected: socket.socket) -> None:
        with connected, contextlib.suppress(OSError):  # the daemon may hang up first
            channel = Channel(connected, sends=TO_DAEMON, receives=TO_WORKER)
            for line in self.script:
                packet = channel.receive()
                if packet is None:
                    return
                self.orders.append(packet.frame)
                line(channel, packet.frame)
            if self.lingers:
                while channel.receive() is not None:
                    pass


class Stage:
    """A launcher of actors."""

    def __init__(self, *actors: Actor) -> None:
        self._actors = list(actors)
        self.playing: list[asyncio.Future[None]] = []

    async def launch(self) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        actor = self._actors.pop(0)
        self.playing.append(asyncio.get_running_loop().run_in_executor(None, actor.play, theirs))
        return Worker(AsyncChannel(ours, sends=TO_WORKER, receives=TO_DAEMON), 4711)


@asynccontextmanager
async def stage(*actors: Actor, local_s: float = 5.0) -> AsyncIterator[Supervisor]:
    made = Stage(*actors)
    supervisor = Supervisor(made, local_s=local_s, spare=False)
    try:
        yield supervisor
    finally:
        await supervisor.close()
        await asyncio.gather(*made.playing)


def says(*answers: Frame) -> Script:
    def line(channel: Channel, _: Frame) -> None:
        for frame in answers:
            channel.send(frame)

    return line


def gives(frame: Callable[[int], Frame], content: bytes) -> Script:
    def line(channel: Channel, _: Frame) -> None:
        descriptor, size = seal("content", [content])
        channel.send(frame(size), descriptor)
        os.close(descriptor)

    return line


def junk(data: bytes) -> Script:
    def line(channel: Channel, _: Frame) -> None:
        os.write(channel.fileno(), data)

    return line


def nothing(_: Channel, __: Frame) -> None:
    """No answer."""


OPEN = says(WALLED, OPENED)


async def opened(supervisor: Supervisor) -> Session:
    made = await supervisor.open(JOB)
    assert made.walls == WALLED
    assert made.opened == OPENED
    return made


async def test_orders_are_as_they_were_given() -> None:
    document = encode_document(ResultDocument({"a": 1}, [], ""))
    actor = Actor(
        [
            OPEN,
            gives(lambda size: Vector(size, 1, 7), WORDS.tobytes()),
            says(frames.Applied(1, True)),
            gives(lambda size: frames.Finished(size, len(document)), document + b"arrays"),
        ]
    )
    async with stage(actor) as supervisor:
        session = await opened(supervisor)
        words, bound = await session.local(1, again=True)
        assert (words.tobytes(), bound) == (WORDS.tobytes(), 7)
        assert not session.done
        total = np.concatenate([words, np.zeros(8, np.uint8)])
        assert await session.apply(1, total)
        assert session.done
        result = await session.finish()
        assert (result.data, result.arrays) == ({"a": 1}, b"arrays")
        with pytest.raises(WorkerDied):
            await session.finish()
    assert actor.orders[1:] == [frames.Local(1, True), frames.Apply(WORDS.nbytes, 1), frames.Finish()]


WRONG: list[tuple[str, Script, str]] = [
    ("another frame", says(frames.Applied(1, False)), "it sent Applied where Vector was due"),
    ("another round", gives(lambda size: Vector(size, 2, 7), b"words"), "answered for round 2 where 1 was due"),
    ("a vector without its memfd", junk(TO_DAEMON.encode(Vector(24, 1, 7))), "descriptor: Vector with 0 descriptors"),
    ("a vector of another size", gives(lambda size: Vector(size + 1, 1, 7), b"words"), "size: the memfd has 5 bytes"),
    ("junk", junk(b"\x01\x45junk"), "malformed: not a Vector"),
    ("another version", junk(b"\x02\x45"), "bad_version: version 2; this side speaks 1"),
    ("an order", junk(TO_WORKER.encode(frames.Finish())), "unknown_type"),
    ("control characters", junk(b"\x01\x4f\x93\xa4task\xa2\x1b[\xa0"), "malformed: not a Failed"),
    ("nothing, and hangs up", nothing, "its connection was closed"),
]


@pytest.mark.parametrize(("line", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_wrong_answer_is_the_end_of_the_worker(line: Script, message: str) -> None:
    async with stage(Actor([OPEN, line])) as supervisor:
        session = await opened(supervisor)
        with pytest.raises(WorkerDied, match=message):
            await session.local(1)
        with pytest.raises(WorkerDied):
            await session.apply(1, WORDS)


@pytest.mark.parametrize("content", [b"", b"junk", b'{"data": 1}'])
async def test_result_that_is_none_is_the_end_of_the_worker(content: bytes) -> None:
    line = gives(lambda size: frames.Finished(size, len(content) or 1), content or b"\x00")
    async with stage(Actor([OPEN, line])) as supervisor:
        session = await opened(supervisor)
        with pytest.raises(WorkerDied, match="its result cannot be read"):
            await session.finish()


async def test_worker_without_an_answer_is_not_waited_for_for_ever() -> None:
    async with stage(Actor([OPEN, nothing], lingers=True), local_s=0.05) as supervisor:
        session = await opened(supervisor)
        with pytest.raises(WorkerDied, match=r"no answer within 0\.05 s"):
            await session.local(1)


@pytest.mark.parametrize("code", ["data", "walls", "encoding", "lost", "order", "frame", "task", "something_new"])
async def test_failure_is_the_end_of_the_job(code: str) -> None:
    async with stage(Actor([says(WALLED, Failed(code, "it is so", "do that"))])) as supervisor:
        with pytest.raises(JobFailed, match="it is so; do that") as caught:
            await supervisor.open(JOB)
    assert caught.value.code == code
    assert caught.value.reason not in caught.value.public


@pytest.mark.parametrize("code", ["system", "memory", "busy"])
async def test_failure_that_may_pass_is_the_end_of_the_worker_alone(code: str) -> None:
    async with stage(Actor([OPEN, says(Failed(code, "disk full", "make room"))])) as supervisor:
        session = await opened(supervisor)
        with pytest.raises(WorkerDied, match="disk full; make room"):
            await session.local(1)


async def test_walls_that_do_not_suffice_are_reported_all_the_same() -> None:
    walls = Walled("strict", False, (), {"seccomp": "no"}, ("fork",), ())
    async with stage(Actor([says(walls, Failed("walls", "not walled in", ""))])) as supervisor:
        assert await supervisor.try_walls() == walls


async def test_closing_wakes_who_waits_for_an_answer() -> None:
    async with stage(Actor([OPEN, nothing], lingers=True)) as supervisor:
        session = await opened(supervisor)
        waiting = asyncio.create_task(session.local(1))
        await asyncio.sleep(0.05)
        await session.close()
        with pytest.raises(WorkerDied):
            await waiting
        await session.close()


async def test_closing_the_supervisor_ends_what_is_being_opened() -> None:
    async with stage(Actor([nothing], lingers=True)) as supervisor:
        waiting = asyncio.create_task(supervisor.open(JOB))
        await asyncio.sleep(0.05)
        await supervisor.close()
        with pytest.raises(WorkerDied):
            await waiting


async def test_cancelled_order_is_the_end_of_the_worker() -> None:
    async with stage(Actor([OPEN, nothing], lingers=True)) as supervisor:
        session = await opened(supervisor)
        waiting = asyncio.create_task(session.local(1))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(WorkerDied):
            await session.local(1)


async def test_large_sum_does_not_hold_up_the_event_loop_nor_leave_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_INLINE_BYTES_MAX", 4)
    before = memfds()
    async with stage(Actor([OPEN, says(frames.Applied(1, False))]), Actor([OPEN], lingers=True)) as supervisor:
        made = await opened(supervisor)
        assert not await made.apply(1, np.zeros(1 << 20, np.uint8))
        made = await opened(supervisor)
        applying = asyncio.create_task(made.apply(1, np.zeros(1 << 26, np.uint8)))
        await asyncio.sleep(0)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying
    while memfds() != before:  # the thread finishes what nobody wants any more
        await asyncio.sleep(0.01)


def memfds() -> int:
    return sum("memfd:sum" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


async def test_no_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(Actor([OPEN], lingers=True)) as supervisor:
        made = await opened(supervisor)

        def no_memory(*_: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(session, "seal", no_memory)
        with pytest.raises(WorkerDied, match="no memory for what it needs"):
            await made.apply(1, WORDS)


async def test_dialogue_tells_how_it_ended() -> None:
    async with stage(Actor([nothing])):
        pass
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        dialogue = Dialogue(Worker(AsyncChannel(ours, sends=TO_WORKER, receives=TO_DAEMON), 7))
        assert not dialogue.over
        assert await asyncio.gather(dialogue.close(), dialogue.close()) == ["its connection was closed"] * 2
        assert dialogue.over
        with pytest.raises(WorkerDied, match="worker 7: its connection was closed"):
            await dialogue.order(frames.Try(), 1.0)
