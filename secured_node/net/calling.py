"""Calling other nodes: one aiohttp session, and its many ways to fail turned into one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Final

import aiohttp

from protocols.errors import PeerError
from protocols.membership.endpoint import check_endpoint
from secured_node.net import limits
from secured_node.net.closing import Closing, LinkEnd
from secured_node.net.tls import HandshakeError

_CLOSED_EARLY: Final = (
    "closed the connection after the TLS handshake; most likely it does not know this node's certificate (yet), or has"
    " revoked it: its log says which"
)
_CLOSING_WORDS: Final[dict[Closing | None, str]] = {
    Closing.WRONG_FEDERATION: "belongs to another federation",
    Closing.WRONG_VERSION: "speaks another version of the protocol",
    Closing.REVOKED: "does not accept this node as a member",
    Closing.DUPLICATE: "has a link with this node already",
}


class CallError(Exception):
    """A call failed. code: a fixed word. detail: a sentence for people that names the endpoint."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


async def _refuse_redirect(_session: aiohttp.ClientSession, _context: SimpleNamespace, _event: object) -> None:
    raise aiohttp.ClientError("redirects are not followed")


def session() -> aiohttp.ClientSession:
    """A session that keeps nothing, follows nothing and takes nothing from the environment."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[tracing],
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.CONNECT_S),
        headers={"User-Agent": "secured-node"},
        skip_auto_headers=("Accept-Encoding", "Accept"),
        max_line_size=limits.REQUEST_LINE_BYTES_MAX,
        max_field_size=limits.HEADER_BYTES_MAX,
        max_headers=limits.RESPONSE_HEADERS_MAX,
    )


def url(endpoint: str, path: str) -> str:
    """The URL of a path at an endpoint. Raises `CallError` if the endpoint cannot be one."""
    try:
        check_endpoint(endpoint)
    except PeerError as error:
        raise CallError(error.code, f"{endpoint!r}: {error.detail}") from None
    return f"https://{endpoint}{path}"


def not_connected(endpoint: str, cause: Exception) -> CallError:
    """Why no connection came into being. Nothing was sent."""
    match cause:
        case HandshakeError(code="unknown_certificate", shown=shown) if shown is not None:
            return CallError("intercepted", f"{endpoint}: intercepted by {shown}; this is not the node that was called")
        case HandshakeError():
            return CallError(cause.code, f"{endpoint}: {cause.detail}")
        case TimeoutError():
            return CallError("timeout", f"{endpoint}: no answer within {limits.CONNECT_S:g} s")
        case ConnectionResetError():
            return CallError("unreachable", f"{endpoint}: the connection was cut in the TLS handshake")
        case _:
            return CallError("unreachable", f"{endpoint}: {cause}")


def failure(endpoint: str, error: Exception) -> CallError:
    """Why a call failed."""
    match error:
        case aiohttp.ClientConnectorError():
            return not_connected(endpoint, error.os_error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return CallError("closed_early", f"{endpoint} {_CLOSED_EARLY}")
        case aiohttp.ClientResponseError():
            return CallError("not_served", f"{endpoint} answered {error.status}")
        case LinkEnd(code=code):
            return CallError(error.reason, f"{endpoint} {_CLOSING_WORDS.get(code, _CLOSED_EARLY)}")
        case PeerError():
            return CallError(error.code, f"{endpoint}: {error.detail}")
        case _:
            return not_connected(endpoint, error)
