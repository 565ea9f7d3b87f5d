"""Data sets that a scenario can name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from secured_node.data.errors import DataError
from secured_node.data.schema import load_schema
from simulations.study import bundled
from simulations.study.bundled import BUNDLED, load_bundled
from simulations.study.scenario import Scenario
from tests.unit.heart import HEART, needs_heart
from tests.unit.study.kit import value

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [name for name in BUNDLED if name != "heart"])
def test_bundled_rows_lie_within_their_schema(name: str) -> None:
    table = load_bundled(name, None).table
    assert table.rows > 400
    for column, values in table.columns.items():
        described = table.schema.column(column)
        low, high = (0, len(described.choices) - 1) if described.choices else described.range
        assert not table.missing(column).any()
        assert low <= np.min(values)
        assert np.max(values) <= high


def test_heart_without_its_files_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(bundled.DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match=r"processed.cleveland.data.*UCI.*SECURED_SIM_DATA.*breast-cancer"):
        Scenario.load("heart").check()


def test_the_schema_of_heart_is_that_of_the_example() -> None:
    ours = load_schema(ROOT / "simulations" / "study" / "data" / "heart.toml")
    assert ours == load_schema(ROOT / "examples" / "heart-disease" / "schema.toml")


@needs_heart
def test_heart_is_four_hospitals_of_920_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bundled.DATA_VARIABLE, str(HEART))
    rows = load_bundled("heart", None)
    assert rows.table.rows == 920
    assert rows.hospitals == ("cleveland", "budapest", "zurich", "longbeach")
    assert rows.place is not None
    assert np.bincount(rows.place).tolist() == [303, 294, 123, 200]
    assert not rows.notes


@needs_heart
def test_the_heart_study_is_the_pooled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bundled.DATA_VARIABLE, str(HEART.parent))
    result = Scenario.load("heart").with_run(repetitions=2).study()
    assert [r.outcome for r in result.repetitions] == ["done", "done"]
    error, auc = value(result, "federated", "coefficient_error"), value(result, "federated", "auc")
    assert error is not None
    assert auc is not None
    assert error < 1e-9
    assert 0.8 < auc < 0.95
