"""TLS by hand: version 1.3, both sides always show a certificate, and trust is a list of exact certificates.

Theory of operation. A handshake is complete here only when three things hold: OpenSSL verified the chain against a
trust store that holds nothing but the certificates it was given; the peer proved that it has the private key; and the
peer's *public key* is one that `admit` wants (a client wants one key, a server those on its allow-list). The third is
checked inside `do_handshake`, so neither asyncio nor aiohttp sees a connection whose key was not compared, and not one
byte of application data moves before.

The server listens with a base context whose trust store is empty. For each ClientHello, with or without a server name,
OpenSSL calls the SNI callback, which swaps in the context of the present roster. Only certificate and trust store
follow the swap: version, verify mode and tickets stay those of the base (measured, OpenSSL 3.0), so the base has them
too. If the callback were ever not called, everybody would be refused.

Why a handshake failed is known to the server alone: a client's own side is complete before the server looks at its
certificate, and OpenSSL forgets a certificate that it refused. `_msg_callback`, CPython's hook for debugging TLS, shows
each handshake message; `Handshake` keeps the certificate and puts it into the error. After the handshake the connection
moves to a context without the hook, for it would cost 0.4 ms of CPU per MB.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from cryptography.hazmat.primitives import serialization

from protocols.errors import LocalError
from protocols.identity import Identity, NodeId
from secured_node.net.certificate import Shown, certificate, read_certificate, sign_certificate

Admit = Callable[[NodeId], bool]
"""Whether a connection with the owner of this key may come into being."""

_HANDSHAKE: Final = 22  # ContentType, RFC 8446 B.3
_CERTIFICATE: Final = 11  # HandshakeType, RFC 8446 B.3

_CODES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("no_client_cert", "the caller showed no certificate"),
    "UNSUPPORTED_PROTOCOL": ("tls_version", "TLS 1.3 is spoken here and nothing older"),
    "TLSV1_ALERT_PROTOCOL_VERSION": ("tls_version", "the other side does not speak TLS 1.3"),
    "WRONG_VERSION_NUMBER": ("not_tls", "what came is not TLS"),
    "HTTP_REQUEST": ("not_tls", "plain HTTP; only TLS is spoken here"),
    "TLSV1_ALERT_UNKNOWN_CA": ("refused_by_peer", "the other side does not trust this node's certificate"),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("refused_by_peer", "the other side does not trust this node's certificate"),
}


class HandshakeError(ssl.SSLError):
    """A TLS handshake was refused, by this side unless the code says otherwise.

    code: a fixed word. detail: a sentence for people. shown: the certificate that the peer presented, if any.
    """

    def __init__(self, code: str, detail: str, shown: Shown | None) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.shown = shown


class Context(ssl.SSLContext):
    """An SSLContext with the question that ends each of its handshakes."""

    admit: Admit


class Handshake(ssl.SSLObject):
    """The TLS state of one connection. `peer` is the proved owner of the other end, once the handshake is complete."""

    peer: NodeId
    presented: bytes = b""

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises `HandshakeError` if it fails or the peer's key is not wanted."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            raise self._explained(error) from error
        shown = read_certificate(self.getpeercert(binary_form=True) or b"")
        context = self.context
        if shown is None or shown.node is None or not isinstance(context, Context):
            raise HandshakeError("no_certificate", "the peer's certificate cannot be read", shown)
        if not context.admit(shown.node):
            raise HandshakeError("key_not_admitted", f"the key of {shown} is not wanted here", shown)
        self.peer = shown.node
        self.context = _QUIET

    def _explained(self, error: ssl.SSLError) -> HandshakeError:
        shown = read_certificate(self.presented) if self.presented else None
        if isinstance(error, ssl.SSLCertVerificationError):
            return HandshakeError("unknown_certificate", f"{error.verify_message}: {shown}", shown)
        reason = error.reason or "unknown"
        code, detail = _CODES.get(reason, ("handshake", reason.lower().replace("_", " ")))
        return HandshakeError(code, detail, shown)


def _keep_certificate(
    connection: ssl.SSLObject, direction: str, _version: object, content: int, kind: int, data: bytes
) -> None:
    """Keep the first certificate of a Certificate message (RFC 8446, 4.4.2); OpenSSL checks its form afterwards."""
    if direction != "read" or content != _HANDSHAKE or kind != _CERTIFICATE or not isinstance(connection, Handshake):
        return
    start = 4 + 1 + data[4] + 3  # the message's header, the request context, the length of the list
    size = int.from_bytes(data[start : start + 3], "big")
    connection.presented = bytes(data[start + 3 : start + 3 + size])


def _load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Give the context its certificate and key. OpenSSL wants a file: an anonymous one in memory, wiped after use."""
    own = ssl.DER_cert_to_PEM_cert(certificate(identity.node, sign_certificate(identity))).encode()
    key = identity.private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "r+b", buffering=0, closefd=False) as file:
            file.write(own + key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
            file.seek(0)
            file.write(bytes(len(own) + len(key)))
    finally:
        os.close(descriptor)


def _context(side: int, identity: Identity, trusted: Iterable[bytes], admit: Admit) -> Context:
    context = Context(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # a peer is its key; names are hints
    context.verify_mode = ssl.CERT_REQUIRED
    # Each certificate in the store is an anchor by itself, and no other is anything.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    context.sslobject_class = Handshake
    context.admit = admit
    hook: Any = context
    hook._msg_callback = _keep_certificate
    anchors = b"".join(trusted)
    if anchors:
        context.load_verify_locations(cadata=anchors)
    _load_identity(context, identity)
    return context


_QUIET: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
"""Where a connection goes after its handshake: nothing is read from it any more, it only has no hook."""


class ServerContexts:
    """The base context to listen with, and the present roster's context that each new handshake gets."""

    def __init__(self, identity: Identity) -> None:
        """identity: this node's. Until the first `trust`, everyone is refused."""
        self._identity = identity
        self._present = _context(ssl.PROTOCOL_TLS_SERVER, identity, (), lambda _node: False)
        self.base = _context(ssl.PROTOCOL_TLS_SERVER, identity, (), lambda _node: False)
        self.base.sni_callback = self._swap

    def trust(self, certificates: Iterable[bytes], admit: Admit) -> None:
        """From now on: exactly these certificates (DER), and of their keys those that `admit` takes."""
        self._present = _context(ssl.PROTOCOL_TLS_SERVER, self._identity, certificates, admit)

    def _swap(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> None:
        connection.context = self._present


def client_context(identity: Identity, peer: NodeId, signature: bytes) -> ssl.SSLContext:
    """A context for one call to one peer, whose certificate is known.

    Raises `PeerError` if `peer` is no valid id.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity, (certificate(peer, signature),), lambda node: node == peer)


def curious_context(identity: Identity) -> ssl.SSLContext:
    """A context that trusts nobody: its handshake fails, and `HandshakeError.shown` tells who answered."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity, (), lambda _node: False)


def proved_peer(connection: object) -> NodeId:
    """The peer at the other end of a connection (``ssl_object`` of a transport). Raises `LocalError` if unproved."""
    if not isinstance(connection, Handshake):
        raise LocalError("not a connection whose handshake was made here")
    return connection.peer
