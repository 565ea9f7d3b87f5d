"""The whole-set sum over a good and a bad network."""

import pytest

from simulations.network import Network
from tests.kit import Sums

LONG = 40_000
"""Words: above the limit under which everybody sums everything."""


@pytest.mark.parametrize("n", [3, 4, 5, 8])
@pytest.mark.parametrize("word_bits", [32, 64])
@pytest.mark.parametrize("length", [1, 20, LONG])
def test_every_member_gets_the_exact_sum(n: int, word_bits: int, length: int) -> None:
    """S36."""
    sums = Sums(n, length, word_bits=word_bits)
    assert sums.run(60)
    sums.assert_exact()
    assert not sums.evidence()
    assert not sums.codes()


def test_one_holder_per_segment_also_gives_the_exact_sum() -> None:
    """S36."""
    sums = Sums(5, LONG, holders=1)
    assert sums.run(60)
    sums.assert_exact()


def test_the_other_cipher_suite_also_gives_the_exact_sum() -> None:
    """S36."""
    sums = Sums(4, 100, suite=2)
    assert sums.run(60)
    sums.assert_exact()


def test_three_holders_guard_against_two_colluders() -> None:
    """S36."""
    sums = Sums(8, LONG, colluders=2, holders=3)
    assert sums.run(60)
    sums.assert_exact()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("length", [20, LONG])
def test_loss_repetition_and_reordering_change_nothing(seed: int, length: int) -> None:
    """S19."""
    sums = Sums(3 + seed % 4, length, seed, Network(latency_s=(0.001, 1.5), loss=0.15, duplicate=0.2))
    assert sums.run(3600)
    sums.assert_exact()
    assert not sums.evidence()


def test_a_round_that_is_over_is_freed_at_once_with_its_vectors() -> None:
    """A circle of references once kept each round's sum until the collector came: 40 MB a round at 10^7 words."""
    import gc
    import weakref

    sums = Sums(4, LONG)
    assert sums.run(60)
    gc.collect()
    gc.disable()
    try:
        core = sums.world.hosts[sums.nodes[0]].core
        gone = weakref.ref(core)
        sums.world.hosts[sums.nodes[0]].core = None
        del core
        assert gone() is None
    finally:
        gc.enable()
