"""One WebSocket of a link, seen the same from either end; what aiohttp does is translated here and nowhere else."""

from __future__ import annotations

import asyncio
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, TypeAlias

import aiohttp
from aiohttp import web

from secured_node.net import limits
from secured_node.net.closing import Closing, LinkEnd, ViolationError

WebSocket: TypeAlias = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

_VIOLATIONS: Final = {
    aiohttp.WSCloseCode.MESSAGE_TOO_BIG: ("oversize", "a frame over the cap of its stream"),
    aiohttp.WSCloseCode.PROTOCOL_ERROR: ("bad_frame", "a compressed or otherwise forbidden WebSocket frame"),
}
_OVER: Final = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


class Stream:
    """Binary frames in both directions over an authenticated connection.

    sent_bytes, received_bytes: contents of binary frames, without the framing of WebSocket and TLS.
    """

    def __init__(self, websocket: WebSocket, connection: object) -> None:
        """websocket: open, without automatic pings. connection: its transport's ``socket``."""
        self._websocket = websocket
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._alive_at = self._loop.time()
        self._heard = asyncio.Event()
        self._sending = False
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def silent_s(self) -> float:
        """Seconds since the peer was last known to be there."""
        return self._loop.time() - self._alive_at

    async def receive(self) -> bytes:
        """The next binary frame. Raises `LinkEnd` when there is none to come, `ViolationError` for what may not."""
        while True:
            message = await self._websocket.receive()
            self._alive_at = self._loop.time()
            self._heard.set()
            if message.type is aiohttp.WSMsgType.BINARY:
                data: bytes = message.data
                self.received_bytes += len(data)
                return data
            if message.type is aiohttp.WSMsgType.PING:
                await self._send(self._websocket.pong(message.data))
            elif message.type in _OVER:
                # The message's code, not the WebSocket's: that is lost if the answer to it fails.
                raise _end(message.data if message.type is aiohttp.WSMsgType.CLOSE else self._websocket.close_code)
            elif message.type is aiohttp.WSMsgType.ERROR:
                raise _fault(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                raise ViolationError("bad_frame", "a text frame")

    async def send(self, data: bytes | memoryview) -> None:
        """Send one binary frame; returns when the transport has room for more. Raises `LinkEnd`."""
        self._sending = True
        try:
            # aiohttp's annotation says bytes; its code takes any buffer, and so no chunk is copied here.
            await self._send(self._websocket.send_bytes(data))  # type: ignore[arg-type]
        finally:
            self._sending = False
        self.sent_bytes += len(data)

    async def ping(self) -> None:
        """Ask for a sign of life, unless a frame is stuck in the way of it. Raises `LinkEnd`."""
        if not self._sending:
            await self._send(self._websocket.ping())

    def progressed(self) -> None:
        """A large frame went out: the peer reads, so it is there, even if what it says queues behind others."""
        self._alive_at = self._loop.time()

    async def answers(self, within_s: float) -> bool:
        """Whether the peer shows a sign of life within this time. Somebody must be receiving meanwhile."""
        self._heard.clear()
        try:
            async with asyncio.timeout(within_s):
                await self.ping()
                await self._heard.wait()
        except (TimeoutError, LinkEnd):
            return False
        return True

    async def close(self, code: Closing) -> None:
        """Say goodbye with this code and hang up, within `CLOSE_S`. Nobody may be receiving any more."""
        with suppress(TimeoutError, OSError, RuntimeError):
            async with asyncio.timeout(limits.CLOSE_S):
                await self._websocket.close(code=code)
        if isinstance(self._socket, TransportSocket):
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def _send(self, sending: Coroutine[object, object, None]) -> None:
        try:
            await sending
        except (OSError, RuntimeError):
            raise _end(self._websocket.close_code) from None


def _end(code: int | None) -> LinkEnd:
    try:
        return LinkEnd(Closing(code or 0), by_peer=True)
    except ValueError:  # none of ours: a lost connection, or another program's word
        return LinkEnd(None)


def _fault(error: object) -> Exception:
    if isinstance(error, aiohttp.WebSocketError) and error.code in _VIOLATIONS:
        return ViolationError(*_VIOLATIONS[aiohttp.WSCloseCode(error.code)])
    return LinkEnd(None)
