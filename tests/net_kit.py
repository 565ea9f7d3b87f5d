"""Nodes with real TLS on loopback, for the tests of the network layer: each has its server, links and a record."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from protocols.errors import PeerError
from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.messages import Segment, SumWords
from secured_node.net import limits
from secured_node.net.certificate import sign_certificate
from secured_node.net.links import Links
from secured_node.net.roster import Contact, Roster
from secured_node.net.server import Server
from secured_node.net.tls import client_context

FEDERATION = b"f" * 32
_SEEDS = itertools.count(1)


def identity(number: int | None = None) -> Identity:
    """An identity of its own, the same in every run."""
    return Identity((next(_SEEDS) if number is None else number).to_bytes(32, "big"))


def segment(number: int = 0) -> Segment:
    """A message that has a payload beside it."""
    return Segment(job=bytes(32), round=1, attempt=number, author=identity(1).node, segment=0)


def small(number: int = 0) -> SumWords:
    """A message to send without one."""
    return SumWords(job=bytes(32), round=1, attempt=number, segment=0)


def payload(size: int, seed: int = 0) -> Payload:
    """Bytes that are not all alike."""
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


class Node:
    """One node: implements `Events` by writing everything down."""

    def __init__(self, own: Identity | None = None, federation: bytes = FEDERATION, wall_ahead_s: float = 0.0) -> None:
        self.identity = own or identity()
        self.node = self.identity.node
        self.members: dict[NodeId, Contact] = {}
        self.invited: dict[NodeId, bytes] = {}
        self.revoked: set[NodeId] = set()
        self.wanted: Callable[[NodeId, Message, int], bool] = lambda *_: True
        self.messages: list[tuple[NodeId, Message, Payload | None]] = []
        self.ups: list[NodeId] = []
        self.downs: list[tuple[NodeId, str]] = []
        self.refusals: list[tuple[NodeId | None, str, str]] = []
        self.skews: list[tuple[NodeId, float]] = []
        self.progress: list[NodeId] = []
        self.joins: list[tuple[NodeId, bytes]] = []
        wall = asyncio.get_running_loop().time
        self.links = Links(self.identity, federation, self.roster, self, lambda: 1e9 + wall() + wall_ahead_s)
        self.server = Server(
            self.identity,
            self.roster,
            streams=self.links,
            join=self.join,
            allowed=self.allowed,
            on_refused=self.on_refused,
        )
        self.port = self.server.listen("127.0.0.1", 0)

    @property
    def contact(self) -> Contact:
        return Contact(sign_certificate(self.identity), (f"127.0.0.1:{self.port}",))

    @property
    def codes(self) -> list[str]:
        return [code for _, code, _ in self.refusals]

    def roster(self) -> Roster:
        members = {node: contact for node, contact in self.members.items() if node not in self.revoked}
        return Roster(members, dict(self.invited), frozenset(self.revoked))

    def refresh(self) -> None:
        self.server.refresh()
        self.links.refresh()

    def up(self, other: Node) -> bool:
        return any(status.up and status.peer == other.node for status in self.links.status())

    def calls(self, other: Node) -> ssl.SSLContext:
        """A context to call another node as this one."""
        return client_context(self.identity, other.node, other.contact.certificate)

    async def join(self, one_time: NodeId, body: bytes) -> bytes:
        self.joins.append((one_time, body))
        if body == b"wrong":
            raise PeerError("wrong_proof", "this is not the proof")
        return b"welcome " + body

    def allowed(self, node: NodeId) -> bool:
        return node in self.members and node not in self.revoked

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        return self.wanted(sender, message, size)

    def on_message(self, peer: NodeId, message: Message, payload: Payload | None) -> None:
        self.messages.append((peer, message, payload))

    def on_up(self, peer: NodeId) -> None:
        self.ups.append(peer)

    def on_down(self, peer: NodeId, reason: str) -> None:
        self.downs.append((peer, reason))

    def on_progress(self, peer: NodeId) -> None:
        self.progress.append(peer)

    def on_refused(self, peer: NodeId | None, code: str, detail: str) -> None:
        self.refusals.append((peer, code, detail))

    def on_skew(self, peer: NodeId, skew_s: float) -> None:
        self.skews.append((peer, skew_s))

    async def stop(self) -> None:
        await self.links.stop()
        await self.server.stop()


def introduce(*nodes: Node) -> None:
    """Everybody knows everybody, and begins to call."""
    for node in nodes:
        node.members = {other.node: other.contact for other in nodes}
    for node in nodes:
        node.refresh()


@contextlib.asynccontextmanager
async def federation(
    count: int, monkeypatch: Any = None, linked: bool = True, **kinds: Any
) -> AsyncIterator[list[Node]]:
    """Nodes that know each other; with links between all of them unless told otherwise. Stopped at the end."""
    if monkeypatch is not None:
        monkeypatch.setattr(limits, "BACKOFF_BASE_S", 0.05)
        monkeypatch.setattr(limits, "DIAL_DELAY_S", 0.05)
    nodes = [Node(**kinds) for _ in range(count)]
    try:
        if linked:
            introduce(*nodes)
            await until(lambda: all(a.up(b) for a in nodes for b in nodes if a is not b))
        else:
            for node in nodes:
                node.members = {other.node: other.contact for other in nodes}
                node.server.refresh()
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


def stranger_context(
    key: Ed25519PrivateKey | None,
    name: str = "stranger",
    *,
    serial: int = 1,
    issuer: tuple[str, Ed25519PrivateKey] | None = None,
    server: bool = False,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """A context as an attacker makes it: any certificate over its own key, and no check of the other side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    if key is None:
        return context
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (name, key)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(dt.datetime(2020, 1, 1))
        .not_valid_after(dt.datetime(2099, 1, 1))
        .sign(issuer_key, None)
    )
    load(context, built.public_bytes(Encoding.PEM), key)
    return context


def load(context: ssl.SSLContext, pem: bytes, key: Ed25519PrivateKey) -> None:
    """Give a context a certificate and its key."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + private)
        file.flush()
        context.load_cert_chain(file.name)


async def knock(port: int, context: ssl.SSLContext | None, request: bytes = b"", **kinds: Any) -> bytes:
    """Call a node by hand, send a request, and return all that comes back until it hangs up."""
    if context is not None:
        kinds.setdefault("server_hostname", "")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, **kinds)
    try:
        writer.write(request)
        async with asyncio.timeout(15):
            return await reader.read()
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


class Cable:
    """A TCP forwarder in front of a port. Frozen, it carries nothing, not even the news that an end is gone."""

    def __init__(self) -> None:
        self.port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def lay(self, to_port: int) -> Cable:
        """Begin to forward."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", to_port)
            self._writers += [writer, other_writer]
            for source, sink in ((reader, other_writer), (other_reader, writer)):
                task = asyncio.create_task(self._carry(source, sink))
                self._tasks.add(task)

        self._server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def freeze(self) -> None:
        """Carry nothing from now on."""
        self._flowing.clear()

    async def cut(self) -> None:
        """Break all connections and take no new ones."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        await self._flowing.wait()
        sink.close()
