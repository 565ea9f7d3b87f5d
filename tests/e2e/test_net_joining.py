"""The joining node's call, with its one-time key, to the inviter that it knows by a fingerprint. Real TLS."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.errors import LocalError, PeerError
from protocols.identity import Identity
from secured_node.net import limits
from secured_node.net.calling import CallError
from secured_node.net.certificate import sign_certificate
from secured_node.net.joining import ask_to_join, who_answers
from tests.net_kit import Node, identity, stranger_context, until


@pytest.fixture
async def inviter() -> AsyncIterator[Node]:
    node = Node()
    yield node
    await node.stop()


def invite(inviter: Node) -> Identity:
    one_time = identity()
    inviter.invited[one_time.node] = sign_certificate(one_time)
    inviter.server.refresh()
    return one_time


def endpoint(node: Node) -> str:
    return node.contact.endpoints[0]


async def test_a_joining_node_is_answered(inviter: Node) -> None:
    one_time = invite(inviter)
    assert await ask_to_join(one_time, [endpoint(inviter)], inviter.node, b"record") == b"welcome record"
    assert inviter.joins == [(one_time.node, b"record")]
    assert not inviter.refusals
    largest = bytes(limits.JOIN_BYTES_MAX)
    assert await ask_to_join(one_time, [endpoint(inviter)], inviter.node, largest) == b"welcome " + largest


async def test_the_first_address_where_the_inviter_answers_is_taken(inviter: Node) -> None:
    one_time, other = invite(inviter), Node()
    addresses = ["127.0.0.1:1", "not an address", endpoint(other), endpoint(inviter)]
    assert await ask_to_join(one_time, addresses, inviter.node, b"x") == b"welcome x"
    await other.stop()


async def test_tls_intercept(inviter: Node) -> None:
    """A proxy between the joining node and the inviter is named and gets not one byte."""
    one_time = invite(inviter)
    heard = bytearray()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(100))
        writer.close()

    context = stranger_context(Ed25519PrivateKey.generate(), "Mallory", server=True)
    listener = await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=context)
    address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    with pytest.raises(CallError) as error:
        await ask_to_join(one_time, [address], inviter.node, b"secret")
    assert error.value.code == "intercepted"
    assert "intercepted by CN=Mallory (key did:key:" in error.value.detail
    assert str((await who_answers(one_time, address)).name) == "Mallory"
    listener.close()
    await listener.wait_closed()
    assert not heard


async def test_another_certificate_over_the_inviters_key(inviter: Node) -> None:
    context = stranger_context(inviter.identity.private_key(), inviter.node, server=True)
    listener = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    with pytest.raises(CallError) as error:
        await ask_to_join(invite(inviter), [address], inviter.node, b"x")
    assert error.value.code == "other_certificate"
    listener.close()
    await listener.wait_closed()


async def test_without_an_invitation_nobody_joins(inviter: Node) -> None:
    stranger = identity()
    with pytest.raises(CallError) as error:
        await ask_to_join(stranger, [endpoint(inviter)], inviter.node, b"x")
    assert error.value.code == "closed_early"
    assert "its log says which" in error.value.detail
    await until(lambda: "unknown_key" in inviter.codes)
    assert stranger.node in inviter.refusals[-1][2]
    assert not inviter.joins


async def test_invite_reuse_is_up_to_the_handler_and_its_refusal_is_told(inviter: Node) -> None:
    one_time = invite(inviter)
    with pytest.raises(PeerError) as refused:
        await ask_to_join(one_time, [endpoint(inviter)], inviter.node, b"wrong")
    assert (refused.value.code, refused.value.detail) == ("wrong_proof", "this is not the proof")
    assert inviter.codes == ["wrong_proof"]


async def test_an_inviter_that_answers_too_much_or_fails(inviter: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    one_time = invite(inviter)
    call = (one_time, [endpoint(inviter)], inviter.node, b"x")
    monkeypatch.setattr(limits, "JOIN_ANSWER_BYTES_MAX", 3)
    with pytest.raises(PeerError, match="oversize"):
        await ask_to_join(*call)

    async def broken(*_: object) -> bytes:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(inviter.server, "_join", broken)
    with pytest.raises(CallError) as error:
        await ask_to_join(*call)
    assert error.value.code == "not_served"
    assert "500" in error.value.detail


async def test_only_so_many_join_at_once(inviter: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    one_time, go = invite(inviter), asyncio.Event()

    async def slow(*_: object) -> bytes:
        await go.wait()
        return b"at last"

    monkeypatch.setattr(inviter.server, "_join", slow)
    monkeypatch.setattr(limits, "JOINS_MAX", 2)
    call = (one_time, [endpoint(inviter)], inviter.node, b"x")
    waiting = [asyncio.create_task(ask_to_join(*call)) for _ in range(2)]
    await until(lambda: inviter.server._joining == 2)
    with pytest.raises(CallError, match="503"):
        await ask_to_join(*call)
    go.set()
    assert await asyncio.gather(*waiting) == [b"at last"] * 2


async def test_nobody_answers() -> None:
    nobody = identity().node
    with pytest.raises(CallError) as error:
        await ask_to_join(identity(), ["127.0.0.1:1"], nobody, b"x")
    assert error.value.code == "unreachable"
    with pytest.raises(CallError) as error:
        await ask_to_join(identity(), [], nobody, b"x")
    assert error.value.code == "no_endpoint"
    with pytest.raises(LocalError):
        await ask_to_join(identity(), ["127.0.0.1:1"], nobody, bytes(limits.JOIN_BYTES_MAX + 1))


async def test_a_port_that_speaks_no_tls() -> None:
    async def ssh(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        writer.close()

    listener = await asyncio.start_server(ssh, "127.0.0.1", 0)
    address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    with pytest.raises(CallError) as error:
        await who_answers(identity(), address)
    assert error.value.code == "not_tls"
    listener.close()
    await listener.wait_closed()
