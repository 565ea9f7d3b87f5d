"""Who gets through the TLS handshake, who does not, and that the server says why. Real TLS on loopback."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.errors import LocalError
from secured_node.net import tls
from secured_node.net.certificate import certificate, sign_certificate
from secured_node.net.roster import Contact
from tests.net_kit import Node, federation, identity, introduce, knock, load, stranger_context, until

ANY = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_member_is_let_in_and_finds_nothing_but_links() -> None:
    async with federation(2, linked=False) as (a, b):
        answer = await knock(a.port, b.calls(a), ANY)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert a.refusals == []


async def test_forged_key_same_name() -> None:
    """A stranger's certificate that carries a member's name."""
    async with federation(2, linked=False) as (a, b):
        forged = stranger_context(Ed25519PrivateKey.generate(), b.node)
        assert await knock(a.port, forged, ANY) == b""
        await until(lambda: a.refusals)
        peer, code, detail = a.refusals[0]
        assert (peer, code) == (None, "unknown_key")
        assert b.node in detail and "key did:key:" in detail and "127.0.0.1" in detail


async def test_no_client_cert() -> None:
    async with federation(2, linked=False) as (a, _):
        assert await knock(a.port, stranger_context(None), ANY) == b""
        await until(lambda: a.codes == ["no_client_cert"])


async def test_tls_downgrade() -> None:
    async with federation(2, linked=False) as (a, b):
        old = stranger_context(b.identity.private_key(), b.node, maximum=ssl.TLSVersion.TLSv1_2)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await knock(a.port, old, ANY)
        await until(lambda: a.codes == ["tls_version"])


async def test_same_key_other_certificate() -> None:
    """Deliberately refused: there is one certificate per key; another one is a fault or a probe, never a member."""
    async with federation(2, linked=False) as (a, b):
        for serial in (1, 2):  # as ours but for the extensions and dates, and with another serial
            other = stranger_context(b.identity.private_key(), b.node, serial=serial)
            assert await knock(a.port, other, ANY) == b""
        await until(lambda: a.codes == ["other_certificate"] * 2)
        assert b.node in a.refusals[0][2]


async def test_a_member_cannot_issue_certificates() -> None:
    async with federation(2, linked=False) as (a, b):
        issued = stranger_context(Ed25519PrivateKey.generate(), "friend", issuer=(b.node, b.identity.private_key()))
        assert await knock(a.port, issued, ANY) == b""
        await until(lambda: a.codes == ["unknown_key"])


async def test_revoked_key_is_refused_in_the_handshake_and_named() -> None:
    async with federation(2, linked=False) as (a, b):
        a.revoked.add(b.node)
        assert await knock(a.port, b.calls(a), ANY) == b""  # the trust store is not refreshed yet: by the allow-list
        a.server.refresh()
        assert await knock(a.port, b.calls(a), ANY) == b""  # by the trust store
        await until(lambda: a.codes == ["revoked"] * 2)
        assert all(b.node in detail for _, _, detail in a.refusals)


async def test_a_new_member_is_let_in_by_the_next_handshake_with_or_without_a_server_name() -> None:
    async with federation(1, linked=False) as (a,):
        b = Node()
        try:
            for name in ("", "hospital.example", "127.0.0.1"):
                assert await knock(a.port, b.calls(a), ANY, server_hostname=name) == b""
            a.members[b.node] = b.contact
            a.server.refresh()
            for name in ("", "hospital.example", "127.0.0.1"):
                assert (await knock(a.port, b.calls(a), ANY, server_hostname=name)).startswith(b"HTTP/1.1 404")
            for name in ("", "hospital.example"):
                assert await knock(a.port, stranger_context(None), ANY, server_hostname=name) == b""
            await until(lambda: a.codes == ["unknown_key"] * 3 + ["no_client_cert"] * 2)
        finally:
            await b.stop()


async def test_what_is_not_tls_is_told_apart() -> None:
    async with federation(1, linked=False) as (a,):
        assert await knock(a.port, None, ANY) == b""
        assert await knock(a.port, None, b"\x00" * 100) == b""
        await until(lambda: a.codes == ["not_tls"] * 2)


async def test_revoked_key_resumption() -> None:
    """There is nothing to resume with: no ticket is ever issued, and an old session makes a full handshake."""
    async with federation(2, linked=False) as (a, b):
        context = stranger_context(None)
        own = ssl.DER_cert_to_PEM_cert(certificate(b.node, sign_certificate(b.identity))).encode()
        load(context, own, b.identity.private_key())
        reader, writer = await asyncio.open_connection("127.0.0.1", a.port, ssl=context, server_hostname="")
        writer.write(ANY)
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        session = writer.get_extra_info("ssl_object").session
        writer.transport.abort()
        assert not session.has_ticket
        assert session.ticket_lifetime_hint == 0
        a.revoked.add(b.node)
        a.server.refresh()
        whole = ssl.SSLContext.wrap_bio

        class Resuming(ssl.SSLContext):
            def wrap_bio(self, *bios: ssl.MemoryBIO, **_kinds: object) -> ssl.SSLObject:  # type: ignore[override]
                return whole(self, *bios, session=session)

        context.__class__ = Resuming
        assert await knock(a.port, context, ANY) == b""
        await until(lambda: a.codes == ["revoked"])


async def test_tls_intercept() -> None:
    """Somebody else answers at a member's address: named, and not one byte is sent to it."""
    heard = bytearray()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(100))
        writer.close()

    context = stranger_context(Ed25519PrivateKey.generate(), "Clinic Web Filter", server=True)
    listener = await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    async with federation(1, linked=False) as (a,):
        member = identity()
        a.members[member.node] = Contact(sign_certificate(member), (f"127.0.0.1:{port}",))
        a.refresh()
        await until(lambda: a.links.status()[0].trouble)
        trouble = a.links.status()[0].trouble
        assert "intercepted by CN=Clinic?Web?Filter" in trouble
    listener.close()
    await listener.wait_closed()
    assert not heard


