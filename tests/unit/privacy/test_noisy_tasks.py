"""`summary`, `glm` and `bench` with noise: the figures are right within the noise, and errors say how wide that is."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from protocols.privacy.accounting import rho_of
from secured_node.data.errors import DataError
from secured_node.data.schema import parse_schema
from secured_node.tasks import find_task
from secured_node.tasks.base import Noise, Task
from tests.unit.federation import run_noisy, run_task, table_of
from tests.unit.heart import HEART_SCHEMA, heart_tables, needs_heart

SCHEMA = parse_schema(
    {
        "name": "clinic",
        "version": 1,
        "columns": {
            "age": {"type": "number", "unit": "years", "minimum": 20, "maximum": 100},
            "bmi": {"type": "number", "minimum": 10, "maximum": 60},
            "stage": {"type": "category", "levels": ["one", "two", "three"]},
            "male": {"type": "boolean"},
            "pressure": {"type": "number", "unit": "mmHg", "minimum": 50, "maximum": 250},
            "ill": {"type": "boolean"},
        },
    },
    "clinic.toml",
)
COVARIATES = ["age", "bmi", "male"]
LINEAR, LOGISTIC = np.array([90, 0.5, 0.8, 5.0]), np.array([-5, 0.05, 0.06, 0.5])


def noise(epsilon: float, rounds: int, unit: Any = "record") -> Noise:
    return Noise(unit=unit, rho=rho_of(epsilon, 1e-6), rounds=rounds, delta=1e-6, colluders=1)


def hospitals(seed: int, rows: int) -> list[Any]:
    """Four hospitals with so many patients together, whose true coefficients are known."""
    rng, made = np.random.default_rng(seed), []
    for part in np.array_split(np.arange(rows), 4):
        n = len(part)
        age, bmi, male = rng.uniform(30, 90, n), rng.normal(27, 5, n).clip(11, 59), rng.random(n) < 0.5
        design = np.column_stack([np.ones(n), age, bmi, male])
        made.append(
            table_of(
                SCHEMA,
                age=age,
                bmi=bmi,
                male=male,
                stage=rng.choice(["one", "two", "three"], n, p=(0.6, 0.3, 0.1)),
                pressure=(design @ LINEAR + rng.normal(0, 12, n)).clip(50, 250),
                ill=rng.random(n) < 1 / (1 + np.exp(-design @ LOGISTIC)),
            )
        )
    return made


# --- what one row can do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("summary", {"columns": ["age", "bmi", "stage", "male"]}),
        ("summary", {"columns": ["stage"]}),
        ("glm", {"family": "gaussian", "outcome": "pressure", "covariates": [*COVARIATES, "stage"]}),
        ("glm", {"family": "binomial", "outcome": "ill", "covariates": [*COVARIATES, "stage"]}),
    ],
)
def test_no_row_within_its_ranges_is_ever_clipped_and_norms_are_as_small_as_can_be(name: str, raw: Any) -> None:
    """The norms follow from the ranges alone: rows at their corners reach them, and none goes beyond."""
    corners = table_of(
        SCHEMA,
        age=[20, 100, 100, 60.0],
        bmi=[10, 60, 10, 35.0],
        stage=["one", "two", "three", "two"],
        male=[True, False, True, False],
        pressure=[50, 250, 250, 150.0],
        ill=[True, False, False, True],
    )
    task: Task[Any, Any, Any] = find_task(name)
    parameters = task.parse(raw)
    rounds = task.noisy_rounds(parameters, "record")
    state = task.with_noise(task.start(parameters, SCHEMA, 4), noise(3, rounds))
    blocks = {block.name: block for block in task.clipped(state)}
    largest = dict.fromkeys(blocks, 0.0)
    for chunk in task.contributions(state, task.prepare(state, corners)):
        assert set(chunk) == set(blocks)
        for block_name, part in chunk.items():
            block = blocks[block_name]
            assert part.shape == (4, block.length)
            norms = np.sqrt(np.square(part.astype(float)).sum(axis=1))
            assert norms.max() <= block.norm * (1 + 1e-12)
            assert np.abs(part.astype(float)).max() <= (block.largest or block.norm) * (1 + 1e-12)
            largest[block_name] = max(largest[block_name], float(norms.max()))
    reached = [largest[n] / b.norm for n, b in blocks.items() if n != "gradient"]
    assert min(reached) > 0.99
    assert largest.get("gradient", 1.0) > 0


def test_parts_are_made_row_by_row() -> None:
    """A row's part does not depend on the other rows, not even in its last bit: one at a time they are the same."""
    tables = hospitals(3, 1200)
    for name, raw in (
        ("summary", {"columns": ["age", "stage", "ill"]}),
        ("glm", {"family": "binomial", "outcome": "ill", "covariates": COVARIATES}),
    ):
        task: Task[Any, Any, Any] = find_task(name)
        parameters = task.parse(raw)
        state = task.with_noise(task.start(parameters, SCHEMA, 4), noise(3, task.noisy_rounds(parameters, "record")))
        if name == "glm":
            state = msgspec.structs.replace(state, trial=(0.3, -1.7, 0.9, 0.123456789))
        whole = next(task.contributions(state, task.prepare(state, tables[0])))
        for row in range(tables[0].rows):
            cells = {column: values[[row]] for column, values in tables[0].columns.items()}
            alone = type(tables[0])(SCHEMA, 1, cells)
            part = next(task.contributions(state, task.prepare(state, alone)))
            for block, values in part.items():
                np.testing.assert_array_equal(values[0], whole[block][row])


