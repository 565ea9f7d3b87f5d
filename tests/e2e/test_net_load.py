"""What a caller, member or not, can do to the server: next to nothing. Real TLS on loopback."""

import asyncio
import gzip
import resource
import socket
import struct
import time
import zlib

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols import wire
from secured_node.net import limits
from secured_node.net.frames import Offer, encode_frame
from tests.net_kit import Node, federation, knock, segment, small, stranger_context, until

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n"
)
PATHS = [b"/", b"/join", b"/link", b"/link/control/", b"/link/control?x=1", b"/metrics", b"/health", b"/../etc/passwd"]


async def open_stream(caller: Node, server: Node, path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket by hand."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=caller.calls(server), server_hostname=""
    )
    writer.write(UPGRADE % (path, b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"permessage-deflate" not in head
    return reader, writer


def frame(payload: bytes, *, bits: int = 0x82, size: int | None = None) -> bytes:
    """A masked WebSocket frame (the mask is zero)."""
    length = len(payload) if size is None else size
    return struct.pack("!BBQ4x", bits, 0xFF, length) + payload


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"OPTIONS", b"HEAD"])
async def test_members_reach_the_streams_alone(path: bytes, method: bytes) -> None:
    async with federation(2, linked=False) as (a, b):
        request = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        head, _, body = (await knock(a.port, b.calls(a), request)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404")
        assert b"aiohttp" not in head and body == b""


@pytest.mark.parametrize("path", [*PATHS[2:], b"/link/control", b"/link/bulk"])
async def test_one_time_keys_reach_join_alone(path: bytes) -> None:
    async with federation(1, linked=False) as (a,):
        guest = Node()
        try:
            a.invited[guest.node] = guest.contact.certificate
            a.server.refresh()
            for request in (
                b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
                UPGRADE % (path, b""),
                b"GET /join HTTP/1.1\r\nHost: x\r\n\r\n",
            ):
                assert (await knock(a.port, guest.calls(a), request)).startswith(b"HTTP/1.1 404")
            good = b"POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
            assert (await knock(a.port, guest.calls(a), good)).endswith(b"welcome hi")
            assert a.joins == [(guest.node, b"hi")]
            a.invited.clear()
            a.server.refresh()
            assert await knock(a.port, guest.calls(a), good) == b""
        finally:
            await guest.stop()


async def test_gzip_bomb() -> None:
    """A gigabyte in a megabyte is answered with 415, unread and uninflated, under 50 ms of CPU."""
    bomb = gzip.compress(bytes(64 * 2**20), 9) * 16
    async with federation(2, linked=False) as (a, b):
        context = b.calls(a)
        for path in (b"/join", b"/link/control"):
            head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            at = resource.getrusage(resource.RUSAGE_SELF)
            answer = await knock(a.port, context, head % (path, len(bomb)) + bomb)
            now = resource.getrusage(resource.RUSAGE_SELF)
            assert answer.startswith(b"HTTP/1.1 415") or answer == b""  # cut off while it was still sending
            assert now.ru_utime + now.ru_stime - at.ru_utime - at.ru_stime < 0.05  # caller included
        assert a.codes == ["content_encoding"] * 2


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"identity"])
async def test_every_content_encoding_is_refused(encoding: bytes) -> None:
    async with federation(2, linked=False) as (a, b):
        request = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Encoding: " + encoding + b"\r\n\r\n"
        assert (await knock(a.port, b.calls(a), request)).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("path", [b"/link/control", b"/link/bulk"])
