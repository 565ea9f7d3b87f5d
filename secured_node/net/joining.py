"""The joining node's only call: to the inviter that the invitation names, with the invitation's one-time key.

The invitation names the inviter by its public key; its certificate is not known yet. A first handshake, which trusts
nobody and therefore fails, shows who answers; only if it shows that key a second one trusts exactly that certificate,
proves that the other side has the key, and carries the request. Whoever else answers is named and gets not one byte.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import aiohttp

from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId
from secured_node.net import limits
from secured_node.net.calling import CallError, failure, not_connected, session, url
from secured_node.net.certificate import Shown, certificate
from secured_node.net.roster import parse_endpoint
from secured_node.net.server import JOIN_PATH
from secured_node.net.tls import HandshakeError, client_context, curious_context

_REASON_BYTES_MAX: Final = 1024
"""Of the inviter's reason for refusing: a word and a sentence."""


async def who_answers(identity: Identity, endpoint: str) -> Shown:
    """The certificate shown at an endpoint, unverified. Nothing is sent there. Raises `CallError`."""
    try:
        host, port = parse_endpoint(endpoint)
        async with asyncio.timeout(limits.CONNECT_S):
            await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, host, port, ssl=curious_context(identity), server_hostname=""
            )
    except HandshakeError as error:
        if error.shown is not None:
            return error.shown
        raise not_connected(endpoint, error) from None
    except OSError as error:
        raise not_connected(endpoint, error) from None
    except PeerError as error:
        raise failure(endpoint, error) from None
    raise LocalError("a handshake that trusts nobody succeeded")


async def ask_to_join(one_time: Identity, endpoints: Sequence[str], inviter: NodeId, body: bytes) -> bytes:
    """Post a request to `/join` of the inviter and return its answer.

    The endpoints are tried in turn until one shows the inviter's key; there the request is sent once, whatever becomes
    of it. Raises `CallError`, or `PeerError` if the inviter refused.
    """
    if len(body) > limits.JOIN_BYTES_MAX:
        raise LocalError(f"a request of {len(body)} bytes; at most {limits.JOIN_BYTES_MAX} may be sent")
    trouble = CallError("no_endpoint", "the invitation names no address")
    for endpoint in endpoints:
        try:
            context = _pinned(one_time, await who_answers(one_time, endpoint), inviter, endpoint)
        except CallError as error:
            trouble = error
        else:
            return await _post(context, endpoint, body)
    raise trouble


def _pinned(one_time: Identity, shown: Shown, inviter: NodeId, endpoint: str) -> ssl.SSLContext:
    """A context that trusts what was shown, if it is the inviter's."""
    if shown.node != inviter:
        raise CallError("intercepted", f"{endpoint}: intercepted by {shown}; this is not the inviter's key")
    if shown.der != certificate(inviter, shown.signature):
        raise CallError("other_certificate", f"{endpoint}: the inviter's key in a certificate of another form")
    return client_context(one_time, inviter, shown.signature)


async def _post(context: ssl.SSLContext, endpoint: str, body: bytes) -> bytes:
    try:
        async with (
            asyncio.timeout(limits.JOIN_S),
            session() as calls,
            calls.post(url(endpoint, JOIN_PATH), data=body, ssl=context, allow_redirects=False) as answer,
        ):
            if answer.status == HTTPStatus.FORBIDDEN:
                raise _refusal(await _read(answer, _REASON_BYTES_MAX))
            answer.raise_for_status()
            return await _read(answer, limits.JOIN_ANSWER_BYTES_MAX)
    except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
        raise failure(endpoint, error) from None


async def _read(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    size = answer.content_length
    if size is None or size > bytes_max:
        raise PeerError("oversize", f"an answer of {size} bytes; at most {bytes_max}")
    return await answer.content.readexactly(size)


def _refusal(reason: bytes) -> PeerError:
    """The inviter's refusal; what it wrote is made safe to print."""
    code, _, detail = reason.decode("utf-8", "replace").partition("\n")
    return PeerError(re.sub(r"[^a-z_]", "", code) or "refused", "".join(char for char in detail if char.isprintable()))
