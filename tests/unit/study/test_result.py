"""Results go to JSON and back, and to data frames; notebooks get frames."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from secured_node.data.errors import DataError
from simulations import Scenario
from simulations.study.frames import PER_REPETITION
from simulations.study.result import StudyResult
from tests.unit.study.kit import TRAIN, scenario


@pytest.fixture(scope="module")
def result() -> StudyResult:
    fault = {"kind": "partition", "nodes": ["h2"], "at": "300 ms", "lasts": "3 s"}
    return scenario(task=TRAIN, fault=[fault], run={"repetitions": 2}).study()


def test_frames_have_a_row_for_each_value(result: StudyResult) -> None:
    frames = result.frames()
    assert set(frames) == {*PER_REPETITION, "repetitions", "refusals", "comparisons", "totals"}
    for name in PER_REPETITION:
        assert len(frames[name]) == sum(len(getattr(r, name)) for r in result.repetitions)
        assert frames[name].columns[0] == "seed"
    assert frames["repetitions"]["outcome"].tolist() == ["done", "done"]
    assert {"auc", "log_loss"} <= set(frames["rounds"].columns)
    assert "minus_pooled_mean" in frames["comparisons"].columns
    assert frames["attacks"].empty
    assert list(frames["attacks"].columns) == ["seed", "name", "node", "succeeded", "text", "value"]


def test_a_notebook_gets_data_frames() -> None:
    frames = Scenario(
        name="mine",
        data={"bundled": "breast-cancer"},
        split={"by": "equal", "nodes": 3},
        task=TRAIN,
        run={"repetitions": 1},
    ).run()
    scores = frames["scores"]
    assert isinstance(scores, pd.DataFrame)
    assert set(scores["arm"]) == {"alone", "federated", "pooled"}


def test_json_of_something_else_is_refused(result: StudyResult) -> None:
    with pytest.raises(DataError, match="the study's result"):
        StudyResult.from_json(b"{}")
    with pytest.raises(DataError, match="it has format 99"):
        StudyResult.from_json(result.to_json().replace(b'"format": 1', b'"format": 99'))


def test_where_the_scenario_came_from_is_in_the_result(result: StudyResult) -> None:
    assert '"breast-cancer"' in result.scenario
    assert result.version
    assert result.executor == "here"
    assert result.wall_s > 0


def test_without_pandas_it_is_said_what_to_install(result: StudyResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simulations.study.frames", None)
    with pytest.raises(DataError, match=r"install secured-node\[sim\]"):
        result.frames()
