"""The inviter's side of joining: issues invitations, receives those who use them, and waits for people.

Rules. An invitation is for one newcomer. Who proves first that it holds the code has it and waits until people have
compared the words; the same newcomer may ask as often as it likes and always gets the present answer. Anybody else with
the code is refused, named and alarmed. A wrong proof for an invitation that this node knows burns it: who names its id
has seen a part of the code. An id that this node does not know burns nothing. Every change is persisted before the
answer that tells of it, and nothing is decided by any clock but the inviter's own: `now_s` is in seconds since the
epoch, because invitations outlive the process.

What this cannot express: an approval taken back (revoke the node), and an invitation for two.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from protocols.core import Draw, Effect, Persist, Refused, Send
from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId
from protocols.invitation.code import ID_BYTES, SECRET_BYTES, Invitation, encode_invitation
from protocols.invitation.keys import one_time_identity, proof_key, prove
from protocols.invitation.messages import JoinReply, JoinRequest, JoinState
from protocols.invitation.ticket import LATER_MAX, Move, State, Ticket, moved
from protocols.membership.acts import admit, vouch
from protocols.membership.bodies import REASON_CHARS_MAX, Node, is_plain
from protocols.membership.kinds import ADMISSION, NODE
from protocols.membership.roster import Roster
from protocols.records.record import CHARTER, Record, check_signature
from protocols.records.store import RecordStore
from protocols.words import words_to_compare

EXPIRES_S: Final = 86400.0
"""Seconds in which an invitation may be used first, unless its issuer says otherwise: a day."""
EXPIRES_S_MAX: Final = 14 * 86400.0
"""The longest an issuer may say."""
PENDING_MAX: Final = 64
"""Invitations of one node that wait at a time: more than anybody compares words for in a day."""
TICKETS_MAX: Final = 512
"""Tickets kept, pending or not; the oldest closed one gives way."""


@dataclass(frozen=True, slots=True)
class Forget(Effect):
    """Delete a ticket from disk. invitation: its id."""

    invitation: bytes


@dataclass(frozen=True, slots=True)
class Announce(Effect):
    """Hand these records to the exchange as `Publish`, and go on when they are durable. records: in their order."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Asked(Effect):
    """Somebody uses an invitation for the first time: people are to compare the words and then approve or refuse.

    invitation: its id. joiner: who. name, organisation: as it says itself. words: to be compared with its screen.
    """

    invitation: bytes
    joiner: NodeId
    name: str
    organisation: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alarm(Effect):
    """A code is in the wrong hands: people must be told.

    invitation: its id. first: who used it first, if anybody. later: who came now; with a wrong proof, who it says it
    is. code: ``already_used`` or ``wrong_proof``.
    """

    invitation: bytes
    first: NodeId | None
    later: NodeId
    code: str


