"""A virtual network in virtual time: one seed is one run.

The world owns a heap of (time, order, action). Hosts run cores; their effects are carried out in order, a `Persist`
before what stands after it. Messages are delayed, lost, repeated and reordered as the seed decides; they pass through
the wire's encoding, so that what is simulated is what is sent. A host may crash between any two effects: what it had
made durable is given to its factory when it restarts.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocols import wire
from protocols.core import (
    Compute,
    Computed,
    Core,
    Draw,
    Effect,
    Event,
    LinkUp,
    Persist,
    Received,
    Send,
    Tick,
)
from protocols.identity import NodeId
from protocols.message import Message, Payload

Tamper = Callable[[NodeId, NodeId, Message, Payload | None], "Sequence[tuple[Message, Payload | None]]"]
"""What an adversary makes of a message on its way from one node to another: nothing, it, or others."""
Factory = Callable[[list[object]], tuple[Core, Callable[[float], Sequence[Effect]]]]
"""Makes a core from the durable facts, and the call that starts it."""

EVENTS_MAX = 2_000_000
"""A run that needs more has a loop."""


@dataclass
class Faults:
    """How bad the network is. latency_s: lowest and highest; loss, duplicate: per message, from 0 to 1."""

    latency_s: tuple[float, float] = (0.001, 0.02)
    loss: float = 0.0
    duplicate: float = 0.0


@dataclass
class Host:
    """A node of the world. disk: its durable facts, in order. core: None while it is down."""

    node: NodeId
    factory: Factory
    core: Core | None = None
    disk: list[object] = field(default_factory=list)
    life: int = 0
    crash_before: Callable[[Effect], bool] | None = None
    wake: float | None = None


class World:
    """Runs hosts until nothing is left to do, a condition holds, or virtual time is up."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.now = 0.0
        self.seed = seed
        self.faults = faults or Faults()
        self.hosts: dict[NodeId, Host] = {}
        self.cut: set[frozenset[NodeId]] = set()
        self.tamper: Tamper | None = None
        self.observed: list[tuple[float, NodeId, Effect]] = []
        """Every effect that is neither a message nor a computation, in order."""
        self.sent: list[tuple[float, NodeId, NodeId, Message]] = []
        self._random = random.Random(seed)  # noqa: S311 - a simulation's randomness is its seed's
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def draw(self, name: str) -> Draw:
        """Random bytes for a node: unpredictable to nobody, the same in every run of this seed."""
        counter = 0

        def drawn(n: int) -> bytes:
            nonlocal counter
            counter += 1
            return hashlib.shake_256(f"{self.seed}/{name}/{counter}".encode()).digest(n)

        return drawn

    def add(self, node: NodeId, factory: Factory) -> Host:
        """A new host; it starts with `boot`."""
        self.hosts[node] = Host(node, factory)
        return self.hosts[node]

    def boot(self, *nodes: NodeId) -> None:
        """Start hosts, or start them again, from what they made durable; links come up."""
        starts = []
        for host in (self.hosts[node] for node in nodes):
            host.life += 1
            host.core, start = host.factory(list(host.disk))
            starts.append((host, start))
        for host, start in starts:
            self._carry_out(host, start(self.now))
        up = [node for node, host in self.hosts.items() if host.core is not None]
        for one, other in itertools.combinations(up, 2):
            if one in nodes or other in nodes:
                self._link_up(one, other)

    def crash(self, node: NodeId) -> None:
        """Stop a host at once; its memory is gone, what was on its way to it is lost."""
        host = self.hosts[node]
        host.core, host.wake = None, None
        host.life += 1

    def heal(self) -> None:
        """Mend all cut links."""
        for pair in self.cut:
            one, other = sorted(pair)
            self._link_up(one, other)
        self.cut.clear()

    def feed(self, node: NodeId, event: Event) -> None:
        """Tell a host of an event now."""
        self._tell(self.hosts[node], self.hosts[node].life, event)

    def apply(self, node: NodeId, effects: Sequence[Effect]) -> None:
        """Carry out effects that a call on the core gave."""
        self._carry_out(self.hosts[node], effects)

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a virtual time."""
        self._order += 1
        heapq.heappush(self._heap, (max(time, self.now), self._order, action))

    def run(self, until: Callable[[], bool] | None = None, seconds: float = 3600.0) -> bool:
        """Run for at most so much virtual time; whether `until` came true (or, without it, all fell silent)."""
        end = self.now + seconds
        for _ in range(EVENTS_MAX):
            if until is not None and until():
                return True
            if not self._heap:
                return until is None
            if self._heap[0][0] > end:
                return False
            self.now, _, action = heapq.heappop(self._heap)
            action()
        raise RuntimeError(f"seed {self.seed}: more than {EVENTS_MAX} events")

    def _link_up(self, one: NodeId, other: NodeId) -> None:
        for here, there in ((one, other), (other, one)):
            host = self.hosts[here]
            life = host.life
            self.at(self.now + self._delay(), lambda h=host, k=life, p=there: self._tell(h, k, LinkUp(p)))  # type: ignore[misc]

    def _delay(self) -> float:
        return self._random.uniform(*self.faults.latency_s)

    def _tell(self, host: Host, life: int, event: Event) -> None:
        if host.core is not None and host.life == life:
            self._carry_out(host, host.core.handle(event, self.now))

    def _carry_out(self, host: Host, effects: Sequence[Effect]) -> None:
        life = host.life
        for effect in effects:
            if host.crash_before is not None and host.crash_before(effect):
                host.crash_before = None
                self.crash(host.node)
                return
            self._carry_out_one(host, effect)
            if host.life != life:
                return
        self._schedule_tick(host)

    def _carry_out_one(self, host: Host, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(host.node, effect)
            case Compute():
                life, value = host.life, effect.work()
                self.at(self.now, lambda: self._tell(host, life, Computed(effect.token, value)))
            case Persist():
                host.disk.append(effect.fact)
                self.observed.append((self.now, host.node, effect))
            case _:
                self.observed.append((self.now, host.node, effect))

    def _send(self, sender: NodeId, effect: Send) -> None:
        pieces: Sequence[tuple[Message, Payload | None]] = [(effect.message, effect.payload)]
        if self.tamper is not None:
            pieces = self.tamper(sender, effect.to, effect.message, effect.payload)
        for message, payload in pieces:
            self.sent.append((self.now, sender, effect.to, message))
            copies = 0 if self._random.random() < self.faults.loss else 1
            copies += self._random.random() < self.faults.duplicate
            for _ in range(copies):
                self._deliver(sender, effect.to, wire.decode(wire.encode(message)), payload)

    def _deliver(self, sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> None:
        host = self.hosts.get(to)
        if host is None or frozenset((sender, to)) in self.cut:
            return
        life = host.life
        copy = None if payload is None else payload.copy()
        self.at(self.now + self._delay(), lambda: self._tell(host, life, Received(sender, message, copy)))

    def _schedule_tick(self, host: Host) -> None:
        wake = host.core.wake_at if host.core is not None else None
        if wake is None or (host.wake is not None and host.wake <= wake and host.wake > self.now):
            return
        host.wake, life = max(wake, self.now), host.life
        self.at(host.wake, lambda: self._tick(host, life))

    def _tick(self, host: Host, life: int) -> None:
        if host.life == life:
            host.wake = None
            self._tell(host, life, Tick())
