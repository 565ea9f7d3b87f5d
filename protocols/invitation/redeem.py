"""The newcomer's side of joining: from the code, what to send and what to show; from the reply, whom to believe.

The newcomer trusts the code and nothing else. The link's other end must hold the inviter's key (the driver compares it
before the first byte), the charter must have the digest that the code names, and being a member must follow from
the stewards' signatures, not from the reply's word.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import PeerError
from protocols.identity import Identity
from protocols.invitation.code import Invitation
from protocols.invitation.keys import one_time_identity, proof_key, prove
from protocols.invitation.messages import JoinReply, JoinRequest, JoinState
from protocols.membership.acts import describe
from protocols.membership.bodies import Node
from protocols.membership.charter import federation_of
from protocols.membership.store import open_store
from protocols.records.kind import Kinds
from protocols.records.record import Record, record_digest
from protocols.words import words_to_compare


@dataclass(frozen=True, slots=True)
class Redemption:
    """A code in use by one newcomer.

    invitation: what the code says. one_time: the key for the link. request: what to send until the answer is final.
    words: what the screen shows, to be compared with the inviter's.
    """

    invitation: Invitation
    one_time: Identity
    request: JoinRequest
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Welcome:
    """The newcomer is a member.

    charter: of the federation. records: what stands of those that the inviter sent, its own membership among them.
    """

    charter: Record
    records: tuple[Record, ...]


def redeem(invitation: Invitation, identity: Identity, node: Node) -> Redemption:
    """Use a code. identity: the newcomer's own key. node: how it describes itself; the same on every try.

    Raises `LocalError` if a name or endpoint is not allowed.
    """
    federation = invitation.federation
    record = describe(identity, federation, node)
    one_time = one_time_identity(invitation)
    proof = prove(
        proof_key(invitation),
        federation,
        invitation.id,
        inviter=invitation.inviter,
        one_time=one_time.node,
        record=record,
    )
    words = words_to_compare(
        federation, invitation.id, invitation.inviter, identity.node, record_digest(federation, record)
    )
    return Redemption(invitation, one_time, JoinRequest(invitation.id, record, proof), words)


def check_reply(redemption: Redemption, reply: JoinReply, kinds: Kinds) -> Welcome | None:
    """What a reply means: a welcome, or None while people are waited for.

    Raises `PeerError`: ``join_refused`` with the inviter's reason, ``bad_reply`` if the reply does not hold together.
    """
    if reply.state is JoinState.REFUSED:
        raise PeerError("join_refused", reply.reason)
    if reply.charter is None or federation_of(reply.charter) != redemption.invitation.federation:
        raise PeerError("bad_reply", "the charter is not that of the federation that the invitation names")
    store, roster = open_store(reply.charter, kinds)
    if reply.state is JoinState.WAITING:
        return None
    for record in reply.records:
        store.add(record)
    for node in (redemption.request.record.author, redemption.invitation.inviter):
        if not roster.allowed(node):
            raise PeerError("bad_reply", f"the records sent do not make a member of {node}")
    return Welcome(reply.charter, tuple(held.record for held in store.find()))
