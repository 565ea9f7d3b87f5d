"""How messages become bytes: one version byte, one type byte, a strict msgpack body; bulk payloads travel beside it.

The type byte comes first so that the size limit of that type is checked before anything is decoded. Adding a message
is one row in `_TYPES`; numbers are never used again for something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.errors import LocalError, PeerError
from protocols.invitation import messages as joining
from protocols.message import Message
from protocols.records import messages as records
from protocols.secagg import messages as secagg

VERSION: Final = 1
HEADER_BYTES: Final = 2

SMALL_BYTES_MAX: Final = 1024
"""Fixed-size messages: the largest (Sum) takes 300 bytes."""
LIST_BYTES_MAX: Final = 128 * 1024
"""Messages with one entry per member or pair of members: 128 votes of 300 bytes, 16,384 pairs of 4 bytes."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """One row of the wire's table.

    number: the type byte. kind: the struct. bytes_max: largest encoded size, header included.
    payload_bytes_max: largest bulk payload; 0 where there is none.
    """

    number: int
    kind: type[Message]
    bytes_max: int
    payload_bytes_max: int = 0


_TYPES: Final = (
    MessageType(0x10, secagg.Offer, SMALL_BYTES_MAX),
    MessageType(0x11, secagg.Root, LIST_BYTES_MAX),
    MessageType(0x12, secagg.Segment, SMALL_BYTES_MAX, secagg.PAYLOAD_BYTES_MAX),
    MessageType(0x13, secagg.Sum, SMALL_BYTES_MAX),
    MessageType(0x14, secagg.SumWords, SMALL_BYTES_MAX, secagg.PAYLOAD_BYTES_MAX),
    MessageType(0x15, secagg.Vote, SMALL_BYTES_MAX),
    MessageType(0x16, secagg.Certificate, LIST_BYTES_MAX, secagg.PAYLOAD_BYTES_MAX),
    MessageType(0x17, secagg.Ask, LIST_BYTES_MAX),
    MessageType(0x20, records.Summary, records.SUMMARY_BYTES_MAX),
    MessageType(0x21, records.Listing, records.LISTING_BYTES_MAX),
    MessageType(0x22, records.Pull, records.PULL_BYTES_MAX),
    MessageType(0x23, records.Records, records.RECORDS_BYTES_MAX),
    MessageType(0x30, joining.JoinRequest, joining.JOIN_REQUEST_BYTES_MAX),
    MessageType(0x31, joining.JoinReply, joining.JOIN_REPLY_BYTES_MAX),
)
_BY_NUMBER: Final = {row.number: row for row in _TYPES}
_BY_KIND: Final = {row.kind: row for row in _TYPES}
_DECODERS: Final[dict[int, msgspec.msgpack.Decoder[Any]]] = {
    row.number: msgspec.msgpack.Decoder(row.kind) for row in _TYPES
}
_ENCODER: Final = msgspec.msgpack.Encoder()

MESSAGE_BYTES_MAX: Final = max(row.bytes_max for row in _TYPES)
"""No encoded message is larger: what a link may cap its frames at."""


def type_of(message: Message) -> MessageType:
    """The table's row for a message. Raises `LocalError` for one that the wire does not know."""
    try:
        return _BY_KIND[type(message)]
    except KeyError:
        raise LocalError(f"{type(message).__name__} is not a message of the wire") from None


def encode(message: Message) -> bytes:
    """The bytes of a message. Raises `LocalError` if it is larger than its type allows."""
    row = type_of(message)
    data = bytes((VERSION, row.number)) + _ENCODER.encode(message)
    if len(data) > row.bytes_max:
        raise LocalError(f"{row.kind.__name__} of {len(data)} bytes; at most {row.bytes_max} may be sent")
    return data


def decode(data: bytes | memoryview) -> Message:
    """The message in `data`.

    Raises `PeerError`: ``bad_version``, ``unknown_type``, ``oversize`` (judged before decoding), ``malformed``.
    """
    if len(data) < HEADER_BYTES:
        raise PeerError("malformed", "shorter than a header")
    if data[0] != VERSION:
        raise PeerError("bad_version", f"version {data[0]}; this node speaks {VERSION}")
    row = _BY_NUMBER.get(data[1])
    if row is None:
        raise PeerError("unknown_type", f"type {data[1]:#04x}")
    if len(data) > row.bytes_max:
        raise PeerError("oversize", f"{row.kind.__name__} of {len(data)} bytes; at most {row.bytes_max}")
    try:
        message: Message = _DECODERS[row.number].decode(memoryview(data)[HEADER_BYTES:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise PeerError("malformed", f"not a {row.kind.__name__}") from None
    return message
