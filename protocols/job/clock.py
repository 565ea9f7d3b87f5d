"""How long a job has waited for its cohort: a clock that a restart does not set back.

Rules.
- Time is what the monotonic clock says while the hub runs. No wall clock takes part, so none that is wrong, or was set
  on purpose, closes a collection early or keeps it open. While a hub is down its clock stands still: others could
  answer meanwhile, but it could not have heard them.
- The time waited so far is a durable fact, renewed after every hundredth of the collection, but not more often than
  once a minute. A restart goes on from the last one: so much, at most, is waited twice.

- A pledge lapses at each multiple of `PLEDGE_S_MAX` of this clock, so restarts do not prolong it for long.

What this cannot express: a collection that ends at an hour of the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.core import Persist

COHORT_LATE_S: Final = 3600.0
"""So long after the collection's end a cohort record may come: a submitter's hub that was away for lunch."""
PLEDGE_S_MAX: Final = 86_400.0 + COHORT_LATE_S
"""So long a free hub is pledged to a job that collects, then its answer waits behind others: a collection of a day,
which is usual, and the time in which its cohort may come late, are not disturbed."""
KEEP_PARTS: Final = 100
"""The time waited is renewed so often in a collection: a deadline that is a hundredth late is on time for people."""
KEEP_S_MIN: Final = 60.0
"""But not sooner than this: each renewal is a write to the disk."""


@dataclass(frozen=True, slots=True)
class Waited:
    """Fact: this hub has waited so long for the cohort of a job, in all its lives together."""

    job: bytes
    waited_s: float


class CollectionClock:
    """When a job's collection closes, when it is too late for a cohort, and when to make the time waited durable.

    Times are monotonic seconds of this life of the hub.
    """

    def __init__(self, job: bytes, now: float, collect_s: float, waited_s: float = 0.0) -> None:
        """now: when the job record came, or the hub started. waited_s: in earlier lives."""
        self.closes_at = now - waited_s + collect_s
        self.late_at = self.closes_at + COHORT_LATE_S
        self._job, self._opened_at = job, now - waited_s
        self._keep_every_s = max(KEEP_S_MIN, collect_s / KEEP_PARTS)
        self.keep_at = now + self._keep_every_s
        """When the fact is to be renewed."""
        self.lapses_at = self._opened_at + (waited_s // PLEDGE_S_MAX + 1) * PLEDGE_S_MAX
        """When a pledge to the job lapses."""

    def lapse(self, now: float) -> bool:
        """Whether it is time for a pledge to lapse; then the next time is set."""
        if now < self.lapses_at:
            return False
        self.lapses_at += ((now - self.lapses_at) // PLEDGE_S_MAX + 1) * PLEDGE_S_MAX
        return True

    def keep(self, now: float) -> list[Persist]:
        """Make the time waited durable, if it is time for that."""
        if now < self.keep_at:
            return []
        self.keep_at = now + self._keep_every_s
        return [Persist(Waited(self._job, now - self._opened_at))]
