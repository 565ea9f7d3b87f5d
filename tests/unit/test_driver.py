"""The driver's one promise: a fact is on disk before the message that it licenses leaves. And what else it keeps up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from protocols.core import Compute, Computed, Effect, Event, LinkUp, Persist, Progressed, Received, Refused, Send, Tick
from protocols.errors import LocalError
from protocols.identity import Identity, NodeId
from protocols.job.events import Joined, Moved
from protocols.job.life import State
from protocols.message import Message, Payload
from secured_node import driver as module
from secured_node.driver import Broken, Driver
from secured_node.store.audit import first_bad_entry
from secured_node.store.store import Store

PEER = Identity(b"\1" * 32).node


class Word(Message, frozen=True):
    """A message of these tests."""

    text: str


class Script:
    """A core that does what it is told: each `Received` carries the effects to give."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.wake_at: float | None = None
        self.first: Sequence[Effect] = ()
        self.answer: Callable[[Event], Sequence[Effect]] = lambda _: ()

    def start(self, now: float) -> Sequence[Effect]:
        return self.first

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        self.events.append(event)
        if isinstance(event, Tick):
            self.wake_at = None
        return self.answer(event)


class Recorder(Store):
    """A store that notes when a commit begins and when it is on disk, and can be held up or broken."""

    def __init__(self, folder: Path, log: list[str]) -> None:
        super().__init__(folder)
        self.log, self.gate = log, asyncio.Event()
        self.gate.set()
        self.broken: Exception | None = None

    async def commit(self, facts: Any, told: Any = (), dropped: Any = ()) -> None:
        if facts:
            self.log.append("commit begins")
            await self.gate.wait()
        if self.broken is not None and facts:
            raise self.broken
        await super().commit(facts, told, dropped)
        if facts:
            self.log.append(f"on disk: {len(facts)}")


class World:
    """A driver with a scripted core, and everything that it did, in order."""

    def __init__(self, folder: Path) -> None:
        self.log: list[str] = []
        self.core, self.store = Script(), Recorder(folder, self.log)
        self.driver = Driver(self.core, self.store, self, self)  # type: ignore[arg-type]  # a scripted core
        self.task: asyncio.Task[None] | None = None

    def send(self, peer: NodeId, message: Message, payload: Payload | None = None) -> bool:
        assert isinstance(message, Word)
        self.log.append(f"sent {message.text}")
        return True

    def take(self, effect: Effect) -> None:
        self.log.append(type(effect).__name__)

    def learned(self, effect: Effect) -> None:
        self.log.append("learned")

    def run(self) -> None:
        self.task = asyncio.create_task(self.driver.run())

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    if made.task is not None:
        made.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await made.task
    await made.driver.stop()
    await made.store.close()


def say(text: str) -> Send:
    return Send(PEER, Word(text))


def fact(number: int) -> Persist:
    return Persist(Joined(bytes([number]) * 32, bytes(32)))


async def test_facts_are_on_disk_before_any_message_of_the_step_leaves(world: World) -> None:
    world.core.answer = lambda _: [fact(1), say("licensed"), Moved(bytes(32), State.RUNNING, ""), fact(2), say("both")]
    world.store.gate.clear()
    world.run()
    world.driver.received(PEER, Word("go"), None)
    await world.until(lambda: world.log)
    await asyncio.sleep(0.05)
    assert world.log == ["commit begins"], "nothing leaves while the disk is slow"
    world.store.gate.set()
    await world.until(lambda: "sent both" in world.log)
    assert world.log == ["commit begins", "on disk: 2", "sent licensed", "Moved", "sent both"]


async def test_steps_are_carried_out_one_after_the_other(world: World) -> None:
    numbers = iter(range(1, 10))

    def answer(_: Event) -> Sequence[Effect]:
        number = next(numbers)
        return [fact(number), say(str(number))]

    world.core.answer = answer
    world.store.gate.clear()
    world.run()
    for _ in range(3):
        world.driver.received(PEER, Word("go"), None)
    await asyncio.sleep(0.02)
    world.store.gate.set()
    await world.until(lambda: "sent 3" in world.log)
    step = [["commit begins", "on disk: 1", f"sent {number}"] for number in (1, 2, 3)]
    assert world.log == [*step[0], *step[1], *step[2]]


async def test_what_the_core_wants_at_its_start_is_kept_first_too(world: World) -> None:
    world.core.first = [fact(1), say("again")]
    world.run()
    await world.until(lambda: "sent again" in world.log)
    assert world.log == ["commit begins", "on disk: 1", "sent again"]


