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
from hypothesis import given
from hypothesis import strategies as st

from protocols.encoding import check_headroom
from secured_node import tasks
from secured_node.data.errors import DataError
from secured_node.data.rows import most_rows, published_rows, too_few
from secured_node.data.schema import parse_schema
from secured_node.data.table import Table
from secured_node.tasks import find_task, task_names
from secured_node.tasks.base import Noise, Result, TooFewRowsError, check_rows
from secured_node.tasks.course import Course, add
from secured_node.tasks.summary_floor import Released
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
    states = list(run_states("summary", {"columns": ["x", "k", "g", "f"]}, MIXED, tables, 1))
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
    result = run_task("summary", {"columns": list(HEART_SCHEMA.columns)}, HEART_SCHEMA, tables, 1)
    assert check_summary(tables, result) < 1e-12
    assert result.data["columns"]["num"]["levels"] == {"false": 411, "true": 509}


def test_summary_of_breast_cancer() -> None:
    schema, tables = breast_cancer()
    result = run_task("summary", {"columns": list(schema.columns)}, schema, tables, 1)
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


WARD = parse_schema(
    {
        "name": "ward",
        "version": 1,
        "columns": {
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "viral": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
            "stage": {"type": "category", "levels": ["one", "two", "three"]},
            "ill": {"type": "boolean"},
        },
    },
    "ward.toml",
)


def ward(viral: int = 0, one: int = 0, two: int = 0, three: int = 0, ill: int = 50, least: int = 10) -> Table:
    """A hundred rows of a site; the rest of a column is missing, all that are not ill are well."""
    codes = np.repeat([0, 1, 2, -1], [one, two, three, 100 - one - two - three]).astype(np.int32)
    columns = {
        "age": 40.0 + np.arange(100) % 30,
        "viral": np.where(np.arange(100) < viral, 48_213.0, np.nan),
        "stage": codes,
        "ill": (np.arange(100) < ill).astype(np.int32),
    }
    return Table(WARD, 100, columns, least)


ALL = {"columns": ["age", "viral", "stage", "ill"]}


def words_of(table: Table, raw: dict[str, Any]) -> list[bytes]:
    """What a site of three puts into both rounds."""
    course, made = Course("summary", raw, WARD, 3), []
    prepared = course.prepare(table)
    others = [course.prepare(ward(one=40, two=60))] * 2
    while not course.done:
        vectors = [course.vector(data, bytes) for data in (prepared, *others)]
        made.append(vectors[0].tobytes())
        course.apply(add(vectors))
    return made


@pytest.mark.parametrize("few", [1, 9])
def test_disclosure_a_column_of_few_values_of_a_site_is_in_no_exact_sum(few: int) -> None:
    """One patient's value would come out exactly, if no other site had the column."""
    found = run_task("summary", ALL, WARD, [ward(), ward(viral=few), ward()]).data["columns"]["viral"]
    assert (found["count"], found["missing"], found["mean"], found["variance"]) == (0, 300, None, None)
    assert words_of(ward(viral=few), ALL) == words_of(ward(viral=0), ALL), "as of a site that has none"
    enough = run_task("summary", ALL, WARD, [ward(), ward(viral=10), ward()]).data["columns"]["viral"]
    assert (enough["count"], enough["mean"]) == (10, pytest.approx(48_213))


def test_disclosure_a_level_of_few_rows_of_a_site_is_in_no_exact_sum_nor_found_by_subtraction() -> None:
    """What is left would tell of it: so what is withheld of a column, taken together, reaches the floor, or is all."""
    other = ward(one=40, two=60)
    found = run_task("summary", ALL, WARD, [ward(one=3, two=30, three=67), other, other]).data["columns"]["stage"]
    assert found["levels"] == {"one": 80, "two": 120, "three": 67} and found["count"] == 267
    found = run_task("summary", ALL, WARD, [ward(ill=2), ward(), ward()]).data["columns"]["ill"]
    assert found["levels"] == {"false": 100, "true": 100} and found["missing"] == 100
    for few in (ward(one=5), ward(one=9, two=0)):
        assert words_of(few, ALL) == words_of(ward(), ALL)
    alone = run_task("summary", {"columns": ["ill"]}, WARD, [ward(ill=2), ward(), ward()]).data
    assert alone["rows"] == 200 == alone["columns"]["ill"]["count"], "rows count what is summed and no more"


