"""What the two ends of a link say to each other beside messages: hello, and the hand-over of payloads.

A frame of the control stream is either a message (`protocols.wire`, whose first byte is its version) or, after a zero
byte, one of the structs below. On the bulk stream `Begin` stands before the chunks of each payload, and `Hello` is the
first frame of either stream.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from protocols.message import Count
from secured_node.net import limits
from secured_node.net.closing import ViolationError

MARK: Final = 0
"""First byte of our own frames; a message begins with its version, which is never 0."""
NONCE_BYTES: Final = 16

_Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The first frame on each stream, from both sides.

    version: of the protocol. federation: its id. link: drawn by the dialler; pairs the two streams. process: drawn at
    the sender's start; a payload is only resumed with the process that began it. wall_ms: the sender's clock.
    """

    version: int
    federation: Annotated[bytes, msgspec.Meta(max_length=limits.FEDERATION_BYTES_MAX)]
    link: _Nonce
    process: _Nonce
    wall_ms: Count


class Offer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """A payload is ready. number: its name within the sender's process. size: bytes. message: what it belongs to."""

    number: Count
    size: Count
    message: bytes


class Take(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Answer to an offer: send it from this offset. Once the payload is complete: offset equals size, I have it."""

    number: Count
    offset: Count


class Decline(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """Answer to an offer: not wanted."""

    number: Count


class Begin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """On the bulk stream: the chunks of this payload follow, from this offset to its end."""

    number: Count
    offset: Count


class Inline(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """A message with a small payload, both at once: it costs no round trip and overtakes no message before it."""

    message: bytes
    payload: Annotated[bytes, msgspec.Meta(max_length=limits.INLINE_BYTES_MAX)]


Frame: TypeAlias = Hello | Offer | Take | Decline | Begin | Inline

_DECODER: Final[msgspec.msgpack.Decoder[Frame]] = msgspec.msgpack.Decoder(Frame)
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame."""
    return bytes((MARK,)) + _ENCODER.encode(frame)


def is_frame(data: bytes) -> bool:
    """Whether this is one of our frames rather than a message."""
    return data[:1] == bytes((MARK,))


def decode_frame(data: bytes) -> Frame:
    """The frame in `data`. Raises `ViolationError` if it is none."""
    if not is_frame(data):
        raise ViolationError("malformed", "not a frame of the link")
    try:
        return _DECODER.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ViolationError("malformed", "not a frame of the link") from None
