"""The two families of `glm`, each with its canonical link: what one row says about the coefficients.

McCullagh and Nelder, Generalized Linear Models, 2nd edition, sections 2.2 to 2.5. With a canonical link Newton's method
and iteratively reweighted least squares are the same, and the deviance is convex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Family = Literal["gaussian", "binomial"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one row adds at most: to a sum of weights, and to the deviance where all coefficients are zero."""

    weight: float
    deviance: float


BOUNDS: dict[Family, Bounds] = {
    # The outcome is standardised, so its squares add up to the number of rows.
    "gaussian": Bounds(weight=1.0, deviance=1.0),
    # mu (1 - mu) is at most 1/4; with all coefficients zero a row's deviance is 2 log 2 = 1.386...
    "binomial": Bounds(weight=0.25, deviance=1.3863),
}


@dataclass(frozen=True, slots=True)
class RowTerms:
    """For each row: residual y - mu, weight (the variance function at mu); and the rows' deviance together."""

    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    deviance: float


def row_terms(family: Family, eta: NDArray[np.float64], y: NDArray[np.float64]) -> RowTerms:
    """Of rows with linear predictor eta and outcome y (standardised, or 0 and 1), each of shape (rows,)."""
    if family == "gaussian":
        residual = y - eta
        return RowTerms(residual, np.ones_like(eta), float(np.square(residual).sum()))
    residual, weight = binomial_terms(eta, y, np.exp(-np.abs(eta)))
    deviance = 2 * float(np.logaddexp(0.0, np.where(y > 0.5, -eta, eta)).sum())
    return RowTerms(residual, weight, deviance)


def binomial_terms(
    eta: NDArray[np.float64], y: NDArray[np.float64], small: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual and weight of each row of a binomial. small: exp(-|eta|); everything goes through it, so that nothing
    overflows or cancels however large eta is."""
    upper, lower = 1 / (1 + small), small / (1 + small)
    mu, complement = np.where(eta >= 0, upper, lower), np.where(eta >= 0, lower, upper)
    return np.where(y > 0.5, complement, -mu), upper * lower
