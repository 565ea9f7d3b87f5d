"""Small scenarios for the tests of studies."""

from __future__ import annotations

from typing import Any

from simulations.study.result import StudyResult
from simulations.study.scenario import Scenario

GLM: dict[str, Any] = {
    "name": "glm",
    "parameters": {"family": "binomial", "outcome": "malignant", "covariates": ["radius", "texture"], "ridge": 1.0},
}
TRAIN: dict[str, Any] = {
    "name": "train",
    "parameters": {"outcome": "malignant", "covariates": ["radius", "texture"], "rounds": 4},
}


def scenario(**tables: Any) -> Scenario:
    """Four hospitals fit a logistic regression to breast cancer rows, once, unless the tables say otherwise."""
    base: dict[str, Any] = {
        "name": "test",
        "data": {"bundled": "breast-cancer"},
        "split": {"by": "equal", "nodes": 4},
        "task": GLM,
        "run": {"repetitions": 1},
    }
    return Scenario(**base | tables)


def run(**tables: Any) -> StudyResult:
    """Its result."""
    return scenario(**tables).study()


def value(result: StudyResult, arm: str, metric: str, hospital: str = "", tested_on: str = "all") -> float | None:
    """A score of the first repetition."""
    found = [
        s.value
        for s in result.repetitions[0].scores
        if (s.arm, s.metric, s.hospital, s.tested_on) == (arm, metric, hospital, tested_on)
    ]
    assert len(found) == 1
    return found[0]
