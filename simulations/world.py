"""A virtual world in virtual time: one seed is one run, byte for byte.

Theory of operation. The world owns a heap of (time, order, host, event). It takes the first, hands the event to the
host's core, and carries the core's effects out in order, a `Persist` before what stands after it. Messages pass through
the wire's encoding, so that what is simulated is what is sent; the network says when they arrive. A host may crash
before or after any effect; what it had made durable is given to its factory when it restarts. All randomness is the
seed's. Each host has a clock of its own, which may start anywhere and run fast or slow.

Whoever wants to see what happens (checkers, measurements) registers for a type of event, effect or fact and is called
with the host; whoever wants to disturb it changes `network`, crashes hosts, or sets `tamper`.

What this cannot express: two events of one host at once. The daemon's driver takes them one by one, too.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final

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
    Progressed,
    Received,
    Send,
    Tick,
)
from protocols.identity import NodeId
from protocols.message import Message, Payload
from protocols.records.events import Dropped
from simulations.disk import Disk, DiskFullError
from simulations.network import Network
from simulations.trace import Trace

Pieces = Sequence[tuple[Message, Payload | None]]
Tamper = Callable[[NodeId, NodeId, Message, Payload | None], Pieces]
"""What an adversary makes of a message on its way from one node to another: nothing, it, or others."""
Factory = Callable[[list[object]], tuple[Core, Callable[[float], Sequence[Effect]]]]
"""Makes a core from the durable facts, and the call that starts it."""

EVENTS_MAX: Final = 20_000_000
"""A run that needs more has a loop."""
PROGRESS_EVERY_S: Final = 1.0
"""How often a receiver sees that a payload is still coming: the daemon tells with each chunk."""


@dataclass(frozen=True, slots=True)
class Work(Effect):
    """Have the site's data worked on: `call` on the world's executor, its value back as `Computed(token, value)`.

    call: without arguments; it can be pickled if the executor has other processes. seconds: virtual ones that it takes.
    An exception comes back as `Failed`.
    """

    token: object
    call: Callable[[], Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """What `Computed` brings when the work raised. error: what it raised."""

    error: Exception


@dataclass(slots=True, eq=False)
class Host:
    """A node of the world. core: None while it is down. disk: its durable facts.

    number: in the order of adding. life: rises with each start and crash; what was meant for an earlier life is lost.
    offset_s, rate: its monotonic clock shows offset_s + rate * the world's time.
    crash_before, crash_after: asked before and after each effect is carried out whether the host dies there.
    sent_bytes, sent_messages, received_bytes: in all its lives.
    """

    node: NodeId
    factory: Factory
    number: int
    core: Core | None = None
    disk: Disk = field(default_factory=Disk)
    life: int = 0
    offset_s: float = 0.0
    rate: float = 1.0
    crash_before: Callable[[Effect], bool] | None = None
    crash_after: Callable[[Effect], bool] | None = None
    wake: float | None = None
    sent_bytes: int = 0
    sent_messages: int = 0
    received_bytes: int = 0

    def clock(self, now: float) -> float:
        """What the host's monotonic clock shows at a time of the world."""
        return self.offset_s + self.rate * now

    def world_time(self, clock: float) -> float:
        """The first time of the world at which the host's clock shows this, or later."""
        time = (clock - self.offset_s) / self.rate
        while self.clock(time) < clock:  # by the last bit, as it is rounded
            time = math.nextafter(time, math.inf)
        return time


Watcher = Callable[[Host, Any], None]