async def test_a_member_that_answers_in_the_place_of_another_is_refused() -> None:
    async with federation(2, linked=False) as (a, b):
        third = identity()
        a.members[third.node] = Contact(sign_certificate(third), (f"127.0.0.1:{b.port}",))
        a.links.refresh()
        await until(lambda: any("intercepted" in s.trouble and b.node in s.trouble for s in a.links.status()))


async def test_an_unknown_caller_learns_what_to_do() -> None:
    """Its own side of the handshake succeeds; only the server knows better."""
    async with federation(2, linked=False) as (a, b):
        del a.members[b.node]
        a.server.refresh()
        b.links.refresh()
        await until(lambda: b.links.status() and b.links.status()[0].trouble)
        assert "closed_early" in b.links.status()[0].trouble
        assert "its log says which" in b.links.status()[0].trouble
        assert a.codes[0] == "unknown_key"


async def test_the_private_key_leaves_no_file_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in an anonymous file of mode 0600 while OpenSSL reads it, and that is wiped and closed."""
    seen: list[tuple[str, int, bytes]] = []
    load_chain, close = ssl.SSLContext.load_cert_chain, os.close

    def watch_load(context: ssl.SSLContext, file: str) -> None:
        seen.append((file, Path(file).stat().st_mode & 0o777, Path(file).read_bytes()[:10]))
        load_chain(context, file)

    def watch_close(descriptor: int) -> None:
        seen.append(("closed", descriptor, Path(f"/proc/self/fd/{descriptor}").read_bytes()))
        close(descriptor)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watch_load)
    monkeypatch.setattr(tls.os, "close", watch_close)
    own, other = identity(), identity()
    tls.client_context(own, other.node, sign_certificate(other))
    (file, mode, start), (_, descriptor, left) = seen
    assert (file, mode, start) == (f"/proc/self/fd/{descriptor}", 0o600, b"-----BEGIN")
    assert left and not any(left)
    assert not Path(file).exists()


def test_only_connections_made_here_have_a_peer() -> None:
    with pytest.raises(LocalError):
        tls.proved_peer(None)


def test_contexts_are_strict() -> None:
    own, other = identity(), identity()
    contexts = [
        tls.client_context(own, other.node, sign_certificate(other)),
        tls.curious_context(own),
        tls.ServerContexts(own).base,
    ]
    for context in contexts:
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.options & ssl.OP_NO_TICKET
    assert contexts[0].get_ca_certs(binary_form=True) in ([], [certificate(other.node, sign_certificate(other))])
    assert contexts[2].num_tickets == 0
    assert contexts[1].cert_store_stats()["x509"] == contexts[2].cert_store_stats()["x509"] == 0
    assert contexts[0].cert_store_stats()["x509"] == 1


async def test_everybody_links_with_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(4, monkeypatch) as nodes:
        assert all(not node.refusals for node in nodes)
        introduce(*nodes)  # again: nothing changes
        await asyncio.sleep(0.1)
        assert all(len(node.ups) == 3 and not node.downs for node in nodes)
