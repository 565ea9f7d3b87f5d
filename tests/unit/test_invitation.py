"""Joining: the code, its keys, the newcomer's side, the inviter's side, and those who got hold of a code."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import wire
from protocols.core import Effect, Persist, Refused, Send
from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId
from protocols.invitation import ticket as ticket_module
from protocols.invitation.code import (
    CODE_CHARS_MAX,
    PREFIX,
    Invitation,
    encode_invitation,
    parse_invitation,
)
from protocols.invitation.desk import EXPIRES_S, PENDING_MAX, TICKETS_MAX, Alarm, Announce, Asked, Desk, Forget
from protocols.invitation.keys import one_time_identity, proof_key
from protocols.invitation.messages import JoinReply, JoinRequest, JoinState
from protocols.invitation.redeem import Redemption, check_reply, redeem
from protocols.invitation.ticket import KEEP_S, LATER_MAX, TRANSITIONS, WAIT_S_MAX, Move, State, Ticket, moved
from protocols.kinds import KINDS
from protocols.membership.acts import admit, revoke, vouch
from protocols.membership.kinds import ADMISSION, VOUCHER
from protocols.membership.store import open_store
from protocols.records.record import Record
from tests.unit.membership_kit import charter_of, identity, node_body, node_record

STEWARD, SECOND, MEMBER = (identity(number) for number in range(1, 4))
NEWCOMER, THIEF = identity(20), identity(21)
ENDPOINTS = ("node.basel.example:7000", "10.0.0.1:7000", "[2001:db8::1]:7000")
NOW_S = 1_800_000_000.0


class Inviter:
    """A desk with its store, a clock set by hand and a disk that is a list."""

    def __init__(self, who: Identity = STEWARD, quorum: int = 1) -> None:
        self.who = who
        self.store, self.roster = open_store(charter_of((STEWARD, SECOND), quorum), KINDS)
        if who is MEMBER:
            about = node_record(MEMBER, self.roster, "Inviter")
            for steward in (STEWARD, SECOND):
                self.store.add(admit(steward, self.roster, self.store, about))
        self.desk = Desk(who, self.roster, self.store)
        self.disk: dict[bytes, Ticket] = {}
        self.now_s = NOW_S
        self._drawn = 0

    def draw(self, count: int) -> bytes:
        """Bytes that differ each time."""
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

    def invite(self, expires_s: float = EXPIRES_S) -> Invitation:
        """A new invitation, through its code."""
        code, effects = self.desk.issue(
            ENDPOINTS, self.now_s, self.draw, certify=lambda one: one.sign(b"certificate"), expires_s=expires_s
        )
        self.carry_out(effects)
        return parse_invitation(code)

    def ask(self, redemption: Redemption, **changes: object) -> list[Effect]:
        """What the desk does about a newcomer's request."""
        request = msgspec.structs.replace(redemption.request, **changes)
        message = wire.decode(wire.encode(request))
        assert isinstance(message, JoinRequest)
        effects = list(self.desk.receive(redemption.one_time.node, message, self.now_s))
        assert isinstance(effects[-1], Send), "every request is answered, after all that is to be durable (I10)"
        self.carry_out(effects)
        return effects

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Write what is to be persisted, publish what is to be announced."""
        for effect in effects:
            if isinstance(effect, Persist):
                assert isinstance(effect.fact, Ticket)
                self.disk[effect.fact.id] = msgspec.msgpack.decode(msgspec.msgpack.encode(effect.fact), type=Ticket)
            elif isinstance(effect, Forget):
                del self.disk[effect.invitation]
            elif isinstance(effect, Announce):
                for record in effect.records:
                    added = self.store.add(record)
                    assert added.code == ""

    def restart(self) -> None:
        """Lose all but the disk."""
        self.desk = Desk(self.who, self.roster, self.store, self.disk.values())


def newcomer(invitation: Invitation, who: Identity = NEWCOMER, name: str = "Zurich") -> Redemption:
    """Somebody uses a code."""
    return redeem(invitation, who, node_body(name, "zurich.example:7000"))


def reply_of(effects: Sequence[Effect]) -> JoinReply:
    """What the newcomer is told, through the wire."""
    (sent,) = [effect for effect in effects if isinstance(effect, Send)]
    message = wire.decode(wire.encode(sent.message))
    assert isinstance(message, JoinReply)
    return message


def codes(effects: Sequence[Effect]) -> list[str]:
    """What is refused and alarmed."""
    return [effect.code for effect in effects if isinstance(effect, Refused | Alarm)]


# --- The code ---------------------------------------------------------------------------------------------------------


def some_invitation() -> Invitation:
    """An invitation."""
    return Invitation(b"\x01" * 8, b"\x02" * 16, b"\x03" * 32, STEWARD.node, ENDPOINTS)


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


# --- The way of an honest newcomer ------------------------------------------------------------------------------------


def test_joining_with_one_steward() -> None:
    """I4, I5, I12: asks, waits, is approved by the steward who invited, and believes the records."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    effects = inviter.ask(one)
    assert [type(effect) for effect in effects] == [Persist, Asked, Send]
    asked = effects[1]
    assert isinstance(asked, Asked)
    assert (asked.joiner, asked.name, asked.organisation) == (NEWCOMER.node, "Zurich", "Hospital Zurich")
    assert asked.words == one.words
    assert check_reply(one, reply_of(effects), KINDS) is None
    approved = inviter.desk.approve(NEWCOMER.node, inviter.now_s)
    assert [type(effect) for effect in approved] == [Announce, Persist]
    inviter.carry_out(approved)
    assert inviter.roster.allowed(NEWCOMER.node)
    welcome = check_reply(one, reply_of(inviter.ask(one)), KINDS)
    assert welcome is not None
    assert ADMISSION in {record.kind for record in welcome.records}
    store, roster = open_store(welcome.charter, KINDS)
    assert store.restore(welcome.records) == ()
    assert roster.allowed(NEWCOMER.node)


