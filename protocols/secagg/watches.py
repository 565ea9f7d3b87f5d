"""Attempts that this node watches because their voters say that they gave the sum, and what it knows of past ones.

Rules.
- Only the voter itself can say in which attempt its evidence lies, and only once in a round: an honest voter never says
  two things. So a peer makes this node watch one attempt, whatever it sends.
- A sum of all members needs this node's own root: an attempt that it never entered has none.
- What was signed in an attempt that this node gave up still binds: a witness of it starts from those offers and roots.
  A member that learned the sum there cannot show another root to those who sent it their segments. (A restart forgets
  them; then a member gains what it could also gain in the next attempt.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocols.secagg.attempt import Attempt
from protocols.secagg.transcript import Transcript

PAST_MAX: Final = 16
"""Given-up attempts whose offers and roots are kept: of 128 members at most 0.8 MiB each, of ten 10 KiB."""


class Watches:
    """Who vouches for which attempt, and the witnesses of those attempts."""

    def __init__(self) -> None:
        self._said: dict[int, int] = {}
        self._attempts: dict[int, Attempt] = {}
        self._past: dict[int, Transcript] = {}
        self._vain: set[int] = set()

    def attempts(self) -> list[Attempt]:
        """All that are watched now."""
        return list(self._attempts.values())

    def get(self, number: int) -> Attempt | None:
        """The witness of an attempt, if there is one."""
        return self._attempts.get(number)

    def voters(self, number: int) -> list[int]:
        """Who said that an attempt gave it the sum."""
        return [author for author, said in self._said.items() if said == number]

    def heard(self, author: int, number: int) -> None:
        """A voter says where its evidence lies; only the first time counts."""
        self._said.setdefault(author, number)

    def fresh(self, current: int, entered: int, witness: Callable[[Transcript | None, int], Attempt]) -> list[Attempt]:
        """New witnesses of what was heard of. current: this node's attempt. entered: the highest it took part in.

        witness: makes one from what is known of its attempt, if anything, and its number. (Given at each call: kept
        here it would make a circle with the round, which keeps a round's vectors alive until the collector comes.)
        """
        made = []
        for number in set(self._said.values()) - self._attempts.keys() - self._vain - {current}:
            if number <= entered:
                self._attempts[number] = witness(self._past.pop(number, None), number)
                made.append(self._attempts[number])
        return made

    def gave_up(self, attempt: Attempt) -> None:
        """This node left an attempt that it took part in: its signatures are kept, its words are not."""
        seen = attempt.transcript
        if attempt.live and seen.context is not None:
            seen.forget_words()
            self._past[seen.number] = seen
            for number in sorted(self._past)[:-PAST_MAX]:
                del self._past[number]

    def drop(self, number: int) -> None:
        """A witness came to nothing."""
        self._attempts.pop(number, None)
        self._vain.add(number)

    def clear(self) -> None:
        """The sum is known: nothing is watched any more."""
        self._attempts.clear()
        self._past.clear()
