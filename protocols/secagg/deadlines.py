"""When a round asks, gives an attempt up, pauses: monotonic time and progress, nothing else.

Rules. Whatever moves starts the time-out of the attempt and the interval of asking anew. Only what goes beyond all
attempts so far puts the pause off: attempts that fail in the same place over and over lead to it. Parts of bulk
messages put it off, too, but no longer than all of the bulk would take over a slow link: nobody keeps a round from its
pause by a trickle.
"""

from __future__ import annotations

from typing import Final

ATTEMPT_TIMEOUT_S: Final = 10.0
"""Without progress for so long an attempt is given up: several round trips. The work on the vector is added to it."""
ATTEMPT_TIMEOUT_S_MAX: Final = 60.0
"""The time-out doubles up to here."""
ASK_AFTER_S: Final = 1.0
"""Silence before the first ask: longer than a message takes, shorter than a person notices."""
ASK_AFTER_S_MAX: Final = 8.0
"""The interval doubles up to here."""
PAUSE_AFTER_S: Final = 600.0
"""Without any new best state for so long the round pauses and names who is missing. The work is added here, too."""
PAUSED_ASK_S: Final = 60.0
"""How often a paused round asks those who are missing."""
WORK_BYTES_PER_S: Final = 50e6
"""What the slowest machine masks, hashes and adds in a second, of n vectors: a tenth of one quiet core of today."""
SLOW_LINK_BYTES_PER_S: Final = 50e3
"""The slowest link on which bulk is waited for beyond `PAUSE_AFTER_S`: 0.4 Mbit/s."""


class Deadlines:
    """The times of one round. asked: asks since something moved. retries: attempts given up since the last rest."""

    def __init__(self) -> None:
        self.asked = 0
        self.retries = 0
        self.ask_at = float("-inf")
        self._asked_at = self._moved_at = self._advanced_at = self._piece_at = float("-inf")
        self._best = self._held = 0
        self._work_s = self._bulk_s = 0.0

    def size(self, vector_bytes: int, members: int, holders: int) -> None:
        """The vector is known: what the work on it, and its way over a slow link, may take."""
        self._work_s = vector_bytes * members / WORK_BYTES_PER_S
        self._bulk_s = vector_bytes * (holders + 1) / SLOW_LINK_BYTES_PER_S

    @property
    def stalls_at(self) -> float:
        """When an attempt in which nothing moves is given up."""
        doubled = ATTEMPT_TIMEOUT_S * 2.0 ** min(self.retries, 10)
        return self._moved_at + min(doubled, ATTEMPT_TIMEOUT_S_MAX) + self._work_s

    @property
    def pauses_at(self) -> float:
        """When a round that does not get beyond its best state pauses."""
        return self._advanced_at + PAUSE_AFTER_S + self._work_s

    def rest(self, now: float) -> None:
        """Something moved."""
        self._moved_at = now
        self.asked = 0
        self.ask_at = now + ASK_AFTER_S

    def advanced(self, now: float) -> None:
        """Something new began: the pause is put off."""
        self._advanced_at = self._piece_at = now

    def trickled(self, now: float) -> None:
        """Part of a bulk message arrived."""
        self.rest(now)
        if now < self._piece_at + self._bulk_s:
            self._advanced_at = now

    def holds(self, pieces: int, now: float) -> None:
        """So many pieces are here: more than a moment ago, more than ever?"""
        if pieces > self._held:
            self.rest(now)
        if pieces > self._best:
            self._best = pieces
            self.advanced(now)
        self._held = pieces

    def ask_soon(self, now: float) -> None:
        """A link came up: ask at once, unless that was just done."""
        self.ask_at = min(self.ask_at, max(now, self._asked_at + ASK_AFTER_S))

    def asks(self, now: float, *, paused: bool) -> None:
        """Everybody is asked now."""
        interval = PAUSED_ASK_S if paused else min(ASK_AFTER_S * 2.0**self.asked, ASK_AFTER_S_MAX)
        self.ask_at, self._asked_at = now + interval, now
        self.asked += 1

    def paused(self, now: float) -> None:
        """No attempt runs from now on."""
        self.advanced(now)
        self.ask_at = now + PAUSED_ASK_S
