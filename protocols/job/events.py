"""What a job is told and what it wants done, beside the events and effects of every core."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.core import Effect, Event
from protocols.identity import NodeId
from protocols.job.kinds import Answer
from protocols.job.life import State
from protocols.message import Message, Payload
from protocols.records.record import Record


@dataclass(frozen=True, slots=True)
class Decide(Event):
    """The site's policy or its data manager has answered. reason: for people; alone: stand alone if need be."""

    answer: Answer
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """A record of this job, or a group's, was accepted by the store. digest: of the record."""

    record: Record
    body: Message
    digest: bytes


@dataclass(frozen=True, slots=True)
class Revoked(Event):
    """A node is no longer a member of the federation."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Fallen(Event):
    """The job's own record stands no longer: its author was revoked, and the revocation does not keep it."""


@dataclass(frozen=True, slots=True)
class Settled(Event):
    """Another job moved here, or was answered anew: what waited for it may be asked about again."""


@dataclass(frozen=True, slots=True)
class VectorReady(Event):
    """The worker made the vector of a round and keeps it until the round is certified.

    words: the encoded integers, without check words. bound: the largest absolute value of one site's coordinate.
    """

    round: int
    words: Payload
    bound: int


@dataclass(frozen=True, slots=True)
class Updated(Event):
    """The worker's state now includes the sums of all rounds up to this one. done: whether the task has its result."""

    round: int
    done: bool


@dataclass(frozen=True, slots=True)
class WorkFailed(Event):
    """The worker cannot go on with this job. reason: in words for the job's owner, without any value of the data."""

    reason: str


@dataclass(frozen=True, slots=True)
class Say(Effect):
    """Publish a record that this node signed; it comes back as `Noted` once it is durable."""

    record: Record


@dataclass(frozen=True, slots=True)
class Reconsider(Effect):
    """What this hub's answer waited for is settled: the site's policy should answer anew."""


@dataclass(frozen=True, slots=True)
class Advance(Effect):
    """Bring the worker's state up to the sum of `round` (0: the start), then say `Updated`.

    total: that round's sum where it was just certified; otherwise the sums are in the store.
    """

    job: bytes
    round: int
    total: Payload | None


@dataclass(frozen=True, slots=True)
class StartWork(Effect):
    """Have the worker make this node's vector for a round, then say `VectorReady` or `WorkFailed`.

    again: this node offered itself in the round before a restart: only the very same integers will do.
    """

    job: bytes
    round: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Serve(Effect):
    """Send the stored certificate of a past round to a node, with its sum if that was asked for."""

    to: NodeId
    job: bytes
    round: int
    with_sum: bool


@dataclass(frozen=True, slots=True)
class Moved(Effect):
    """The job is in another state. reason: why, in words; empty where the state says it all."""

    job: bytes
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Fact: this node takes part in this cohort of the job, and in no other, for ever."""

    job: bytes
    cohort: bytes
