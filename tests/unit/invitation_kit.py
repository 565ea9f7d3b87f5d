"""An inviter's desk without a daemon, and newcomers who use its codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from protocols import wire
from protocols.core import Effect, Persist, Refused, Send
from protocols.identity import Identity
from protocols.invitation.code import (
    Invitation,
    encode_invitation,
    parse_invitation,
)
from protocols.invitation.desk import EXPIRES_S, Alarm, Announce, Desk, Forget
from protocols.invitation.keys import proof_key
from protocols.invitation.messages import JoinReply, JoinRequest
from protocols.invitation.redeem import Redemption, redeem
from protocols.invitation.ticket import Ticket
from protocols.kinds import KINDS
from protocols.membership.acts import admit
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


def some_invitation() -> Invitation:
    """An invitation."""
    return Invitation(b"\x01" * 8, b"\x02" * 16, b"\x03" * 32, STEWARD.node, ENDPOINTS)


def parse_again(one: Redemption) -> Invitation:
    """The code in somebody else's hands."""
    return parse_invitation(encode_invitation(one.invitation))


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