def test_joining_through_a_member_needs_the_stewards() -> None:
    """I12: a member vouches, two stewards vote; until then the newcomer is told how many have."""
    inviter = Inviter(MEMBER, quorum=2)
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    assert [held.record.author for held in inviter.store.find(VOUCHER)] == [MEMBER.node]
    assert inviter.roster.candidates() == (NEWCOMER.node,)
    about = inviter.store.get("node", NEWCOMER.node, NEWCOMER.node)
    assert about is not None
    for votes, steward in enumerate((STEWARD, SECOND)):
        reply = reply_of(inviter.ask(one))
        assert (reply.state, reply.reason) == (JoinState.WAITING, f"{votes} of 2 stewards have admitted this node")
        inviter.store.add(admit(steward, inviter.roster, inviter.store, about.record))
    assert check_reply(one, reply_of(inviter.ask(one)), KINDS) is not None


def test_the_same_newcomer_may_ask_again_and_again() -> None:
    """I5: polling changes nothing and always gets the present answer."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    for _ in range(3):
        effects = inviter.ask(one)
        assert [type(effect) for effect in effects] == [Send]
        assert reply_of(effects).state is JoinState.WAITING


def test_a_refusal_is_told_with_its_reason() -> None:
    """I12: the inviter says no."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.refuse(NEWCOMER.node, "we do not know you", inviter.now_s))
    with pytest.raises(PeerError, match="we do not know you"):
        check_reply(one, reply_of(inviter.ask(one)), KINDS)
    assert not inviter.roster.known(NEWCOMER.node)
    with pytest.raises(LocalError, match="does not wait"):
        inviter.desk.approve(NEWCOMER.node, inviter.now_s)


