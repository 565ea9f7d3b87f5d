"""The charter: what a federation is founded on, for good.

A federation's id is the digest of its charter's content (name, stewards, numbers, founder, but not the signature bytes:
one founder can sign one content in many ways, and these are one federation). Who holds the id, from an invitation,
can therefore check a charter that anybody hands over, and nothing in it can be changed later.

Stewards admit and revoke. Each stands for another organisation, so that a vote of a steward is a vote of an
organisation. They are members by the charter. If one is revoked, its seat stays empty; the quorum is not lowered, for
else one steward could revoke the others and admit whom it likes. With fewer stewards left than the quorum, nobody can
be admitted any more; those who are members stay and go on, and found anew when they want to grow.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId, public_key_bytes
from protocols.membership.bodies import Name, is_plain
from protocols.message import Count, Id, Message
from protocols.records.record import CHARTER, FIRST, NO_FEDERATION, Record, check_signature, record_digest, sign_record

STEWARDS_MAX: Final = 16
"""Stewards of a federation: people who know each other and answer the telephone."""
MIN_COHORT: Final = 3
"""The least cohort a charter may set: with two, each sees the other's vector."""
MIN_COHORT_MAX: Final = 128
"""The largest it may set: no cohort has more members."""


class Steward(Message, frozen=True):
    """One who may admit and revoke. node: its key. organisation: whom it stands for."""

    node: Id
    organisation: Name


class Charter(Message, frozen=True):
    """The body of the founding record, signed by one of the stewards; subject empty, sequence 1.

    name: of the federation. stewards: in the order of precedence for display. admit_quorum: how many of them must
    admit a node. min_cohort: no job has fewer members. created_s: seconds since the epoch, as the founder's clock says.
    """

    name: Name
    stewards: Annotated[tuple[Steward, ...], msgspec.Meta(min_length=1, max_length=STEWARDS_MAX)]
    admit_quorum: Annotated[int, msgspec.Meta(ge=1, le=STEWARDS_MAX)]
    min_cohort: Annotated[int, msgspec.Meta(ge=MIN_COHORT, le=MIN_COHORT_MAX)]
    created_s: Count


def check_charter(record: Record, body: Charter) -> str | None:
    """What is wrong with a charter, or None."""
    nodes = [steward.node for steward in body.stewards]
    organisations = {steward.organisation.casefold() for steward in body.stewards}
    if record.subject != "" or record.sequence != FIRST:
        return "a charter has no subject and is said once"
    if len(set(nodes)) != len(nodes) or len(organisations) != len(nodes):
        return "two stewards are one node or one organisation"
    if record.author not in nodes:
        return "the founder is no steward"
    if body.admit_quorum > len(nodes):
        return f"{body.admit_quorum} stewards must admit, and there are {len(nodes)}"
    if not all(map(is_plain, (body.name, *(steward.organisation for steward in body.stewards)))):
        return "a name holds characters that cannot be shown"
    return _bad_node(nodes)


def _bad_node(nodes: list[NodeId]) -> str | None:
    try:
        for node in nodes:
            public_key_bytes(node)
    except PeerError as error:
        return f"the id of a steward: {error.detail}"
    return None


def found(identity: Identity, charter: Charter) -> Record:
    """The founding record. Raises `LocalError` if the charter makes no sense."""
    record = sign_record(identity, NO_FEDERATION, CHARTER, "", charter)
    try:
        read_charter(record)
    except PeerError as error:
        raise LocalError(f"no charter: {error.detail}") from None
    return record


def federation_of(record: Record) -> bytes:
    """The id of the federation that this charter founds: 32 bytes."""
    return record_digest(NO_FEDERATION, record)


def read_charter(record: Record) -> Charter:
    """The charter in a founding record, its signature checked.

    Raises `PeerError`: ``malformed``, ``bad_signature``, ``bad_node_id``, ``weak_key``.
    """
    if record.kind != CHARTER:
        raise PeerError("malformed", "not a charter")
    try:
        body = msgspec.msgpack.decode(record.body, type=Charter)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise PeerError("malformed", "not a charter") from None
    fault = check_charter(record, body)
    if fault is not None:
        raise PeerError("malformed", fault)
    check_signature(NO_FEDERATION, record)
    return body


def steward_nodes(charter: Charter) -> tuple[NodeId, ...]:
    """The stewards' ids, in the charter's order."""
    return tuple(steward.node for steward in charter.stewards)
