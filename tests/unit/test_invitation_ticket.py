"""The states of an invitation, and the picture of them."""

from __future__ import annotations

import re

import pytest

from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.invitation import ticket as ticket_module
from protocols.invitation.ticket import TRANSITIONS, Move, State, Ticket, moved


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
