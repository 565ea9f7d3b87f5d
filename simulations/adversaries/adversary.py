"""A malicious node: an honest hub inside, and around it whoever changes what it hears and says.

An adversary holds its own key and may sign whatever it likes with it; it sees what its hub sees, and several may share
an object to collude. It has no power over the network or over other nodes: what it can do is send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

import msgspec

from protocols.core import Draw, Effect, Event, Received, Send
from protocols.identity import Identity, NodeId
from protocols.secagg.messages import Offer, Root, Sum, Vote
from protocols.secagg.signing import signed_frame
from simulations.hub import Hub

Signed = Offer | Root | Sum | Vote


class Behaviour:
    """What an adversary does. This one is honest: a kind of adversary overrides what it needs.

    honest_input: whether the vector that it puts in is the one that its worker made, so that sums can be checked.
    """

    honest_input: ClassVar[bool] = False

    def begin(self, hub: Hub, identity: Identity, draw: Draw) -> None:
        """The hub starts, or starts again. draw: random bytes of the seed."""
        self.hub, self.identity, self.draw = hub, identity, draw

    @property
    def me(self) -> NodeId:
        """The adversary's own id."""
        return self.identity.node

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """What its hub is told instead of an event."""
        return (event,)

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """What leaves instead of a message."""
        return (send,)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """What it does of its own accord after an event."""
        return ()

    def resigned(self, message: Signed, **changes: object) -> Signed:
        """The message with other content, signed by this adversary for it."""
        changed = msgspec.structs.replace(message, author=self.me, **changes)
        return msgspec.structs.replace(changed, signature=self.identity.sign(signed_frame(changed)))


class Adversary:
    """A core for `World`: the hub and its behaviour."""

    def __init__(self, hub: Hub, behaviour: Behaviour) -> None:
        self.hub, self.behaviour = hub, behaviour

    @property
    def wake_at(self) -> float | None:
        """When the hub wants a `Tick`."""
        return self.hub.wake_at

    def start(self, now: float) -> Sequence[Effect]:
        """Begin, or begin again."""
        return self._said(self.hub.start(now), now)

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        effects: list[Effect] = []
        for heard in self.behaviour.hear(event, now):
            effects += self._said(self.hub.handle(heard, now), now)
        return [*effects, *self.behaviour.act(event, now)]

    def receives(self, event: Received) -> bool:
        """Whether the payload of a message would be received."""
        return self.hub.receives(event)

    def _said(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        result: list[Effect] = []
        for effect in effects:
            result += self.behaviour.say(effect, now) if isinstance(effect, Send) else (effect,)
        return result


MakeBehaviour = Callable[[], Behaviour]
"""Makes the behaviour of one life of an adversary; what it is to remember over lives lies outside of it."""