class World:
    """Runs hosts until nothing is left to do, a condition holds, or virtual time is up.

    batch: whether all facts of a step are durable before its first effect is carried out, as in the daemon; otherwise
    each just before what stands after it, as the cores may rely on.
    """

    def __init__(
        self,
        seed: int,
        network: Network | None = None,
        *,
        executor: Executor | None = None,
        trace: Trace | None = None,
        batch: bool = False,
        record: bool = True,
    ) -> None:
        """executor: where sites' work is done; None: here. record: whether `observed` and `sent` are kept."""
        self.now = 0.0
        self.seed = seed
        self.network = network or Network()
        self.hosts: dict[NodeId, Host] = {}
        self.tamper: Tamper | None = None
        self.trace = trace or Trace()
        self.batch = batch
        self.observed: list[tuple[float, NodeId, Effect]] = []
        """If recorded: every effect that is neither a message nor a computation, in order."""
        self.sent: list[tuple[float, NodeId, NodeId, Message]] = []
        """If recorded: every message, in order."""
        self.chance = random.Random(seed)  # noqa: S311 - a simulation's randomness is its seed's
        self._record = record
        self._executor = executor
        self._heap: list[tuple[float, int, Host | None, int, Any, bytes]] = []
        self._order = itertools.count()
        self._on_effect: defaultdict[type, list[Watcher]] = defaultdict(list)
        self._on_event: defaultdict[type, list[Watcher]] = defaultdict(list)
        self._on_message: defaultdict[type, list[Watcher]] = defaultdict(list)
        self._on_fact: defaultdict[type, list[Watcher]] = defaultdict(list)
        self._coded: tuple[Message | None, bytes, Any] = (None, b"", None)

    # -- watching -------------------------------------------------------------------------------------------------

    def on_effect(self, kind: type, watcher: Watcher) -> None:
        """Call with (host, effect) just before an effect of this type is carried out."""
        self._on_effect[kind].append(watcher)

    def on_event(self, kind: type, watcher: Watcher) -> None:
        """Call with (host, event) just before a core is told of an event of this type."""
        self._on_event[kind].append(watcher)

    def on_message(self, kind: type, watcher: Watcher) -> None:
        """Call with (host, `Received`) just before a core is told of a message of this type."""
        self._on_message[kind].append(watcher)

    def on_fact(self, kind: type, watcher: Watcher) -> None:
        """Call with (host, fact) just after a fact of this type became durable."""
        self._on_fact[kind].append(watcher)

    # -- hosts ----------------------------------------------------------------------------------------------------

    def draw(self, name: str) -> Draw:
        """Random bytes for a node: unpredictable to nobody, the same in every run of this seed."""
        counter = itertools.count(1)
        return lambda n: hashlib.shake_256(f"{self.seed}/{name}/{next(counter)}".encode()).digest(n)

    def add(self, node: NodeId, factory: Factory, disk: Disk | None = None) -> Host:
        """A new host; it starts with `boot`."""
        self.hosts[node] = Host(node, factory, len(self.hosts), disk=disk or Disk())
        return self.hosts[node]

    def boot(self, *nodes: NodeId) -> None:
        """Start hosts, or start them again, from what they made durable; links come up."""
        starts = []
        for host in (self.hosts[node] for node in nodes):
            host.life += 1
            host.core, start = host.factory(list(host.disk))
            self.trace.add(self.now, host.number, "boot")
            starts.append((host, start))
        for host, start in starts:
            self._carry_out(host, start(host.clock(self.now)))
        booted = set(nodes)
        up = [node for node, host in self.hosts.items() if host.core is not None]
        for one, other in itertools.combinations(up, 2):
            if one in booted or other in booted:
                self.link_up(one, other)

    def crash(self, node: NodeId) -> None:
        """Stop a host at once; its memory is gone, what was on its way to it is lost."""
        host = self.hosts[node]
        self.trace.add(self.now, host.number, "crash")
        host.core, host.wake = None, None
        host.life += 1

    def down(self) -> list[NodeId]:
        """The hosts that are not running."""
        return [node for node, host in self.hosts.items() if host.core is None]

    def heal(self) -> None:
        """Mend all cut directions; links come up anew."""
        for one, other in sorted({(min(pair), max(pair)) for pair in self.network.mend()}):
            self.link_up(one, other)

    def link_up(self, one: NodeId, other: NodeId) -> None:
        """A link between two hosts comes into being."""
        for here, there in ((one, other), (other, one)):
            if here in self.hosts and there in self.hosts and (there, here) not in self.network.cut:
                host = self.hosts[here]
                self._push(self.now + self.network.delay(there, here, self.chance), host, LinkUp(there))

    # -- running --------------------------------------------------------------------------------------------------

    def feed(self, node: NodeId, event: Event) -> None:
        """Tell a host of an event now."""
        host = self.hosts[node]
        self._tell(host, event, b"")

    def apply(self, node: NodeId, effects: Sequence[Effect]) -> None:
        """Carry out effects that a call on the core gave."""
        self._carry_out(self.hosts[node], effects)

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a virtual time."""
        heapq.heappush(self._heap, (max(time, self.now), next(self._order), None, 0, action, b""))

    def run(self, until: Callable[[], bool] | None = None, seconds: float = 3600.0, events: int = EVENTS_MAX) -> bool:
        """Run for at most so much virtual time; whether `until` came true (or, without it, all fell silent).

        Raises `RuntimeError` after so many events.
        """
        end, heap = self.now + seconds, self._heap
        for _ in range(events):
            if until is not None and until():
                return True
            if not heap:
                return until is None
            if heap[0][0] > end:
                self.now = end
                return False
            self.step()
        raise RuntimeError(f"seed {self.seed}: more than {events} events")

    def step(self) -> bool:
        """Take the next event from the heap; False if there is none."""
        if not self._heap:
            return False
        self.now, _, host, life, what, data = heapq.heappop(self._heap)
        if host is None:
            what()
        elif host.life == life:
            if isinstance(what, Tick):
                if host.wake != self.now:
                    return True  # a wake-up that an earlier one has made needless
                host.wake = None
            elif isinstance(what, _Pending):
                what = what.finished()
            self._tell(host, what, data)
        return True

    def _push(self, time: float, host: Host, event: object, data: bytes = b"") -> None:
        heapq.heappush(self._heap, (time, next(self._order), host, host.life, event, data))

    def _tell(self, host: Host, event: Event, data: bytes) -> None:
        core = host.core
        if core is None:
            return
        kind = type(event)
        if kind is Received:
            message = event.message  # type: ignore[attr-defined]
            host.received_bytes += len(data)
            if not self._wanted(core, event):
                return
            self.trace.add(self.now, host.number, type(message).__name__, data)
            for watcher in self._on_message.get(type(message), ()):
                watcher(host, event)
        else:
            self.trace.add(self.now, host.number, kind.__name__)
        for watcher in self._on_event.get(kind, ()):
            watcher(host, event)
        self._carry_out(host, core.handle(event, host.clock(self.now)))

    def _wanted(self, core: Core, event: Any) -> bool:
        """A link asks a hub before the first byte of a payload; what is not wanted is not received."""
        receives = getattr(core, "receives", None) if event.payload is not None else None
        return receives is None or bool(receives(event))

    # -- effects --------------------------------------------------------------------------------------------------

    def _carry_out(self, host: Host, effects: Sequence[Effect]) -> None:
        life = host.life
        if self.batch:
            effects = sorted(effects, key=lambda effect: not isinstance(effect, Persist))
        for effect in effects:
            if host.crash_before is not None and host.crash_before(effect):
                host.crash_before = None
                self.crash(host.node)
                return
            try:
                self._carry_out_one(host, effect)
            except DiskFullError:
                self.crash(host.node)
                return
            if host.crash_after is not None and host.crash_after(effect):
                host.crash_after = None
                self.crash(host.node)
                return
            if host.life != life:
                return
        self._schedule_tick(host)

    def _carry_out_one(self, host: Host, effect: Effect) -> None:
        kind = type(effect)
        for watcher in self._on_effect.get(kind, ()):
            watcher(host, effect)
        match effect:
            case Send():
                self._send(host, effect)
                return
            case Compute():
                self._push(self.now, host, Computed(effect.token, effect.work()))
                return
            case Work():
                self._push(self.now + effect.seconds, host, _Pending(effect, self._executor))
                return
            case Persist():
                host.disk.append(effect.fact)
                for watcher in self._on_fact.get(type(effect.fact), ()):
                    watcher(host, effect.fact)
            case Dropped():
                host.disk.drop(effect.record)
        if self._record:
            self.observed.append((self.now, host.node, effect))

    def _send(self, host: Host, effect: Send) -> None:
        pieces: Pieces = ((effect.message, effect.payload),)
        if self.tamper is not None:
            pieces = self.tamper(host.node, effect.to, effect.message, effect.payload)
        for message, payload in pieces:
            self.deliver(host.node, effect.to, message, payload)

    def deliver(self, sender: NodeId, to: NodeId, message: Message, payload: Payload | None = None) -> None:
        """Put a message on the network, as if the sender had sent it: what adversaries do."""
        if self._record:
            self.sent.append((self.now, sender, to, message))
        data, decoded = self._encoded(message)
        size = len(data) + (0 if payload is None else payload.nbytes)
        host, receiver = self.hosts[sender], self.hosts.get(to)
        host.sent_bytes += size
        host.sent_messages += 1
        if receiver is None or receiver.core is None:
            return
        for arrival in self.network.transit(sender, to, size, self.now, self.chance):
            if payload is not None:
                receiver.received_bytes += payload.nbytes
                payload = _frozen(payload)
                self._trickle(receiver, sender, arrival)
            self._push(arrival, receiver, Received(sender, decoded, payload), data)

    def _trickle(self, receiver: Host, sender: NodeId, arrival: float) -> None:
        at = self.now + PROGRESS_EVERY_S
        while at < arrival:
            self._push(at, receiver, Progressed(sender))
            at += PROGRESS_EVERY_S

    def _encoded(self, message: Message) -> tuple[bytes, Message]:
        """The bytes of a message, and the message as its receivers decode it: it cannot change, so all share it."""
        known, data, decoded = self._coded
        if known is not message:
            data = wire.encode(message)
            decoded = wire.decode(data)
            self._coded = (message, data, decoded)
        return data, decoded

    def _schedule_tick(self, host: Host) -> None:
        wake = host.core.wake_at if host.core is not None else None
        if wake is None:
            return
        at = max(host.world_time(wake), self.now)
        if host.wake is None or at < host.wake:
            host.wake = at
            self._push(at, host, _TICK)


_TICK: Final = Tick()


class _Pending:
    """Work under way on an executor, or to be done here when its time has come."""

    def __init__(self, effect: Work, executor: Executor | None) -> None:
        self._effect = effect
        self._future = executor.submit(effect.call) if executor is not None else None

    def finished(self) -> Computed:
        """Its value, waited for if need be."""
        try:
            value = self._effect.call() if self._future is None else self._future.result()
        except Exception as error:  # noqa: BLE001 - whatever a task raises is its own failure, not the world's
            return Computed(self._effect.token, Failed(error))
        return Computed(self._effect.token, value)


def _frozen(payload: Payload) -> Payload:
    """The same bytes, which the receiver cannot change."""
    view = payload.view()
    view.flags.writeable = False
    return view
