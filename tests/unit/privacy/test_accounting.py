"""Costs against dp-accounting, exact privacy curves, and sums of discrete Gaussians computed in full."""

from __future__ import annotations

import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting import pld, rdp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.errors import LocalError
from protocols.privacy.accounting import (
    RHO_MAX,
    closeness,
    delta_of,
    epsilon_of,
    epsilon_of_renyi,
    gaussian_rho,
    rho_of,
    sigma_of,
)
from tests.unit.privacy.reference import probabilities

SIGMAS = [0.7, 1.0, 2.0, 5.0, 30.0]
DELTAS = [1e-3, 1e-6, 1e-9]


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("delta", DELTAS)
def test_epsilon_is_dp_accountings_over_many_rounds(sigma: float, delta: float) -> None:
    """Google's accountant takes the best of a fixed grid of orders: ours is never above it, and not much below."""
    for rounds in (1, 7, 100):
        accountant = rdp.RdpAccountant()
        accountant.compose(dp_accounting.GaussianDpEvent(sigma), rounds)
        theirs = accountant.get_epsilon(delta)
        ours = epsilon_of(rounds * gaussian_rho(1.0, sigma), delta)
        assert ours <= theirs * (1 + 1e-9)
        assert ours >= 0.9 * theirs - 1e-3


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("delta", DELTAS)
def test_epsilon_is_sound_and_tight_beside_the_exact_curve_of_the_discrete_gaussian(sigma: float, delta: float) -> None:
    """The privacy loss distribution of the discrete Gaussian itself: no bound may be below it; ours is near."""
    for rounds in (1, 10):
        exact = pld.privacy_loss_distribution.from_discrete_gaussian_mechanism(
            sigma, value_discretization_interval=1e-4, pessimistic_estimate=False
        )
        epsilon = exact.self_compose(rounds).get_epsilon_for_delta(delta)
        ours = epsilon_of(rounds * gaussian_rho(1.0, sigma), delta)
        assert epsilon <= ours * (1 + 1e-6)
        assert ours <= 1.2 * epsilon + 0.02


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_delta_is_sound_beside_the_exact_delta_computed_from_the_probabilities(sigma: float) -> None:
    """delta(epsilon) = sum of max(0, P[x] - e^epsilon P[x - 1]), without any library."""
    p = probabilities(sigma, int(40 * sigma))
    for epsilon in (0.1, 0.5, 1.0, 2.0):
        exact = np.maximum(0, p[1:] - math.exp(epsilon) * p[:-1]).sum() + p[0]
        assert exact <= delta_of(gaussian_rho(1.0, sigma), epsilon)


@pytest.mark.parametrize("sigma", [0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_a_sum_of_discrete_gaussians_is_as_close_to_one_as_the_bound_says(sigma: float, parts: int) -> None:
    tail = int(8 * sigma * parts) + 8
    one = probabilities(sigma, tail)
    total = one
    for _ in range(parts - 1):
        total = np.convolve(total, one, "same")
    single = probabilities(sigma * math.sqrt(parts), tail)
    middle = np.abs(np.arange(-tail, tail + 1)) <= 5 * sigma * math.sqrt(parts)
    apart = np.abs(np.log(total[middle] / single[middle])).max()
    assert apart <= closeness(sigma, parts) / 2
    assert closeness(sigma, parts) <= 1000 * apart + 1e-12  # no bound so loose that anything would pass


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("delta", [1, 3])
def test_the_cost_of_a_sum_bounds_its_renyi_divergence_at_every_order(sigma: float, parts: int, delta: int) -> None:
    tail = int(14 * sigma * parts) + 20
    one = probabilities(sigma, tail)
    total = one
    for _ in range(parts - 1):
        total = np.convolve(total, one, "same")
    rho = gaussian_rho(delta, sigma * math.sqrt(parts)) + closeness(sigma, parts)
    both = (total[delta:] > 1e-290) & (total[:-delta] > 1e-290)
    p, q = np.log(total[delta:][both]), np.log(total[:-delta][both])
    for order in (1.01, 1.5, 2.0, 3.0, 5.0):
        divergence = float(np.logaddexp.reduce(order * p + (1 - order) * q)) / (order - 1)
        assert divergence <= order * rho * (1 + 1e-9)


def test_one_part_is_exact_and_many_wide_parts_cost_nothing() -> None:
    assert closeness(1.0, 1) == 0.0
    assert closeness(64.0, 128) == 0.0
    assert closeness(0.5, 2) > 0.05


@settings(derandomize=True, database=None, max_examples=40, deadline=None)
@given(epsilon=st.floats(0.001, 100), log_delta=st.floats(-30, -1))
def test_epsilon_and_cost_are_inverse_and_rho_is_never_too_large(epsilon: float, log_delta: float) -> None:
    delta = math.exp(log_delta)
    rho = rho_of(epsilon, delta)
    assert epsilon_of(rho, delta) <= epsilon
    assume(rho < RHO_MAX)
    assert epsilon_of(rho, delta) == pytest.approx(epsilon, rel=1e-6)
    assert delta_of(rho, epsilon) == pytest.approx(delta, rel=1e-4)


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(rho=st.floats(1e-6, 100), more=st.floats(1.001, 10), log_delta=st.floats(-30, -1))
def test_more_cost_is_more_epsilon_and_more_delta_is_less(rho: float, more: float, log_delta: float) -> None:
    delta = math.exp(log_delta)
    assert epsilon_of(rho * more, delta) > epsilon_of(rho, delta) or epsilon_of(rho, delta) == 0
    assert epsilon_of(rho, delta) >= epsilon_of(rho, min(delta * more, 0.5))


def test_the_known_bound_of_bun_and_steinke_is_improved_upon() -> None:
    for rho in (0.01, 0.1, 1.0, 10.0):
        assert epsilon_of(rho, 1e-6) < rho + 2 * math.sqrt(rho * math.log(1e6))


def test_a_curve_of_renyi_divergences_need_not_be_a_line() -> None:
    """The Laplace mechanism (Mironov 2017, Table II): pure epsilon is its limit, and bounds the converted one."""
    scale = 2.0

    def divergence(alpha: float) -> float:
        first = math.log(alpha / (2 * alpha - 1)) + (alpha - 1) / scale
        second = math.log((alpha - 1) / (2 * alpha - 1)) - alpha / scale
        return float(np.logaddexp(first, second)) / (alpha - 1)

    assert epsilon_of_renyi(divergence, 1e-9) == pytest.approx(1 / scale, rel=1e-3)
    assert 0 < epsilon_of_renyi(divergence, 0.05) < 1 / scale


def test_nothing_spent_costs_nothing() -> None:
    assert epsilon_of(0.0, 1e-6) == 0.0
    assert delta_of(0.0, 1.0) == 0.0


def test_noise_and_cost_are_inverse() -> None:
    assert gaussian_rho(3.0, sigma_of(3.0, 0.2)) == pytest.approx(0.2)


def test_what_makes_no_sense_is_an_error() -> None:
    for delta in (0.0, 1.0, -1.0):
        with pytest.raises(LocalError, match="delta"):
            epsilon_of(1.0, delta)
    with pytest.raises(LocalError, match="epsilon"):
        rho_of(0.0, 1e-6)
    with pytest.raises(LocalError, match="above 0"):
        sigma_of(1.0, 0.0)
    for sigma, parts in ((0.4, 2), (1.0, 0)):
        with pytest.raises(LocalError, match="1/2"):
            closeness(sigma, parts)
