"""Plans keep their promise: one record moves the integers by no more than `reach`, and the noise pays for that."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from protocols.encoding import EncodingError, blocks_beyond, decode
from protocols.privacy import plan as plans
from protocols.privacy.accounting import closeness, delta_of, rho_of
from protocols.privacy.gaussian import DiscreteGaussian
from protocols.privacy.plan import SIGMA_BEST, SIGMA_MIN, Clipped, encode_noisy, plan_noise, proportional, reach

TWO = (Clipped("a", 3, 2.0, 0.25), Clipped("b", 50, 7.0, 0.75, largest=1.0))


def draw(_: int) -> bytes:
    return bytes(range(32))


def exponent(noisy: plans.Noisy) -> int:
    return math.frexp(noisy.block.scale)[1] - 1


def integers(records: dict[str, npt.NDArray[Any]], plan: plans.Plan) -> npt.NDArray[np.int64]:
    return encode_noisy([records], plan, 64, draw).astype(np.int64)


@settings(derandomize=True, database=None, max_examples=200, deadline=None)
@given(
    norm=st.floats(1e-6, 1e6),
    length=st.integers(1, 10**6),
    share=st.floats(0.01, 1),
    rho=st.floats(1e-6, 100),
    members=st.integers(3, 128),
    colluders=st.integers(1, 2),
    records_max=st.integers(1, 10**7),
)
def test_the_parts_of_honest_members_pay_for_one_record(
    norm: float, length: int, share: float, rho: float, members: int, colluders: int, records_max: int
) -> None:
    """J18. In exact arithmetic: reach^2 / (2 (n - c) sigma^2) + tau d <= share * rho, and not much less either."""
    block = Clipped("x", length, norm, share)
    try:
        plan = plan_noise((block,), records_max, Fraction(rho), members, colluders, 64)
    except EncodingError:
        return  # there is no room: refused, never a wrap
    noisy, honest = plan.blocks[0], members - colluders
    cost = Fraction(reach(block, exponent(noisy)) ** 2, 2 * honest * noisy.sigma**2)
    cost += Fraction(closeness(noisy.sigma, honest)) * length
    assert cost <= Fraction(rho) * Fraction(share)
    assert cost >= Fraction(rho) * Fraction(share) * (1 - Fraction(3, noisy.sigma)) * (1 - 2 * plans.SLACK)
    assert SIGMA_MIN <= noisy.sigma <= SIGMA_BEST
    assert members * noisy.block.words_max < 1 << 63


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1e-9, 0.1, 1.0, 3.0, 1e3, 1e200]), word_bits=st.just(64))
def test_one_record_moves_the_integers_by_no_more_than_its_reach(seed: int, size: float, word_bits: int) -> None:
    """J19. The same noise on both sides: what is left is the record, whatever it holds and whatever the others do."""
    rng = np.random.default_rng(seed)
    plan = plan_noise(TWO, 1000, Fraction(1, 10), 4, 1, 64)
    others = {c.name: rng.normal(0, size, (20, c.length)) for c in TWO}
    one = {c.name: np.vstack([others[c.name], rng.standard_cauchy((1, c.length)) * size]) for c in TWO}
    moved = integers(one, plan) - integers(others, plan)
    at = 0
    for noisy in plan.blocks:
        part = moved[at : at + noisy.block.length].tolist()
        assert sum(word * word for word in part) <= reach(noisy.clipped, exponent(noisy)) ** 2
        largest = noisy.clipped.largest or noisy.clipped.norm
        assert max(map(abs, part)) <= largest * noisy.block.scale + 1
        at += noisy.block.length


def test_a_record_within_its_norm_arrives_whole() -> None:
    plan = plan_noise(TWO, 1000, Fraction(1, 10), 4, 1, 64)
    none = {c.name: np.zeros((0, c.length)) for c in TWO}
    one = {"a": np.array([[1.0, -1.25, 0.5]]), "b": np.full((1, 50), 0.75)}
    moved = decode((integers(one, plan) - integers(none, plan)).view(np.uint64), plan.layout, 64)
    np.testing.assert_allclose(moved["a"], one["a"][0], atol=1e-6)
    np.testing.assert_allclose(moved["b"], one["b"][0], atol=1e-6)


def test_the_sum_carries_the_noise_of_all_members_and_no_bias() -> None:
    block = Clipped("x", 20_000, 1.0, 1.0)
    plan = plan_noise((block,), 10, Fraction(1, 2), 5, 2, 64)
    total = np.zeros(20_000, np.uint64)
    for member in range(5):
        total += encode_noisy([{"x": np.zeros((1, 20_000))}], plan, 64, lambda _, m=member: bytes([m]) * 32)
    assert not blocks_beyond(total, plan.layout, 64, 5)
    noise = decode(total, plan.layout, 64)["x"]
    deviation = plan.blocks[0].deviation(5)
    # rho = 1/2 for a norm of 1: the honest three alone have a standard deviation of 1, but for rounding.
    assert deviation == pytest.approx(math.sqrt(5 / 3), rel=1e-3)
    assert noise.std() == pytest.approx(deviation, rel=0.02)
    assert abs(noise.mean()) < 4 * deviation / math.sqrt(20_000)


def test_shares_in_proportion_give_every_number_the_same_noise() -> None:
    blocks = proportional(Clipped("a", 3, 2.0, 1.0), Clipped("b", 50, 7.0, 1.0, largest=1.0))
    assert sum(Fraction(block.share) for block in blocks) <= 1
    one, other = plan_noise(blocks, 1000, Fraction(1, 10), 4, 1, 64).blocks
    assert one.deviation(4) == pytest.approx(other.deviation(4), rel=1e-4)
    single = plan_noise((Clipped("x", 53, math.hypot(2, 7), 1.0),), 1000, Fraction(1, 10), 4, 1, 64).blocks[0]
    assert one.deviation(4) == pytest.approx(single.deviation(4), rel=1e-4)


def test_noise_that_does_not_fit_the_word_is_refused_in_words() -> None:
    block = Clipped("model", 10**6, 10.0, 1.0)
    with pytest.raises(EncodingError, match=r"'model': 32-bit words leave too little room.*64-bit"):
        plan_noise((block,), 10**7, Fraction(100), 100, 1, 32)
    assert plan_noise((block,), 1, Fraction(1, 10), 100, 1, 32).blocks[0].sigma >= SIGMA_MIN


def test_every_member_has_the_same_plan_whatever_its_data() -> None:
    assert plan_noise(TWO, 1000, Fraction(0.1), 4, 1, 64) == plan_noise(TWO, 1000, Fraction(0.1), 4, 1, 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": np.zeros((1, 3))}, "not those of the plan"),
        ({"a": np.zeros((1, 4)), "b": np.zeros((1, 50))}, "must be 3 numbers"),
        ({"a": np.zeros(3), "b": np.zeros((3, 50))}, "must be 3 numbers"),
        ({"a": np.array([["x", "y", "z"]]), "b": np.zeros((1, 50))}, "must be 3 numbers"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((1, 50))}, "different numbers of records"),
        ({"a": np.full((1, 3), math.nan), "b": np.zeros((1, 50))}, "not finite"),
        ({"a": np.full((1, 3), math.inf), "b": np.zeros((1, 50))}, "not finite"),
        ({"a": np.zeros((6, 3)), "b": np.zeros((6, 50))}, "more than 5 records"),
    ],
)
def test_records_that_do_not_fit_are_refused_without_a_value(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        encode_noisy([changes], plan_noise(TWO, 5, Fraction(1, 10), 4, 1, 64), 64, draw)


def test_records_over_several_chunks_are_counted_together() -> None:
    chunk = {"a": np.zeros((3, 3)), "b": np.zeros((3, 50))}
    with pytest.raises(EncodingError, match="more than 5 records"):
        encode_noisy([chunk, chunk], plan_noise(TWO, 5, Fraction(1, 10), 4, 1, 64), 64, draw)


def test_noise_out_of_its_room_is_an_error_and_never_a_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "TAIL", Fraction(1, 10))
    with pytest.raises(EncodingError, match="left the room"):
        encode_noisy([], plan_noise(TWO, 5, Fraction(1, 10), 4, 1, 64), 64, draw)


@pytest.mark.parametrize("norm", [0.0, -1.0, math.nan, math.inf])
def test_a_norm_must_be_a_number_above_0(norm: float) -> None:
    with pytest.raises(EncodingError, match="norm"):
        Clipped("x", 1, norm, 1.0)


def test_plans_that_make_no_sense_are_errors() -> None:
    for rho, members, colluders in ((Fraction(0), 4, 1), (Fraction(1), 3, 3)):
        with pytest.raises(EncodingError, match="honest member"):
            plan_noise(TWO, 5, rho, members, colluders, 64)
    with pytest.raises(EncodingError, match="more than the whole"):
        plan_noise((Clipped("a", 1, 1.0, 0.6), Clipped("b", 1, 1.0, 0.6)), 5, Fraction(1), 4, 1, 64)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 130, 1000])
def test_a_record_becomes_the_same_integers_among_any_others(length: int) -> None:
    """Clipped or not, alone or in a crowd, in either memory layout: not one bit may depend on the neighbours."""
    noisy = plan_noise((Clipped("x", length, 1.5, 1.0),), 1000, Fraction(1, 10), 4, 1, 64).blocks[0]
    records = np.random.default_rng(length).normal(0, 1, (50, length))
    whole = plans._rounded(records, noisy)
    np.testing.assert_array_equal(plans._rounded(np.asfortranarray(records), noisy), whole)
    for row in range(50):
        np.testing.assert_array_equal(plans._rounded(records[row : row + 1], noisy)[0], whole[row])


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_membership_on_sum_a_canary_is_told_no_better_than_epsilon_allows(epsilon: float) -> None:
    """The best test there is (a threshold on the sum), by a reader and a member who subtracts its own noise."""
    runs, members = 100_000, 4
    noisy = plan_noise((Clipped("x", 1, 1.0, 1.0),), 1000, Fraction(rho_of(epsilon, 1e-6)), members, 1, 64).blocks[0]
    without = sum(DiscreteGaussian(bytes([m]) * 32).samples(noisy.sigma, runs) for m in range(members - 1))
    with_canary = without + int(noisy.block.scale)  # a record as large as it may be
    for threshold in np.quantile(without, [0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999]):
        true_rate, false_rate = float((with_canary > threshold).mean()), float((without > threshold).mean())
        assert true_rate > false_rate  # the canary does show a little
        for at in (epsilon / 4, epsilon / 2, epsilon):
            allowed = math.exp(at) * false_rate + delta_of(rho_of(epsilon, 1e-6), at)
            assert true_rate <= allowed + 4 / math.sqrt(runs)
    # How well a threshold does at 5 % false positives: as the cost says, and better if all others collude.
    mean = math.sqrt(2 * rho_of(epsilon, 1e-6))
    for parts, sums in ((3, without), (1, DiscreteGaussian(bytes(32)).samples(noisy.sigma, runs))):
        found = float((sums + int(noisy.block.scale) > np.quantile(sums, 0.95)).mean())
        expected = norm.sf(norm.isf(0.05) - mean * math.sqrt(3 / parts))
        assert found == pytest.approx(expected, abs=0.01)
