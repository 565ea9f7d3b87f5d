"""The link's own frames, its rosters and endpoints, its waiting times and its restraint in telling about strangers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import wire
from protocols.errors import PeerError
from secured_node.net import limits
from secured_node.net.certificate import certificate, sign_certificate
from secured_node.net.closing import Closing, LinkEnd, ViolationError
from secured_node.net.frames import Begin, Decline, Frame, Hello, Offer, Take, decode_frame, encode_frame, is_frame
from secured_node.net.neighbour import backoff_s
from secured_node.net.refusals import MINUTE_S, Refusals
from secured_node.net.roster import Contact, Roster, parse_endpoint
from tests.net_kit import identity, small

COUNTS = st.integers(0, 2**62)
FRAMES = st.one_of(
    st.builds(Hello, COUNTS, st.binary(max_size=64), st.binary(min_size=16, max_size=16), st.just(b"p" * 16), COUNTS),
    st.builds(Offer, COUNTS, COUNTS, st.binary(max_size=300)),
    st.builds(Take, COUNTS, COUNTS),
    st.builds(Decline, COUNTS),
    st.builds(Begin, COUNTS, COUNTS),
)


@given(FRAMES)
def test_a_frame_comes_back(frame: Frame) -> None:
    data = encode_frame(frame)
    assert is_frame(data)
    assert decode_frame(data) == frame


@given(st.binary(max_size=200))
def test_fuzz_decoders(data: bytes) -> None:
    for candidate in (data, b"\0" + data):
        try:
            frame = decode_frame(candidate)
        except ViolationError:
            continue
        assert isinstance(frame, msgspec.Struct)


@given(FRAMES, st.data())
def test_a_damaged_frame_is_another_frame_or_a_violation(frame: Frame, data: st.DataObject) -> None:
    good = bytearray(encode_frame(frame))
    good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decode_frame(bytes(good))
    except ViolationError as violation:
        assert "malformed" in str(violation)


def test_a_message_is_never_taken_for_a_frame() -> None:
    assert not is_frame(wire.encode(small()))
    assert not is_frame(b"")


def test_the_largest_offer_fits_its_stream() -> None:
    offer = encode_frame(Offer(2**62, 2**62, bytes(wire.MESSAGE_BYTES_MAX)))
    assert len(offer) <= limits.CONTROL_FRAME_BYTES_MAX


def test_the_reason_of_an_end_is_one_word() -> None:
    assert LinkEnd(None).reason == "lost"
    assert LinkEnd(Closing.REVOKED).reason == "revoked"
    assert LinkEnd(Closing.WRONG_FEDERATION, by_peer=True).reason == "peer_wrong_federation"


@pytest.mark.parametrize(
    ("endpoint", "parsed"),
    [("a.example:8443", ("a.example", 8443)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("[::1]:9", ("::1", 9))],
)
def test_endpoints(endpoint: str, parsed: tuple[str, int]) -> None:
    assert parse_endpoint(endpoint) == parsed


@pytest.mark.parametrize("endpoint", ["", "a", "a:0", ":1", "u@a:1", "a:1/x", "A:1", "http://a:1", "[::1:1", "::1:1"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(PeerError):
        parse_endpoint(endpoint)


def test_a_roster_gives_the_trust_store_and_says_why_not() -> None:
    own, member, guest, gone, stranger, bare = (identity(k) for k in range(1, 7))
    roster = Roster(
        members={i.node: Contact(sign_certificate(i)) for i in (own, member)} | {bare.node: Contact(b"")},
        invited={guest.node: sign_certificate(guest)},
        revoked=frozenset({gone.node}),
    )
    expected = [certificate(i.node, sign_certificate(i)) for i in (member, guest)]
    assert list(roster.certificates(own.node)) == expected
    codes = [roster.standing(i.node)[0] for i in (member, guest, gone, stranger, bare)]
    assert codes == ["other_certificate", "other_certificate", "revoked", "unknown_key", "certificate_missing"]
    assert roster.standing(None)[0] == "unknown_key"


def test_waiting_times_grow_to_a_limit_and_are_drawn() -> None:
    assert all(0 <= backoff_s(1) <= limits.BACKOFF_BASE_S for _ in range(100))
    late = [backoff_s(1000) for _ in range(300)]
    assert all(0 <= wait <= limits.BACKOFF_MAX_S for wait in late)
    assert max(late) > limits.BACKOFF_MAX_S / 2 > min(late)


def test_a_scan_cannot_fill_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REFUSALS_PER_MINUTE_MAX", 3)
    told: list[tuple[object, str, str]] = []
    now = [0.0]
    refusals = Refusals(lambda *what: told.append(what), lambda: now[0])
    for _ in range(10):
        refusals.tell(None, "unknown_key", "nobody")
    assert [code for _, code, _ in told] == ["unknown_key"] * 3
    now[0] = MINUTE_S
    refusals.tell(None, "unknown_key", "nobody")
    assert [code for _, code, _ in told[3:]] == ["refused_more", "unknown_key"]
    assert "7 further" in told[3][2]