async def test_nothing_leaves_when_the_disk_refuses_and_the_daemon_ends(world: World) -> None:
    world.core.answer = lambda _: [fact(1), say("never")]
    world.store.broken = OSError("no space")
    world.run()
    with pytest.raises(OSError, match="no space"):
        await asyncio.wait_for(world.driver.tell(LinkUp(PEER)), 5)
    assert world.task is not None
    with pytest.raises(OSError, match="no space"):
        await asyncio.wait_for(world.task, 5)
    assert not any(line.startswith("sent") for line in world.log)


async def test_a_misuse_is_told_to_who_asked_and_nothing_else_happens(world: World) -> None:
    def answer(event: Event) -> Sequence[Effect]:
        if isinstance(event, LinkUp):
            raise LocalError("not so")
        return [say("fine")]

    world.core.answer = answer
    world.run()
    with pytest.raises(LocalError, match="not so"):
        await world.driver.tell(LinkUp(PEER))
    assert await world.driver.tell(Progressed(PEER)) == [say("fine")]
    assert world.log == ["sent fine"]


async def test_tell_returns_when_the_facts_are_on_disk(world: World) -> None:
    world.core.answer = lambda _: [fact(1)]
    world.store.gate.clear()
    world.run()
    asked = asyncio.create_task(world.driver.tell(LinkUp(PEER)))
    await asyncio.sleep(0.02)
    assert not asked.done()
    world.store.gate.set()
    await asked
    assert await world.store.job_facts() == [Joined(b"\1" * 32, bytes(32))]


async def test_a_computation_comes_back_as_an_event(world: World) -> None:
    seen: list[object] = []

    def answer(event: Event) -> Sequence[Effect]:
        if isinstance(event, Computed):
            seen.append((event.token, event.value))
            return []
        return [Compute("token", lambda: 6 * 7)]

    world.core.answer = answer
    world.run()
    world.driver.link_up(PEER)
    await world.until(lambda: seen)
    assert seen == [("token", 42)]


async def test_a_failure_beside_the_loop_ends_the_daemon(world: World) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    world.core.answer = lambda e: [Compute("x", fails)] if isinstance(e, LinkUp) else []
    world.run()
    world.driver.link_up(PEER)
    assert world.task is not None
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(world.task, 5)


async def test_broken_is_raised_in_its_turn(world: World) -> None:
    world.run()
    world.driver.post(Broken(OSError("disk")))
    assert world.task is not None
    with pytest.raises(OSError, match="disk"):
        await asyncio.wait_for(world.task, 5)


async def test_ticks_come_when_the_core_wants_them_and_not_before(world: World) -> None:
    world.core.wake_at = wanted = time.monotonic() + 0.1
    world.run()
    await world.until(lambda: world.core.events)
    assert isinstance(world.core.events[0], Tick) and time.monotonic() >= wanted
    await asyncio.sleep(0.05)
    assert len(world.core.events) == 1


async def test_a_flood_of_messages_is_dropped_and_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_MAX", 5)
    for _ in range(9):
        world.driver.received(PEER, Word("x"), None)
        world.driver.progressed(PEER)
    world.run()
    await world.until(lambda: len(world.core.events) == 5)
    assert world.driver.counters == {"overload": 6}, "nine and five for each: room for three and two"
    assert any(isinstance(event, Received) for event in world.core.events)


async def test_a_flood_of_refusals_is_counted_but_does_not_fill_the_audit(world: World) -> None:
    world.core.answer = lambda _: [Refused(PEER, "bad_signature", "no")] * 50
    world.run()
    await world.driver.tell(LinkUp(PEER))
    for _ in range(30):
        world.driver.refused(None, "stranger", "who is it")
    await world.until(lambda: world.driver.counters.get("stranger") == 30)
    assert world.driver.counters["bad_signature"] == 50
    entries = await world.store.entries()
    assert 0 < len(entries) <= 2 * module.REFUSALS_TOLD_MAX
    assert first_bad_entry(entries) is None


async def test_the_audit_stays_whole_when_many_write_at_once(world: World) -> None:
    world.core.answer = lambda _: [Moved(bytes(32), State.RUNNING, "x"), Refused(PEER, "code", "y")]
    world.run()
    for number in range(20):
        world.driver.link_up(PEER)
        world.driver.refused(PEER, f"code{number}", "z")
        await world.driver.note("noted", n=number)
    await world.until(lambda: len(world.core.events) == 20)
    await world.driver.tell(Tick())
    entries = await world.store.entries()
    assert len(entries) >= 60 and first_bad_entry(entries) is None
