"""The bit-exact linear algebra against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from secured_node.tasks.exact import SingularError, cholesky, dot, exp_of_minus, product, solve, symmetric


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_against_numpy(size: int) -> None:
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size + 3))
    matrix = root @ root.T
    upper = matrix[np.triu_indices(size)]
    assert np.array_equal(symmetric(upper.tolist(), size), np.triu(matrix) + np.triu(matrix, 1).T)
    lower = cholesky(matrix, 1e-14)
    assert np.allclose(lower, np.linalg.cholesky(matrix), rtol=1e-9)
    vector, several = rng.normal(size=size), rng.normal(size=(size, 4))
    assert np.allclose(solve(lower, vector), np.linalg.solve(matrix, vector), rtol=1e-7)
    assert np.allclose(solve(lower, several), np.linalg.solve(matrix, several), rtol=1e-7)
    assert np.allclose(product(matrix, vector), matrix @ vector, rtol=1e-12, atol=1e-12)
    assert np.isclose(dot(vector, vector), vector @ vector, rtol=1e-12)


@pytest.mark.parametrize(
    ("matrix", "column"),
    [
        ([[0.0]], 0),
        ([[-1.0]], 0),
        ([[np.nan]], 0),
        ([[1.0, 2.0], [2.0, 4.0]], 1),
        ([[1.0, 2.0], [2.0, 1.0]], 1),
        ([[2.0, 0.0, 2.0], [0.0, 1.0, 1.0], [2.0, 1.0, 3.0]], 2),
    ],
)
def test_what_is_singular_is_named(matrix: list[list[float]], column: int) -> None:
    with pytest.raises(SingularError) as caught:
        cholesky(np.array(matrix), 1e-12)
    assert caught.value.column == column


def test_exp_of_minus_is_the_exponential_and_the_same_at_every_place() -> None:
    """Alone, at the end of an array, or between others: the same bits."""
    x = np.concatenate([np.linspace(0, 50, 10_001), np.geomspace(1e-12, 689, 1000), [0.0, 690.0, 1e300]])
    made = exp_of_minus(x)
    np.testing.assert_allclose(made[:-2], np.exp(-x[:-2]), rtol=2e-15)
    assert made[-2:].tolist() == [0.0, 0.0]
    assert exp_of_minus(np.zeros(3)).tolist() == [1.0, 1.0, 1.0]
    for start in range(0, 40):
        for length in (1, 2, 3, 5, 8, 13):
            np.testing.assert_array_equal(exp_of_minus(x[start : start + length]), made[start : start + length])