# --- summary ----------------------------------------------------------------------------------------------------------


def test_a_noisy_summary_is_right_within_its_noise() -> None:
    tables = hospitals(5, 4000)
    for table in tables:
        table.columns["bmi"][::9] = math.nan
    raw = {"columns": ["age", "bmi", "stage", "male"]}
    exact, off = run_task("summary", raw, SCHEMA, tables).data, []
    deviation = 0.0
    for seed in range(20):
        _, result = run_noisy("summary", raw, SCHEMA, tables, noise(1, 1), seed)
        task: Task[Any, Any, Any] = find_task("summary")
        state = task.with_noise(task.start(task.parse(raw), SCHEMA, 4), noise(1, 1))
        deviation = task.plan(state, 64).blocks[0].deviation(4)
        found = result.data
        off.append(found["rows"] - exact["rows"])
        for name, column in exact["columns"].items():
            here = found["columns"][name]
            off.append(here["count"] - column["count"])
            off += [here["levels"][level] - count for level, count in column.get("levels", {}).items()]
            if "mean" in column:
                half = (SCHEMA.columns[name].range[1] - SCHEMA.columns[name].range[0]) / 2
                width = half * deviation / column["count"]
                assert abs(here["mean"] - column["mean"]) < 8 * width
                assert abs(here["variance"] - column["variance"]) < 12 * width * half
    assert np.std(off) == pytest.approx(deviation, rel=0.15)
    assert abs(np.mean(off)) < 4 * deviation / math.sqrt(len(off))
    assert deviation == pytest.approx(math.sqrt(4 / 3 * 11 / (2 * rho_of(1, 1e-6))), rel=1e-3)


def test_a_summary_drowned_in_noise_still_ends_with_figures_or_none() -> None:
    tables = hospitals(6, 44)
    for seed in range(10):
        _, result = run_noisy("summary", {"columns": ["age", "stage"]}, SCHEMA, tables, noise(0.01, 1), seed)
        age = result.data["columns"]["age"]
        assert (age["mean"] is None) == (age["count"] <= 0)
        assert age["variance"] is None or age["variance"] >= 0


# --- glm --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_a_noisy_glm_on_thousands_of_patients_covers_the_truth(family: str) -> None:
    """Standard errors hold the noise: 95 % intervals cover the true coefficients in 95 % of the draws."""
    outcome, truth = ("pressure", LINEAR) if family == "gaussian" else ("ill", LOGISTIC)
    raw = {"family": family, "outcome": outcome, "covariates": COVARIATES}
    off, wider = [], []
    for seed in range(24):
        tables = hospitals(seed, 12_000)
        rounds = find_task("glm").noisy_rounds(find_task("glm").parse(raw), "record")
        _, result = run_noisy("glm", raw, SCHEMA, tables, noise(3, rounds), seed)
        assert result.problem == "", result.problem
        off.append((result.arrays["coefficients"] - truth) / result.arrays["standard_errors"])
        if seed < 3:
            wider.append(
                result.arrays["standard_errors"] / run_task("glm", raw, SCHEMA, tables).arrays["standard_errors"]
            )
    inside = np.abs(np.array(off)) < 1.96
    assert 0.88 <= inside.mean() <= 0.995
    assert np.sqrt(np.square(off).mean()) == pytest.approx(1, abs=0.15)
    assert (np.array(wider) > 1).all() and (np.array(wider) < 6).all()


