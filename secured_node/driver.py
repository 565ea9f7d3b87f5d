"""Runs a `Node` on asyncio: events in, effects out, the durable fact before what it licenses.

One task takes events in order. For each it asks the core, commits the facts of the step (and the audit entries that
tell of it) in one transaction, and only then carries the effects out. Heavy computations go to a small pool of threads;
what they give comes back as an event. The driver takes no decision of the protocol; what needs the site (policy, data,
results) is handed to `Jobs`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog

from protocols.core import Compute, Computed, Effect, Event, LinkUp, Persist, Progressed, Received, Refused, Send, Tick
from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.job.events import Advance, Moved, Serve, StartWork
from protocols.message import Message, Payload
from protocols.node import InJob, Node, Proposed
from protocols.records.events import Dropped, Forked, Learned
from protocols.records.record import Record
from protocols.secagg.effects import Certified, Evidence, Retried
from secured_node.store.audit import Told
from secured_node.store.blobs import DamagedBlob
from secured_node.store.store import Kept, Store

log = structlog.get_logger()

THREADS: Final = 2
"""For masks, digests and sums: they release the GIL, and a hub has other things to do with its cores."""
EVENTS_MAX: Final = 10_000
"""Events that may wait: a flood of small messages is dropped beyond it, and asked for again by who sent it."""
REFUSALS_WINDOW_S: Final = 60.0
REFUSALS_TOLD_MAX: Final = 10
"""Refusals of one kind by one peer that the audit tells of in a window."""
REFUSERS_MAX: Final = 256
"""Peers and kinds told of in a window."""


class Sender(Protocol):
    """What the driver needs of the links."""

    def send(self, peer: NodeId, message: Message, payload: Payload | None = None) -> bool:
        """Give a message to the link to a peer; False if it was dropped."""


class Site(Protocol):
    """What the driver hands on: everything that needs the site's policy, data or people."""

    def take(self, effect: Proposed | Advance | StartWork | Moved) -> None:
        """A job wants something of the site; the answer comes back through `Driver.post`. Must not block."""

    def learned(self, effect: Learned | Dropped) -> None:
        """A record came or went; the roster may have changed."""


