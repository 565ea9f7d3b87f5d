"""`train` over four real daemons and their walled workers is what the same task gives in one process."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from demo.hubs import Hub
from secured_node.data.check import read_table
from secured_node.data.mapping import SiteMapping
from secured_node.data.schema import parse_schema
from tests.e2e.conftest import ROWS
from tests.hub_kit import CLINIC, done, patients, submit
from tests.unit.federation import run_task


def weights(tables: Any) -> np.ndarray:
    """Of a result's table "Log-odds per standard deviation"."""
    rows = next(t["rows"] if isinstance(t, dict) else t.rows for t in tables if "Log-odds" in str(t))
    return np.array([row[1] for row in rows])


def test_a_model_is_trained_over_four_daemons(four: list[Hub], folder: Path) -> None:
    parameters = {"outcome": "ill", "covariates": ["age", "weight", "stage"], "rounds": 5, "learning_rate": 0.5}
    parameters |= {"word_bits": 32, "rows_max": 10_000, "optimiser": "fedavgm", "seed": 3}
    job = submit(four[2], "train", parameters, four, data="clinic", word_bits=32)
    found = done([four[2], *four], job)
    schema = parse_schema(tomllib.loads(CLINIC.format(name="clinic", version=1)), "clinic")
    paths = [patients(number, rows).write(folder / f"{number}.csv") for number, rows in enumerate(ROWS)]
    tables = [read_table(path, schema, SiteMapping())[0] for path in paths]
    expected = run_task("train", parameters, schema, tables)
    assert found["data"] == expected.data
    assert found["data"]["rounds"] == 5
    np.testing.assert_allclose(weights(found["tables"]), weights(expected.tables), atol=1e-3)
    assert np.abs(weights(expected.tables)).max() > 0.1