@pytest.mark.parametrize("attack", ["compressed", "over_cap", "two_gigabytes", "endless_fragments", "text"])
async def test_ws_bomb(path: bytes, attack: str) -> None:
    """Compressed or oversized frames close the stream at their header; memory stays where it was."""
    cap = limits.CONTROL_FRAME_BYTES_MAX if path == b"/link/control" else limits.BULK_FRAME_BYTES_MAX
    bomb = zlib.compress(bytes(16 * 2**20), 9)
    async with federation(2, linked=False) as (a, b):
        reader, writer = await open_stream(b, a, path)
        before = psutil.Process().memory_info().rss
        if attack == "compressed":
            writer.write(frame(bomb, bits=0xC2))
        elif attack == "over_cap":
            writer.write(frame(bytes(cap + 1)))
        elif attack == "two_gigabytes":
            writer.write(frame(b"x" * 1000, size=2**31))
        elif attack == "text":
            writer.write(frame(b"hello", bits=0x81))
        else:
            piece = frame(bytes(16384), bits=0x02)
            for _ in range(2 * cap // 16384):
                writer.write(piece)
                piece = frame(bytes(16384), bits=0x00)
        async with asyncio.timeout(5):
            await reader.read()
        writer.transport.abort()
        await until(lambda: a.refusals)
        code = "oversize" if attack in ("over_cap", "two_gigabytes", "endless_fragments") else "bad_frame"
        assert a.refusals[0][:2] == (b.node, code)
        assert psutil.Process().memory_info().rss - before < 16 * 2**20
        await until(lambda: not a.server._open)


async def test_oversize() -> None:
    """Length fields of 2 GiB and more, in HTTP and in offers, are refused before anything is set aside for them."""
    async with federation(1, linked=False) as (a,):
        guest = Node()
        a.invited[guest.node] = guest.contact.certificate
        a.server.refresh()
        before = psutil.Process().memory_info().rss
        post = b"POST /join HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"
        for header, status in (
            (b"Content-Length: 2147483648", b"413"),
            (b"Content-Length: %d" % (limits.JOIN_BYTES_MAX + 1), b"413"),
            (b"Content-Length: -1", b"400"),
            (b"X: " + b"y" * limits.HEADER_BYTES_MAX, b"400"),
            (b"\r\n".join(b"X%d: y" % k for k in range(limits.HEADERS_MAX + 1)), b"400"),
        ):
            answer = await knock(a.port, guest.calls(a), post % header + b"x" * 1000)
            assert answer[9:].startswith(status), header
            assert b"xxx" not in answer and b"aiohttp" not in answer
        line = b"GET /" + b"x" * limits.REQUEST_LINE_BYTES_MAX + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        assert b" 400 " in await knock(a.port, guest.calls(a), line)
        assert b" 411 " in await knock(a.port, guest.calls(a), post % b"X: y")
        chunked = post % b"Transfer-Encoding: chunked" + b"7fffffff\r\n" + bytes(1000)
        assert (await knock(a.port, guest.calls(a), chunked)).startswith(b"HTTP/1.1 411")
        assert not a.joins
        assert psutil.Process().memory_info().rss - before < 16 * 2**20
        await guest.stop()


async def test_an_offer_takes_no_memory_until_its_chunks_come() -> None:
    async with federation(2) as (a, b):
        before = psutil.Process().memory_info().rss
        link = b.links._neighbours[a.node].link
        assert link is not None
        link.send(encode_frame(Offer(1, 2**31, wire.encode(segment()))))  # allowed by its type, wanted, and huge
        b.links.send(a.node, small())
        await until(lambda: a.messages)
        assert psutil.Process().memory_info().rss - before < 16 * 2**20
        assert not a.refusals


async def test_a_member_cannot_hold_more_streams_than_it_needs() -> None:
    async with federation(2, linked=False) as (a, b):
        opened = [await open_stream(b, a, b"/link/control") for _ in range(limits.STREAMS_PER_MEMBER_MAX)]
        answer = await knock(a.port, b.calls(a), UPGRADE % (b"/link/control", b""))
        assert answer.startswith(b"HTTP/1.1 503")
        assert a.codes == ["too_many_streams"]
        for _, writer in opened:
            writer.transport.abort()
        await until(lambda: not a.server._open)


async def test_a_stream_without_hello_or_without_its_twin_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_S", 0.2)
    async with federation(2, linked=False) as (a, b):
        for path in (b"/link/control", b"/link/bulk"):
            reader, writer = await open_stream(b, a, path)
            async with asyncio.timeout(3):
                assert b"\x88\x02" + (4009).to_bytes(2, "big") in await reader.read()
            writer.transport.abort()
        await until(lambda: not a.server._open)
        assert not a.links._halves


async def served_within(server: Node, caller: Node, address: str) -> float:
    """How long an honest member waits for its answer."""
    at = time.perf_counter()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=caller.calls(server), server_hostname="", local_addr=(address, 0)
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 404")
    writer.transport.abort()
    return time.perf_counter() - at


async def wait_hung_up(reader: asyncio.StreamReader) -> None:
    try:
        await reader.read()
    except OSError:
        return


async def test_slowloris() -> None:
    """200 half-open headers by somebody who has a member's key: closed within 10 s, an honest peer is served."""
    async with federation(2, linked=False) as (a, b):
        context = b.calls(a)
        started = time.perf_counter()
        opened = []
        for _ in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", a.port, ssl=context, server_hostname="")
            writer.write(b"GET /link/control HTTP/1.1\r\nHost: x\r\nX-")
            opened.append((reader, writer))
        assert len(a.server._doorway._waiting) <= limits.WAITING_PER_ADDRESS_MAX
        for address in ("127.0.0.1", "127.0.0.2"):
            assert await served_within(a, b, address) < 1.0

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.5)
                for _, writer in opened:
                    if not writer.is_closing():
                        writer.write(b"x")

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(started + 10 - time.perf_counter()):
            await asyncio.gather(*(wait_hung_up(reader) for reader, _ in opened))
        dripping.cancel()
        assert not a.server._doorway._waiting
        assert set(a.codes) == {"crowded_out"}