def test_with_hardly_any_noise_the_fit_is_that_of_the_pooled_rows() -> None:
    tables = hospitals(1, 4000)
    for family, outcome in (("gaussian", "pressure"), ("binomial", "ill")):
        raw = {"family": family, "outcome": outcome, "covariates": [*COVARIATES, "stage"], "steps": 8}
        exact = run_task("glm", raw, SCHEMA, tables)
        rounds = find_task("glm").noisy_rounds(find_task("glm").parse(raw), "record")
        quiet = Noise(unit="record", rho=9000.0, rounds=rounds, delta=1e-6, colluders=1)
        _, result = run_noisy("glm", raw, SCHEMA, tables, quiet, 1)
        off = np.abs(result.arrays["coefficients"] - exact.arrays["coefficients"]) / exact.arrays["standard_errors"]
        assert off.max() < 0.2
        np.testing.assert_allclose(result.arrays["standard_errors"], exact.arrays["standard_errors"], rtol=0.05)
        assert result.data["rows"] == pytest.approx(exact.data["rows"], abs=2)


@needs_heart
def test_hundreds_of_patients_and_a_small_epsilon_give_words_in_place_of_a_fit() -> None:
    raw = {"family": "binomial", "outcome": "num", "covariates": ["age", "sex", "cp"]}
    _, result = run_noisy("glm", raw, HEART_SCHEMA, heart_tables(), noise(1, 4), 1)
    assert "the noise is as large as" in result.problem and "larger epsilon" in result.problem
    assert "coefficients" not in result.data


def test_a_fit_that_has_not_settled_is_no_answer() -> None:
    """One Newton step from zero is far from the end, and covariates that separate have no end."""
    tables = hospitals(1, 12_000)
    raw = {"family": "binomial", "outcome": "ill", "covariates": COVARIATES, "steps": 1}
    _, result = run_noisy("glm", raw, SCHEMA, tables, noise(3, 1), 1)
    assert "still moved in the last of 1 steps: take more steps" in result.problem
    for table in tables:
        table.columns["ill"][:] = (table.columns["age"] > 60).astype(np.int32)
    quiet = Noise(unit="record", rho=100.0, rounds=4, delta=1e-6, colluders=1)
    _, result = run_noisy("glm", {**raw, "steps": 4}, SCHEMA, tables, quiet, 1)
    assert "all too well" in result.problem or "the noise is as large" in result.problem


def test_a_noisy_result_tells_nothing_that_was_not_noised() -> None:
    """Counts of incomplete rows and of events are not summed, so they are not told."""
    tables = hospitals(1, 12_000)
    raw = {"family": "binomial", "outcome": "ill", "covariates": COVARIATES}
    state, result = run_noisy("glm", raw, SCHEMA, tables, noise(3, 4), 1)
    assert not {"left_out", "events", "deviance", "null_deviance"} & set(result.data)
    assert (state.left_out, state.events, state.gram) == (0, 0, ())


# --- bench, and what takes no noise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["record", "site"])
@pytest.mark.parametrize("word_bits", [32, 64])
def test_bench_with_noise_knows_how_far_its_sum_may_be_off(unit: Any, word_bits: int) -> None:
    raw = {"length": 5000, "word_bits": word_bits, "rounds": 2}
    _, result = run_noisy("bench", raw, None, [None] * 4, noise(3, 2, unit), 1)
    assert result.problem == ""
    assert 0 < result.data["error_max"] < result.data["error_allowed"]


@pytest.mark.parametrize("name", ["summary", "glm"])
def test_statistics_refuse_to_hide_a_whole_site_in_plain_words(name: str) -> None:
    """J22."""
    task: Task[Any, Any, Any] = find_task(name)
    raw = {"columns": ["age"]} if name == "summary" else {"family": "gaussian", "outcome": "age", "covariates": ["bmi"]}
    with pytest.raises(DataError, match=r"cannot say how much one site changes.*without noise"):
        task.noisy_rounds(task.parse(raw), "site")


def test_a_task_that_says_nothing_about_its_rows_takes_no_noise() -> None:
    """J22."""

    class Silent(type(find_task("bench"))):  # type: ignore[misc]
        noisy_rounds, clipped = Task.noisy_rounds, Task.clipped
        contributions, records_max = Task.contributions, Task.records_max

    task = Silent()
    parameters = task.parse({"length": 3})
    for ask in (
        lambda: task.noisy_rounds(parameters, "record"),
        lambda: task.clipped(task.start(parameters, None, 3)),
        lambda: task.records_max(task.start(parameters, None, 3)),
        lambda: task.contributions(task.start(parameters, None, 3), None),
        lambda: task.plan(task.start(parameters, None, 3), 64),
    ):
        with pytest.raises(DataError):
            ask()
