"""The inviter's memory of one invitation, and the table of what may become of it.

    open      -- first use --> waiting     somebody with the code asked; people compare the words
    open      -- expired ----> expired
    waiting   -- approved ---> approved    this node gave its word or its vote; stewards may still have to
    waiting   -- refused ----> refused
    waiting   -- expired ----> expired     nobody decided for two weeks
    open, waiting -- wrong proof, withdrawn --> burnt

What is approved, refused, expired or burnt stays so. A ticket is kept for a month after that, so that a later use of
the code is known for what it is, and then forgotten.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.records.record import Record

WAIT_S_MAX: Final = 14 * 86400.0
"""Seconds that a newcomer waits for people: a fortnight of holidays."""
KEEP_S: Final = 30 * 86400.0
"""Seconds that a closed ticket is kept: who uses an old code after a month is told only that it is not known."""
LATER_MAX: Final = 8
"""Later users of one code that are named and alarmed; further ones are only counted."""


class State(Enum):
    """Where an invitation stands."""

    OPEN = "open"
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    BURNT = "burnt"


class Move(Enum):
    """What moves an invitation."""

    FIRST_USE = "first use"
    APPROVE = "approved"
    REFUSE = "refused"
    EXPIRE = "expired"
    WRONG_PROOF = "wrong proof"
    WITHDRAW = "withdrawn"


TRANSITIONS: Final = {
    (State.OPEN, Move.FIRST_USE): State.WAITING,
    (State.OPEN, Move.EXPIRE): State.EXPIRED,
    (State.OPEN, Move.WRONG_PROOF): State.BURNT,
    (State.OPEN, Move.WITHDRAW): State.BURNT,
    (State.WAITING, Move.APPROVE): State.APPROVED,
    (State.WAITING, Move.REFUSE): State.REFUSED,
    (State.WAITING, Move.EXPIRE): State.EXPIRED,
    (State.WAITING, Move.WRONG_PROOF): State.BURNT,
    (State.WAITING, Move.WITHDRAW): State.BURNT,
}
"""All that may happen; what is not here may not."""


class Ticket(msgspec.Struct, frozen=True):
    """An invitation as its inviter remembers it, durably. It holds neither the secret nor the one-time private key.

    id: of the invitation. one_time: the key whose certificate the link accepts. certificate: the signature of that
    certificate, from which it can be rebuilt. proof_key: under which requests are proved; a secret, never shown.
    state: see above. until_s: when the state ends by itself, in seconds since the epoch. reason: why it was refused or
    burnt. record: the first user's node record. later: who else tried.
    """

    id: bytes
    one_time: NodeId
    certificate: bytes
    proof_key: bytes
    state: State
    until_s: float
    reason: str = ""
    record: Record | None = None
    later: tuple[NodeId, ...] = ()

    @property
    def joiner(self) -> NodeId | None:
        """Who used the code first."""
        return self.record.author if self.record is not None else None

    @property
    def pending(self) -> bool:
        """Whether anything can still come of it."""
        return self.state in (State.OPEN, State.WAITING)

    def __repr__(self) -> str:
        return f"Ticket({self.id.hex()}, {self.state.value}, joiner={self.joiner})"


def moved(ticket: Ticket, move: Move, now_s: float, *, reason: str = "", record: Record | None = None) -> Ticket:
    """The ticket after a move. Raises `LocalError` for a move that the table does not have."""
    state = TRANSITIONS.get((ticket.state, move))
    if state is None:
        raise LocalError(f"invitation {ticket.id.hex()} is {ticket.state.value}; it cannot be {move.value}")
    return msgspec.structs.replace(
        ticket,
        state=state,
        until_s=now_s + (WAIT_S_MAX if state is State.WAITING else KEEP_S),
        reason=reason,
        record=record if record is not None else ticket.record,
    )
