"""On whose word this node goes to a higher attempt, and how far.

Rules. A member's signed offer for a higher attempt is followed at once if it lies at most `ATTEMPT_JUMP_MAX` above, and
so often as `JUMPS_PER_S` says. What lies further above is ignored: nobody is led away by one message. The exception is
a member that was missing while the round was paused and is heard again: it may have been led far up while it was cut
off, and attempts never go down. Its offers are approached in steps of that same size, until it is reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.records.allowance import Allowance

ATTEMPT_JUMP_MAX: Final = 1000
"""How far above ours a member's attempt may lie: far more than faults can cause in a night of one-minute attempts."""
JUMPS_BURST: Final = 8.0
"""Jumps on one member's word at once: restarts and time-outs that fall together."""
JUMPS_PER_S: Final = 0.5
"""Jumps on one member's word each second after that: each costs a commit to disk and an offer to every member."""


class Jumps:
    """What one round knows of them."""

    def __init__(self) -> None:
        self._allowances: dict[NodeId, Allowance] = {}
        self._back: set[NodeId] = set()

    def missed(self, members: Iterable[NodeId]) -> None:
        """A round that was paused goes on; these were missing."""
        self._back.update(members)

    def check(self, author: NodeId, attempt: int, ours: int) -> None:
        """Raise `PeerError` if what the author says of an attempt is to be ignored."""
        if attempt - ours > ATTEMPT_JUMP_MAX and author not in self._back:
            raise PeerError("attempt_jump", f"attempt {attempt} is {attempt - ours} above ours")

    def target(self, author: NodeId, attempt: int, ours: int, now: float) -> int:
        """The attempt to go to on the author's verified offer. Raises `PeerError`: ``too_fast``."""
        if not self._allowances.setdefault(author, Allowance(JUMPS_BURST, JUMPS_PER_S, now)).take(1, now):
            raise PeerError("too_fast", f"{author} starts more than {JUMPS_PER_S} attempts a second")
        if attempt - ours > ATTEMPT_JUMP_MAX:
            return ours + ATTEMPT_JUMP_MAX
        self._back.discard(author)
        return attempt