class Desk:
    """The invitations of one node."""

    def __init__(self, identity: Identity, roster: Roster, store: RecordStore, tickets: Iterable[Ticket] = ()) -> None:
        """identity: of the inviter. roster, store: read only. tickets: those made durable before."""
        self._identity: Final = identity
        self._roster: Final = roster
        self._store: Final = store
        self._tickets: Final = {ticket.id: ticket for ticket in tickets}

    # --- For people -----------------------------------------------------------------------------------------------

    def issue(
        self,
        endpoints: tuple[str, ...],
        now_s: float,
        draw: Draw,
        *,
        certify: Callable[[Identity], bytes],
        expires_s: float = EXPIRES_S,
    ) -> tuple[str, Sequence[Effect]]:
        """A new invitation: its code, to be shown once and kept nowhere, and what to do before it is shown.

        endpoints: where this node can be dialled. certify: gives the signature of a key's certificate, for the link;
        the one-time key is forgotten after it. expires_s: seconds until it must have been used. Raises `LocalError`.
        """
        if not 0 < expires_s <= EXPIRES_S_MAX:
            raise LocalError(f"an invitation can be used for more than 0 and at most {EXPIRES_S_MAX / 3600:.0f} hours")
        if sum(ticket.pending for ticket in self._tickets.values()) >= PENDING_MAX:
            raise LocalError(f"{PENDING_MAX} invitations are waiting already: approve, refuse or withdraw some first")
        invitation = Invitation(
            draw(ID_BYTES), draw(SECRET_BYTES), self._roster.federation, self._identity.node, endpoints
        )
        code = encode_invitation(invitation)
        one_time = one_time_identity(invitation)
        key = proof_key(invitation)
        ticket = Ticket(invitation.id, one_time.node, certify(one_time), key, State.OPEN, now_s + expires_s)
        return code, [*self._make_room(), self._keep(ticket)]

    def approve(self, joiner: NodeId, now_s: float) -> Sequence[Effect]:
        """The words are the same: this node vouches for the newcomer or, if it is a steward, votes for it.

        Raises `LocalError` if the newcomer does not wait here, or was revoked.
        """
        ticket, record = self._waiting(joiner)
        if self._roster.steward(self._identity.node):
            word = admit(self._identity, self._roster, self._store, record)
        else:
            word = vouch(self._identity, self._store, record)
        return [Announce((word, record)), self._keep(moved(ticket, Move.APPROVE, now_s))]

    def refuse(self, joiner: NodeId, reason: str, now_s: float) -> Sequence[Effect]:
        """The newcomer is not wanted. reason: it will be told. Raises `LocalError` if it does not wait here."""
        ticket, _ = self._waiting(joiner)
        if len(reason) > REASON_CHARS_MAX or not is_plain(reason):
            raise LocalError(f"a reason is one line of at most {REASON_CHARS_MAX} characters")
        return [self._keep(moved(ticket, Move.REFUSE, now_s, reason=reason or "refused by the inviter"))]

    def withdraw(self, invitation: bytes, now_s: float) -> Sequence[Effect]:
        """The code shall be good for nothing any more. Raises `LocalError` if nothing waits under this id."""
        ticket = self._tickets.get(invitation)
        if ticket is None:
            raise LocalError(f"no invitation {invitation.hex()} is known here")
        return [self._keep(moved(ticket, Move.WITHDRAW, now_s, reason="the invitation was withdrawn"))]

    def tickets(self) -> tuple[Ticket, ...]:
        """All invitations remembered, those that end first first."""
        return tuple(sorted(self._tickets.values(), key=lambda ticket: (ticket.until_s, ticket.id)))

    def words(self, ticket: Ticket) -> tuple[str, ...]:
        """The words to compare for a ticket that was used. Raises `LocalError` for one that was not."""
        if ticket.record is None:
            raise LocalError(f"nobody has used invitation {ticket.id.hex()}")
        digest = self._store.digest_of(ticket.record)
        me, joiner = self._identity.node, ticket.record.author
        return words_to_compare(self._roster.federation, ticket.id, me, joiner, digest)

    # --- For the link ---------------------------------------------------------------------------------------------

    def trusted(self) -> dict[NodeId, bytes]:
        """The one-time keys that may reach `/join` and nothing else, with the signatures of their certificates.

        Those of closed invitations are among them, so that a later use is noticed and answered.
        """
        return {ticket.one_time: ticket.certificate for ticket in self._tickets.values()}

    @property
    def wake_at_s(self) -> float | None:
        """When the next ticket ends by itself, in seconds since the epoch."""
        return min((ticket.until_s for ticket in self._tickets.values()), default=None)

    def expire(self, now_s: float) -> Sequence[Effect]:
        """Close and forget what has had its time."""
        effects: list[Effect] = []
        for ticket in [ticket for ticket in self._tickets.values() if now_s >= ticket.until_s]:
            effects.append(self._expire(ticket, now_s))
        return effects

    def receive(self, sender: NodeId, request: JoinRequest, now_s: float) -> Sequence[Effect]:
        """A newcomer asks. sender: the one-time key at the other end of the link."""
        ticket = self._tickets.get(request.invitation)
        if ticket is None:
            return _turn_away(sender, "unknown_invitation", "this node has not issued the invitation, or long ago")
        effects: list[Effect] = []
        if ticket.pending and now_s >= ticket.until_s:
            effects.append(self._expire(ticket, now_s))
            ticket = self._tickets[ticket.id]
        if not self._proved(ticket, sender, request):
            return [*effects, *self._wrong_proof(ticket, sender, request.record.author, now_s)]
        if ticket.record != request.record:
            effects += self._use(ticket, sender, request.record, now_s)
        else:
            effects.append(Send(sender, self._answer(ticket)))
        return effects

    def _use(self, ticket: Ticket, sender: NodeId, record: Record, now_s: float) -> Sequence[Effect]:
        """Somebody who holds the code comes with a record that did not come before."""
        try:
            node = self._read(ticket, record)
        except PeerError as error:
            return _turn_away(sender, error.code, f"the newcomer's node record: {error.detail}")
        if ticket.state is State.OPEN:
            return self._first_use(ticket, sender, record, node, now_s)
        if ticket.joiner is None:
            return [Send(sender, self._answer(ticket))]
        if ticket.joiner == record.author:
            return _turn_away(sender, "changed_record", "the same newcomer, but it describes itself differently")
        return self._later_use(ticket, sender, record.author)

    def _read(self, ticket: Ticket, record: Record) -> Node:
        held = self._store.kinds.hold(self._roster.federation, record)
        if not isinstance(held.body, Node) or record.author in (self._identity.node, ticket.one_time):
            raise PeerError("malformed", "not a newcomer's node record")
        check_signature(self._roster.federation, record)
        return held.body

    def _proved(self, ticket: Ticket, sender: NodeId, request: JoinRequest) -> bool:
        proof = prove(
            ticket.proof_key,
            self._roster.federation,
            ticket.id,
            inviter=self._identity.node,
            one_time=ticket.one_time,
            record=request.record,
        )
        return sender == ticket.one_time and hmac.compare_digest(proof, request.proof)

    def _wrong_proof(self, ticket: Ticket, sender: NodeId, later: NodeId, now_s: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        if ticket.pending:
            reason = "a wrong proof was given for it"
            effects += [
                self._keep(moved(ticket, Move.WRONG_PROOF, now_s, reason=reason)),
                Alarm(ticket.id, ticket.joiner, later, "wrong_proof"),
            ]
        return [*effects, *_turn_away(sender, "wrong_proof", "the proof does not fit the invitation")]

    def _first_use(self, ticket: Ticket, sender: NodeId, record: Record, node: Node, now_s: float) -> Sequence[Effect]:
        if self._roster.revoked(record.author):
            return _turn_away(sender, "revoked", "this key was revoked; a node comes back with a new one")
        ticket = moved(ticket, Move.FIRST_USE, now_s, record=record)
        return [
            self._keep(ticket),
            Asked(ticket.id, record.author, node.name, node.organisation, self.words(ticket)),
            Send(sender, self._answer(ticket)),
        ]

    def _later_use(self, ticket: Ticket, sender: NodeId, later: NodeId) -> Sequence[Effect]:
        effects: list[Effect] = []
        if later not in ticket.later and len(ticket.later) < LATER_MAX:
            effects = [
                self._keep(msgspec.structs.replace(ticket, later=(*ticket.later, later))),
                Alarm(ticket.id, ticket.joiner, later, "already_used"),
            ]
        return [*effects, *_turn_away(sender, "already_used", "somebody else has used this invitation before")]

    def _answer(self, ticket: Ticket) -> JoinReply:
        if ticket.record is None or ticket.state in (State.REFUSED, State.EXPIRED, State.BURNT):
            return JoinReply(JoinState.REFUSED, ticket.reason)
        joiner = ticket.record.author
        if self._roster.revoked(joiner):
            return JoinReply(JoinState.REFUSED, "this key was revoked")
        charter = self._charter()
        if ticket.state is State.WAITING:
            return JoinReply(JoinState.WAITING, "waits until the words are compared and the inviter approves", charter)
        if not self._roster.allowed(joiner):
            votes, quorum = len(self._roster.votes(joiner)), self._roster.charter.admit_quorum
            return JoinReply(JoinState.WAITING, f"{votes} of {quorum} stewards have admitted this node", charter)
        return JoinReply(JoinState.APPROVED, "", charter, self._start(joiner))

    def _charter(self) -> Record:
        return self._store.find(CHARTER)[0].record

    def _start(self, joiner: NodeId) -> tuple[Record, ...]:
        """What a new member needs to know its inviter and the stewards; all else comes by exchange."""
        me = self._identity.node
        held = [one for node in dict.fromkeys((joiner, me)) for one in self._store.find(ADMISSION, subject=node)]
        for node in dict.fromkeys((joiner, me, *self._roster.stewards)):
            described = self._store.get(NODE, node, node)
            if described is not None and self._roster.allowed(node):
                held.append(described)
        return tuple(one.record for one in held)

    def _waiting(self, joiner: NodeId) -> tuple[Ticket, Record]:
        for ticket in self._tickets.values():
            if ticket.state is State.WAITING and ticket.record is not None and ticket.joiner == joiner:
                return ticket, ticket.record
        raise LocalError(f"{joiner} does not wait for approval here")

    # --- Memory ---------------------------------------------------------------------------------------------------

    def _keep(self, ticket: Ticket) -> Persist:
        self._tickets[ticket.id] = ticket
        return Persist(ticket)

    def _expire(self, ticket: Ticket, now_s: float) -> Effect:
        if ticket.pending:
            return self._keep(moved(ticket, Move.EXPIRE, now_s, reason="the invitation has expired"))
        del self._tickets[ticket.id]
        return Forget(ticket.id)

    def _make_room(self) -> Sequence[Effect]:
        closed = [ticket for ticket in self.tickets() if not ticket.pending]
        if len(self._tickets) < TICKETS_MAX or not closed:
            return ()
        del self._tickets[closed[0].id]
        return (Forget(closed[0].id),)


def _turn_away(sender: NodeId, code: str, reason: str) -> Sequence[Effect]:
    return [Refused(sender, code, reason), Send(sender, JoinReply(JoinState.REFUSED, reason))]
