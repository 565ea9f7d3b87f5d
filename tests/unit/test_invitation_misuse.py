"""Codes in the wrong hands: used twice, stolen, proven wrongly, tried by scanners, filled with anything."""

from __future__ import annotations

import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import wire
from protocols.core import Persist, Refused, Send
from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.invitation.code import (
    encode_invitation,
    parse_invitation,
)
from protocols.invitation.desk import Alarm, Asked
from protocols.invitation.messages import JoinState
from protocols.invitation.redeem import check_reply
from protocols.invitation.ticket import LATER_MAX, State
from protocols.kinds import KINDS
from protocols.membership.acts import admit, revoke, vouch
from protocols.records.record import Record
from tests.unit.invitation_kit import (
    NEWCOMER,
    STEWARD,
    THIEF,
    Inviter,
    codes,
    newcomer,
    parse_again,
    reply_of,
    some_invitation,
    with_proof,
)
from tests.unit.membership_kit import identity, node_record


def test_invite_reuse() -> None:
    """I6 (invite_reuse): a used code lets nobody else in; the attempt is refused and alarmed, naming both."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    effects = inviter.ask(newcomer(parse_again(one), THIEF))
    (alarm,) = [effect for effect in effects if isinstance(effect, Alarm)]
    assert (alarm.first, alarm.later, alarm.code) == (NEWCOMER.node, THIEF.node, "already_used")
    assert reply_of(effects).state is JoinState.REFUSED
    assert not inviter.roster.known(THIEF.node)


def test_invite_theft() -> None:
    """I6, I14 (invite_theft): a thief that is first waits, shows other words, and is found when the owner comes."""
    inviter = Inviter()
    invitation = inviter.invite()
    thief, owner = newcomer(invitation, THIEF), newcomer(parse_invitation(encode_invitation(invitation)))
    (asked,) = [effect for effect in inviter.ask(thief) if isinstance(effect, Asked)]
    assert asked.words != owner.words
    effects = inviter.ask(owner)
    (alarm,) = [effect for effect in effects if isinstance(effect, Alarm)]
    assert (alarm.first, alarm.later) == (THIEF.node, NEWCOMER.node)
    with pytest.raises(PeerError, match="somebody else has used this invitation before"):
        check_reply(owner, reply_of(effects), KINDS)
    assert not inviter.roster.known(THIEF.node)


def test_an_alarm_is_given_once_for_each_and_not_without_end() -> None:
    """I6: a flood of later users is counted, not alarmed."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    alarms = 0
    for number in range(LATER_MAX + 5):
        late = newcomer(one.invitation, identity(300 + number))
        alarms += codes(inviter.ask(late)).count("already_used") - 1
        assert codes(inviter.ask(late)) == ["already_used"]
    assert alarms == LATER_MAX


@pytest.mark.parametrize("used", [False, True])
def test_invite_wrong_proof(used: bool) -> None:
    """I7 (invite_wrong_proof): it burns the invitation, used or not, and alarms; the code is good for nothing then."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    if used:
        inviter.ask(one)
    effects = inviter.ask(newcomer(one.invitation, THIEF), proof=bytes(32))
    assert [type(effect) for effect in effects] == [Persist, Alarm, Refused, Send]
    assert codes(effects) == ["wrong_proof", "wrong_proof"]
    assert inviter.disk[one.invitation.id].state is State.BURNT
    with pytest.raises(PeerError, match="join_refused: a wrong proof was given"):
        check_reply(one, reply_of(inviter.ask(one)), KINDS)
    assert codes(inviter.ask(one, proof=bytes(32))) == ["wrong_proof"]


def test_a_proof_over_another_link_is_wrong() -> None:
    """I7: the holder of one invitation cannot use another whose id it has seen; that burns it."""
    inviter = Inviter()
    one, other = newcomer(inviter.invite()), newcomer(inviter.invite(), THIEF)
    effects = inviter.desk.receive(other.one_time.node, one.request, inviter.now_s)
    assert codes(effects) == ["wrong_proof", "wrong_proof"]
    assert inviter.desk.tickets()[0].state is State.OPEN


def test_a_wrong_proof_takes_nothing_from_a_member() -> None:
    """I7: what is approved stays approved."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    assert codes(inviter.ask(one, proof=bytes(32))) == ["wrong_proof"]
    assert reply_of(inviter.ask(one)).state is JoinState.APPROVED


