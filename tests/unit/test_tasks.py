"""`summary` against numpy, `bench` against its own formula, and what all tasks have in common."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.encoding import check_headroom
from secured_node import tasks
from secured_node.data.errors import DataError
from secured_node.data.schema import parse_schema
from secured_node.tasks import find_task, task_names
from secured_node.tasks.base import Result, TooFewRowsError
from tests.unit.federation import run_states, run_task, table_of
from tests.unit.heart import HEART_SCHEMA, breast_cancer, heart_tables, needs_heart

ROOT = Path(__file__).resolve().parents[2]

MIXED = parse_schema(
    {
        "name": "mixed",
        "version": 1,
        "columns": {
            "x": {"type": "number", "unit": "mm", "minimum": 0, "maximum": 10_000},
            "k": {"type": "integer", "minimum": -5, "maximum": 5},
            "g": {"type": "category", "levels": ["a", "b", "c"]},
            "f": {"type": "boolean"},
        },
    },
    "mixed.toml",
)


def mixed(seed: int, rows: int) -> Any:
    rng = np.random.default_rng(seed)
    table = table_of(
        MIXED,
        x=rng.uniform(5000, 5001, rows),
        k=rng.integers(-5, 6, rows),
        g=rng.choice(["a", "b"], rows),
        f=rng.random(rows) < 0.2,
    )
    table.columns["x"][::7] = math.nan
    table.columns["g"][1::5] = -1
    return table


def pooled(tables: Any, name: str) -> Any:
    values = np.concatenate([table.columns[name] for table in tables])
    return values[~np.isnan(values)] if values.dtype.kind == "f" else values[values >= 0]


def check_summary(tables: Any, result: Result) -> float:
    """The largest relative difference of means and variances from numpy's on the pooled rows; counts must be equal."""
    largest, rows = 0.0, sum(table.rows for table in tables)
    for name, column in tables[0].schema.columns.items():
        values, found = pooled(tables, name), result.data["columns"][name]
        assert found["count"] == len(values)
        assert found["missing"] == rows - len(values)
        if column.numeric:
            largest = max(largest, abs(found["mean"] / values.mean() - 1))
            largest = max(largest, abs(found["variance"] / values.var(ddof=1) - 1))
            assert math.isclose(found["standard_deviation"] ** 2, found["variance"])
        else:
            assert list(found["levels"]) == list(column.choices)
            assert list(found["levels"].values()) == np.bincount(values, minlength=len(column.choices)).tolist()
    return largest


def test_summary_is_numpys_on_the_pooled_rows() -> None:
    tables = [mixed(seed, rows) for seed, rows in enumerate((200, 13, 81))]
    states = list(run_states("summary", {"columns": ["x", "k", "g", "f"]}, MIXED, tables))
    result = find_task("summary").result(states[-1])
    assert len(states) == 2
    # x spreads by 0.3 about 5000: a one-pass variance would lose nine digits.
    assert check_summary(tables, result) < 1e-8
    assert [table.title for table in result.tables] == ["Numbers (294 rows)", "Levels (294 rows)"]
    assert all(len(row) == len(table.columns) for table in result.tables for row in table.rows)
    assert set(result.arrays) == {"count", "missing", "mean", "variance", "standard_deviation"}
    json.dumps(result.data, allow_nan=False)


@needs_heart
def test_summary_of_heart_disease() -> None:
    tables = heart_tables()
    result = run_task("summary", {"columns": list(HEART_SCHEMA.columns)}, HEART_SCHEMA, tables)
    assert check_summary(tables, result) < 1e-12
    assert result.data["columns"]["num"]["levels"] == {"false": 411, "true": 509}


def test_summary_of_breast_cancer() -> None:
    schema, tables = breast_cancer()
    result = run_task("summary", {"columns": list(schema.columns)}, schema, tables)
    assert check_summary(tables, result) < 1e-11


def test_summary_without_numbers_takes_one_round() -> None:
    tables = [mixed(1, 30), mixed(2, 20)]
    states = list(run_states("summary", {"columns": ["g"]}, MIXED, tables))
    assert len(states) == 1
    # Rows that have none of the columns asked for are not rows of this summary.
    assert find_task("summary").result(states[-1]).data["columns"]["g"]["missing"] == 0


