"""The normal and Student's t distribution, as far as tests and intervals need them, from the standard library alone."""

from __future__ import annotations

import math
from statistics import NormalDist

LENTZ_STEPS_MAX = 10_000
"""Steps of the continued fraction: it takes about sqrt(df) of them."""

HILL_FROM = 2e3
"""Degrees of freedom from which Hill's expansion serves: its relative error is then below 1e-9, however far out."""

TINY = 1e-300
EPSILON = 1e-16


def normal_two_sided(z: float) -> float:
    """The probability that a standard normal number lies beyond plus or minus z."""
    return math.erfc(abs(z) / math.sqrt(2))


def normal_quantile(confidence: float) -> float:
    """The z with that probability between -z and z."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_two_sided(t: float, df: float) -> float:
    """The probability that Student's t with `df` degrees of freedom lies beyond plus or minus t.

    It is the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2): Abramowitz and Stegun,
    Handbook of Mathematical Functions, 26.7.1; the continued fraction is DLMF 8.17.22, evaluated by Lentz's method. For
    many degrees of freedom: G. W. Hill, "Algorithm 395: Student's t-distribution", CACM 13 (1970).
    """
    if t == 0:
        return 1.0
    a, square = df / 2, t * t / df
    if df >= HILL_FROM:
        return normal_two_sided(_hill(square, df))
    # x^a (1-x)^(1/2) / B(a, 1/2), in logarithms so that a large t does not overflow.
    log_beta = math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)
    front = math.exp(-a * math.log1p(square) + 0.5 * math.log(square / (1 + square)) - log_beta)
    x, y = 1 / (1 + square), square / (1 + square)
    if x < (a + 1) / (a + 2.5):
        return front * _beta_fraction(a, 0.5, x) / a
    return 1 - front * _beta_fraction(0.5, a, y) / 0.5


def t_quantile(confidence: float, df: float) -> float:
    """The t with that probability between -t and t: by bisection, to the last digit but one or two."""
    low, high = 0.0, 1.0
    while t_two_sided(high, df) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_two_sided(middle, df) > 1 - confidence else (low, middle)
    return (low + high) / 2


def _hill(square: float, df: float) -> float:
    """The normal number as far out as the t whose square over df is given."""
    a = df - 0.5
    b = 48 * a * a
    z2 = a * math.log1p(square)
    tail = (((4 * z2 + 33) * z2 + 240) * z2 + 855) / (10 * (b + 0.8 * z2 * z2 + 100))
    return math.sqrt(z2) * (1 + (z2 + 3 - tail) / b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function; converges fast for x < (a + 1) / (a + b + 2)."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, LENTZ_STEPS_MAX):
        before = value
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            value *= c * d
        if abs(value - before) <= EPSILON * abs(value):
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY
