"""Metrics against scikit-learn, intervals against scipy; what is not defined is None."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from simulations.study.intervals import interval
from simulations.study.metrics import auc, of_numbers, of_probabilities


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(5, 80), st.integers(2, 4), st.integers(1, 6))
def test_classifiers_are_scored_as_scikit_learn_does(seed: int, rows: int, classes: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    raw = np.round(rng.dirichlet(np.ones(classes), rows), digits) + 1e-9  # rounding makes ties
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    truth = rng.integers(0, classes, rows)
    if len(np.unique(truth)) < classes:
        truth[:classes] = np.arange(classes)
    found = of_probabilities(probabilities, truth)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, probabilities.argmax(axis=1)))
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities, labels=range(classes)))
    if classes == 2:
        assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities[:, 1]))
        assert found["brier"] == pytest.approx(reference.brier_score_loss(truth, probabilities[:, 1]))
    else:
        assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities, multi_class="ovr"))


def test_regressions_are_scored_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(2)
    true, predicted = rng.normal(size=50), rng.normal(size=50)
    found = of_numbers(predicted, true)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(true, predicted))
    assert found["r2"] == pytest.approx(reference.r2_score(true, predicted))


def test_what_is_not_defined_is_none() -> None:
    one_class = of_probabilities(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 1]))
    assert one_class["auc"] is None
    assert one_class["log_loss"] is not None
    assert set(of_probabilities(np.empty((0, 2)), np.empty(0, np.intp)).values()) == {None}
    assert of_numbers(np.array([1.0, 2.0]), np.array([3.0, 3.0]))["r2"] is None
    assert auc(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    sure_and_wrong = of_probabilities(np.array([[1.0, 0.0]]), np.array([1]))
    assert sure_and_wrong["log_loss"] == pytest.approx(-np.log(1e-15))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(0.5, 0.999))
def test_intervals_are_students(values: list[float], confidence: float) -> None:
    found = interval([*values, None], confidence)
    assert found.n == len(values)
    deviation = np.std(values, ddof=1)
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * deviation / np.sqrt(len(values))
    assert found.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert found.high is not None
    assert found.high - np.mean(values) == pytest.approx(half, rel=1e-6, abs=1e-6)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert (interval([3.0], 0.95).mean, interval([3.0], 0.95).low) == (3.0, None)
    assert (interval([None], 0.95).mean, interval([], 0.95).n) == (None, 0)
