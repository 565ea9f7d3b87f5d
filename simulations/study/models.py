"""What a task's public state predicts and estimates: one way for models of one hospital, of all, and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secured_node.data.errors import DataError
from secured_node.data.table import Table
from secured_node.tasks import find_task
from secured_node.tasks.course import Course
from secured_node.tasks.glm_state import GlmState
from secured_node.tasks.glm_terms import Design
from secured_node.tasks.train import probabilities
from secured_node.tasks.train_state import TrainState, numbers
from simulations.study.metrics import HIGHER_IS_BETTER, Scores, of_numbers, of_probabilities
from simulations.study.result import Arm, Estimate


def outcome_of(course: Course) -> str:
    """The column that the task models; "" for one that models nothing."""
    return str(getattr(course.parameters, "outcome", ""))


def first_metric(course: Course) -> str:
    """The metric that is looked at first; "" for a task without a model."""
    outcome = outcome_of(course)
    if not outcome:
        return ""
    return "rmse" if course.state.schema.column(outcome).numeric else "auc"


def positive_class(course: Course) -> int | None:
    """The code of the class whose rows are counted as positive; None if the outcome is a number or there is none."""
    state = course.state
    outcome = outcome_of(course)
    if not outcome or state.schema.column(outcome).numeric:
        return None
    return int(state.terms[-1].code) if isinstance(state, GlmState) else 1


def scores_of(state: Any, table: Table) -> Scores:
    """The metrics of a state's model on the complete rows of a table; empty for a state that has no model (yet)."""
    if isinstance(state, GlmState) and state.coefficients and not state.problem:
        return _glm(state, table)
    if isinstance(state, TrainState) and state.model and not state.problem:
        return _train(state, table)
    return {}


def _glm(state: GlmState, table: Table) -> Scores:
    design = Design.of(table, state.terms)
    chunks = list(design.chunks())
    rows = np.concatenate(chunks) if chunks else np.empty((0, len(state.terms)))
    centres, scales = np.array(state.centres), np.array(state.scales)
    z = (rows[:, :-1] - centres[:-1]) / scales[:-1]
    coefficients = np.array(state.coefficients)
    eta = coefficients[0] + z @ coefficients[1:]
    if state.parameters.family == "gaussian":
        return of_numbers(centres[-1] + scales[-1] * eta, rows[:, -1])
    positive = np.exp(-np.logaddexp(0.0, -eta))
    return of_probabilities(np.column_stack([1 - positive, positive]), rows[:, -1].astype(np.intp))


def _train(state: TrainState, table: Table) -> Scores:
    outcome = state.parameters.outcome
    complete = table.complete((*state.parameters.covariates, outcome))
    return of_probabilities(probabilities(state, table), table.columns[outcome][complete].astype(np.intp))


def estimates_of(course: Course, arm: Arm, hospital: str = "") -> list[Estimate]:
    """What the course's result estimates: coefficients in the schema's units, or means of columns."""
    if not course.done:
        return []
    result = course.result()
    if result.problem:
        return []
    state = course.state
    if isinstance(state, TrainState):
        return [] if state.parameters.hidden else _weights(state, arm, hospital)
    if isinstance(state, GlmState):
        found = result.data["coefficients"].items()
        return [_estimate(arm, hospital, term, f["coefficient"], f["standard_error"]) for term, f in found]
    columns = result.data.get("columns", {}) if course.task.name == "summary" else {}
    found = [(name, f, f["standard_deviation"]) for name, f in columns.items() if "mean" in f]
    return [
        _estimate(arm, hospital, name, f["mean"], None if deviation is None else deviation / f["count"] ** 0.5)
        for name, f, deviation in found
    ]


def _weights(state: TrainState, arm: Arm, hospital: str) -> list[Estimate]:
    weights: NDArray[np.float64] = state.network.layers(numbers(state.model))["weights"]
    several = len(state.choices) > 2
    return [
        _estimate(arm, hospital, f"{term.name} ({choice})" if several else term.name, float(w / scale), None)
        for term, line, scale in zip(state.terms, weights, state.scales, strict=True)
        for choice, w in zip(state.choices[1:], line, strict=True)
    ]


def _estimate(arm: Arm, hospital: str, term: str, value: float | None, error: float | None) -> Estimate:
    return Estimate(arm=arm, hospital=hospital, term=term, value=value, standard_error=error)


def coefficient_error(found: Sequence[Estimate], pooled: Sequence[Estimate]) -> float | None:
    """The largest difference of coefficients from the pooled fit's, in its standard errors; None without them."""
    reference = {e.term: e for e in pooled if e.value is not None and e.standard_error}
    differences = [
        abs(e.value - (reference[e.term].value or 0.0)) / (reference[e.term].standard_error or 1.0)
        for e in found
        if e.value is not None and e.term in reference
    ]
    return max(differences, default=None)


def check_metric(metric: str, course: Course) -> None:
    """Raise `DataError` if the task's models do not have this metric."""
    first = first_metric(course)
    fits = {"auc": ("auc", "accuracy", "log_loss", "brier"), "rmse": ("rmse", "r2"), "": ()}[first]
    if metric not in fits:
        allowed = f"allowed: {' | '.join(fits)}" if fits else "leave run.target out"
        raise DataError(f"run.target.metric = {metric!r}", "the task's models do not have it", allowed)


def reaches(value: float | None, target: float, metric: str) -> bool:
    """Whether a metric's value is as good as the target."""
    return value is not None and (value >= target if HIGHER_IS_BETTER[metric] else value <= target)


def seeded(task: str, parameters: dict[str, Any], seed: int) -> dict[str, Any]:
    """The parameters of one repetition: a task that has a seed gets the repetition's, unless the scenario fixes it."""
    has_seed = "seed" in find_task(task).parameters_type.__struct_fields__
    return parameters if not has_seed or "seed" in parameters else parameters | {"seed": seed}
