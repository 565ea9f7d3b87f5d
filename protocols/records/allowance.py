"""A bounded allowance that fills up again with time: what keeps one peer from making this node work without end."""

from __future__ import annotations


class Allowance:
    """So much at once, so much a second after that."""

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        """burst: what may be taken at once. per_s: what comes back each second. now: monotonic seconds."""
        self._burst = burst
        self._per_s = per_s
        self._left = burst
        self._seen_s = now

    def left(self, now: float) -> float:
        """What may be taken now."""
        self._left = min(self._burst, self._left + self._per_s * max(0.0, now - self._seen_s))
        self._seen_s = max(self._seen_s, now)
        return self._left

    def take(self, amount: float, now: float) -> bool:
        """Take so much if there is any left at all (the last taker may overdraw). False if nothing is left."""
        if self.left(now) <= 0:
            return False
        self._left -= amount
        return True
