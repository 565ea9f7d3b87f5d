"""Members that want to see before they speak: their own root, segments or sums wait for those of the others.

Within an attempt this gains nothing: no masked word leaves an honest member before all roots are signed.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocols.core import Effect, Event, Received, Send
from protocols.message import Message
from protocols.secagg.messages import Ask, Root, Segment, Sum, SumWords
from simulations.adversaries.adversary import Behaviour


class RushingMember(Behaviour):
    """Holds its root back and asks everybody for segments meanwhile; speaks in the end, or in this attempt never.

    seen_before: segments of others that came before its own root left in their attempt: there must be none.
    """

    seen_before = 0

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its root waits."""
        message = send.message
        if not isinstance(message, Root) or message.author != self.me:
            return (send,)
        place = (message.round, message.attempt)
        if self.spoils(message, Root) and self.once((*place, "till"), lambda: now + self._wait_s()) > now:
            self.did("root held back")
            return ()
        self.once((*place, "spoken"), lambda: True)
        return (send,)

    def _wait_s(self) -> float:
        return self.chance.choice((0.5, 3.0, 1e9))

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Look at what came; ask for more."""
        message = event.message if isinstance(event, Received) else None
        if isinstance(message, Segment):
            self._looked_at(message)
        if not isinstance(message, Root):
            return ()
        size = len(self.others(message.job)) + 1
        pairs = tuple((author, segment) for author in range(size) for segment in range(len(message.digests)))
        self.did("segments asked for")
        ask = Ask(message.job, message.round, message.attempt, segments=pairs)
        return [Send(node, ask) for node in self.others(message.job)]

    def _looked_at(self, message: Segment) -> None:
        held_back = (message.round, message.attempt, "till") in self._chosen
        if held_back and (message.round, message.attempt, "spoken") not in self._chosen and message.author != self.me:
            self.seen_before += 1


class RushingHolder(Behaviour):
    """Sends its own segments only when it has all others' of a segment that it holds, its sums after the others'."""

    def __init__(self) -> None:
        self._held: list[Send] = []

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its segments and sums wait."""
        if isinstance(send.message, Segment | Sum | SumWords) and self._early(send.message):
            self.did("held back")
            self._held.append(send)
            return ()
        return (send,)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Whatever has waited long enough leaves."""
        leaving = [send for send in self._held if not self._early(send.message)]
        self._held = [send for send in self._held if not any(send is one for one in leaving)]
        return leaving

    def _early(self, message: Message) -> bool:
        """Whether it would learn more by waiting."""
        seen = self.transcript(message.job)  # type: ignore[attr-defined]
        if seen is None or not seen.rooted or seen.number != message.attempt:  # type: ignore[attr-defined]
            return False
        if isinstance(message, Segment):
            mine = seen.cohort.members.index(self.me)
            held = seen.layout.held_by(mine)
            return message.author == self.me and any(len(seen.authors_missing(s)) > 1 for s in held)
        others = {(h, s) for s in range(seen.layout.segments) for h in seen.layout.holders_of(s)}
        missing = [pair for pair in others if pair not in seen.sums and seen.cohort.members[pair[0]] != self.me]
        return not seen.layout.short and bool(missing)
