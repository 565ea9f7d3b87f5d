"""What other nodes can call: two streams for members, `/join` for the holders of one-time keys, and nothing else.

Who calls is settled before HTTP begins: TLS admits a key only if it is a member's or an open invitation's (`tls`). A
member may open `/link/control` and `/link/bulk` and nothing else; a one-time key may post to `/join` and nothing else;
everything else is 404, whoever asks. No body is ever inflated, and none is read that is over its cap.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Literal, Protocol

import structlog
from aiohttp import hdrs, web

from protocols.errors import PeerError
from protocols.identity import Identity, NodeId
from secured_node.net import limits
from secured_node.net.doorway import CROWDED, DAWDLED, Doorway
from secured_node.net.refusals import Refusals
from secured_node.net.roster import Roster
from secured_node.net.strangers import Strangers
from secured_node.net.stream import Stream
from secured_node.net.tls import HandshakeError, ServerContexts, proved_peer

log = structlog.get_logger()

Kind = Literal["control", "bulk"]
Join = Callable[[NodeId, bytes], Awaitable[bytes]]
"""`join(one_time, body)`: serve a joining node that proved its one-time key. A `PeerError` is told to the caller."""

CONTROL_PATH: Final = "/link/control"
BULK_PATH: Final = "/link/bulk"
JOIN_PATH: Final = "/join"
_STREAMS: Final[dict[tuple[str, str], Kind]] = {("GET", CONTROL_PATH): "control", ("GET", BULK_PATH): "bulk"}
_WORDS: Final = {
    CROWDED: "put out of the doorway: too many connections without a request",
    DAWDLED: f"no complete request within {limits.ENTRY_S:g} s",
}


class Streams(Protocol):
    """What takes the streams that members open: `links.Links`."""

    async def serve(self, kind: Kind, peer: NodeId, stream: Stream) -> None:
        """Use the stream; return when it is closed."""


class _Connection(web.RequestHandler):
    """HTTP on one connection. What cannot be parsed is answered without a word, and its bytes go into no log."""

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for none
            auto_decompress=False,
            keepalive_timeout=limits.ENTRY_S,
            lingering_time=0.0,
            max_line_size=limits.REQUEST_LINE_BYTES_MAX,
            max_field_size=limits.HEADER_BYTES_MAX,
            max_headers=limits.HEADERS_MAX,
        )

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", exc_info=exc)
        else:
            log.warning("bad_request", status=status, address=request.remote, error=type(exc).__name__)
        if request.writer.output_size:
            raise ConnectionError("the answer has begun; there cannot be another")
        return _answer(status)


class Server:
    """The server that other nodes call."""

    def __init__(
        self,
        identity: Identity,
        roster: Callable[[], Roster],
        *,
        streams: Streams,
        join: Join,
        allowed: Callable[[NodeId], bool],
        on_refused: Callable[[NodeId | None, str, str], None],
    ) -> None:
        """identity: this node's. roster: the present one. allowed, on_refused: as in `Events`."""
        self._node = identity.node
        self._roster = roster
        self._present = roster()
        self._streams = streams
        self._join = join
        self._allowed = allowed
        self._refusals = Refusals(on_refused)
        self._strangers = Strangers(allowed)
        self._open: Counter[NodeId] = Counter()
        self._joining = 0
        self._http = web.Server(self._handle)
        self._contexts = ServerContexts(identity)
        self._doorway = Doorway(self._contexts, lambda: _Connection(self._http), self._failed)
        self.refresh()

    def listen(self, host: str, port: int) -> int:
        """Listen on an address too; port 0: any. Returns the port. Raises `OSError`."""
        return self._doorway.listen(host, port)

    def refresh(self) -> None:
        """The roster has changed: the next handshake already goes by the new one."""
        self._present = self._roster()
        self._contexts.trust(self._present.certificates(self._node), self._admitted)

    async def stop(self) -> None:
        """Listen no more and close every connection. Links are to be stopped first."""
        await self._doorway.close()
        self._strangers.close()
        await self._http.shutdown(limits.SHUTDOWN_S)

    def _admitted(self, node: NodeId) -> bool:
        return self._invited(node) or self._allowed(node)

    def _invited(self, node: NodeId) -> bool:
        return node in self._present.invited

    def _failed(self, address: str, error: Exception | str) -> None:
        """A connection ended in the doorway: say why, as far as it can be known."""
        if isinstance(error, str):
            self._refusals.tell(None, error, f"{address}: {_WORDS[error]}")
        elif isinstance(error, HandshakeError):
            code, detail = error.code, error.detail
            if error.shown is not None and code in ("unknown_certificate", "key_not_admitted"):
                code, why = self._roster().standing(error.shown.node)
                detail = f"{error.shown} was refused: {why}"
            key = error.shown.node if error.shown is not None and code == "unknown_key" else None
            detail = f"{address}: {detail}"
            self._refusals.tell(None, code, detail, logged=key is not None and self._strangers.called(key, detail))
        elif isinstance(error, ConnectionAbortedError | TimeoutError):
            self._refusals.tell(
                None, "handshake_timeout", f"{address}: no TLS handshake within {limits.HANDSHAKE_S:g} s"
            )
        else:
            log.debug("handshake_cut", address=address, error=type(error).__name__)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            return _answer(404)
        self._doorway.entered(request.protocol)
        peer = proved_peer(transport.get_extra_info("ssl_object"))
        if hdrs.CONTENT_ENCODING in request.headers:
            self._refusals.tell(peer, "content_encoding", "a request with a compressed body")
            return _answer(415)
        route = (request.method, request.raw_path)
        if self._invited(peer):
            return await self._serve_join(request, peer) if route == ("POST", JOIN_PATH) else _answer(404)
        if route in _STREAMS and self._allowed(peer):
            return await self._serve_stream(request, peer, _STREAMS[route])
        return _answer(404)

    async def _serve_stream(self, request: web.BaseRequest, peer: NodeId, kind: Kind) -> web.StreamResponse:
        if self._open[peer] >= limits.STREAMS_PER_MEMBER_MAX:
            self._refusals.tell(peer, "too_many_streams", f"more than {limits.STREAMS_PER_MEMBER_MAX} streams at once")
            return _answer(503)
        cap = limits.CONTROL_FRAME_BYTES_MAX if kind == "control" else limits.BULK_FRAME_BYTES_MAX
        # aiohttp refuses a frame of exactly its limit, hence the one byte more.
        websocket = web.WebSocketResponse(timeout=limits.CLOSE_S, autoping=False, compress=False, max_msg_size=cap + 1)
        if not websocket.can_prepare(request):
            return _answer(404)
        self._open[peer] += 1
        try:
            await websocket.prepare(request)
            connection = request.transport.get_extra_info("socket") if request.transport else None
            await self._streams.serve(kind, peer, Stream(websocket, connection))
        finally:
            self._open -= Counter((peer,))
        return websocket

    async def _serve_join(self, request: web.BaseRequest, one_time: NodeId) -> web.StreamResponse:
        size = request.content_length
        if size is None or hdrs.TRANSFER_ENCODING in request.headers:
            return _answer(411)
        if size > limits.JOIN_BYTES_MAX:
            self._refusals.tell(None, "oversize", f"a join request of {size} bytes; at most {limits.JOIN_BYTES_MAX}")
            return _answer(413)
        if self._joining >= limits.JOINS_MAX:
            return _answer(503)
        self._joining += 1
        try:
            async with asyncio.timeout(limits.JOIN_S):
                body = await request.content.readexactly(size)
                return _answer(200, await self._join(one_time, body))
        except PeerError as error:
            self._refusals.tell(None, error.code, error.detail)
            return _answer(403, f"{error.code}\n{error.detail}".encode())
        except (asyncio.IncompleteReadError, TimeoutError):
            return _answer(408)
        finally:
            self._joining -= 1


def _answer(status: int, body: bytes = b"") -> web.Response:
    response = web.Response(status=status, body=body, headers={hdrs.SERVER: "secured-node"})
    response.force_close()
    return response
