"""The same worlds as in the unit tests, over many more seeds: `make soak`. A failure names its seed."""

from __future__ import annotations

import random

import pytest

from protocols.core import Effect
from protocols.job.life import State
from simulations.network import Network
from tests.hubs import Federation
from tests.kit import Sums

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
BATCHES = range(20)
BATCH = 50
"""Seeds of one test: 1,000 of each kind in all."""


@pytest.mark.parametrize("batch", BATCHES)
def test_sums_are_exact_over_bad_networks(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        chance = random.Random(seed)
        faults = Network((0.001, chance.uniform(0.01, 2.0)), chance.uniform(0, 0.25), chance.uniform(0, 0.3))
        sums = Sums(chance.randint(3, 8), chance.choice([1, 50, 40_000]), seed, faults)
        assert sums.run(7200), f"seed {seed} does not end"
        sums.assert_exact()
        assert not [e for _, e in sums.evidence() if e.convicts], f"seed {seed} convicts an honest member"


@pytest.mark.parametrize("batch", BATCHES)
def test_jobs_end_well_whatever_crashes(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        chance = random.Random(seed)
        size = chance.randint(3, 5)
        federation = Federation(size, seed, Network((0.001, 0.2), chance.uniform(0, 0.1), 0.1))
        victims = [federation.nodes[chance.randrange(size)] for _ in range(2)]
        federation.boot()

        def strike(_: Effect, dice: random.Random = chance) -> bool:
            return dice.random() < 0.02

        job = federation.submit(members=range(size), collect_s=7200.0)
        for number, node in enumerate(victims):
            federation.world.run(seconds=3.0 * number)
            federation.world.hosts[node].crash_before = strike
        for _ in range(20):
            federation.world.run(seconds=30)
            down = [n for n in federation.nodes if federation.world.hosts[n].core is None]
            federation.world.boot(*down)
        for node in victims:
            federation.world.hosts[node].crash_before = None
        down = [n for n in federation.nodes if federation.world.hosts[n].core is None]
        federation.world.boot(*down)
        assert federation.run_until(job, State.DONE, seconds=7200), f"seed {seed}: {federation.states(job)}"
        federation.assert_result(job, range(size))