def test_scanners_without_the_code_burn_nothing() -> None:
    """I8: an id that is not known changes nothing."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    before = dict(inviter.disk)
    effects = inviter.ask(one, invitation=b"\xff" * 8)
    assert codes(effects) == ["unknown_invitation"]
    assert inviter.disk == before
    assert inviter.ask(one)[0] == Persist(inviter.desk.tickets()[0])


@pytest.mark.parametrize("field", ["author", "body", "signature"])
def test_the_proof_covers_the_record(field: str) -> None:
    """I7: nothing of the newcomer's record can be exchanged on the way."""
    inviter = Inviter()
    one, other = newcomer(inviter.invite()), newcomer(some_invitation(), THIEF, "Other")
    record = msgspec.structs.replace(one.request.record, **{field: getattr(other.request.record, field)})
    assert codes(inviter.ask(one, record=record)) == ["wrong_proof", "wrong_proof"]


def test_proofs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """I11: through `hmac.compare_digest`, with the whole proof."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    assert compared == [(one.request.proof, one.request.proof)]


def test_the_holder_of_a_code_sends_a_bad_record() -> None:
    """I4: a description that is forged, not of a newcomer, or revoked is refused; the code stays as it was."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    forged = msgspec.structs.replace(one.request.record, author=THIEF.node, subject=THIEF.node)
    bad = {
        "bad_signature": forged,
        "malformed": node_record(STEWARD, inviter.roster, "The inviter itself"),
        "unknown_kind": msgspec.structs.replace(one.request.record, kind="rumour"),
    }
    for why, record in bad.items():
        effects = inviter.desk.receive(one.one_time.node, with_proof(one, record), inviter.now_s)
        assert codes(effects) == [why]
        assert not [effect for effect in effects if isinstance(effect, Persist)]
    voucher = vouch(STEWARD, inviter.store, one.request.record)
    assert codes(inviter.desk.receive(one.one_time.node, with_proof(one, voucher), inviter.now_s)) == ["malformed"]
    itself = node_record(one.one_time, inviter.roster, "One-time")
    assert codes(inviter.desk.receive(one.one_time.node, with_proof(one, itself), inviter.now_s)) == ["malformed"]
    inviter.store.add(admit(STEWARD, inviter.roster, inviter.store, one.request.record))
    inviter.store.add(revoke(STEWARD, inviter.roster, inviter.store, NEWCOMER.node, "stolen"))
    assert codes(inviter.ask(one)) == ["revoked"]
    assert inviter.disk[one.invitation.id].state is State.OPEN


def test_a_forged_later_use_accuses_nobody() -> None:
    """I6: who holds the code cannot have an alarm name a node that did not sign."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    forged = msgspec.structs.replace(one.request.record, author=THIEF.node, subject=THIEF.node)
    effects = inviter.desk.receive(one.one_time.node, with_proof(one, forged), inviter.now_s)
    assert codes(effects) == ["bad_signature"]


def test_the_description_is_fixed_with_the_first_use() -> None:
    """I5, I14: the words cover it, so the same key with another description is refused, without alarm."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    other = newcomer(one.invitation, NEWCOMER, "Geneva")
    assert other.words != one.words
    assert codes(inviter.ask(other)) == ["changed_record"]


@given(data=st.binary(max_size=300), number=st.sampled_from([0x30, 0x31]))
def test_decoding_raises_peer_errors_only(data: bytes, number: int) -> None:
    """I18: arbitrary bytes under the type bytes of joining."""
    try:
        message = wire.decode(bytes((wire.VERSION, number)) + data)
    except PeerError:
        return
    assert wire.decode(wire.encode(message)) == message


@given(data=st.data())
def test_a_desk_never_raises_for_what_was_sent(data: st.DataObject) -> None:
    """I18: arbitrary well-typed requests, with or without the code, change nothing but by the rules."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    record = Record(
        data.draw(st.sampled_from(["node", "charter", "rumour"])),
        data.draw(st.sampled_from([NEWCOMER.node, STEWARD.node, NodeId("x" * 56)])),
        data.draw(st.sampled_from(["", NEWCOMER.node])),
        data.draw(st.integers(1, 2**62)),
        data.draw(st.binary(max_size=40) | st.just(one.request.record.body)),
        data.draw(st.binary(min_size=64, max_size=64)),
    )
    effects = inviter.desk.receive(one.one_time.node, with_proof(one, record), inviter.now_s)
    assert reply_of(effects).state is JoinState.REFUSED
    assert inviter.desk.tickets()[0].state is State.OPEN