def test_everything_survives_a_restart() -> None:
    """I10, I16: after each step the disk alone is enough."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.restart()
    assert inviter.desk.trusted() == {one.one_time.node: one.one_time.sign(b"certificate")}
    inviter.ask(one)
    inviter.restart()
    assert reply_of(inviter.ask(one)).state is JoinState.WAITING
    assert inviter.desk.words(inviter.desk.tickets()[0]) == one.words
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    inviter.restart()
    assert reply_of(inviter.ask(one)).state is JoinState.APPROVED
    assert "already_used" in codes(inviter.ask(newcomer(parse_again(one), THIEF)))


def test_an_approval_cut_short_by_a_crash_can_be_given_again() -> None:
    """I16: the vote was durable, the ticket was not: the newcomer waits, and a second approval does no harm."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    announce, _ = inviter.desk.approve(NEWCOMER.node, inviter.now_s)
    inviter.carry_out([announce])
    inviter.restart()
    assert reply_of(inviter.ask(one)).state is JoinState.WAITING
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    assert reply_of(inviter.ask(one)).state is JoinState.APPROVED
    assert inviter.store.forks() == []


def parse_again(one: Redemption) -> Invitation:
    """The code in somebody else's hands."""
    return parse_invitation(encode_invitation(one.invitation))


# --- Codes in the wrong hands -----------------------------------------------------------------------------------------


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


def with_proof(one: Redemption, record: Record) -> JoinRequest:
    """A request about another record by somebody who holds the code."""
    from protocols.invitation.keys import prove

    proof = prove(
        proof_key(one.invitation),
        one.invitation.federation,
        one.invitation.id,
        inviter=one.invitation.inviter,
        one_time=one.one_time.node,
        record=record,
    )
    return JoinRequest(one.invitation.id, record, proof)


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


def test_a_member_that_is_revoked_before_it_fetched_its_welcome() -> None:
    """I12: the answer follows the roster."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    inviter.store.add(revoke(SECOND, inviter.roster, inviter.store, NEWCOMER.node, "mistake"))
    with pytest.raises(PeerError, match="was revoked"):
        check_reply(one, reply_of(inviter.ask(one)), KINDS)


# --- The newcomer believes nobody -------------------------------------------------------------------------------------


def test_a_lying_inviter_is_not_believed() -> None:
    """I13: another charter, no charter, an approval without votes: membership follows from signatures only."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    charter = inviter.store.find("charter")[0].record
    elsewhere = charter_of((STEWARD, SECOND), 2)
    records = (node_record(NEWCOMER, inviter.roster, "Zurich"),)
    for reply in (
        JoinReply(JoinState.APPROVED),
        JoinReply(JoinState.WAITING, "", elsewhere),
        JoinReply(JoinState.APPROVED, "", elsewhere),
        JoinReply(JoinState.APPROVED, "", charter),
        JoinReply(JoinState.APPROVED, "", charter, records),
    ):
        with pytest.raises(PeerError, match="bad_reply"):
            check_reply(one, reply, KINDS)
    unsigned = msgspec.structs.replace(charter, signature=bytes(64))
    with pytest.raises(PeerError, match="bad_signature"):
        check_reply(one, JoinReply(JoinState.WAITING, "", unsigned), KINDS)


# --- Time and bounds --------------------------------------------------------------------------------------------------


def test_an_unused_code_expires() -> None:
    """I9: after its time it lets nobody in, by the inviter's clock alone."""
    inviter = Inviter()
    one = newcomer(inviter.invite(600.0))
    assert inviter.desk.wake_at_s == inviter.now_s + 600.0
    inviter.now_s += 600.0
    effects = inviter.ask(one)
    assert [type(effect) for effect in effects] == [Persist, Send]
    assert reply_of(effects).reason == "the invitation has expired"
    assert inviter.disk[one.invitation.id].state is State.EXPIRED


