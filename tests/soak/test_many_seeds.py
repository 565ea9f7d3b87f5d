"""Sums over bad networks as in the unit tests, over many more seeds: `make soak`. A failure names its seed.

Whole jobs under faults and with adversaries are `secured-sim seeds`, which `make soak` runs after these.
"""

from __future__ import annotations

import random

import pytest

from simulations.network import Network
from tests.kit import Sums

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
BATCHES = range(20)
BATCH = 50
"""Seeds of one test: 1,000 in all."""


@pytest.mark.parametrize("batch", BATCHES)
def test_sums_are_exact_over_bad_networks(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        chance = random.Random(seed)
        faults = Network((0.001, chance.uniform(0.01, 2.0)), chance.uniform(0, 0.25), chance.uniform(0, 0.3))
        sums = Sums(chance.randint(3, 8), chance.choice([1, 50, 40_000]), seed, faults)
        assert sums.run(7200), f"seed {seed} does not end"
        sums.assert_exact()
        assert not [e for _, e in sums.evidence() if e.convicts], f"seed {seed} convicts an honest member"
