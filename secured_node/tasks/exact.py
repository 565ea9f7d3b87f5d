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
