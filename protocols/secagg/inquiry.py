"""Who is asked for what is missing.

Who lacks a message asks anyone who has it: first its author, then those who voted on the strength of the same attempt,
then everybody else in turn. Asks are pulls of named items, so loss, repetition and order do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocols.core import Effect, Send
from protocols.secagg.cohort import Cohort
from protocols.secagg.messages import Ask
from protocols.secagg.transcript import Wanted


@dataclass(slots=True)
class _Shares:
    """What one peer is asked for."""

    wanted: Wanted = field(default_factory=Wanted)
    votes: set[int] = field(default_factory=set)
    certificate: bool = False


class Inquiry:
    """The asks of one moment, gathered per peer. turn: how often was asked in vain; it moves on to other peers."""

    def __init__(self, cohort: Cohort, me: int, number: int, attempt: int, turn: int) -> None:
        self._cohort = cohort
        self._me = me
        self._number = number
        self._attempt = attempt
        self._turn = turn
        self._shares: dict[int, _Shares] = {}

    def want(self, wanted: Wanted, likely: Sequence[int] = ()) -> None:
        """Ask for parts of an attempt. likely: members known to hold all of it."""
        for member in wanted.offers:
            self._of(member, likely).wanted.offers.add(member)
        for member in wanted.roots:
            self._of(member, likely).wanted.roots.add(member)
        for pair in wanted.segments:
            self._of(pair[0], likely).wanted.segments.add(pair)
        for pair in wanted.sums:
            self._of(pair[0], likely).wanted.sums.add(pair)
        for pair in wanted.words:
            self._of(pair[0], likely).wanted.words.add(pair)

    def want_votes(self, members: Iterable[int]) -> None:
        """Ask for votes."""
        for member in members:
            self._of(member, ()).votes.add(member)

    def want_certificate(self, voters: Sequence[int]) -> None:
        """Ask for the certified sum."""
        self._of(voters[0], voters).certificate = True

    def _of(self, author: int, likely: Sequence[int]) -> _Shares:
        others = [i for i in range(self._cohort.size) if i != author and i not in likely]
        line = [i for i in dict.fromkeys([author, *likely, *others]) if i != self._me]
        return self._shares.setdefault(line[self._turn % len(line)], _Shares())

    def asks(self) -> list[Effect]:
        """One `Ask` for each peer that is asked for anything."""
        return [Send(self._cohort.members[peer], self._ask(s)) for peer, s in sorted(self._shares.items(), key=_peer)]

    def _ask(self, shares: _Shares) -> Ask:
        wanted = shares.wanted
        return Ask(
            job=self._cohort.job,
            round=self._number,
            attempt=self._attempt,
            offers=tuple(sorted(wanted.offers)),
            roots=tuple(sorted(wanted.roots)),
            segments=tuple(sorted(wanted.segments)),
            sums=tuple(sorted(wanted.sums)),
            words=tuple(sorted({segment for _, segment in wanted.words})),
            votes=tuple(sorted(shares.votes)),
            certificate=shares.certificate,
        )


def _peer(item: tuple[int, _Shares]) -> int:
    return item[0]
