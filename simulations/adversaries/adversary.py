"""A malicious node: an honest hub inside, and around it whoever changes what it hears and says.

An adversary holds its own key and may sign whatever it likes with it; it sees what its hub sees, and several may share
an object to collude. It has no power over the network or over other nodes: what it can do is send.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.core import Draw, Effect, Event, Received, Send
from protocols.identity import Identity, NodeId
from protocols.message import Message
from protocols.records.record import FIRST, Record, sign_record
from protocols.secagg.messages import Offer, Root, Sum, Vote
from protocols.secagg.round import Round
from protocols.secagg.signing import signed_frame
from protocols.secagg.transcript import Transcript
from simulations.hub import Hub

T = TypeVar("T")
Signable = TypeVar("Signable", bound=Offer | Root | Sum | Vote)
FOR_EVER: Final = 1 << 62
"""More attempts than any run sees."""


class Behaviour:
    """What an adversary does. This one is honest: a kind of adversary overrides what it needs.

    chance: where its choices come from, so that each seed plays another variant. deeds: how often it did what; one that
    did nothing was honest by mistake. attempts_spoilt: the highest attempt of a round in which it does evil, drawn.
    honest_input: whether the vector that it puts in, if a sum comes of it, is the one that its worker made, so that
    sums can be checked.
    """

    honest_input: ClassVar[bool] = True

    def begin(self, hub: Hub, identity: Identity, draw: Draw) -> None:
        """The hub starts, or starts again. draw: random bytes of the seed."""
        self.hub, self.identity, self.draw = hub, identity, draw
        self.chance = random.Random(draw(16))  # noqa: S311 - a simulation's randomness is its seed's
        self.deeds: Counter[str] = Counter()
        self.attempts_spoilt = self.chance.choice((1, 2, FOR_EVER))
        self._chosen: dict[Hashable, Any] = {}

    @property
    def me(self) -> NodeId:
        """The adversary's own id."""
        return self.identity.node

    # -- what a kind overrides -----------------------------------------------------------------------------------

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """What its hub is told instead of an event."""
        return (event,)

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """What leaves instead of a message."""
        return (send,)

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """What it does of its own accord after an event."""
        return ()

    # -- what a kind can use -------------------------------------------------------------------------------------

    def did(self, what: str) -> None:
        """Count a deed."""
        self.deeds[what] += 1

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was chosen for a key before, or is chosen now."""
        if key not in self._chosen:
            self._chosen[key] = make()
        chosen: T = self._chosen[key]
        return chosen

    def some(self, of: Sequence[T]) -> list[T]:
        """A part of several things: at least one, never all (of a single one: that)."""
        return self.chance.sample(of, self.chance.randint(1, max(1, len(of) - 1)))

    def round(self, job: bytes) -> Round | None:
        """The round that its hub is in."""
        here = self.hub.node.jobs.get(job)
        return here.round if here is not None else None

    def rounds(self) -> list[Round]:
        """All rounds that its hub is in."""
        return [here.round for here in self.hub.node.jobs.values() if here.round is not None]

    def transcript(self, job: bytes) -> Transcript | None:
        """What its hub knows of the attempt it is in, or of the one by which it voted."""
        here = self.round(job)
        return (here._evidence or here._attempt.transcript) if here is not None else None

    def others(self, job: bytes | None = None) -> list[NodeId]:
        """The other members of a job's cohort; without one, of the federation."""
        here = self.round(job) if job is not None else None
        members = here.cohort.members if here is not None else self.hub.node.roster.members()
        return [node for node in members if node != self.me]

    def spoils(self, message: Message, kind: type[Message]) -> bool:
        """Whether this is a message of its own of this kind, in an attempt in which it does evil."""
        mine = isinstance(message, kind) and getattr(message, "author", None) == self.me
        return mine and getattr(message, "attempt", 0) <= self.attempts_spoilt

    def resigned(self, message: Signable, **changes: object) -> Signable:
        """The message with other content, signed by this adversary for it."""
        changed = msgspec.structs.replace(message, author=self.me, **changes)
        return msgspec.structs.replace(changed, signature=self.identity.sign(signed_frame(changed)))

    def record(self, kind: str, subject: str, body: Message | msgspec.Raw, sequence: int = FIRST) -> Record:
        """Any record that this adversary can sign, whatever its hub would do; of raw bytes, too."""
        federation = self.hub.node.federation
        return sign_record(self.identity, federation, kind, subject, cast(Message, body), sequence=sequence)

    def other_key(self) -> bytes:
        """A fresh X25519 public key."""
        return X25519PrivateKey.from_private_bytes(self.draw(32)).public_key().public_bytes_raw()


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
