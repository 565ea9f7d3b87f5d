"""The clock of a collection: what a restart does to it, in the core, in a simulated hub, under the driver."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.core import Persist
from protocols.job.clock import COHORT_LATE_S, KEEP_PARTS, KEEP_S_MIN, CollectionClock, Waited
from protocols.job.events import Decide
from protocols.job.kinds import JOB, Answer
from protocols.job.life import State
from protocols.job.restore import restore
from protocols.node import Node
from protocols.records.events import Publish
from protocols.records.record import Record
from secured_node import driver as driver_module
from secured_node.driver import Driver
from secured_node.store.store import Store
from tests.hubs import Federation
from tests.kit import JOB as ANY_JOB

COLLECT_S = 6000.0


@given(
    st.lists(st.floats(0, 3000), max_size=40),
    st.floats(0, 30 * 86_400.0),
    st.floats(0, 1e9),
)
def test_every_life_adds_to_the_clock_and_loses_at_most_one_note(
    lives: list[float], collect_s: float, booted_at: float
) -> None:
    """J17. lives: how long the hub ran each time; the monotonic clock begins elsewhere in each."""
    every, waited, ran = max(KEEP_S_MIN, collect_s / KEEP_PARTS), 0.0, 0.0
    for number, life in enumerate(lives):
        start = booted_at / (number + 1)
        clock = CollectionClock(ANY_JOB, start, collect_s, waited)
        assert clock.closes_at - start == pytest.approx(collect_s - waited, abs=1e-3)
        assert clock.late_at == clock.closes_at + COHORT_LATE_S
        while clock.keep_at <= start + life:
            (kept,) = clock.keep(clock.keep_at)
            assert isinstance(kept, Persist) and isinstance(kept.fact, Waited)
            assert kept.fact.waited_s > waited
            waited = kept.fact.waited_s
        assert clock.keep(math.nextafter(clock.keep_at, -math.inf)) == []
        ran += life
        assert waited <= ran * (1 + 1e-6) + 1e-3
        assert ran - waited <= (number + 1) * every * (1 + 1e-6) + 1e-3


def open_collection(collect_s: float = COLLECT_S) -> tuple[Federation, bytes]:
    """A job that three of four hubs would join and the last never answers."""
    federation = Federation(4)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, max_nodes=4, collect_s=collect_s)
    federation.world.run(seconds=10)
    assert federation.states(job) == [State.COLLECTING] * 4
    return federation, job


def test_a_collection_ends_in_its_time_however_often_its_hub_restarts() -> None:
    """J17. Each restart set the clock back to nothing: a hub restarted each hour never closed a collection of a day."""
    federation, job = open_collection()
    submitter, world = federation.nodes[0], federation.world
    began = world.now
    for _ in range(12):
        world.run(seconds=450)
        world.crash(submitter)
        world.boot(submitter)
    assert federation.states(job) == [State.COLLECTING] * 4
    restarts_s = 12 * (COLLECT_S / KEEP_PARTS)
    assert federation.run_until(job, State.RUNNING, (0, 1, 2), seconds=began + COLLECT_S + restarts_s - world.now)
    assert world.now - began >= COLLECT_S - 10
    assert federation.run_until(job, State.DONE, (0, 1, 2))


def test_while_its_hub_is_down_the_clock_of_a_collection_stands_still() -> None:
    """J17. What the others answered meanwhile, it has still time to hear."""
    federation, job = open_collection()
    submitter, world = federation.nodes[0], federation.world
    world.run(seconds=COLLECT_S / 2)
    world.crash(submitter)
    federation.decide(3, job, Answer.JOIN)
    world.run(seconds=COLLECT_S)
    world.boot(submitter)
    assert federation.run_until(job, State.DONE, seconds=60), "the fourth was heard, and is in"
    assert len(federation.job(0, job).body.members) == 4  # type: ignore[union-attr]


class Outside:
    """No links, and a site that has nothing to say."""

    def send(self, *_: object) -> bool:
        return False

    def take(self, _: object) -> None:
        return

    def learned(self, _: object) -> None:
        return


async def a_life(
    folder: Path, federation: Federation, clock: list[float], ran_s: float, first: Sequence[Record]
) -> float:
    """Run the founder's hub by the daemon's own driver for so long; for how long it would wait when that was over."""
    store = Store(folder)
    facts = restore(await store.job_facts())
    node = Node(federation.identities[0], federation.charter, bytes, await store.records(), facts)
    driver = Driver(node, store, Outside(), Outside())  # type: ignore[arg-type]
    running = asyncio.create_task(driver.run())
    try:
        await driver.perform(lambda _: ())  # it has taken up what was kept
        if first:
            await driver.tell(Publish(tuple(first)))
        until = clock[0] + ran_s
        while node.wake_at is not None and node.wake_at <= until:
            clock[0] = max(clock[0], node.wake_at)
            await driver.perform(lambda now: node.handle(driver_module.Tick(), now))
        clock[0] = until
        (job,) = node.jobs.values()
        return job._clock.closes_at - until
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await driver.stop()
        await store.close()


async def test_the_clock_of_a_collection_goes_on_where_it_was_when_the_daemon_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J17. With the daemon's driver and database; the machine boots in between, so the monotonic clock begins anew."""
    federation, job = open_collection()
    record = federation.hub(0).node.store.by_digest(job)
    assert record is not None and record.record.kind == JOB
    about = federation.members[0]
    assert isinstance(about, Record)
    clock = [50_000.0]
    monkeypatch.setattr(driver_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    left = await a_life(tmp_path, federation, clock, 2000.0, [about, record.record])
    assert left == pytest.approx(COLLECT_S - 2000)
    clock[0] = 3.0
    left = await a_life(tmp_path, federation, clock, 1000.0, ())
    assert COLLECT_S - 3000 <= left <= COLLECT_S - 3000 + COLLECT_S / KEEP_PARTS
