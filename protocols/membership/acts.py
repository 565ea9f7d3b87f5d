"""The records by which people act on membership: a node describes itself, others vouch, admit, revoke.

Each gives a signed record that is to be published (`records.events.Publish`); whether it stands is judged there, like
everybody else's. What could never stand is refused here, in words for who asked.
"""

from __future__ import annotations

import msgspec

from protocols.errors import LocalError
from protocols.identity import Identity, NodeId
from protocols.membership.bodies import (
    KEEPS_MAX,
    REASON_CHARS_MAX,
    Admission,
    Node,
    Revocation,
    Voucher,
    check_node,
    is_plain,
)
from protocols.membership.kinds import ADMISSION, NODE, REVOCATION, VOUCHER
from protocols.membership.roster import Roster
from protocols.records.record import FIRST, Record, record_digest, sign_record
from protocols.records.store import RecordStore


def describe(identity: Identity, federation: bytes, node: Node, *, sequence: int = FIRST) -> Record:
    """A node's record about itself. Raises `LocalError` if a name or endpoint is not allowed."""
    record = sign_record(identity, federation, NODE, identity.node, node, sequence=sequence)
    fault = check_node(record, node)
    if fault is not None:
        raise LocalError(f"this node cannot describe itself so: {fault}")
    return record


def vouch(identity: Identity, store: RecordStore, candidate: Record) -> Record:
    """This member's word that people compared the words with the candidate. candidate: its node record."""
    digest = record_digest(store.authority.federation, candidate)
    sequence = store.next_sequence(VOUCHER, identity.node, candidate.author)
    return sign_record(
        identity, store.authority.federation, VOUCHER, candidate.author, Voucher(digest), sequence=sequence
    )


def admit(identity: Identity, roster: Roster, store: RecordStore, candidate: Record) -> Record:
    """This steward's vote for the candidate. candidate: its node record. Raises `LocalError` if this is no steward."""
    if not roster.steward(identity.node):
        raise LocalError(f"only stewards admit: {', '.join(roster.stewards)}")
    if roster.revoked(candidate.author):
        raise LocalError(f"{candidate.author} was revoked; a revoked key never comes back")
    about = msgspec.msgpack.decode(candidate.body, type=Node)
    body = Admission(record_digest(roster.federation, candidate), about.name, about.organisation)
    sequence = store.next_sequence(ADMISSION, identity.node, candidate.author)
    return sign_record(identity, roster.federation, ADMISSION, candidate.author, body, sequence=sequence)


def revoke(identity: Identity, roster: Roster, store: RecordStore, node: NodeId, reason: str) -> Record:
    """End a node's membership for good, by a steward or by itself. What it wrote until now, as held here, still stands.

    Raises `LocalError` if this node may not revoke that one, or has done so already.
    """
    if node != identity.node and not roster.steward(identity.node):
        raise LocalError(f"only stewards revoke others: {', '.join(roster.stewards)}")
    if not roster.known(node):
        raise LocalError(f"{node} is not known in this federation")
    if len(reason) > REASON_CHARS_MAX or not is_plain(reason):
        raise LocalError(f"a reason is one line of at most {REASON_CHARS_MAX} characters")
    if store.get(REVOCATION, identity.node, node) is not None:
        raise LocalError(f"{node} was revoked by this node already")
    kept = [held.digest for held in store.find(author=node)][:KEEPS_MAX]
    return sign_record(identity, roster.federation, REVOCATION, node, Revocation(reason, tuple(sorted(kept))))
