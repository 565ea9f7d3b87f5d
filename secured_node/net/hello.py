"""The first words on each stream, and what is judged by them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from protocols import wire
from secured_node.net import limits
from secured_node.net.closing import Closing, LinkEnd, ViolationError
from secured_node.net.frames import NONCE_BYTES, Hello, decode_frame, encode_frame
from secured_node.net.stream import Stream


class Heard(NamedTuple):
    """What a peer's hello told: the link and the process it is of, and how far its clock is ahead, in seconds.

    skew_s is right to within the time that the hello was under way.
    """

    link: bytes
    process: bytes
    skew_s: float


class Greeter:
    """Says and hears hello for one process."""

    def __init__(self, federation: bytes, wall: Callable[[], float] = time.time) -> None:
        """federation: its id. wall: seconds since 1970; compared with the peers', and nothing else."""
        self._federation = federation
        self._wall = wall
        self._process = os.urandom(NONCE_BYTES)

    async def say(self, stream: Stream, link: bytes) -> None:
        """Send our hello for this link. Raises `LinkEnd`."""
        wall_ms = max(int(self._wall() * 1000), 0)
        hello = Hello(wire.VERSION, self._federation, link, self._process, wall_ms)
        await stream.send(encode_frame(hello))

    async def hear(self, stream: Stream) -> Heard:
        """Wait for the peer's hello. Raises `LinkEnd` with the code to close with, `ViolationError` for nonsense."""
        try:
            async with asyncio.timeout(limits.HELLO_S):
                hello = decode_frame(await stream.receive())
        except TimeoutError:
            raise LinkEnd(Closing.LATE) from None
        if not isinstance(hello, Hello):
            raise ViolationError("malformed", "the first frame is no hello")
        if hello.version != wire.VERSION:
            raise LinkEnd(Closing.WRONG_VERSION)
        if hello.federation != self._federation:
            raise LinkEnd(Closing.WRONG_FEDERATION)
        return Heard(hello.link, hello.process, hello.wall_ms / 1000 - self._wall())
