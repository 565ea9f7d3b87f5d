"""What each peer was told a moment ago: asking again at once draws nothing, and nobody can fill the list for others."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from protocols.identity import NodeId

ITEMS_PER_PEER_MAX: Final = 4096
"""Items remembered of one peer: one Ask of the largest cohort (128) names half as many that anybody would lack."""
SWEEP_S: Final = 1.0
"""How often what may be given again is forgotten."""


class Rations:
    """The same item goes to the same peer at most once in a while."""

    def __init__(self) -> None:
        self._until: dict[NodeId, dict[Hashable, float]] = {}
        self._swept_at = float("-inf")

    def allows(self, peer: NodeId, item: Hashable, now: float, again_s: float) -> bool:
        """Whether the peer may have the item now; if so, it may not have it again for so many seconds."""
        self._sweep(now)
        until = self._until.get(peer, {})
        if item in until and now < until[item]:
            return False
        return self.note(peer, item, now, again_s)

    def note(self, peer: NodeId, item: Hashable, now: float, again_s: float) -> bool:
        """The peer was given the item. False if the list of what it was given is full."""
        until = self._until.setdefault(peer, {})
        if item not in until and len(until) >= ITEMS_PER_PEER_MAX:
            return False
        until[item] = now + again_s
        return True

    def forget(self, peer: NodeId) -> None:
        """What the peer was given may have been lost."""
        self._until.pop(peer, None)

    def __len__(self) -> int:
        """How many items are remembered."""
        return sum(map(len, self._until.values()))

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        for peer in list(self._until):
            kept = {item: until for item, until in self._until[peer].items() if now < until}
            if kept:
                self._until[peer] = kept
            else:
                del self._until[peer]
