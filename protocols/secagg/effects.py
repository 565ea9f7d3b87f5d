"""What the secure sum tells its driver and the job above it, beside messages: facts to keep, things that happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.core import Effect
from protocols.identity import NodeId
from protocols.message import Message, Payload
from protocols.secagg.messages import Certificate, Offer, Root, Sum, Vote


@dataclass(frozen=True, slots=True)
class Entered:
    """Fact: this node takes part in an attempt. After a restart it sits out this attempt and all below."""

    job: bytes
    round: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Signed:
    """Fact: this node voted, once and for ever in this round; with the sum and all that convinces others of it.

    inputs: (author, segment, masked words) of the segments whose holders' word did not suffice.
    total: the sum's words, check words included.
    """

    vote: Vote
    offers: tuple[Offer, ...]
    roots: tuple[Root, ...]
    sums: tuple[Sum, ...]
    inputs: tuple[tuple[int, int, Payload], ...]
    total: Payload


@dataclass(frozen=True, slots=True)
class Certified:
    """Fact: the round is over. The driver keeps both to serve those who come late; `Signed` may go."""

    certificate: Certificate
    total: Payload


@dataclass(frozen=True, slots=True)
class RoundDone(Effect):
    """The round has its certificate. history: H_r. total: the certified sum's words, check words included."""

    round: int
    history: bytes
    total: Payload


CONVICTS: Final = frozenset({"two_offers", "two_roots", "two_sums", "two_votes", "two_certificates", "false_sum"})
"""Kinds of evidence that no honest author leaves behind. The others (``other_history``, ``other_context``,
``other_roots``) show that members were told different things: by whom is not in them."""


@dataclass(frozen=True, slots=True)
class Evidence(Effect):
    """Signed messages that cannot all be honest. Kept, audited, shown to people; one of a kind by an author in a round.

    author: who signed. kind: a fixed word. proof: the messages; together with the history they need no trust in us
    (``false_sum``: together with the masked inputs that the roots fix).
    """

    author: NodeId
    kind: str
    proof: tuple[Message, ...]

    @property
    def convicts(self) -> bool:
        """Whether the author did it; otherwise it was only shown something else than we were."""
        return self.kind in CONVICTS


@dataclass(frozen=True, slots=True)
class Paused(Effect):
    """No attempt runs until one of `missing` is heard again."""

    round: int
    missing: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Resumed(Effect):
    """A paused round runs again."""

    round: int


@dataclass(frozen=True, slots=True)
class Retried(Effect):
    """An attempt ended without a sum. attempt: the next one. waited_for: who had not delivered."""

    round: int
    attempt: int
    reason: str
    waited_for: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class RoundFailed(Effect):
    """The round can never be certified, and the job ends. reason: in words for the job's owner."""

    round: int
    reason: str
