"""A member that answers our call with anything but a link. Real TLS with a real member's certificate."""

import asyncio
import base64
import contextlib
import hashlib
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest

from secured_node.net import limits
from secured_node.net.certificate import certificate, sign_certificate
from secured_node.net.frames import Hello, encode_frame
from secured_node.net.roster import Contact
from secured_node.net.tls import ServerContexts
from tests.net_kit import FEDERATION, Node, identity, until

Behave = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

OTHER_LINK = encode_frame(Hello(1, FEDERATION, b"x" * 16, b"p" * 16, 0))


@contextlib.asynccontextmanager
async def called_by(behave: Behave, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A node that calls a member who behaves like this."""
    monkeypatch.setattr(limits, "BACKOFF_BASE_S", 30.0)
    node, member = Node(), identity()
    contexts = ServerContexts(member)
    contexts.trust([certificate(node.node, node.contact.certificate)], lambda _: True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await behave(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=contexts.base)
    port = listener.sockets[0].getsockname()[1]
    node.members = {member.node: Contact(sign_certificate(member), (f"127.0.0.1:{port}",))}
    node.refresh()
    try:
        yield node
    finally:
        await node.stop()
        listener.close()
        await listener.wait_closed()


def trouble(node: Node) -> str:
    return node.links.status()[0].trouble


def accept(request: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)
    assert key is not None
    answer = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())  # noqa: S324 - RFC 6455
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + answer + b"\r\n\r\n"


async def test_redirects_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to a plain address inside: a member must not make us call others."""
    called: list[bytes] = []

    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(await reader.read(100))
        writer.close()

    victim = await asyncio.start_server(inside, "127.0.0.1", 0)
    port = victim.sockets[0].getsockname()[1]
    for scheme in ("http", "https", "ws"):

        async def behave(
            _request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scheme: str = scheme
        ) -> None:
            location = f"Location: {scheme}://127.0.0.1:{port}/\r\n".encode()
            writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n")

        async with called_by(behave, monkeypatch) as node:
            await until(lambda: trouble(node))
            assert "redirects are not followed" in trouble(node)
    victim.close()
    await victim.wait_closed()
    assert not called


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "answered 200"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "answered 101"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000 + b"\r\n\r\n", "answered 400"),
        (b"SSH-2.0\r\n", "answered 400"),
        (b"", "closed the connection"),
    ],
)
async def test_what_is_no_link(answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with called_by(behave, monkeypatch) as node:
        await until(lambda: trouble(node))
        assert words in trouble(node)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (struct.pack("!BBQ", 0x82, 127, 2**31) + bytes(1000), "oversize"),
        (struct.pack("!BBQ", 0xC2, 127, 100) + bytes(100), "bad_frame"),
        (b"\x81\x02hi", "bad_frame"),
        (b"\x82\x02hi", "malformed"),
        (b"\x82" + bytes((len(OTHER_LINK),)) + OTHER_LINK, "malformed"),
        (b"\x88\x02\x0f\xa3", "peer_revoked"),
        (b"\x88\x02\x03\xe8", "lost"),
    ],
)
async def test_ws_bomb_from_the_other_side(frame: bytes, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(request) + frame)
        await reader.read()

    before = psutil.Process().memory_info().rss
    async with called_by(behave, monkeypatch) as node:
        await until(lambda: trouble(node))
        assert trouble(node).startswith(f"{code}: ")
        assert psutil.Process().memory_info().rss - before < 16 * 2**20


async def test_a_member_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECT_S", 0.2)
    monkeypatch.setattr(limits, "HELLO_S", 0.2)

    async def mute(_request: bytes, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with called_by(mute, monkeypatch) as node:
        await until(lambda: trouble(node))
        assert trouble(node).startswith("timeout: ")

    async def no_hello(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(request))
        await reader.read()

    async with called_by(no_hello, monkeypatch) as node:
        await until(lambda: trouble(node))
        assert trouble(node).startswith("late: ")
