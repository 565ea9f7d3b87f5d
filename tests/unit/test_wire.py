"""Every message as bytes: there and back, and nothing but typed errors for what is not a message."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import wire
from protocols.errors import LocalError, PeerError
from protocols.message import Message
from protocols.secagg import messages as m
from tests.kit import JOB, identities

WHO = identities(3)[0].node
DIGEST, SIGNATURE = bytes(range(32)), bytes(64)
VOTE = m.Vote(JOB, 2, 1, WHO, DIGEST, SIGNATURE)
EXAMPLES: list[Message] = [
    m.Offer(JOB, 2, 1, WHO, DIGEST, DIGEST, SIGNATURE),
    m.Root(JOB, 2, 1, WHO, DIGEST, 100, 7, (DIGEST, DIGEST), SIGNATURE),
    m.Segment(JOB, 2, 1, WHO, 3),
    m.Sum(JOB, 2, 1, WHO, DIGEST, 3, DIGEST, SIGNATURE),
    m.SumWords(JOB, 2, 1, 3),
    VOTE,
    m.Certificate(JOB, 2, DIGEST, (VOTE, VOTE)),
    m.Ask(JOB, 2, 1, offers=(0, 1), segments=((0, 1),), certificate=True),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda e: type(e).__name__)
def test_every_message_decodes_to_itself(message: Message) -> None:
    """W2."""
    assert wire.decode(wire.encode(message)) == message


@settings(derandomize=True, max_examples=500)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_by_a_typed_error(data: bytes) -> None:
    """W1."""
    for start in (b"", bytes((wire.VERSION, 0x10)), bytes((wire.VERSION, 0x17)), bytes((wire.VERSION, 0x23))):
        try:
            wire.decode(start + data)
        except PeerError as error:
            assert error.code in ("malformed", "bad_version", "unknown_type", "oversize")


@settings(derandomize=True, max_examples=500)
@given(st.sampled_from(EXAMPLES), st.integers(0, 10**6), st.integers(0, 255))
def test_mutated_messages_are_refused_by_a_typed_error(message: Message, place: int, byte: int) -> None:
    """W1."""
    data = bytearray(wire.encode(message))
    data[place % len(data)] = byte
    try:
        decoded = wire.decode(bytes(data))
    except PeerError:
        return
    assert isinstance(decoded, Message)


def test_oversize_is_refused_before_decoding_and_never_sent() -> None:
    """W1."""
    data = bytes((wire.VERSION, 0x10)) + b"\xc0" * wire.SMALL_BYTES_MAX
    with pytest.raises(PeerError, match="oversize"):
        wire.decode(data)
    with pytest.raises(LocalError, match="at most"):
        wire.encode(msgspec.structs.replace(EXAMPLES[0], signature=bytes(2000)))


def test_other_versions_and_types_are_refused_by_name() -> None:
    for data, code in ((b"\x02\x10\xc0", "bad_version"), (b"\x01\xff\xc0", "unknown_type"), (b"\x01", "malformed")):
        with pytest.raises(PeerError, match=code):
            wire.decode(data)
