"""How good predictions are, from plain arrays. A metric that is not defined on these rows is None."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Scores = dict[str, float | None]

HIGHER_IS_BETTER: Final = {
    "auc": True,
    "accuracy": True,
    "log_loss": False,
    "brier": False,
    "r2": True,
    "rmse": False,
    "coefficient_error": False,
}
PROBABILITY_MIN: Final = 1e-15
"""A probability of 0 for what happened counts as this: one row shall not make the log loss infinite."""


def of_probabilities(probabilities: Array, classes: NDArray[np.intp]) -> Scores:
    """Of a classifier. probabilities: (rows, classes). classes: what was true, (rows,)."""
    rows = len(classes)
    if not rows:
        return dict.fromkeys(("auc", "accuracy", "log_loss", "brier"))
    truth = np.zeros_like(probabilities)
    truth[np.arange(rows), classes] = 1.0
    binary = probabilities.shape[1] == 2
    square = np.square(probabilities - truth)
    given = np.maximum(probabilities[np.arange(rows), classes], PROBABILITY_MIN)
    return {
        "auc": _area(probabilities, classes),
        "accuracy": float((probabilities.argmax(axis=1) == classes).mean()),
        "log_loss": float(-np.log(given).mean()),
        # Brier (1950) sums over classes; of two classes, as everybody does, one is taken.
        "brier": float(square[:, 1].mean() if binary else square.sum(axis=1).mean()),
    }


def of_numbers(predicted: Array, true: Array) -> Scores:
    """Of a regression: root mean squared error in the outcome's unit, and the share of variance explained."""
    if not len(true):
        return dict.fromkeys(("rmse", "r2"))
    error, spread = float(np.square(predicted - true).sum()), float(np.square(true - true.mean()).sum())
    return {"rmse": math.sqrt(error / len(true)), "r2": 1 - error / spread if spread else None}


def auc(scores: Array, positive: NDArray[np.bool_]) -> float | None:
    """Area under the curve: the share of pairs in order, ties counting half (Mann and Whitney). None for one class."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _area(probabilities: Array, classes: NDArray[np.intp]) -> float | None:
    """Of two classes the usual; of more, the mean over classes against all others, where that is defined."""
    if probabilities.shape[1] == 2:
        return auc(probabilities[:, 1], classes == 1)
    areas = [auc(probabilities[:, k], classes == k) for k in range(probabilities.shape[1])]
    known = [area for area in areas if area is not None]
    return sum(known) / len(known) if known else None
