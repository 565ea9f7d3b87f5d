"""What every protocol core looks like from outside.

Theory of operation. A core is a state machine. Its driver feeds it events and carries out the effects it returns, in
their order. Four rules make that enough for a daemon and for a simulator alike:

1. `now` (monotonic seconds) and `draw` (random bytes) are given, never taken.
2. Effects are carried out in order, and a `Persist` is durable before anything after it in the list is done. That is
   all a core needs to promise "the durable fact first, then the message that it licenses".
3. Heavy arithmetic is returned as `Compute`: a closure without side effects, to be run on any thread; its value comes
   back as `Computed` with the same token. A core never blocks.
4. `wake_at` is the time at which the core wants a `Tick`; None if it waits for messages only.

What this cannot express: a core cannot wait inside `handle`, and it cannot learn whether a message arrived other than
by an answer. Cores therefore ask again (see `secagg`), and everything they receive is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocols.identity import NodeId
from protocols.message import Message, Payload

Draw = Callable[[int], bytes]
"""`draw(n)` gives n unpredictable bytes. The daemon passes the operating system's; a simulation, its seed's."""


class Event:
    """Something that happened, told to a core."""


class Effect:
    """Something that a core wants done."""


@dataclass(frozen=True, slots=True)
class Received(Event):
    """A message arrived over an authenticated link.

    sender: the member at the other end of the link (not necessarily the author of what it passes on).
    message: decoded and within its limits, otherwise unverified.
    payload: the bulk bytes that came with it, or None.
    """

    sender: NodeId
    message: Message
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """Part of a bulk message arrived: the sender is alive, deadlines move."""

    sender: NodeId


@dataclass(frozen=True, slots=True)
class LinkUp(Event):
    """A link to the peer came into being: what it may have missed can be asked for and told again."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class Computed(Event):
    """A `Compute` ended. value: what its closure returned. token: the one it was given."""

    token: object
    value: Any


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """The time `wake_at` has come."""


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """Give the message, with its bulk payload if it has one, to the link to `to`; if there is none, drop it."""

    to: NodeId
    message: Message
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class Compute(Effect):
    """Run `work` on any thread and return its value as `Computed(token, value)`."""

    token: object
    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Persist(Effect):
    """Make `fact` durable before doing anything that stands after it in the list."""

    fact: object


@dataclass(frozen=True, slots=True)
class Refused(Effect):
    """Something was refused: count it under `code`, put it into the audit, tell people `detail`."""

    peer: NodeId | None
    code: str
    detail: str


class Core(Protocol):
    """A protocol state machine."""

    @property
    def wake_at(self) -> float | None:
        """The monotonic time, in seconds, at which the core wants a `Tick`."""

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event and say what is to be done. Raises `LocalError` only."""
