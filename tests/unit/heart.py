"""The four hospitals of the UCI heart disease study, as tables; and scikit-learn's breast cancer rows cut in four."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from secured_node.data.check import read_table
from secured_node.data.mapping import SiteMapping, parse_mapping
from secured_node.data.schema import Schema, parse_schema
from secured_node.data.table import Table
from tests.unit.federation import table_of

HEART = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "heart_disease_4hospitals"
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
COVARIATES = ("age", "sex", "cp", "thalach", "exang", "oldpeak")
COMPLETE = (303, 293, 117, 144)

needs_heart = pytest.mark.skipif(
    not HEART.is_dir(),
    reason=f"the UCI heart disease files are not at {HEART.parent.name}/{HEART.name} beside the repository",
)

HEART_SCHEMA = parse_schema(
    {
        "name": "heart-disease",
        "version": 1,
        "columns": {
            "age": {"type": "number", "unit": "years", "minimum": 0, "maximum": 120},
            "sex": {"type": "boolean", "description": "male"},
            "cp": {"type": "category", "levels": ["typical", "atypical", "other", "none"]},
            "thalach": {"type": "number", "unit": "1/min", "minimum": 30, "maximum": 250},
            "exang": {"type": "boolean"},
            "oldpeak": {"type": "number", "unit": "mm", "minimum": -10, "maximum": 10},
            "num": {"type": "boolean", "description": "narrowing of a vessel by half or more"},
        },
    },
    "heart.toml",
)

HEADER = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"]
HEADER += ["exang", "oldpeak", "slope", "ca", "thal", "num"]


def heart_mapping() -> SiteMapping:
    """One mapping for all four: Cleveland writes 1.0 where the others write 1."""
    yes_no = {"0": "false", "0.0": "false", "1": "true", "1.0": "true"}
    pain = {"1": "typical", "2": "atypical", "3": "other", "4": "none"}
    raw = {
        "missing": ["?"],
        "text": {"header": HEADER},
        "columns": {
            "sex": {"levels": yes_no},
            "exang": {"levels": yes_no},
            "cp": {"levels": pain | {f"{code}.0": level for code, level in pain.items()}},
            "num": {"levels": {"0": "false"} | {str(degree): "true" for degree in range(1, 5)}},
        },
    }
    return parse_mapping(raw, HEART_SCHEMA, "mapping.toml")


@cache
def heart_tables() -> tuple[Table, ...]:
    """The four hospitals."""
    tables = []
    for hospital in HOSPITALS:
        table, problems = read_table(HEART / f"processed.{hospital}.data", HEART_SCHEMA, heart_mapping())
        assert not problems
        tables.append(table)
    return tuple(tables)


@cache
def breast_cancer() -> tuple[Schema, tuple[Table, ...]]:
    """Ten measurements and the diagnosis of 569 patients, cut into hospitals of unequal size and case mix."""
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_breast_cancer()
    names = [name.removeprefix("mean ").replace(" ", "_") for name in bunch.feature_names[:10]]
    tops = (50, 60, 300, 4000, 1, 1, 1, 1, 1, 1)  # plausible ranges, not those of the data
    columns = {
        name: {"type": "number", "minimum": 0, "maximum": top} for name, top in zip(names, tops, strict=True)
    } | {"malignant": {"type": "boolean"}}
    schema = parse_schema({"name": "breast-cancer", "version": 1, "columns": columns}, "breast.toml")
    malignant = bunch.target == 0
    # Larger tumours first, blurred: the hospitals see different patients.
    order = np.argsort(bunch.data[:, 0] + np.random.default_rng(5).normal(0, 4, len(malignant)))
    tables = []
    for rows in np.split(order, [60, 180, 340]):
        numbers = {name: bunch.data[rows, index] for index, name in enumerate(names)}
        tables.append(table_of(schema, **numbers, malignant=malignant[rows]))
    return schema, tuple(tables)
