"""The one certificate of a key: a deterministic function of the identity, written out field by field.

Rules. A node *is* its public key; the certificate is only the wrapping that TLS asks for. Every field is fixed or
follows from the key (subject and issuer are its did:key), so for each key there is exactly one certificate, and all of
it but its signature can be rebuilt by anyone. The signature (Ed25519: deterministic too) is what a member publishes in
its node record; `certificate(key, signature)` is then the very certificate that the member shows, and a trust store
can be rebuilt from the roster. Another certificate over the same key is not one of ours and is refused by that store.

The certificate is valid from 1970 until the end of 9999: no decision hangs on a wall clock. It is no CA, so a member
cannot issue certificates that would chain to its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from protocols.identity import Identity, NodeId, node_id, public_key_bytes

SHOWN_NAME_CHARS_MAX: Final = 64
"""Of a stranger's name this much is shown to people: the upper bound of a common name (X.520)."""

_SEQUENCE: Final = 0x30
_ED25519: Final = bytes.fromhex("300506032b6570")  # AlgorithmIdentifier 1.3.101.112, RFC 8410
_VERSION_3_SERIAL_1: Final = bytes.fromhex("a003020102020101")
_VALIDITY: Final = b"\x30\x20\x17\x0d700101000000Z\x18\x0f99991231235959Z"
_COMMON_NAME: Final = bytes.fromhex("0603550403")
# Critical both: basicConstraints without cA; keyUsage digitalSignature.
_EXTENSIONS: Final = bytes.fromhex("a320301e300c0603551d130101ff04023000300e0603551d0f0101ff040403020780")


def _tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element; everything here is shorter than 64 KiB."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes(2 if len(body) > 0xFF else 1, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def to_be_signed(node: NodeId) -> bytes:
    """What the signature covers (TBSCertificate). It can never be a `digest.frame`: their second bytes differ.

    Raises `PeerError` if `node` is no valid id.
    """
    key = public_key_bytes(node)
    name = _tlv(_SEQUENCE, _tlv(0x31, _tlv(_SEQUENCE, _COMMON_NAME, _tlv(0x0C, node.encode("ascii")))))
    subject_key = _tlv(_SEQUENCE, _ED25519, _tlv(0x03, b"\0", key))
    fields = (_VERSION_3_SERIAL_1, _ED25519, name, _VALIDITY, name, subject_key, _EXTENSIONS)
    return _tlv(_SEQUENCE, *fields)


def sign_certificate(identity: Identity) -> bytes:
    """The signature of the node's own certificate: 64 bytes to publish in its node record."""
    return identity.sign(to_be_signed(identity.node))


def certificate(node: NodeId, signature: bytes) -> bytes:
    """The node's certificate in DER. `identity.verify(node, signature, to_be_signed(node))` tells whether it is good.

    Raises `PeerError` if `node` is no valid id.
    """
    return _tlv(_SEQUENCE, to_be_signed(node), _ED25519, _tlv(0x03, b"\0", signature))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate that somebody presented says about its owner.

    node: the id of its key; None if the key is no Ed25519 key. name: its common name, safe to print.
    signature: its 64 signature bytes, whatever they are worth. der: all of it.
    """

    node: NodeId | None
    name: str
    signature: bytes
    der: bytes

    def __str__(self) -> str:
        return f"CN={self.name}" if self.node is None or self.node == self.name else f"CN={self.name} (key {self.node})"


def read_certificate(der: bytes) -> Shown | None:
    """Read any certificate that somebody presented; None if it cannot be parsed. Nothing in it is verified."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        signature = parsed.signature
        key = parsed.public_key()
    except Exception:  # noqa: BLE001 - a stranger's bytes; the parser has several exception types, some unexported
        return None
    name = re.sub(r"[^\x21-\x7e]", "?", str(names[0].value))[:SHOWN_NAME_CHARS_MAX] if names else "(none)"
    node = node_id(key.public_bytes_raw()) if isinstance(key, Ed25519PublicKey) else None
    return Shown(node, name, signature, der)
