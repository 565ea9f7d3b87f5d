"""Joining as the inviter's desk and an honest newcomer live it: asking, waiting, approval, restarts, time, bounds."""

from __future__ import annotations

import msgspec
import pytest

from protocols.core import Persist, Send
from protocols.errors import LocalError, PeerError
from protocols.invitation.desk import PENDING_MAX, TICKETS_MAX, Announce, Asked
from protocols.invitation.messages import JoinReply, JoinState
from protocols.invitation.redeem import check_reply
from protocols.invitation.ticket import KEEP_S, WAIT_S_MAX, State
from protocols.kinds import KINDS
from protocols.membership.acts import admit, revoke
from protocols.membership.kinds import ADMISSION, VOUCHER
from protocols.membership.store import open_store
from tests.unit.invitation_kit import (
    MEMBER,
    NEWCOMER,
    SECOND,
    STEWARD,
    THIEF,
    Inviter,
    codes,
    newcomer,
    parse_again,
    reply_of,
)
from tests.unit.membership_kit import charter_of, node_record


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


def test_a_member_that_is_revoked_before_it_fetched_its_welcome() -> None:
    """I12: the answer follows the roster."""
    inviter = Inviter()
    one = newcomer(inviter.invite())
    inviter.ask(one)
    inviter.carry_out(inviter.desk.approve(NEWCOMER.node, inviter.now_s))
    inviter.store.add(revoke(SECOND, inviter.roster, inviter.store, NEWCOMER.node, "mistake"))
    with pytest.raises(PeerError, match="was revoked"):
        check_reply(one, reply_of(inviter.ask(one)), KINDS)
