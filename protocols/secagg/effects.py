"""What the secure sum tells its driver and the job above it, beside messages: facts to keep, things that happened."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Evidence(Effect):
    """Signed messages that cannot both be honest, or that show another history. Kept, audited, shown to people.

    author: who signed. kind: a fixed word. proof: the messages; together with the history they need no trust in us.
    """

    author: NodeId
    kind: str
    proof: tuple[Message, ...]


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
