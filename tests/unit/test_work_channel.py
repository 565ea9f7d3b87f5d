"""Packets and their descriptors: a receiver believes neither the number of them, nor their kind, seals or size."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secured_node.work.channel import AsyncChannel, Channel
from secured_node.work.frames import (
    FRAME_BYTES_MAX,
    TO_DAEMON,
    TO_WORKER,
    Applied,
    Apply,
    Failed,
    Finish,
    FrameError,
    Local,
    Vector,
)
from secured_node.work.memfd import SEALS, map_sealed, seal

WORDS = np.arange(1000, dtype="<u4").tobytes()
VECTOR = TO_DAEMON.encode(Vector(len(WORDS), 1, 7))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Made by a test, closed after it; what a test passes on as duplicates is the receiver's."""
    made: list[int] = []
    yield made
    for descriptor in made:
        os.close(descriptor)


def memfd(content: bytes, seals: int = SEALS) -> int:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    if seals:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def send_raw(connected: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connected.sendmsg([data], rights)


def open_now() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


def daemon_end(connected: socket.socket) -> AsyncChannel:
    return AsyncChannel(connected, sends=TO_WORKER, receives=TO_DAEMON)


def worker_end(connected: socket.socket) -> Channel:
    return Channel(connected, sends=TO_DAEMON, receives=TO_WORKER)


def test_content_is_mapped_read_only_and_without_a_copy(descriptors: list[int]) -> None:
    descriptor, size = seal("words", [WORDS[:10], memoryview(WORDS)[10:]])
    descriptors.append(descriptor)
    assert size == len(WORDS)
    with map_sealed(os.dup(descriptor), size) as mapped:
        words = np.frombuffer(mapped, "<u4")
        assert words.tobytes() == WORDS
        assert not words.flags.writeable
        assert not words.flags.owndata
        del words
    for change in (lambda: os.write(descriptor, b"x"), lambda: os.ftruncate(descriptor, 1)):
        with pytest.raises(PermissionError):
            change()


@pytest.mark.parametrize(
    "seals",
    [
        0,
        fcntl.F_SEAL_SEAL,
        SEALS & ~fcntl.F_SEAL_WRITE,
        SEALS & ~fcntl.F_SEAL_SHRINK,
        SEALS & ~fcntl.F_SEAL_GROW,
        SEALS & ~fcntl.F_SEAL_SEAL,
    ],
)
def test_memfd_that_could_still_change_is_refused(seals: int) -> None:
    with pytest.raises(FrameError, match="can still be changed") as caught:
        map_sealed(memfd(WORDS, seals), len(WORDS))
    assert caught.value.code == "seals"


@pytest.mark.parametrize("size", [1, len(WORDS) - 1, len(WORDS) + 1, 1 << 40])
def test_memfd_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(FrameError) as caught:
        map_sealed(memfd(WORDS), size)
    assert caught.value.code == "size"


def test_descriptor_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "words"
    file.write_bytes(WORDS)
    reading, writing = os.pipe()
    os.close(writing)
    for descriptor in (os.open(file, os.O_RDONLY), reading, os.dup(0), os.open(tmp_path, os.O_RDONLY)):
        with pytest.raises(FrameError) as caught:
            map_sealed(descriptor, len(WORDS))
        assert caught.value.code == "seals"


REFUSED: list[tuple[str, bytes, Callable[[], list[int]], str]] = [
    ("none where one is announced", VECTOR, list, "descriptor"),
    ("two where one is announced", VECTOR, lambda: [memfd(WORDS), memfd(WORDS)], "descriptor"),
    ("more than are looked at", VECTOR, lambda: [memfd(WORDS) for _ in range(9)], "descriptor"),
    ("one that was not announced", TO_DAEMON.encode(Applied(1, False)), lambda: [memfd(WORDS)], "descriptor"),
    ("one beside a failure", TO_DAEMON.encode(Failed("task", "x", "")), lambda: [memfd(WORDS)], "descriptor"),
    ("one beside junk", b"\x01\x45junk", lambda: [memfd(WORDS)], "malformed"),
    ("one alone", b"", lambda: [memfd(WORDS)], "malformed"),
    ("one that is unsealed", VECTOR, lambda: [memfd(WORDS, 0)], "seals"),
    ("one that is too long", VECTOR, lambda: [memfd(WORDS + b"x")], "size"),
    ("a packet that is too long", VECTOR + bytes(FRAME_BYTES_MAX), lambda: [memfd(WORDS)], "oversize"),
]


@pytest.mark.parametrize(("data", "make", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_refused_packet_leaves_no_descriptor_open(
    pair: tuple[socket.socket, socket.socket],
    descriptors: list[int],
    data: bytes,
    make: Callable[[], list[int]],
    code: str,
) -> None:
    descriptors += make()
    channel = daemon_end(pair[0])
    before = open_now()
    send_raw(pair[1], data, descriptors)
    with pytest.raises(FrameError) as caught:
        await channel.receive()
    assert caught.value.code == code
    assert open_now() == before
    assert caught.value.__cause__ is None


def test_worker_refuses_alike(pair: tuple[socket.socket, socket.socket], descriptors: list[int]) -> None:
    descriptors += [memfd(WORDS), memfd(WORDS, 0)]
    channel = worker_end(pair[0])
    before = open_now()
    for sent, code in ((descriptors, "descriptor"), (descriptors[1:], "seals"), ([], "descriptor")):
        send_raw(pair[1], TO_WORKER.encode(Apply(len(WORDS), 1)), sent)
        with pytest.raises(FrameError) as caught:
            channel.receive()
        assert caught.value.code == code
    send_raw(pair[1], TO_WORKER.encode(Apply(len(WORDS), 1)), descriptors[:1])
    packet = channel.receive()
    assert packet is not None
    assert packet.attached is not None
    assert packet.attached[:] == WORDS
    packet.attached.close()
    assert open_now() == before
    pair[1].close()
    assert channel.receive() is None


async def test_both_ends_understand_each_other(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = daemon_end(pair[0]), worker_end(pair[1])
    asked = asyncio.create_task(ours.receive())
    await asyncio.sleep(0)
    descriptor, size = seal("words", [WORDS])
    await asyncio.to_thread(theirs.send, Vector(size, 1, 7), descriptor)
    os.close(descriptor)
    packet = await asked
    assert packet is not None
    assert packet.frame == Vector(len(WORDS), 1, 7)
    assert packet.attached is not None
    assert packet.attached[:] == WORDS
    await ours.send(Finish())
    received = theirs.receive()
    assert received is not None
    assert received.frame == Finish()
    assert ours.alive
    pair[1].close()
    assert not ours.alive
    assert await ours.receive() is None
    with pytest.raises(OSError):
        await ours.send(Finish())


async def test_full_socket_is_waited_for_without_blocking(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = daemon_end(pair[0]), worker_end(pair[1])
    frames = [Local(number, False) for number in range(1, 2000)]

    async def send_all() -> None:
        for frame in frames:
            await ours.send(frame)

    sending = asyncio.create_task(send_all())
    await asyncio.sleep(0.05)
    assert not sending.done()
    for frame in frames:
        received = await asyncio.to_thread(theirs.receive)
        assert received is not None
        assert received.frame == frame
    await sending


async def test_cancelled_wait_leaves_nothing_registered(pair: tuple[socket.socket, socket.socket]) -> None:
    ours = daemon_end(pair[0])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await ours.receive()
    assert not asyncio.get_running_loop().remove_reader(pair[0].fileno())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(min_size=1, max_size=60), st.just(VECTOR), st.just(TO_DAEMON.encode(Applied(1, False)))),
    st.lists(st.sampled_from(["sealed", "open", "pipe", "folder"]), max_size=6),
)
def test_any_packet_gives_a_frame_or_a_frame_error(data: bytes, kinds: list[str]) -> None:
    made = {"sealed": lambda: memfd(WORDS), "open": lambda: memfd(WORDS, 0)}
    made |= {"pipe": lambda: os.dup(0), "folder": lambda: os.open("/", os.O_RDONLY)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        channel = Channel(ours, sends=TO_WORKER, receives=TO_DAEMON)
        before = open_now()
        sent = [made[kind]() for kind in kinds]
        send_raw(theirs, data, sent)
        for descriptor in sent:
            os.close(descriptor)
        try:
            packet = channel.receive()
        except FrameError:
            packet = None
        if packet is not None and packet.attached is not None:
            assert kinds == ["sealed"]
            packet.attached.close()
        assert open_now() == before