@dataclass(frozen=True, slots=True)
class Broken(Event):
    """Something beside the driver failed for good, the disk or a bug of ours: `run` raises it."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class _Step:
    """A call on the core, and who waits for it."""

    call: Callable[[float], Sequence[Effect]]
    done: asyncio.Future[Sequence[Effect]]


class Driver:
    """The one place where a node's core is touched."""

    def __init__(self, node: Node, store: Store, sender: Sender, site: Site) -> None:
        self.node = node
        self.counters: dict[str, int] = {}
        """Refusals by code, for metrics."""
        self._store, self._sender, self._site = store, sender, site
        self._events: asyncio.Queue[Event | _Step] = asyncio.Queue()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="compute")
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ticking = False
        self._window = 0
        self._told: dict[tuple[NodeId | None, str], int] = {}

    # -- in ------------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Give the core an event. From the event loop's thread."""
        self._events.put_nowait(event)

    async def perform(self, step: Callable[[float], Sequence[Effect]]) -> Sequence[Effect]:
        """Have the core called in its turn; returns its effects once they are carried out, facts on disk.

        Raises `LocalError` if the core does: then nothing was done.
        """
        done: asyncio.Future[Sequence[Effect]] = asyncio.get_running_loop().create_future()
        self._events.put_nowait(_Step(step, done))
        return await done

    async def tell(self, event: Event) -> Sequence[Effect]:
        """Give the core an event and wait until its effects are carried out. Raises `LocalError`."""
        return await self.perform(lambda now: self.node.handle(event, now))

    def received(self, peer: NodeId, message: Message, payload: Payload | None) -> None:
        """A message arrived. Dropped when far too many wait: whoever needs it asks again."""
        if self._events.qsize() >= EVENTS_MAX:
            self._count("overload")
            return
        self.post(Received(peer, message, payload))

    def link_up(self, peer: NodeId) -> None:
        """A link came into being."""
        self.post(LinkUp(peer))

    def progressed(self, peer: NodeId) -> None:
        """A chunk of a payload arrived."""
        if self._events.qsize() < EVENTS_MAX:
            self.post(Progressed(peer))

    def refused(self, peer: NodeId | None, code: str, detail: str) -> None:
        """Something was refused below the core, at the door or on a link, and logged there."""
        self._spawn(self._refuse(Refused(peer, code, detail)))

    async def _refuse(self, effect: Refused) -> None:
        entry = self._audited(effect)
        await self._store.commit((), (entry,) if entry is not None else ())
        self._count(effect.code)

    async def note(self, event: str, **about: Any) -> None:
        """Put something into the audit that did not come from the core."""
        await self._store.commit((), (self._entry(event, about),))

    # -- running -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take events until cancelled. Whatever goes wrong in here is our bug, and ends the daemon loudly."""
        await self._carry_out(self.node.start(time.monotonic()))
        while True:
            self._set_timer()
            event = await self._events.get()
            if isinstance(event, _Step):
                await self._take_step(event)
                continue
            if isinstance(event, Broken):
                raise event.error
            if isinstance(event, Tick):
                self._ticking = False
            await self._carry_out(self.node.handle(event, time.monotonic()))

    async def _take_step(self, step: _Step) -> None:
        try:
            effects = step.call(time.monotonic())
        except LocalError as error:
            step.done.set_exception(error)
            return
        try:
            await self._carry_out(effects)
        except Exception as error:
            if not step.done.done():
                step.done.set_exception(error)
            raise
        if not step.done.done():
            step.done.set_result(effects)

    async def stop(self) -> None:
        """End what runs beside: timers, computations."""
        if self._timer is not None:
            self._timer.cancel()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self.node.wake_at
        if wake is not None and not self._ticking:
            delay = max(0.0, wake - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._ticking = True
        self.post(Tick())

    # -- out -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        facts = [self._fact(effect.fact) for effect in effects if isinstance(effect, Persist)]
        dropped = [effect.digest for effect in effects if isinstance(effect, Dropped)]
        entries = [entry for effect in effects if (entry := self._audited(effect)) is not None]
        await self._store.commit(facts, entries, dropped)
        for effect in effects:
            self._do(effect)

    def _fact(self, fact: object) -> object:
        return Kept(self.node.store.digest_of(fact), fact) if isinstance(fact, Record) else fact

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._sender.send(effect.to, effect.message, effect.payload)
            case Compute():
                self._spawn(self._compute(effect))
            case Serve():
                self._spawn(self._serve(effect))
            case Proposed() | Advance() | StartWork() | Moved():
                self._site.take(effect)
            case Learned() | Dropped():
                self._site.learned(effect)
            case Refused():
                self._count(effect.code)
                log.warning("refused", peer=effect.peer, code=effect.code, detail=effect.detail)

    def _count(self, code: str) -> None:
        self.counters[code] = self.counters.get(code, 0) + 1

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.post(Broken(error))

    async def _compute(self, effect: Compute) -> None:
        value = await asyncio.get_running_loop().run_in_executor(self._pool, effect.work)
        self.post(Computed(effect.token, value))

    async def _serve(self, effect: Serve) -> None:
        try:
            fact = await self._store.certified(effect.job, effect.round)
        except DamagedBlob as error:  # whoever asked finds the same sum elsewhere, and this hub goes on without it
            log.error("sum_damaged", job=effect.job.hex(), round=effect.round, reason=str(error))
            self._count("sum_damaged")
            return
        if fact is not None:
            self._sender.send(effect.to, fact.certificate, fact.total if effect.with_sum else None)

    # -- audit ---------------------------------------------------------------------------------------------------

    def _entry(self, event: str, about: dict[str, Any]) -> Told:
        return self._store.audit.entry(datetime.now(UTC).isoformat(timespec="milliseconds"), event, about)

    def _worth_telling(self, effect: Refused) -> bool:
        """The first refusals of a kind by a peer; of a flood only the counter tells: it cannot fill the disk."""
        window = int(time.monotonic() / REFUSALS_WINDOW_S)
        if window != self._window:
            self._window = window
            self._told.clear()
        key = (effect.peer, effect.code)
        self._told[key] = self._told.get(key, 0) + 1
        return self._told[key] <= REFUSALS_TOLD_MAX and len(self._told) <= REFUSERS_MAX

    def _audited(self, effect: Effect) -> Told | None:
        """The audit tells of decisions, sums, refusals, evidence and moves; of contents it tells digests."""
        match effect:
            case Learned():
                record = effect.record
                about = {"kind": record.kind, "author": record.author, "subject": record.subject}
                return self._entry("record", {**about, "digest": effect.digest.hex()})
            case Refused() if self._worth_telling(effect):
                return self._entry("refused", {"peer": effect.peer, "code": effect.code, "detail": effect.detail})
            case Moved():
                return self._entry("job", {"job": effect.job.hex(), "state": effect.state, "reason": effect.reason})
            case Persist(fact=Certified() as fact):
                certificate = fact.certificate
                about = {"job": certificate.job.hex(), "round": str(certificate.round)}
                return self._entry("sum", {**about, "history": certificate.history.hex()})
            case Forked():
                fork = effect.fork
                return self._entry("fork", {"author": fork.first.author, "kind": fork.first.kind})
            case InJob(job=job, effect=Evidence() as evidence):
                return self._entry("evidence", {"job": job.hex(), "author": evidence.author, "kind": evidence.kind})
            case InJob(job=job, effect=Retried() as retried):
                about = {"job": job.hex(), "attempt": str(retried.attempt), "reason": retried.reason}
                return self._entry("retry", {**about, "waited_for": ", ".join(retried.waited_for)})
        return None
