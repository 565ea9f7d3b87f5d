"""What the records of membership say, apart from the charter: a node about itself, others about a node."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

import msgspec

from protocols.errors import PeerError
from protocols.identity import NodeId, public_key_bytes
from protocols.membership.endpoint import ENDPOINT_CHARS_MAX, check_endpoint
from protocols.message import SIGNATURE_BYTES, Digest, Message
from protocols.records.record import Record

NAME_CHARS_MAX: Final = 64
"""Characters of a name: it stands in tables on screens."""
REASON_CHARS_MAX: Final = 200
"""Characters of a reason: a sentence or two."""
ENDPOINTS_MAX: Final = 3
"""Endpoints of a node: inside, outside, and one over IPv6."""
KEEPS_MAX: Final = 2048
"""Records that a revocation keeps: the admissions a steward may have written, in 68 KiB."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Endpoint = Annotated[str, msgspec.Meta(max_length=ENDPOINT_CHARS_MAX)]


class Node(Message, frozen=True):
    """A node about itself. Subject: its own id. Its key is its identity; all of this is hints.

    name, organisation: for people. endpoints: where to dial it, none if it only dials out. version: of its software.
    certificate: the signature of the one certificate that its key has, from which others rebuild it for TLS; empty
    where there is no TLS. Whoever changes it harms nobody but itself: the key inside follows from the author.
    """

    name: Name
    organisation: Name
    endpoints: Annotated[tuple[Endpoint, ...], msgspec.Meta(max_length=ENDPOINTS_MAX)]
    version: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,32}\Z")]
    certificate: Annotated[bytes, msgspec.Meta(max_length=SIGNATURE_BYTES)] = b""


class Voucher(Message, frozen=True):
    """A member about a candidate (the subject): it invited it and people compared the words.

    node_record: digest of the candidate's node record that the words covered.
    """

    node_record: Digest


class Admission(Message, frozen=True):
    """A steward's vote for a candidate (the subject).

    node_record: digest of the candidate's node record that the steward saw. name, organisation: as they stood there;
    under these the member is shown, whatever it calls itself later.
    """

    node_record: Digest
    name: Name
    organisation: Name


class Revocation(Message, frozen=True):
    """The subject is a member no more, for good: said by a steward or by the node itself.

    reason: for people. keeps: digests, ascending, of the subject's records that still stand; no other does.
    """

    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARS_MAX)]
    keeps: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=KEEPS_MAX)]


def is_plain(text: str) -> bool:
    """Whether a text can be shown to people as it is: printable, in one spelling (NFC), no space at its ends."""
    return text.isprintable() and text == text.strip() and unicodedata.is_normalized("NFC", text)


def check_node(record: Record, body: Node) -> str | None:
    """What is wrong with a node record, or None."""
    if record.subject != record.author:
        return "a node describes nobody but itself"
    if not (is_plain(body.name) and is_plain(body.organisation)):
        return "a name holds characters that cannot be shown"
    if len(set(body.endpoints)) != len(body.endpoints):
        return "an endpoint is given twice"
    if len(body.certificate) not in (0, SIGNATURE_BYTES):
        return "the signature of the certificate has not 64 bytes"
    try:
        for endpoint in body.endpoints:
            check_endpoint(endpoint)
    except PeerError as error:
        return error.detail
    return None


def check_subject(record: Record, _body: Message) -> str | None:
    """What is wrong with the subject of a record about a node, or None."""
    try:
        public_key_bytes(NodeId(record.subject))
    except PeerError as error:
        return error.detail
    return None


def check_admission(record: Record, body: Admission) -> str | None:
    """What is wrong with an admission, or None."""
    if not (is_plain(body.name) and is_plain(body.organisation)):
        return "a name holds characters that cannot be shown"
    return check_subject(record, body)


def check_revocation(record: Record, body: Revocation) -> str | None:
    """What is wrong with a revocation, or None."""
    if not is_plain(body.reason):
        return "the reason holds characters that cannot be shown"
    if any(first >= second for first, second in zip(body.keeps, body.keeps[1:], strict=False)):
        return "the digests kept are not ascending"
    return check_subject(record, body)
