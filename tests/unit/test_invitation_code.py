"""The code of an invitation: what it says, what copying does to it, and the keys that follow from it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalError, PeerError
from protocols.invitation.code import (
    CODE_CHARS_MAX,
    PREFIX,
    Invitation,
    encode_invitation,
    parse_invitation,
)
from protocols.invitation.keys import one_time_identity, proof_key
from tests.unit.invitation_kit import ENDPOINTS, MEMBER, STEWARD, Inviter, some_invitation


@given(
    ids=st.tuples(st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16)),
    federation=st.binary(min_size=32, max_size=32),
    endpoints=st.lists(st.sampled_from(ENDPOINTS), min_size=1, max_size=3, unique=True),
)
def test_a_code_says_what_the_invitation_says(
    ids: tuple[bytes, bytes], federation: bytes, endpoints: list[str]
) -> None:
    """I1: to and fro, in the alphabet of QR codes, and with what copying does to a line."""
    invitation = Invitation(*ids, federation, STEWARD.node, tuple(endpoints))
    code = encode_invitation(invitation)
    assert set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    assert len(code) <= 300
    assert parse_invitation(code) == invitation
    assert parse_invitation(f"  {code[:40].lower()}-\r\n {code[40:]}\n") == invitation


def test_the_longest_code_fits() -> None:
    """I1: three endpoints of full length."""
    long = tuple(f"{letter * 61}.{letter * 60}:1" + "234" for letter in "abc")
    code = encode_invitation(replace(some_invitation(), endpoints=tuple(one[:128] for one in long)))
    assert len(code) < CODE_CHARS_MAX / 2
    assert len(parse_invitation(code).endpoints) == 3


@given(data=st.data())
def test_a_typing_error_is_noticed(data: st.DataObject) -> None:
    """I2: any one character replaced, left out or doubled, any two swapped."""
    code = encode_invitation(some_invitation())
    place = data.draw(st.integers(len(PREFIX), len(code) - 2))
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
    for wrong in (
        code[:place] + other + code[place + 1 :],
        code[:place] + code[place + 1 :],
        code[:place] + code[place] + code[place:],
        code[:place] + code[place + 1] + code[place] + code[place + 2 :],
    ):
        if wrong != code:
            with pytest.raises(PeerError, match="mistyped"):
                parse_invitation(wrong)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "not_a_code"),
        ("hello", "not_a_code"),
        ("A" * 3000, "not_a_code"),
        ("SN" + "1" * 3000, "not_a_code"),
        ("SN2ABC", "other_version"),
        ("SN1", "mistyped"),
        ("SN1!!!!", "mistyped"),
        ("SN1AAAAAAAA", "mistyped"),
    ],
)
def test_what_is_no_code_is_told_apart(code: str, why: str) -> None:
    """I1: each fault has its code, and words that help."""
    with pytest.raises(PeerError, match=why):
        parse_invitation(code)


@pytest.mark.parametrize(
    "endpoints", [(), ("a",), ("a:1", "a:1"), ("a:1", "b:1", "c:1", "d:1"), ("é:1",), ("x" * 200,)]
)
def test_no_code_is_made_that_would_not_parse(endpoints: tuple[str, ...]) -> None:
    """I1: one to three endpoints that can be dialled."""
    with pytest.raises(LocalError):
        encode_invitation(replace(some_invitation(), endpoints=endpoints))


@given(data=st.binary(max_size=300))
def test_a_code_with_a_right_checksum_and_anything_in_it(data: bytes) -> None:
    """I1: arbitrary contents raise typed errors only, and no error holds a part of the code."""
    from protocols.invitation import code as module

    text = module.PREFIX + module.base64.b32encode(data + module._checksum(data)).decode().rstrip("=")
    try:
        invitation = parse_invitation(text)
    except PeerError as error:
        pieces = {text[start : start + 6] for start in range(len(text) - 6)}
        assert not any(piece in str(error) for piece in pieces)
        return
    assert encode_invitation(invitation) == text


@given(text=st.text(max_size=60) | st.text("SN123ABC -", max_size=60))
def test_parsing_arbitrary_text(text: str) -> None:
    """I1: typed errors only."""
    with pytest.raises(PeerError):
        parse_invitation(text)


def test_the_secret_shows_nowhere() -> None:
    """I3: not in a repr, not in the ticket, not in what goes to disk, and neither does the one-time private key."""
    inviter = Inviter()
    invitation = inviter.invite()
    assert invitation.secret.hex() not in repr(invitation)
    assert repr(invitation.secret) not in repr(invitation)
    (ticket,) = inviter.disk.values()
    stored = msgspec.msgpack.encode(ticket)
    for secret in (invitation.secret, one_time_identity(invitation).private_key().private_bytes_raw()):
        assert secret not in stored
    assert repr(ticket.proof_key) not in repr(ticket)
    assert ticket.proof_key.hex() not in repr(ticket)


@pytest.mark.parametrize(
    "changes",
    [{"id": bytes(8)}, {"secret": bytes(16)}, {"federation": bytes(32)}, {"inviter": MEMBER.node}],
    ids=lambda changes: next(iter(changes)),
)
def test_the_keys_belong_to_one_invitation(changes: dict[str, object]) -> None:
    """I3: both follow from the secret and from all that the invitation names, and neither from the other."""
    mine, other = some_invitation(), replace(some_invitation(), **changes)  # type: ignore[arg-type]
    assert one_time_identity(mine).node == one_time_identity(some_invitation()).node
    assert one_time_identity(mine).node != one_time_identity(other).node
    assert proof_key(mine) != proof_key(other)
    assert proof_key(mine) != one_time_identity(mine).private_key().private_bytes_raw()
