"""The two messages of joining: what the newcomer asks, and what it is told. They travel on the one-time link alone."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import msgspec

from protocols.invitation.code import ID_BYTES
from protocols.membership.bodies import REASON_CHARS_MAX
from protocols.message import Message
from protocols.records.record import Record

PROOF_BYTES: Final = 32
"""HMAC-SHA256, in full."""
WELCOME_RECORDS_MAX: Final = 128
"""Records of a reply: the votes for two nodes by 16 stewards (32, doubled if all forked) and 18 node records."""

JOIN_REQUEST_BYTES_MAX: Final = 4 * 1024
"""A node record (body of 2 KiB, 300 bytes around it), an id and a proof."""
JOIN_REPLY_BYTES_MAX: Final = 192 * 1024
"""A charter of 8.5 KiB, 64 admissions of 1.3 KiB, 18 node records of 2.3 KiB: 135 KiB, and room."""

InvitationId = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Proof = Annotated[bytes, msgspec.Meta(min_length=PROOF_BYTES, max_length=PROOF_BYTES)]


class JoinRequest(Message, frozen=True):
    """The newcomer shows that it holds the code, and says who it is. Sent again until it is answered for good.

    invitation: its id. record: the newcomer's signed node record. proof: see `keys.prove`.
    """

    invitation: InvitationId
    record: Record
    proof: Proof


class JoinState(Enum):
    """How far a newcomer has come."""

    WAITING = "waiting"
    """For people: the words are to be compared, or stewards are to vote."""
    APPROVED = "approved"
    """It is a member; the records that it needs to start are in the reply."""
    REFUSED = "refused"
    """For good; the reason is in the reply."""


class JoinReply(Message, frozen=True):
    """What the inviter knows of the newcomer's case.

    state: how far it has come. reason: what is waited for, or why it was refused. charter: of the federation; None if
    refused. records: when approved, what the newcomer needs to know its first peers, in the order to accept them.
    """

    state: JoinState
    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARS_MAX)] = ""
    charter: Record | None = None
    records: Annotated[tuple[Record, ...], msgspec.Meta(max_length=WELCOME_RECORDS_MAX)] = ()
