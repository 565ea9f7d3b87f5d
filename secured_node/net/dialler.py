"""Opening links: two streams to one peer, over TLS that only its certificate satisfies."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import NamedTuple

import aiohttp

from protocols.errors import PeerError
from protocols.identity import Identity, NodeId
from secured_node.net import limits
from secured_node.net.calling import CallError, failure, session, url
from secured_node.net.closing import Closing, LinkEnd, ViolationError
from secured_node.net.frames import NONCE_BYTES
from secured_node.net.hello import Greeter, Heard
from secured_node.net.roster import Contact
from secured_node.net.server import BULK_PATH, CONTROL_PATH
from secured_node.net.stream import Stream
from secured_node.net.tls import client_context


class Called(NamedTuple):
    """A peer that answered: the two streams of a link to be, and what its hello told."""

    control: Stream
    bulk: Stream
    heard: Heard


class Dialler:
    """Calls members."""

    def __init__(self, identity: Identity, greeter: Greeter) -> None:
        """identity: this node's. Needs a running loop."""
        self._identity = identity
        self._greeter = greeter
        self._session = session()

    async def close(self) -> None:
        """Call nobody any more. The links that were opened must be closed before."""
        await self._session.close()

    async def dial(self, peer: NodeId, contact: Contact) -> Called:
        """Try the peer's endpoints one after the other. Raises the last one's `CallError`."""
        if not contact.certificate:
            raise CallError("certificate_missing", "its node record does not tell its certificate")
        trouble = CallError("no_endpoint", "no address of it is known; it has to call")
        for endpoint in contact.endpoints:
            try:
                return await self._dial(endpoint, client_context(self._identity, peer, contact.certificate))
            except CallError as error:
                trouble = error
            except (aiohttp.ClientError, OSError, LinkEnd, PeerError) as error:
                trouble = failure(endpoint, error)
        raise trouble

    async def _dial(self, endpoint: str, context: ssl.SSLContext) -> Called:
        link = os.urandom(NONCE_BYTES)
        streams: list[Stream] = []
        try:
            streams.append(await self._open(url(endpoint, CONTROL_PATH), limits.CONTROL_FRAME_BYTES_MAX, context))
            heard = await self._greet(streams[0], link)
            streams.append(await self._open(url(endpoint, BULK_PATH), limits.BULK_FRAME_BYTES_MAX, context))
            await self._greet(streams[1], link)
        except BaseException as error:
            code = error.code if isinstance(error, LinkEnd) else None
            await asyncio.gather(*(stream.close(code or Closing.STOPPED) for stream in streams))
            raise
        return Called(streams[0], streams[1], heard)

    async def _open(self, address: str, frame_bytes_max: int, context: ssl.SSLContext) -> Stream:
        async with asyncio.timeout(limits.CONNECT_S):
            websocket = await self._session.ws_connect(
                address,
                ssl=context,
                compress=0,
                autoping=False,
                max_msg_size=frame_bytes_max + 1,  # aiohttp refuses a frame of exactly its limit
                timeout=aiohttp.ClientWSTimeout(ws_close=limits.CLOSE_S),
            )
        return Stream(websocket, websocket.get_extra_info("socket"))

    async def _greet(self, stream: Stream, link: bytes) -> Heard:
        await self._greeter.say(stream, link)
        heard = await self._greeter.hear(stream)
        if heard.link != link:
            raise ViolationError("malformed", "a hello for another link")
        return heard
