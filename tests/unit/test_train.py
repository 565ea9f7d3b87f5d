"""`train` against plain numpy, against scikit-learn, and on the hospitals' data."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protocols.encoding import EncodingError
from secured_node.data.errors import DataError
from secured_node.data.schema import parse_schema
from secured_node.tasks import find_task
from secured_node.tasks.course import Course
from secured_node.tasks.train import Examples, local_change, probabilities
from secured_node.tasks.train_network import Network
from secured_node.tasks.train_state import TrainState, numbers
from tests.unit.federation import run_states, run_task, table_of
from tests.unit.heart import COVARIATES, HEART_SCHEMA, breast_cancer, heart_tables, needs_heart

SCHEMA = parse_schema(
    {
        "name": "toy",
        "version": 1,
        "columns": {
            "x": {"type": "number", "minimum": -100, "maximum": 100},
            "z": {"type": "number", "minimum": 0, "maximum": 1},
            "g": {"type": "category", "levels": ["a", "b", "c"]},
            "ill": {"type": "boolean"},
        },
    },
    "toy.toml",
)
BASE: dict[str, Any] = {"outcome": "ill", "covariates": ["x", "z"], "batch_rows": 0, "rounds": 3}


def toy(seed: int, rows: int) -> Any:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(seed, 5, rows), rng.random(rows)
    ill = rng.random(rows) < 1 / (1 + np.exp(-x / 5 - z))
    return table_of(SCHEMA, x=x, z=z, g=rng.choice(["a", "b", "c"], rows), ill=ill)


TABLES = [toy(seed, rows) for seed, rows in enumerate((200, 50, 90))]


def design(table: Any, state: TrainState) -> tuple[Any, Any]:
    x = np.column_stack([table.columns["x"], table.columns["z"]])
    return (x - state.centres) / state.scales, table.columns["ill"].astype(float)


def step(x: Any, y: Any, model: Any, rate: float) -> Any:
    """One full-batch step of logistic regression, written out again."""
    error = 1 / (1 + np.exp(-(x @ model[:-1] + model[-1]))) - y
    return -rate * np.append(x.T @ error, error.sum()) / len(y)


@pytest.mark.parametrize("weighting", ["rows", "equal"])
def test_averaging_is_plain_numpys(weighting: str) -> None:
    states = list(run_states("train", BASE | {"weighting": weighting}, SCHEMA, TABLES))
    rows = [table.rows for table in TABLES]
    weights = np.array(rows) / sum(rows) if weighting == "rows" else np.full(3, 1 / 3)
    pooled = np.concatenate([np.column_stack([t.columns["x"], t.columns["z"]]) for t in TABLES])
    np.testing.assert_allclose(states[0].centres, pooled.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(states[0].scales, pooled.std(axis=0), rtol=1e-7)
    model = np.zeros(3)
    for state in states[1:]:
        changes = [step(*design(table, state), model, 0.1) for table in TABLES]
        model = model + weights @ np.array(changes)
        np.testing.assert_allclose(numbers(state.model), model, atol=1e-12)


def test_optimisers_are_those_of_the_papers() -> None:
    momentum = list(run_states("train", BASE | {"optimiser": "fedavgm", "momentum": 0.5}, SCHEMA, TABLES))
    adam = list(run_states("train", BASE | {"optimiser": "fedadam", "server_rate": 0.1}, SCHEMA, TABLES))
    weights = np.array([table.rows for table in TABLES]) / sum(table.rows for table in TABLES)

    def mean(model: Any, state: TrainState) -> Any:
        return weights @ np.array([step(*design(table, state), model, 0.1) for table in TABLES])

    model, velocity = np.zeros(3), np.zeros(3)
    for state in momentum[1:]:
        velocity = 0.5 * velocity + mean(model, state)
        model = model + velocity
        np.testing.assert_allclose(numbers(state.model), model, atol=1e-12)
    model, first, second = np.zeros(3), np.zeros(3), np.full(3, 1e-6)
    for state in adam[1:]:
        change = mean(model, state)
        first, second = 0.9 * first + 0.1 * change, 0.99 * second + 0.01 * change**2
        model = model + 0.1 * first / (np.sqrt(second) + 1e-3)
        np.testing.assert_allclose(numbers(state.model), model, atol=1e-9)


def test_many_full_steps_reach_the_pooled_logistic_regression() -> None:
    raw = BASE | {"rounds": 400, "learning_rate": 1.0}
    state = list(run_states("train", raw, SCHEMA, TABLES))[-1]
    x = np.concatenate([design(table, state)[0] for table in TABLES])
    y = np.concatenate([design(table, state)[1] for table in TABLES])
    reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(numbers(state.model)[:-1], reference.coef_[0], atol=1e-3)
    np.testing.assert_allclose(probabilities(state, TABLES[0])[:, 1], _predict(reference, TABLES[0], state), atol=1e-3)


def _predict(model: Any, table: Any, state: TrainState) -> Any:
    return model.predict_proba(design(table, state)[0])[:, 1]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(0, 5), st.integers(2, 4), st.integers(0, 10_000))
def test_gradients_are_the_slopes_of_the_loss(inputs: int, hidden: int, classes: int, seed: int) -> None:
    network, rng = Network(inputs, hidden, classes), np.random.default_rng(seed)
    x, y = rng.normal(size=(7, inputs)), rng.integers(0, classes, 7)
    model = rng.normal(size=network.size)

    def loss(at: Any) -> float:
        return -float(np.log(network.probabilities(at, x)[np.arange(7), y]).mean())

    gradient, tiny = network.gradient(model, x, y), 1e-6
    for i in range(network.size):
        shift = np.zeros(network.size)
        shift[i] = tiny
        slope = (loss(model + shift) - loss(model - shift)) / (2 * tiny)
        assert abs(slope - gradient[i]) < 1e-5


def test_a_hidden_layer_learns_what_a_line_cannot() -> None:
    rng = np.random.default_rng(3)
    tables = []
    for _ in range(3):
        x, z = rng.uniform(-100, 100, 200), rng.random(200)
        tables.append(table_of(SCHEMA, x=x, z=z, g=rng.choice(["a", "b"], 200), ill=(x > 0) != (z > 0.5)))
    line = {"outcome": "ill", "covariates": ["x", "z"], "rounds": 40, "learning_rate": 0.5, "local_epochs": 5}
    bent = line | {"hidden": 8, "seed": 1}
    aucs = []
    for raw in (line, bent):
        state = list(run_states("train", raw, SCHEMA, tables))[-1]
        scores = np.concatenate([probabilities(state, table)[:, 1] for table in tables])
        aucs.append(roc_auc_score(np.concatenate([table.columns["ill"] for table in tables]), scores))
    assert aucs[0] < 0.65
    assert aucs[1] > 0.95


def test_more_than_two_classes() -> None:
    rng = np.random.default_rng(8)
    tables = []
    for _ in range(3):
        code = rng.integers(0, 3, 120)
        x = code * 20.0 + rng.normal(0, 4, 120)
        levels = np.array(["a", "b", "c"])[code]
        tables.append(table_of(SCHEMA, x=x, z=rng.random(120), g=levels, ill=code > 1))
    raw = {"outcome": "g", "covariates": ["x"], "rounds": 60, "learning_rate": 0.5}
    state = list(run_states("train", raw, SCHEMA, tables))[-1]
    found = probabilities(state, tables[0])
    assert found.shape == (120, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == tables[0].columns["g"]).mean() > 0.95
    result = find_task("train").result(state)
    assert result.data["classes"].keys() == {"a", "b", "c"}
    assert result.arrays["weights"].shape == (1, 2)
    json.dumps(result.data, allow_nan=False)


@needs_heart
def test_it_learns_the_heart_data() -> None:
    raw = {"outcome": "num", "covariates": list(COVARIATES), "rounds": 20, "learning_rate": 0.1}
    tables = heart_tables()
    state = list(run_states("train", raw, HEART_SCHEMA, tables))[-1]
    y = [t.columns["num"][t.complete((*COVARIATES, "num"))] for t in tables]
    auc = roc_auc_score(np.concatenate(y), np.concatenate([probabilities(state, t)[:, 1] for t in tables]))
    assert auc > 0.85


def test_it_learns_breast_cancer_with_narrow_words() -> None:
    schema, tables = breast_cancer()
    covariates = [name for name in schema.columns if name != "malignant"]
    raw = {"outcome": "malignant", "covariates": covariates, "rounds": 20, "word_bits": 32, "rows_max": 100_000}
    state = list(run_states("train", raw, schema, tables))[-1]
    scores = np.concatenate([probabilities(state, table)[:, 1] for table in tables])
    assert roc_auc_score(np.concatenate([t.columns["malignant"] for t in tables]), scores) > 0.98


def started(raw: dict[str, Any]) -> Course:
    """A course over one site after its first sum."""
    course = Course("train", raw, SCHEMA, 1)
    course.apply(course.vector(course.prepare(TABLES[0]), np.random.default_rng(0).bytes))
    return course


def test_a_change_is_never_longer_than_the_clip() -> None:
    course = started(BASE | {"clip_norm": 0.01, "learning_rate": 50.0})
    change = local_change(course.state, Examples.of(course.state, TABLES[0]))
    assert np.linalg.norm(change) == pytest.approx(0.01)


def test_a_proximal_term_keeps_sites_closer() -> None:
    lengths = []
    for proximal in (0.0, 1.0):
        course = started(BASE | {"proximal": proximal, "local_epochs": 20})
        lengths.append(np.linalg.norm(local_change(course.state, Examples.of(course.state, TABLES[0]))))
    assert lengths[1] < 0.8 * lengths[0]


def test_what_diverges_is_told_in_words() -> None:
    course = started(BASE | {"learning_rate": 1e6, "l2": 1e6, "local_epochs": 100})
    with pytest.raises(DataError, match="lower learning_rate"):
        local_change(course.state, Examples.of(course.state, TABLES[0]))


def test_one_class_and_constant_covariates() -> None:
    well = table_of(SCHEMA, x=[1.0] * 20, z=[0.5] * 20, g=["a"] * 20, ill=[False] * 20)
    result = run_task("train", BASE, SCHEMA, [well, well, well])
    assert "the same in all 60 complete rows" in result.problem
    mixed = table_of(SCHEMA, x=list(range(20)), z=[0.5] * 20, g=["a"] * 20, ill=[False, True] * 10)
    state = list(run_states("train", BASE, SCHEMA, [mixed, mixed, mixed]))[-1]
    assert state.scales[1] == 1.0
    assert np.isfinite(numbers(state.model)).all()


def test_the_same_seed_is_the_same_model_and_another_is_another() -> None:
    raw = BASE | {"hidden": 3, "batch_rows": 16}
    models = [list(run_states("train", raw | {"seed": seed}, SCHEMA, TABLES))[-1].model for seed in (1, 1, 2)]
    assert models[0] == models[1] != models[2]
    drawn = int.from_bytes(hashlib.shake_256(b"train/1").digest(8), "little") >> 11
    assert Network(2, 3, 2).start(1)[0] == (drawn * 2.0**-52 - 1) * math.sqrt(6 / 5)


def test_sums_that_contradict_each_other_end_the_job() -> None:
    course = Course("train", BASE, SCHEMA, 3)
    values = course.task.local(course.state, course.prepare(TABLES[0]))
    state = course.task.update(course.state, values | {"classes": np.array([1, 1])})
    assert state.stage == "done"
    assert "contradict" in course.task.result(state).problem
    fine = course.task.update(course.state, values)
    empty = course.task.update(fine, {"change": np.zeros(3), "weight": np.zeros(1)})
    assert "add up to nothing" in empty.problem


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"outcome": "x", "covariates": ["z"]}, "outcome 'x'.*boolean or a category"),
        ({"outcome": "nose"}, "nose"),
        ({"covariates": ["ill"]}, "different columns"),
        ({"optimiser": "sgd"}, "optimiser.*fedavg | fedavgm | fedadam"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"hidden": -1}, "hidden"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"reference": {"x": "a"}}, "reference of 'x'"),
        ({"reference": {"g": "a"}}, "not a covariate"),
        ({"layers": 3}, "layers"),
    ],
)
def test_parameters_that_do_not_fit(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Course("train", BASE | raw, SCHEMA, 3)


def test_words_too_narrow_for_the_rows_are_refused() -> None:
    course = Course("train", BASE | {"word_bits": 32, "rows_max": 1_000_000_000}, SCHEMA, 4)
    with pytest.raises(EncodingError, match="64-bit words"):
        course.layout()


def test_states_go_through_bytes() -> None:
    task = find_task("train")
    for state in run_states("train", BASE | {"optimiser": "fedadam"}, SCHEMA, TABLES):
        assert task.load(task.dump(state)) == state
        assert msgspec.msgpack.encode(state) == task.dump(state)