@given(st.lists(st.integers(0, 33), min_size=3, max_size=3), st.integers(1, 30))
def test_disclosure_levels_withheld_reach_the_floor_together_and_those_summed_each(
    sizes: list[int], least: int
) -> None:
    table = ward(one=sizes[0], two=sizes[1], three=sizes[2], least=least)
    kept = Released.of(table, WARD)
    shown = np.bincount(kept.table.columns["stage"] + 1, minlength=4)[1:]
    assert all(left in (0, size) and (left == 0 or left >= least) for left, size in zip(shown, sizes, strict=True))
    hidden = sum(sizes) - int(shown.sum())
    assert hidden == 0 or hidden >= least or not shown.any()
    if min((size for size in sizes if size), default=least) >= least:
        assert hidden == 0, "nothing is withheld without need"


def test_disclosure_what_a_site_withholds_does_not_depend_on_the_job() -> None:
    """Else two jobs' sums of a column would differ by what one of them lacks."""
    table = ward(viral=15, one=12, two=40, three=48)
    for min_rows in (10, 11, 50, 100):
        course = Course("summary", ALL, WARD, 3, min_rows=min_rows)
        assert course.prepare(table).withheld == ()
    few = ward(viral=5, one=3, ill=4)
    for columns in (["viral", "stage", "ill"], ["ill"], ["stage", "age"]):
        course = Course("summary", {"columns": columns}, WARD, 3)
        expected = {"viral": "viral", "stage": "stage=one", "ill": "ill"}
        withheld = course.prepare(few).withheld
        assert {name.partition("=")[0] for name in withheld} == {name for name in columns if name in expected}


def test_the_sites_own_people_are_told_what_is_withheld_and_others_only_that_it_may_be() -> None:
    course = Course("summary", ALL, WARD, 3)
    told = course.task.remark(course.state, course.prepare(ward(viral=4, one=40, two=60)))
    assert "fewer than 10 values here: viral" in told and "4" not in told
    assert course.task.remark(course.state, course.prepare(ward(viral=40, one=40, two=60))) == ""
    results = [run_task("summary", ALL, WARD, [ward(viral=v), ward(viral=30), ward()]) for v in (0, 4)]
    assert results[0].data == results[1].data and "suppressed at some sites" in results[0].data["note"]


def test_with_noise_nothing_is_withheld_and_few_usable_rows_are_no_reason_to_refuse() -> None:
    """A refusal would tell the very number that the noise hides, and costs nothing of the budget."""
    noise = Noise(unit="record", rho=0.1, rounds=1, delta=1e-6, colluders=1)
    prepared = Course("summary", ALL, WARD, 3, noise).prepare(ward(viral=4))
    assert prepared.withheld == () and int((~prepared.table.missing("viral")).sum()) == 4
    model = {"family": "gaussian", "outcome": "age", "covariates": ["viral"]}
    course = Course("glm", model, WARD, 3, noise, 60)
    for usable in (0, 1, 59, 60):
        course.prepare(ward(viral=usable))
    with pytest.raises(TooFewRowsError):
        Course("glm", model, WARD, 3, min_rows=60).prepare(ward(viral=50))


@pytest.mark.parametrize("noisy", [False, True])
def test_disclosure_query_no_choice_of_a_jobs_numbers_finds_a_sites_rows_finer_than_published(noisy: bool) -> None:
    """Rows that are published alike are refused alike, whatever the job's author picks."""
    for rows in (12, 27, 104, 1237, 98_765):
        alike = [n for n in range(rows - 600, rows + 600) if n >= 10 and published_rows(n) == published_rows(rows)]
        assert most_rows(published_rows(rows)) >= max(alike)
        for asked in {*alike, min(alike) - 1, max(alike) + 1, published_rows(rows)}:
            assert len({too_few(n, asked, 10, noisy=noisy) for n in alike}) == 1 or asked == 10
            tables = [Table(WARD, n, {}) for n in (min(alike), max(alike))]
            assert len({refused(table, asked) for table in tables}) == 1


def refused(table: Table, rows_max: int) -> bool:
    try:
        check_rows(table, rows_max)
    except DataError:
        return True
    return False


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
        ({"columns": ["x"], "min_rows": 20}, "min_rows.*the job's own"),
        ({"columns": ["x"], "min_rows": 5}, "min_rows.*the job's own"),
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
