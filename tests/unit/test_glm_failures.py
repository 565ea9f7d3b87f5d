"""Rows from which no model can be fitted: told in words, with the columns' names, on every node alike."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from secured_node.data.schema import parse_schema
from secured_node.data.table import Table
from tests.unit.federation import run_states, run_task, table_of

SCHEMA = parse_schema(
    {
        "name": "failures",
        "version": 1,
        "columns": {
            "a": {"type": "number", "minimum": -1000, "maximum": 1000},
            "b": {"type": "number", "minimum": -1000, "maximum": 1000},
            "c": {"type": "number", "minimum": -1000, "maximum": 1000},
            "g": {"type": "category", "levels": ["one", "two", "three"]},
            "y": {"type": "boolean"},
        },
    },
    "failures.toml",
)


def cut(sizes: Sequence[int] = (40, 15, 45), **columns: Any) -> list[Table]:
    """The rows cut in hospitals of these sizes; columns that are not given hold something harmless."""
    rows, rng = sum(sizes), np.random.default_rng(99)
    harmless = {name: rng.normal(0, 10, rows) for name in "abc"} | {"g": rng.choice(["one", "two", "three"], rows)}
    full = harmless | {"y": rng.random(rows) < 0.5} | {name: np.asarray(values) for name, values in columns.items()}
    ends = np.cumsum((0, *sizes))
    return [
        table_of(SCHEMA, **{name: values[start:end] for name, values in full.items()})
        for start, end in itertools.pairwise(ends)
    ]


def problem(
    covariates: str,
    tables: Sequence[Table],
    family: str = "binomial",
    outcome: str = "y",
    min_rows: int = 10,
    **more: Any,
) -> str:
    raw = {"family": family, "outcome": outcome, "covariates": list(covariates)} | more
    result = run_task("glm", raw, SCHEMA, tables, min_rows)
    assert result.data.get("problem", "") == result.problem
    assert not (result.problem and result.arrays)
    return result.problem


def test_complete_separation() -> None:
    a = np.random.default_rng(1).normal(0, 10, 100)
    text = problem("ab", cut(a=a, y=a > 1))
    assert text.startswith("'a'")
    assert "predict the outcome 'y' perfectly:" in text


def test_quasi_complete_separation() -> None:
    """Everybody with the level 'three' has the outcome; the others are mixed."""
    rng = np.random.default_rng(2)
    g, y = rng.choice(["one", "two", "three"], 100), rng.random(100) < 0.5
    text = problem("abg", cut(g=g, y=y | (g == "three")))
    assert text.startswith("'g=three' predict the outcome 'y' perfectly for some rows (quasi-complete separation)")


def test_a_ridge_fits_what_is_separated() -> None:
    a = np.random.default_rng(1).normal(0, 10, 100)
    assert not problem("ab", cut(a=a, y=a > 1), ridge=0.1)


def test_collinearity() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(50, 10, 100), rng.normal(0, 10, 100)
    text = problem("bac", cut(a=a, b=b, c=3 * a - b + 7))
    assert text.startswith(
        "the covariates are collinear: 'c' is a linear function of 'b', 'a' in the 100 complete rows"
    )
    text = problem("abc", cut(a=a, b=b, c=7 - 2 * b, y=a > 50))
    assert text.startswith("the covariates are collinear: 'c' is a linear function of 'b' in")
    text = problem("bc", cut(a=a, b=b, c=7 - 2 * b), "gaussian", "a")
    assert text.startswith("the covariates are collinear: 'c' is a linear function of 'b' in")
    assert not problem("bc", cut(a=a, b=b, c=7 - 2 * b), "gaussian", "a", ridge=1)


def test_nearly_collinear_is_fitted() -> None:
    """A variance inflation of 10^8: the fit exists and is given, however large its errors."""
    rng = np.random.default_rng(6)
    b = rng.normal(0, 10, 100)
    assert not problem("bc", cut(b=b, c=7 - 2 * b + rng.normal(0, 2e-3, 100)), "gaussian", "a")


def test_one_class_everywhere() -> None:
    for value in (True, False):
        text = problem("ab", cut(y=np.full(100, value)))
        assert text.startswith("the outcome 'y' is the same in all 100 complete rows of the federation")


def test_a_level_that_nobody_has() -> None:
    g = np.random.default_rng(4).choice(["one", "two"], 100)
    assert problem("ag", cut(g=g)).startswith("'g=three': the same in all 100 complete rows")


def test_a_level_of_few_rows_of_the_federation_ends_the_fit_before_products_with_it_are_summed() -> None:
    """One patient of a level: its products with other terms would be that patient's values."""
    g = np.where(np.arange(100) == 7, "three", np.where(np.arange(100) % 2, "one", "two"))
    for level, few in (("three", g), ("one", np.where(g == "three", "one", np.where(g == "one", "three", g)))):
        raw = {"family": "binomial", "outcome": "y", "covariates": ["a", "g"]}
        states = list(run_states("glm", raw, SCHEMA, cut(g=few)))
        assert len(states) == 1 and states[0].problem.startswith(f"'g={level}': too few rows"), states[0].problem
    text = problem("ab", cut(y=np.arange(100) < 9))
    assert text.startswith("'y=") and "too few rows" in text, "an outcome's level is a level too"
    assert "too few" not in problem("ab", cut(y=np.arange(100) % 10 == 0))


def test_a_constant_covariate() -> None:
    assert problem("ab", cut(b=np.full(100, 12.5))).startswith("'b': the same in all 100 complete rows")
    assert problem("b", cut(a=np.full(100, 12.5)), "gaussian", "a").startswith("the outcome 'a' is the same in all")


def test_more_coefficients_than_rows() -> None:
    tables = cut((3, 2))
    assert problem("abcg", tables, min_rows=1).startswith("5 complete rows cannot determine 6 coefficients")


def test_an_exact_linear_function() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(50, 10, 100), rng.normal(0, 10, 100)
    text = problem("ab", cut(a=a, b=b, c=2 * a - 3 * b), "gaussian", "c")
    assert text.startswith("the outcome 'c' is an exact linear function of the covariates")


def test_too_few_evaluations() -> None:
    assert "no convergence after 2 evaluations" in problem("abg", cut(), fits_max=2)


def separable(design: np.ndarray[Any, Any], outcome: np.ndarray[Any, Any]) -> bool:
    """Is there a direction in which no row moves away from its outcome, and some row towards it?

    The linear programme of Konis, "Linear programming algorithms for detecting separated data" (Oxford, 2007).
    """
    optimize = pytest.importorskip("scipy.optimize")
    towards = np.where(outcome, 1, -1)[:, None] * design / np.abs(design).max(axis=0)
    limits = np.concatenate([np.zeros(len(towards)), np.ones(len(towards))])
    found = optimize.linprog(
        -towards.sum(axis=0), A_ub=np.vstack([-towards, towards]), b_ub=limits, bounds=[(None, None)] * design.shape[1]
    )
    return bool(-found.fun > 1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_separation_is_told_exactly_when_there_is_some(seed: int) -> None:
    """Few rows, long tails, a strong trend: about half of these are separated, some of the others nearly so."""
    rng = np.random.default_rng(seed)
    a, b = np.clip(rng.standard_t(1.5, (2, 24)) * 10, -1000, 1000)
    y = rng.random(24) < 1 / (1 + np.exp(-np.clip(a / 2 + b / 4, -30, 30)))
    text = problem("ab", cut((14, 10), a=a, b=b, y=y), min_rows=1)
    expected = separable(np.column_stack([np.ones(24), a, b]), y)
    assert ("predict the outcome" in text) == expected
    assert bool(text) == expected
