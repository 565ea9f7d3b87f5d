"""A round whose votes no history can win any more: by whose doing is found out before it ends.

Members that hold different sums of one attempt were shown different roots by somebody. Each asks those who voted
otherwise for what they were shown; two signed messages of one author then stand side by side and convict it. Without
this wait a liar could end jobs and leave no trace. Sums of different attempts convict nobody: then time ends it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

DISPUTE_S: Final = 10.0
"""So long it is asked: after 0, 1, 3 and 7 seconds, which loss rarely takes all."""


class Dispute:
    """When it began, and how it ends."""

    def __init__(self) -> None:
        self._ends_at: float | None = None

    @property
    def ends_at(self) -> float:
        """When it ends at the latest; never, if there is none."""
        return float("inf") if self._ends_at is None else self._ends_at

    def begin(self, now: float) -> bool:
        """Votes contradict each other for good. False if that is known."""
        fresh = self._ends_at is None
        if fresh:
            self._ends_at = now + DISPUTE_S
        return fresh

    def verdict(self, liars: Collection[str], now: float, *, hopes: bool) -> str:
        """Why the round fails, once that is known or time is up; empty before.

        liars: whom evidence convicts. hopes: whether others may have a certificate, which those who are asked show.
        """
        if now < self.ends_at and (hopes or not liars):
            return ""
        if not liars:
            return "members signed different sums: somebody put in other numbers in another attempt"
        return f"members signed different sums: {', '.join(sorted(liars))} signed two things where one is allowed"
