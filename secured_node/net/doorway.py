"""The listening sockets, and who stands in the doorway: connections that have not yet made a request.

Theory of operation. asyncio's own server would take every connection, spend 0.3 MiB on each, and keep the reason why a
TLS handshake failed to itself. Here each connection is accepted by hand, counted, given `ENTRY_S` until its request
header is complete, and shaken hands with in a task of its own, which learns why it failed. When the doorway is full the
oldest is put out (from the same address first): an honest caller is through in a few round trips, while a refusal of
the newest would let a flood lock the door.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

import structlog

from secured_node.net import limits
from secured_node.net.tls import ServerContexts

log = structlog.get_logger()

CROWDED = "crowded_out"
"""Code for a connection that was put out because too many stood in the doorway."""
DAWDLED = "too_slow"
"""Code for a connection that made no request in time."""

OnFailed = Callable[[str, Exception | str], None]
"""Called with the address and the handshake's error, or with one of the codes above."""


class _Caller:
    """One connection in the doorway."""

    def __init__(self, address: str, protocol: asyncio.Protocol) -> None:
        self.address = address
        self.protocol = protocol
        self.shaking: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.shaking is not None:
            self.shaking.cancel()


class Doorway:
    """Accepts connections and makes TLS handshakes with them."""

    def __init__(
        self, contexts: ServerContexts, make_protocol: Callable[[], asyncio.Protocol], on_failed: OnFailed
    ) -> None:
        """contexts: to shake hands with. make_protocol: what speaks to a caller whose key was admitted."""
        self._contexts = contexts
        self._make_protocol = make_protocol
        self._on_failed = on_failed
        self._waiting: dict[asyncio.Protocol, _Caller] = {}
        self._by_address: Counter[str] = Counter()
        self._listeners: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()

    def listen(self, host: str, port: int) -> int:
        """Listen on an address too; port 0: any. Returns the port. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=limits.BACKLOG)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._loop.add_reader(listener, self._accept, listener)
        bound: int = listener.getsockname()[1]
        return bound

    def entered(self, protocol: asyncio.Protocol) -> None:
        """This caller has made its request: it stands in the doorway no more."""
        caller = self._waiting.pop(protocol, None)
        if caller is not None:
            self._by_address -= Counter((caller.address,))
            if caller.timer is not None:
                caller.timer.cancel()

    async def close(self) -> None:
        """Listen no more and put out everybody in the doorway."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        shaking = [caller.shaking for caller in self._waiting.values() if caller.shaking is not None]
        for caller in list(self._waiting.values()):
            self._put_out(caller)
        await asyncio.gather(*shaking, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(limits.ACCEPTS_PER_TURN):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # most likely no file descriptor is left: asking again at once would only spin
                log.warning("accept_failed", error=str(error))
                self._loop.remove_reader(listener)
                self._loop.call_later(limits.ACCEPT_RETRY_S, self._accept_again, listener)
                return
            connection.setblocking(False)
            self._welcome(connection, str(address[0]))

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _welcome(self, connection: socket.socket, address: str) -> None:
        if self._by_address[address] >= limits.WAITING_PER_ADDRESS_MAX:
            self._crowd_out(next(caller for caller in self._waiting.values() if caller.address == address))
        elif len(self._waiting) >= limits.WAITING_MAX:
            self._crowd_out(next(iter(self._waiting.values())))
        caller = _Caller(address, self._make_protocol())
        self._waiting[caller.protocol] = caller
        self._by_address[address] += 1
        caller.timer = self._loop.call_later(limits.ENTRY_S, self._expire, caller)
        caller.shaking = asyncio.create_task(self._shake_hands(caller, connection))

    async def _shake_hands(self, caller: _Caller, connection: socket.socket) -> None:
        try:
            caller.transport, _ = await self._loop.connect_accepted_socket(
                lambda: caller.protocol,
                connection,
                ssl=self._contexts.base,
                ssl_handshake_timeout=limits.HANDSHAKE_S,
                ssl_shutdown_timeout=limits.SHUTDOWN_S,
            )
        except OSError as error:  # TLS errors are of this family, and so are timeouts
            self.entered(caller.protocol)
            self._on_failed(caller.address, error)

    def _crowd_out(self, caller: _Caller) -> None:
        self._put_out(caller)
        self._on_failed(caller.address, CROWDED)

    def _expire(self, caller: _Caller) -> None:
        dawdled = caller.transport is None or not caller.transport.is_closing()  # otherwise it left by itself
        self._put_out(caller)
        if dawdled:
            self._on_failed(caller.address, DAWDLED)

    def _put_out(self, caller: _Caller) -> None:
        self.entered(caller.protocol)
        caller.hang_up()
