"""Frames over a connected SOCK_SEQPACKET socket: one packet a frame, one descriptor with each that announces one.

The kernel keeps packets and their descriptors together, so nothing is ever put together from pieces. `Channel` is the
worker's, and waits in the kernel; `AsyncChannel` is the daemon's, and waits in its event loop. Both check alike:
descriptors that were not announced are closed and the frame refused, whatever it says.
"""

from __future__ import annotations

import array
import asyncio
import mmap
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from secured_node.work.frames import FRAME_BYTES_MAX, Attached, Frame, FrameError, Frames
from secured_node.work.memfd import map_sealed

DESCRIPTORS_MAX: Final = 4
"""Descriptors that are looked at in one packet. One is right; the kernel closes what does not fit in."""

_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame, and the mapped content of its memfd if it has one."""

    frame: Frame
    attached: mmap.mmap | None


class Channel:
    """The worker's end. sends, receives: the tables of the two directions."""

    def __init__(self, connected: socket.socket, *, sends: Frames, receives: Frames) -> None:
        self._socket = connected
        self._socket.setblocking(True)
        self._sends, self._receives = sends, receives

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def send(self, frame: Frame, descriptor: int | None = None) -> None:
        """Send a frame, with its memfd if it has one. Raises `OSError` if the daemon is gone."""
        _send(self._socket, self._sends.encode(frame), descriptor)

    def receive(self) -> Packet | None:
        """The next frame; None if the daemon closed its end. Raises `FrameError`, `OSError`."""
        return _receive(self._socket, self._receives)

    @property
    def alive(self) -> bool:
        """False once the daemon closed its end."""
        return _is_alive(self._socket)


class AsyncChannel:
    """The daemon's end; one call at a time. sends, receives: the tables of the two directions."""

    def __init__(self, connected: socket.socket, *, sends: Frames, receives: Frames) -> None:
        self._socket = connected
        self._socket.setblocking(False)
        self._sends, self._receives = sends, receives
        self._stop_waiting: Callable[[], object] | None = None

    async def send(self, frame: Frame, descriptor: int | None = None) -> None:
        """Send a frame, with its memfd if it has one. Raises `OSError` if the worker is gone."""
        data = self._sends.encode(frame)
        loop = asyncio.get_running_loop()
        while True:
            try:
                return _send(self._socket, data, descriptor)
            except BlockingIOError:
                await self._wait(loop.add_writer, loop.remove_writer)

    async def receive(self) -> Packet | None:
        """The next frame; None if the worker closed its end. Raises `FrameError`, `OSError`."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return _receive(self._socket, self._receives)
            except BlockingIOError:
                await self._wait(loop.add_reader, loop.remove_reader)

    async def _wait(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        """Until the event loop says that the socket can be written, or read, or until `close`."""
        future = asyncio.get_running_loop().create_future()
        watched = self._socket.fileno()

        def stop() -> None:
            self._stop_waiting = None
            remove(watched)  # before the socket is closed: its number may be another's afterwards
            if not future.done():
                future.set_result(None)

        add(watched, stop)
        self._stop_waiting = stop
        try:
            await future
        finally:
            if self._stop_waiting is stop:
                stop()

    @property
    def alive(self) -> bool:
        """False once the worker closed its end."""
        return _is_alive(self._socket)

    def close(self) -> None:
        """Close the socket: to the worker that is the order to end. A call that waits here gets an `OSError`."""
        if self._stop_waiting is not None:
            self._stop_waiting()
        self._socket.close()


def _is_alive(connected: socket.socket) -> bool:
    """Whether the other end is open, or what it sent is still to be read."""
    try:
        return bool(connected.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _send(connected: socket.socket, data: bytes, descriptor: int | None) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [] if descriptor is None else [descriptor]))
    connected.sendmsg([data], [] if descriptor is None else [rights])


def _receive(connected: socket.socket, table: Frames) -> Packet | None:
    data, ancillary, flags, _ = connected.recvmsg(FRAME_BYTES_MAX, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    descriptors = _descriptors(ancillary)
    try:
        if not data and not descriptors:
            return None  # an empty packet would look the same, and means as little
        if flags & socket.MSG_TRUNC:
            raise FrameError("oversize", f"a packet of more than {FRAME_BYTES_MAX} bytes")
        frame = table.decode(data)
        wanted = 1 if isinstance(frame, Attached) else 0
        if len(descriptors) != wanted or flags & socket.MSG_CTRUNC:
            raise FrameError(
                "descriptor", f"{type(frame).__name__} with {len(descriptors)} descriptors; it takes {wanted}"
            )
        attached = map_sealed(descriptors.pop(), frame.size) if isinstance(frame, Attached) else None
        return Packet(frame, attached)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """All descriptors that came along. From here on they are ours to close."""
    received = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return list(received)
