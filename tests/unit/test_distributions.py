"""Tail probabilities and quantiles against scipy, which the product does without."""

from __future__ import annotations

import math

import pytest

from secured_node.tasks.distributions import normal_quantile, normal_two_sided, t_quantile, t_two_sided

FREEDOM = (1.0, 1.5, 2.0, 5.0, 10.0, 46.0, 300.0, 848.0, 1999.0, 2000.0, 5000.0, 1e5, 1e7, 1e9)


@pytest.mark.parametrize("freedom", FREEDOM)
def test_t_tails(freedom: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    for t in (1e-6, 1e-3, 0.1, 0.5, 1.0, 1.96, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0):
        expected = 2 * stats.t.sf(t, freedom)
        if expected > 1e-200:
            assert math.isclose(t_two_sided(t, freedom), expected, rel_tol=1e-9)
            assert t_two_sided(-t, freedom) == t_two_sided(t, freedom)
    assert t_two_sided(0.0, freedom) == 1.0


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.9999])
def test_t_quantiles(freedom: float, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert math.isclose(t_quantile(confidence, freedom), stats.t.isf((1 - confidence) / 2, freedom), rel_tol=1e-10)


def test_normal() -> None:
    stats = pytest.importorskip("scipy.stats")
    for z in (0.0, 1e-9, 0.5, 1.96, 5.0, 20.0, 37.0):
        assert math.isclose(normal_two_sided(z), 2 * stats.norm.sf(z), rel_tol=1e-12)
        assert normal_two_sided(-z) == normal_two_sided(z)
    for confidence in (0.5, 0.9, 0.95, 0.999):
        assert math.isclose(normal_quantile(confidence), stats.norm.isf((1 - confidence) / 2), rel_tol=1e-12)
