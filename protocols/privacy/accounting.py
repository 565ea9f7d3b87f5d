"""What noise costs: zero-concentrated and Renyi differential privacy, and how they are told as (epsilon, delta).

rho-zCDP (Bun and Steinke, "Concentrated Differential Privacy", TCC 2016): the Renyi divergence of order alpha between
the outputs with and without one record is at most rho * alpha, for every alpha > 1. That is one line in the plane of
Renyi differential privacy (Mironov, CSF 2017); noise of the discrete Gaussian of standard deviation sigma on a sum that
one record moves by at most Delta costs rho = Delta^2 / (2 sigma^2) (Canonne, Kamath and Steinke, NeurIPS 2020,
Proposition 5). Costs of rounds and jobs add up, also when later ones depend on the results of earlier ones.

(epsilon, delta) from a Renyi divergence: Canonne, Kamath and Steinke, Proposition 12 (the same as Balle et al.,
"Hypothesis Testing Interpretations and Renyi Differential Privacy", AISTATS 2020, Theorem 21 with its best delta):
epsilon = D(alpha) + log(1 - 1/alpha) - (log delta + log alpha) / (alpha - 1). It holds for every alpha, so a minimum
that is not quite found costs tightness, never soundness.

Sums of discrete Gaussians are not discrete Gaussians; `closeness` bounds what the difference costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from protocols.errors import LocalError

RHO_MAX: Final = 10_000.0
"""More than this is no privacy: epsilon above 10,000."""
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_ORDERS_LOG: Final = (-12.0, 24.0)
"""log(alpha - 1) is searched between these: orders from 1.000006 to 10^10."""
_STEPS: Final = 64
"""Each narrows the search by 0.618: to 10^-13 of the interval, where the minimum is flat to the last digit."""
_HALVINGS: Final = 100
"""Each narrows the search by half: RHO_MAX to 10^-26, a log delta of 700 as far as doubles go."""
_BUDGETS_KEPT: Final = 1024
"""Budgets whose cost is remembered: a data set each, asked for with every look at the status."""


def epsilon_of_renyi(divergence: Callable[[float], float], delta: float) -> float:
    """The epsilon that goes with `delta`. divergence: an upper bound at each order above 1; unimodal best. Raises
    `LocalError` for a delta outside 0..1."""
    if not 0 < delta < 1:
        raise LocalError("delta lies between 0 and 1, both excluded")

    def epsilon(log_order: float) -> float:
        above = math.exp(log_order)
        alpha = 1 + above
        return divergence(alpha) + math.log(above / alpha) - (math.log(delta) + math.log(alpha)) / above

    low, high = _ORDERS_LOG
    best = math.inf
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left, at_right = epsilon(left), epsilon(right)
        best = min(best, at_left, at_right)
        low, high = (low, right) if at_left < at_right else (left, high)
    return max(best, 0.0)


def epsilon_of(rho: float, delta: float) -> float:
    """The epsilon that goes with `delta` after noise that cost rho in all."""
    return epsilon_of_renyi(lambda alpha: rho * alpha, delta) if rho > 0 else 0.0


def delta_of(rho: float, epsilon: float) -> float:
    """The delta that goes with `epsilon` after noise that cost rho in all."""
    if rho <= 0:
        return 0.0
    low, high = -700.0, 0.0  # of log(delta)
    if epsilon_of(rho, math.exp(low)) <= epsilon:
        return math.exp(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if middle < 0 and epsilon_of(rho, math.exp(middle)) > epsilon else (low, middle)
    return math.exp(high)


@lru_cache(_BUDGETS_KEPT)
def rho_of(epsilon: float, delta: float) -> float:
    """The largest cost whose epsilon at `delta` is not above this one, RHO_MAX at most. Raises `LocalError` for an
    epsilon that is not above 0."""
    if not epsilon > 0:
        raise LocalError("epsilon is above 0")
    low, high = 0.0, RHO_MAX
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def sigma_of(sensitivity: float, rho: float) -> float:
    """The standard deviation of the noise on a sum that one record moves by `sensitivity`, in the sum's unit."""
    if not (sensitivity > 0 and rho > 0):
        raise LocalError("sensitivity and cost are above 0")
    return sensitivity / math.sqrt(2 * rho)


def gaussian_rho(sensitivity: float, sigma: float) -> float:
    """The cost of noise of that standard deviation: the inverse of `sigma_of`."""
    return sensitivity * sensitivity / (2 * sigma * sigma)


def closeness(sigma: float, parts: int) -> float:
    """What one coordinate of a sum of `parts` discrete Gaussians, sigma each, may cost beside rho = Delta^2 / (2 parts
    sigma^2). sigma: 1/2 at least, in the integers' own unit.

    tau = 10 * sum over k < parts of exp(-2 pi^2 sigma^2 k / (k + 1)): Kairouz, Liu and Steinke, "The Distributed
    Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation", ICML 2021, Proposition 14. Why: adding
    a discrete Gaussian of variance s to one of variance k s gives probabilities within a factor exp(5 exp(-2 pi^2 s k /
    (k + 1))) of the discrete Gaussian of variance (k + 1) s, so the privacy loss of the sum differs from that of one
    discrete Gaussian by at most tau for each coordinate, in either direction; and the sum is sub-Gaussian with the very
    variance parts * sigma^2, so D(alpha) <= alpha Delta^2 / (2 parts sigma^2) + tau * coordinates for all alpha > 1. As
    alpha > 1, rho is then at most Delta^2 / (2 parts sigma^2) + tau * coordinates.
    """
    if sigma < 0.5 or parts < 1:
        raise LocalError("the bound holds for a sigma of 1/2 and more, and at least one part")
    return 10 * math.fsum(math.exp(-2 * math.pi**2 * sigma * sigma * k / (k + 1)) for k in range(1, parts))
