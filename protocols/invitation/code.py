"""The invitation as people hand it over: one line of text, to paste or to show as a QR code.

`SN1` and then base32 (RFC 4648, upper case, no padding: the alphanumeric mode of QR codes) of

    id 8 | secret 16 | federation 32 | inviter 32 | count 1 | (length 1, endpoint) x count | checksum 4

The digit is the version. Spaces, line breaks, hyphens and lower case are forgiven; nothing else is.

What the lengths mean. `secret`: 128 bits, drawn by the inviter; a guess succeeds with 2^-128, and the one-time key it
derives must be shown before a single guess can be made. `federation` and `inviter` are fingerprints of full length (the
SHA-256 digest of the charter, the Ed25519 public key itself): who wants to stand in for either needs a second preimage
(2^-256 a try) or a discrete logarithm (about 2^126 steps); nothing is cut off that could be ground. `id` (64 bits) only
finds the invitation; it is no secret, but nobody who has not seen the code can name it (2^-64 a try). `checksum`: 32
bits, against typing errors (one in 2^32 passes), not against people.

Whoever holds the code may use it: it is to be sent over a channel that the two people trust, and the six words
(`protocols.words`) show whether it was used by whom it was meant for.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from protocols.digest import digest
from protocols.errors import LocalError, PeerError
from protocols.identity import NodeId, node_id, public_key_bytes
from protocols.membership.bodies import ENDPOINTS_MAX
from protocols.membership.endpoint import check_endpoint

VERSION: Final = 1
PREFIX: Final = f"SN{VERSION}"
ID_BYTES: Final = 8
SECRET_BYTES: Final = 16
FEDERATION_BYTES: Final = 32
KEY_BYTES: Final = 32
CHECKSUM_BYTES: Final = 4
CODE_CHARS_MAX: Final = 2048
"""Characters read of what is said to be a code: the longest has 771; the rest is for spaces."""

_FIXED_BYTES: Final = ID_BYTES + SECRET_BYTES + FEDERATION_BYTES + KEY_BYTES + 1
_FORGIVEN: Final = re.compile(r"[\s-]+")
_VERSIONED: Final = re.compile(r"SN([0-9])")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an invitation says.

    id: finds it at the inviter. secret: lets the holder in. federation: into which. inviter: who answers, and whose
    key must be there. endpoints: where, one to three.
    """

    id: bytes
    secret: bytes = field(repr=False)
    federation: bytes
    inviter: NodeId
    endpoints: tuple[str, ...]


def encode_invitation(invitation: Invitation) -> str:
    """The code of an invitation. Raises `LocalError` if it does not parse again (an endpoint that is none, say)."""
    body = b"".join(
        (
            invitation.id,
            invitation.secret,
            invitation.federation,
            public_key_bytes(invitation.inviter),
            bytes((len(invitation.endpoints),)),
            *(bytes((len(endpoint),)) + endpoint.encode() for endpoint in invitation.endpoints),
        )
    )
    code = PREFIX + base64.b32encode(body + _checksum(body)).decode().rstrip("=")
    try:
        parse_invitation(code)
    except PeerError as error:
        raise LocalError(f"no invitation can be made: {error.detail}") from None
    return code


def parse_invitation(code: str) -> Invitation:
    """The invitation in a code.

    Raises `PeerError`, never with a part of the code in it: ``not_a_code``, ``other_version``, ``mistyped``,
    ``bad_endpoint``, ``bad_node_id``, ``weak_key``.
    """
    text = _FORGIVEN.sub("", code[: CODE_CHARS_MAX + 1]).upper()
    version = _VERSIONED.match(text)
    if len(code) > CODE_CHARS_MAX or version is None:
        raise PeerError("not_a_code", f"an invitation begins with {PREFIX} and has a few hundred letters and digits")
    if int(version[1]) != VERSION:
        raise PeerError(
            "other_version", f"made by another version ({version[1]}) of this program; here it is {VERSION}"
        )
    data = _unbase32(text[len(PREFIX) :])
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(body) < _FIXED_BYTES or checksum != _checksum(body):
        raise PeerError("mistyped", "the code is incomplete or has a typing error: please copy it again")
    return _read(body)


def _unbase32(text: str) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise PeerError("mistyped", "the code holds characters that no code has: please copy it again") from None
    if base64.b32encode(data).decode().rstrip("=") != text:
        raise PeerError("mistyped", "the code is incomplete or has a typing error: please copy it again")
    return data


def _read(body: bytes) -> Invitation:
    fields = []
    start = 0
    for length in (ID_BYTES, SECRET_BYTES, FEDERATION_BYTES, KEY_BYTES):
        fields.append(body[start : start + length])
        start += length
    invitation_id, secret, federation, key = fields
    inviter = node_id(key)
    public_key_bytes(inviter)
    return Invitation(invitation_id, secret, federation, inviter, _endpoints(body[start], body[start + 1 :]))


def _endpoints(count: int, data: bytes) -> tuple[str, ...]:
    endpoints = []
    for _ in range(count):
        text = data[1 : 1 + data[0]] if data else b""
        data = data[1 + len(text) :]
        try:
            endpoint = text.decode("ascii")
        except UnicodeDecodeError:
            raise PeerError("bad_endpoint", "an endpoint in the code is not ASCII") from None
        check_endpoint(endpoint)
        endpoints.append(endpoint)
    if data or not 1 <= count <= ENDPOINTS_MAX or len(set(endpoints)) != count:
        raise PeerError(
            "bad_endpoint", f"a code holds one to {ENDPOINTS_MAX} different endpoints and nothing after them"
        )
    return tuple(endpoints)


def _checksum(body: bytes) -> bytes:
    return digest("invitation code", bytes((VERSION,)), body)[:CHECKSUM_BYTES]
