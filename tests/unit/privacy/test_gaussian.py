"""The sampler against the exact probabilities, and against the paper's algorithms written out slowly."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.errors import LocalError
from protocols.privacy import gaussian
from protocols.privacy.gaussian import SIGMA_MAX, DiscreteGaussian
from tests.unit.privacy import reference

KEY = bytes(range(32))
KNOWN = [490, -801, -1182, -1298, 1057, -1460, 839, -126]
"""Samples of sigma 1000 from `KEY`."""
LIKELY = 1e-4
"""Keys are fixed, so a test that passes once passes for ever; a wrong sampler gives far smaller p values."""


def p_value(samples: npt.NDArray[np.int64], sigma: float) -> float:
    """Of Pearson's test against the exact probabilities, cells with fewer than ten expected thrown together."""
    tail = int(8 * sigma) + 8
    expected = reference.probabilities(sigma, tail) * len(samples)
    found = np.bincount(np.clip(samples, -tail, tail) + tail, minlength=2 * tail + 1)
    many = expected >= 10
    expected = np.append(expected[many], expected[~many].sum())
    found = np.append(found[many], found[~many].sum())
    return float(stats.chi2.sf(((found - expected) ** 2 / expected).sum(), len(expected) - 1))


@pytest.mark.parametrize("sigma", [1, 2, 3, 5, 17, 100])
def test_samples_have_the_exact_probabilities(sigma: int) -> None:
    """J18."""
    samples = DiscreteGaussian(KEY).samples(sigma, 400_000)
    assert p_value(samples, sigma) > LIKELY
    assert p_value(samples, sigma * 1.04) < LIKELY  # the test could fail


@pytest.mark.parametrize("square", [Fraction(1), Fraction(4), Fraction(9), Fraction(7, 3)])
def test_the_papers_algorithms_written_out_have_them_too(square: Fraction) -> None:
    rng = random.Random(7)
    samples = np.array([reference.gaussian(square, rng) for _ in range(20_000)])
    assert p_value(samples, float(square) ** 0.5) > LIKELY


def test_the_two_samplers_cannot_be_told_apart() -> None:
    """Two-sample test at a sigma where every branch is taken: |y| below, at and far above sigma."""
    rng = random.Random(11)
    slow = np.array([reference.gaussian(Fraction(36), rng) for _ in range(20_000)])
    fast = DiscreteGaussian(KEY).samples(6, 200_000)
    cells = [np.bincount(np.clip(s, -20, 20) + 20, minlength=41) for s in (slow, fast)]
    assert stats.chi2_contingency(np.array(cells)).pvalue > LIKELY


@pytest.mark.parametrize("sigma", [1 << 16, 1 << 24, SIGMA_MAX - 1, SIGMA_MAX])
def test_wide_samples_are_normal(sigma: int) -> None:
    """From a sigma of thousands on, the discrete and the continuous differ by less than any test could see."""
    samples = DiscreteGaussian(KEY).samples(sigma, 200_000) / sigma
    assert stats.kstest(samples, "norm").pvalue > LIKELY
    assert stats.kstest(samples * 1.02, "norm").pvalue < LIKELY


def test_wide_samples_use_every_bit() -> None:
    """The lowest bits are uniform: no rounding hides in there."""
    low = DiscreteGaussian(KEY).samples(1 << 24, 200_000) % 64
    assert stats.chisquare(np.bincount(low, minlength=64)).pvalue > LIKELY


@pytest.mark.parametrize("sigma", [1, 4, 1000])
def test_tails_are_as_likely_as_they_should_be(sigma: int) -> None:
    samples = np.abs(DiscreteGaussian(bytes(32)).samples(sigma, 1_000_000))
    exact = reference.probabilities(sigma, 12 * sigma)
    x = np.abs(np.arange(-12 * sigma, 12 * sigma + 1))
    for sigmas in (2, 3, 4):
        likely = exact[x > sigmas * sigma].sum()
        found = int((samples > sigmas * sigma).sum())
        assert stats.binomtest(found, 1_000_000, likely).pvalue > LIKELY
    assert samples.max() < 6 * sigma + 1


def test_samples_are_independent_of_each_other() -> None:
    samples = DiscreteGaussian(KEY).samples(1000, 200_000).astype(float)
    for lag in (1, 2, 7, 1024):
        assert abs(np.corrcoef(samples[lag:], samples[:-lag])[0, 1]) < 4 / len(samples) ** 0.5


def test_a_key_always_gives_the_same_samples() -> None:
    """The numbers are written down: they are the same on every machine."""
    assert DiscreteGaussian(KEY).samples(1000, 8).tolist() == KNOWN
    assert DiscreteGaussian(bytes(32)).samples(1000, 8).tolist() != KNOWN


def test_one_stream_goes_on_and_gives_other_samples() -> None:
    stream = DiscreteGaussian(KEY)
    first, second = stream.samples(1000, 1000), stream.samples(1000, 1000)
    assert not np.array_equal(first, second)


@settings(derandomize=True, database=None, max_examples=60, deadline=None)
@given(sigma=st.integers(1, SIGMA_MAX), count=st.integers(0, 300), key=st.binary(min_size=32, max_size=32))
def test_any_sigma_and_count_give_samples_within_reach(sigma: int, count: int, key: bytes) -> None:
    samples = DiscreteGaussian(key).samples(sigma, count)
    assert samples.shape == (count,) and samples.dtype == np.int64
    assert not count or int(np.abs(samples).max()) <= 13.4 * sigma


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian, "CHUNK", 64)
    assert p_value(DiscreteGaussian(KEY).samples(3, 20_000), 3) > LIKELY


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 10, 1000])
def test_uniform_integers_are_uniform(bound: int) -> None:
    made = DiscreteGaussian(KEY)._below(bound, 100_000)
    found = np.bincount(made.astype(np.int64), minlength=bound)
    assert len(found) == bound
    assert bound == 1 or stats.chisquare(found).pvalue > LIKELY


def test_words_of_the_last_incomplete_run_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^64 is 1 modulo 3 and 5: the largest word would make one residue more likely. It is complete modulo 2^k."""
    top = 2**64 - 1
    given_words = iter([[top, 4, top], [top, 8], [5]])
    made = DiscreteGaussian(KEY)
    monkeypatch.setattr(made, "_words", lambda count: np.array(next(given_words), np.uint64))
    assert made._below(3, 3).tolist() == [2, 1, 2]  # top is redrawn twice at first place: 5 % 3; 8 % 3; 4 % 3
    given_words = iter([[top, top - 1]])
    assert made._below(1 << 31, 2).tolist() == [2**31 - 1, 2**31 - 2]


@pytest.mark.parametrize("sigma", [0, -1, SIGMA_MAX + 1])
def test_a_sigma_out_of_range_is_an_error(sigma: int) -> None:
    with pytest.raises(LocalError, match="sigma"):
        DiscreteGaussian(KEY).samples(sigma, 1)


def test_a_key_of_another_length_is_an_error() -> None:
    with pytest.raises(LocalError, match="32 bytes"):
        DiscreteGaussian(bytes(16))
