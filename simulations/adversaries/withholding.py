"""Members that learn the sum and keep it to themselves, attempt after attempt; members that keep their vote.

Nothing is gained: every attempt sums the same integers of the same members.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocols.core import Computed, Event, Send
from protocols.message import Payload
from protocols.secagg.attempt import Token, Total
from protocols.secagg.messages import Certificate, Segment, Sum, SumWords, Vote
from simulations.adversaries.adversary import Behaviour


class WithheldSum(Behaviour):
    """Gives its segments to nobody, learns what it can, and makes its hub go on as if it had learned nothing.

    learned: by (round, attempt), the summed words. In a short sum it learns the whole.
    """

    def __init__(self) -> None:
        self.learned: dict[tuple[int, int], Payload] = {}

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """Its hub does not hear of the sum while it is withheld."""
        token = event.token if isinstance(event, Computed) else None
        token = token[1] if isinstance(token, tuple) and len(token) == 2 else None
        if not isinstance(token, Token) or token.attempt > self.attempts_spoilt:
            return (event,)
        value = event.value if isinstance(event, Computed) else None
        if isinstance(value, Total):
            self.learned[token.round, token.attempt] = value.words
            self.did("sum learned")
            return ()
        return (event,)

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Without its segments nobody else learns anything."""
        message = send.message
        if self.spoils(message, Segment) or self.spoils(message, Sum):
            self.did("withheld")
            return ()
        if isinstance(message, SumWords) and message.attempt <= self.attempts_spoilt:
            return ()
        return (send,)


class WithheldVote(Behaviour):
    """Takes part in everything and never votes, nor passes on votes or certificates."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """All but votes and certificates."""
        if isinstance(send.message, Vote | Certificate):
            self.did("vote withheld")
            return ()
        return (send,)
