"""Linear algebra that gives the same bits on every processor: for `update`, where all nodes must agree.

Only + - * / and square roots, which IEEE 754 fixes, applied element by element through separate numpy calls (so nothing
is fused), and `math.fsum`, which rounds a sum once. Sums by numpy or a linear algebra library depend on the width of a
processor's vector units. Sizes here are numbers of coefficients: a few hundred at most, fractions of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


_LOG_2_HIGH = 0.693147180369123816490
"""log 2 to 33 bits: times a whole number below 2^20 it is exact."""
_LOG_2_LOW = 1.90821492927058770002e-10
"""The rest of it."""
_PER_LOG_2 = 1.4426950408889634
_EXP_END = 690.0
"""exp(-690) is 10^-300: no sum of rows feels it."""
_EXP_DEGREE = 14
"""0.35^15 / 15! is 10^-19."""


class SingularError(ArithmeticError):
    """A matrix is not positive definite. column: the first one that depends on those before it."""

    def __init__(self, column: int) -> None:
        super().__init__(f"column {column} depends on those before it")
        self.column = column


def symmetric(upper: Sequence[float], size: int) -> Matrix:
    """The symmetric matrix with this upper triangle, row by row."""
    matrix = np.zeros((size, size))
    rows, columns = np.triu_indices(size)
    matrix[rows, columns] = upper
    matrix[columns, rows] = upper
    return matrix


def exp_of_minus(x: Vector) -> Vector:
    """exp(-x) of each number from 0 up, good to a few units in the last place; beyond 690 it is 0.

    x = k log 2 + r with |r| <= log(2) / 2, log 2 in two parts so that r is good to the last bit (Cody and Waite,
    Software Manual for the Elementary Functions, 1980, chapter 6); then a Taylor polynomial. numpy's own may give
    another last bit in another place of an array, where vector instructions end.
    """
    x = np.minimum(x, _EXP_END)
    k = np.rint(x * _PER_LOG_2)
    r = (x - k * _LOG_2_HIGH) - k * _LOG_2_LOW
    power = np.ones_like(x)
    for degree in range(_EXP_DEGREE, 0, -1):
        power = 1.0 - r * power / degree
    return np.where(x < _EXP_END, np.ldexp(power, -k.astype(np.int64)), 0.0)


def dot(left: Vector, right: Vector) -> float:
    """The inner product, rounded once after each product and once at the end."""
    return math.fsum((left * right).tolist())


def product(matrix: Matrix, vector: Vector) -> Vector:
    """Matrix times vector."""
    return np.array([dot(row, vector) for row in matrix])


def cholesky(matrix: Matrix, tolerance: float) -> Matrix:
    """The lower triangular L with L L' = matrix, by outer products (Golub and Van Loan, Matrix Computations, 4.2).

    Raises `SingularError` at the first pivot that is at most `tolerance` times what stood on the diagonal.
    """
    rest = matrix.copy()
    size = len(rest)
    lower = np.zeros((size, size))
    for k in range(size):
        if not rest[k, k] > tolerance * matrix[k, k] or not matrix[k, k] > 0:
            raise SingularError(k)
        lower[k:, k] = rest[k:, k] / math.sqrt(rest[k, k])
        below = lower[k + 1 :, k]
        rest[k + 1 :, k + 1 :] -= np.multiply.outer(below, below)
    return lower


def solve(lower: Matrix, right: Matrix | Vector) -> Matrix | Vector:
    """x with L L' x = right; right may have several columns."""
    x = right.copy()
    size = len(lower)
    for k in range(size):
        x[k] = x[k] / lower[k, k]
        x[k + 1 :] -= np.multiply.outer(lower[k + 1 :, k], x[k])
    for k in reversed(range(size)):
        x[k] = x[k] / lower[k, k]
        x[:k] -= np.multiply.outer(lower[k, :k], x[k])
    return x