def test_summary_of_a_column_that_nobody_has() -> None:
    tables = [mixed(1, 30), mixed(2, 20)]
    for table in tables:
        table.columns["x"][:] = math.nan
    result = run_task("summary", {"columns": ["x", "k"]}, MIXED, tables)
    found = result.data["columns"]["x"]
    assert (found["count"], found["missing"], found["mean"], found["variance"]) == (0, 50, None, None)
    assert math.isnan(result.arrays["mean"][0])


def test_summary_refuses_small_and_large_sites() -> None:
    with pytest.raises(TooFewRowsError, match="fewer than 10 rows"):
        run_task("summary", {"columns": ["k"]}, MIXED, [mixed(1, 30), mixed(2, 9)])
    with pytest.raises(DataError, match="more than 29 rows"):
        run_task("summary", {"columns": ["k"], "rows_max": 29}, MIXED, [mixed(1, 30), mixed(2, 20)])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "missing required field `columns`"),
        ({"columns": []}, "columns"),
        ({"columns": ["x", "x"]}, "named twice"),
        ({"columns": ["nose"]}, "'nose'.*it has: x, k, g, f"),
        ({"columns": "x"}, "columns"),
        ({"columns": ["x"], "min_rows": 0}, "min_rows"),
        ({"columns": ["x"], "min_rows": True}, "min_rows"),
    ],
)
def test_summary_parameters_that_do_not_fit(raw: dict[str, Any], message: str) -> None:
    task = find_task("summary")
    with pytest.raises(DataError, match=message):
        task.start(task.parse(raw), MIXED, 3)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("members", [1, 4, 9])
def test_bench_knows_its_sum(bits: int, members: int) -> None:
    raw = {"length": 70_001, "word_bits": bits, "rounds": 2}
    result = run_task("bench", raw, None, [None] * members)
    assert not result.problem
    assert 0 <= result.data["error_max"] <= result.data["error_allowed"] < members * 1e-6
    assert result.data["rounds"] == 2


def test_bench_sees_a_wrong_sum() -> None:
    task = find_task("bench")
    state = task.start(task.parse({"length": 10}), None, 3)
    vector = task.local(state, task.prepare(state, None))["vector"]
    assert np.all(np.abs(vector) <= 1)
    assert len(np.unique(vector)) == 10
    wrong = 3 * vector
    wrong[4] += 0.001
    assert "not that of the members" in task.result(task.update(state, {"vector": wrong})).problem


@pytest.mark.parametrize("members", [1, 3, 64, 4096])
def test_every_layout_has_headroom(members: int) -> None:
    cases: dict[str, dict[str, Any]] = {
        "summary": {"columns": ["x", "k", "g", "f"]},
        "glm": {"family": "binomial", "outcome": "f", "covariates": ["x", "k", "g"]},
        "train": {"outcome": "g", "covariates": ["x", "k", "f"], "hidden": 4},
        "bench": {"length": 5},
    }
    for name, raw in cases.items():
        task = find_task(name)
        parameters = task.parse(raw)
        layout = task.layout(task.start(parameters, MIXED, members))
        check_headroom(layout, task.word_bits(parameters), members)


def test_states_that_are_none_are_refused() -> None:
    for name in task_names():
        for raw in (b"", b"\x80", b"\xc1", b"\x81\xa1x\x01"):
            with pytest.raises(DataError):
                find_task(name).load(raw)


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(DataError, match="known tasks: bench, glm, summary, train"):
        find_task("divination")


def test_plugins_are_found_but_replace_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    group = tasks.ENTRY_POINTS
    points = EntryPoints(
        [
            EntryPoint("again", "secured_node.tasks.bench:Bench", group),
            EntryPoint("glm", "secured_node.tasks.bench:Bench", group),
            EntryPoint("broken", "secured_node.tasks.nowhere:Task", group),
            EntryPoint("wrong", "builtins:dict", group),
        ]
    )
    monkeypatch.setattr(tasks, "entry_points", lambda group: points.select(group=group))
    assert find_task("again").name == "bench"
    assert find_task("glm").name == "glm"
    assert task_names() == ["again", "bench", "broken", "glm", "summary", "train", "wrong"]
    for name, message in (("broken", "cannot be loaded"), ("wrong", "not a Task")):
        with pytest.raises(DataError, match=message):
            find_task(name)


def test_neither_tasks_nor_schemas_need_pyarrow() -> None:
    script = (
        "import sys, secured_node.tasks, secured_node.data.check;"
        "print(sorted({'pyarrow', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