@pytest.mark.parametrize("begun", [b"", b"GET /link/control HTTP/1.1\r\nHost: x\r\nX-"])
async def test_who_dawdles_is_put_out(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENTRY_S", 0.3)
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.2)
    async with federation(2, linked=False) as (a, b):
        assert await knock(a.port, b.calls(a), begun) == b""
        assert a.codes == ["too_slow"]
        assert await knock(a.port, None, b"") == b""
        assert a.codes == ["too_slow", "handshake_timeout"]
        _, writer = await asyncio.open_connection("127.0.0.1", a.port, ssl=b.calls(a), server_hostname="")
        writer.transport.abort()  # who leaves by itself is not accused
        await asyncio.sleep(0.5)
        assert a.codes == ["too_slow", "handshake_timeout"]
        assert not a.server._doorway._waiting


async def test_connection_flood() -> None:
    """1000 connections that say nothing: closed within 10 s, an honest peer is served meanwhile, memory bounded."""
    async with federation(2, linked=False) as (a, b):
        before = psutil.Process().memory_info().rss
        started = time.perf_counter()

        async def connect(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            address = f"127.0.{number % 7}.{number % 250 + 1}"
            return await asyncio.open_connection("127.0.0.1", a.port, local_addr=(address, 0))

        flood = asyncio.gather(*(connect(number) for number in range(1000)))
        await asyncio.sleep(0.01)
        waited = await served_within(a, b, "127.0.0.1")
        opened = await flood
        waited = max(waited, await served_within(a, b, "127.0.0.1"))
        assert waited < 1.0
        assert len(a.server._doorway._waiting) <= limits.WAITING_MAX
        assert psutil.Process().memory_info().rss - before < 250 * 2**20  # this side's thousand included
        async with asyncio.timeout(started + 10 - time.perf_counter()):
            await asyncio.gather(*(wait_hung_up(reader) for reader, _ in opened))
        assert not a.server._doorway._waiting
        assert len(a.refusals) <= limits.REFUSALS_PER_MINUTE_MAX
        for _, writer in opened:
            writer.transport.abort()


async def test_a_flood_of_handshakes_by_strangers() -> None:
    async with federation(2, linked=False) as (a, b):
        context = stranger_context(Ed25519PrivateKey.generate())
        flood = asyncio.gather(*(knock(a.port, context, b"x") for _ in range(100)), return_exceptions=True)
        await asyncio.sleep(0.01)
        assert await served_within(a, b, "127.0.0.2") < 1.0
        await flood
        assert "unknown_key" in a.codes


async def test_running_out_of_descriptors_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCEPT_RETRY_S", 0.05)
    async with federation(2, linked=False) as (a, b):
        accept, failures = socket.socket.accept, [0]

        def exhausted(listener: socket.socket) -> object:
            if failures[0] < 3:
                failures[0] += 1
                raise OSError(24, "Too many open files")
            return accept(listener)

        monkeypatch.setattr(socket.socket, "accept", exhausted)
        answer = await knock(a.port, b.calls(a), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404")
        assert failures == [3]