def test_who_waits_has_time_and_not_for_ever() -> None:
    """I9: the code's expiry is for its first use; people have two weeks; then all is closed, and later forgotten."""
    inviter = Inviter()
    one = newcomer(inviter.invite(600.0))
    inviter.ask(one)
    inviter.now_s += 86400.0
    assert inviter.desk.expire(inviter.now_s) == []
    assert reply_of(inviter.ask(one)).state is JoinState.WAITING
    inviter.now_s += WAIT_S_MAX
    inviter.carry_out(inviter.desk.expire(inviter.now_s))
    assert inviter.disk[one.invitation.id].state is State.EXPIRED
    assert reply_of(inviter.ask(one)).state is JoinState.REFUSED
    inviter.now_s += KEEP_S
    inviter.carry_out(inviter.desk.expire(inviter.now_s))
    assert inviter.disk == {}
    assert inviter.desk.trusted() == {}
    assert inviter.desk.wake_at_s is None
    assert codes(inviter.ask(one)) == ["unknown_invitation"]


def test_a_withdrawn_code_is_good_for_nothing() -> None:
    """I9: people can burn a code that went astray."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.carry_out(inviter.desk.withdraw(one.invitation.id, inviter.now_s))
    assert "withdrawn" in reply_of(inviter.ask(one)).reason
    with pytest.raises(LocalError, match="cannot be withdrawn"):
        inviter.desk.withdraw(one.invitation.id, inviter.now_s)
    with pytest.raises(LocalError, match="no invitation"):
        inviter.desk.withdraw(b"\xff" * 8, inviter.now_s)


def test_pending_invitations_and_tickets_are_bounded() -> None:
    """I17: people are told to clear their desk; old closed tickets give way to new ones."""
    inviter = Inviter()
    for _ in range(PENDING_MAX):
        inviter.invite()
    with pytest.raises(LocalError, match="waiting already"):
        inviter.invite()
    for _ in range(TICKETS_MAX):
        pending = [ticket for ticket in inviter.desk.tickets() if ticket.pending]
        inviter.carry_out(inviter.desk.withdraw(pending[0].id, inviter.now_s))
        inviter.invite()
    assert len(inviter.desk.tickets()) == len(inviter.disk) == TICKETS_MAX


@pytest.mark.parametrize("expires_s", [0.0, -1.0, 15 * 86400.0, float("nan")])
def test_a_code_lives_between_a_moment_and_two_weeks(expires_s: float) -> None:
    """I17: our own mistakes are loud."""
    with pytest.raises(LocalError):
        Inviter().invite(expires_s)


def test_a_reason_is_one_line() -> None:
    """I17: what is sent fits."""
    inviter = Inviter()
    inviter.ask(newcomer(inviter.invite()))
    for reason in ("x" * 201, "a\nb"):
        with pytest.raises(LocalError, match="one line"):
            inviter.desk.refuse(NEWCOMER.node, reason, inviter.now_s)


# --- The table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", Move)
def test_an_invitation_moves_by_the_table_only(state: State, move: Move) -> None:
    """I15: what the table does not have is a bug, and loud; what is closed stays closed."""
    ticket = Ticket(bytes(8), NodeId(""), b"", bytes(32), state, 0.0)
    expected = TRANSITIONS.get((state, move))
    if expected is None:
        with pytest.raises(LocalError, match="cannot be"):
            moved(ticket, move, 0.0)
    else:
        assert moved(ticket, move, 0.0).state is expected
    assert ticket.pending or expected is None


def test_the_diagram_is_the_table() -> None:
    """I15: the picture in the module's docstring shows each row, and no others."""
    drawn = set()
    for line in (ticket_module.__doc__ or "").splitlines():
        row = re.match(r"    (\w+(?:, \w+)*) +-- ([a-z ,]+) -+> (\w+)", line)
        if row is None:
            continue
        for state in row[1].split(", "):
            for move in row[2].split(", "):
                drawn.add((State(state), Move(move), State(row[3])))
    assert drawn == {(state, move, after) for (state, move), after in TRANSITIONS.items()}


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
