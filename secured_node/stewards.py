"""What a federation can still do with the stewards that are left, in words."""

from __future__ import annotations

from collections.abc import Collection

from protocols.identity import NodeId
from protocols.membership.roster import Roster


def lost_with(roster: Roster, left: Collection[NodeId]) -> str:
    """What a federation can never do again with these stewards alone; empty if nothing. A charter names no others."""
    if not left:
        return "no steward is left, and so this federation never admits or revokes anybody again"
    quorum = roster.charter.admit_quorum
    if len(left) >= quorum:
        return ""
    return f"{quorum} stewards must admit a newcomer, {len(left)} can: this federation never admits anybody again"
