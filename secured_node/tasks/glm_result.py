"""From the fit in standardised terms to the report: coefficients in the schema's units, errors, tests, intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secured_node.tasks.base import Result, ResultTable
from secured_node.tasks.distributions import normal_quantile, normal_two_sided, t_quantile, t_two_sided
from secured_node.tasks.exact import Matrix, Vector, cholesky, solve
from secured_node.tasks.glm_state import GlmState


@dataclass(frozen=True, slots=True)
class Fit:
    """The fit in the schema's units.

    coefficients: (p,), the intercept first. covariance: (p, p). freedom: residual degrees of freedom.
    dispersion: residual variance of a gaussian, 1 for a binomial. deviance, null_deviance, log_likelihood, aic: of the
    unpenalised likelihood; aic counts a gaussian's variance as a parameter, as R does and statsmodels does not.
    """

    coefficients: Vector
    covariance: Matrix
    freedom: float
    dispersion: float
    deviance: float
    null_deviance: float
    log_likelihood: float
    aic: float


def fit_of(state: GlmState) -> Fit:
    """The fit of a state that is done and has no problem.

    With a ridge the covariance is (H + K)^-1 H (H + K)^-1, H the information and K the penalty: the sampling variance
    about the shrunken value (le Cessie and van Houwelingen, "Ridge estimators in logistic regression", Applied
    Statistics 41 (1992), section 3), and the model has trace of H (H + K)^-1 effective coefficients.
    """
    information = state.matrix(state.information)
    inverse = solve(cholesky(information + np.diag(state.penalty()), 0.0), np.eye(state.size))
    effective = float(np.trace(inverse @ information)) if state.parameters.ridge else float(state.size)
    covariance = inverse @ information @ inverse if state.parameters.ridge else inverse
    outcome_centre, outcome_scale = state.centres[-1], state.scales[-1]
    back = backwards(state)
    coefficients = back @ np.array(state.coefficients)
    coefficients[0] += outcome_centre
    freedom = state.rows - effective
    deviance = state.deviance * outcome_scale**2
    gaussian = state.parameters.family == "gaussian"
    dispersion = deviance / freedom if gaussian else 1.0
    log_likelihood = (
        -state.rows / 2 * (math.log(2 * math.pi * deviance / state.rows) + 1) if gaussian else -deviance / 2
    )
    scaled = dispersion / outcome_scale**2 if gaussian else 1.0
    return Fit(
        coefficients=coefficients,
        covariance=scaled * (back @ covariance @ back.T),
        freedom=freedom,
        dispersion=dispersion,
        deviance=deviance,
        null_deviance=_null_deviance(state),
        log_likelihood=log_likelihood,
        aic=-2 * log_likelihood + 2 * (effective + (1 if gaussian else 0)),
    )


def backwards(state: GlmState) -> Matrix:
    """The matrix that takes coefficients of standardised terms to the schema's units (but for the outcome's centre)."""
    centres, scales = np.array(state.centres[:-1]), np.array(state.scales[:-1])
    back = np.diag(np.concatenate([[1.0], 1 / scales]))
    back[0, 1:] = -centres / scales
    return back * state.scales[-1]


def _null_deviance(state: GlmState) -> float:
    """The deviance of the intercept alone. McCullagh and Nelder, section 2.3."""
    if state.parameters.family == "gaussian":
        return state.null_deviance * state.scales[-1] ** 2
    share = state.events / state.rows
    return -2 * state.rows * (share * math.log(share) + (1 - share) * math.log1p(-share))


def success(state: GlmState) -> Result:
    """The result of a fit."""
    fit, confidence = fit_of(state), state.parameters.confidence
    gaussian = state.parameters.family == "gaussian"
    errors = np.sqrt(np.diag(fit.covariance))
    statistics = fit.coefficients / errors
    width = t_quantile(confidence, fit.freedom) if gaussian else normal_quantile(confidence)
    p_values = [
        t_two_sided(value, fit.freedom) if gaussian else normal_two_sided(value) for value in statistics.tolist()
    ]
    letter = "t" if gaussian else "z"
    columns = ("coefficient", "standard_error", letter, "p_value", "lower", "upper")
    lower, upper = fit.coefficients - width * errors, fit.coefficients + width * errors
    numbers = np.column_stack([fit.coefficients, errors, statistics, p_values, lower, upper])
    rows = [dict(zip(columns, row, strict=True)) for row in numbers.tolist()]
    data = head(state) | {
        "coefficients": dict(zip(state.names, rows, strict=True)),
        "deviance": fit.deviance,
        "null_deviance": fit.null_deviance,
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "dispersion": fit.dispersion,
        "residual_degrees_of_freedom": fit.freedom,
        "evaluations": state.fits,
    }
    return Result(data, _tables(state, data, columns, numbers), _arrays(fit, errors))


def failure(state: GlmState) -> Result:
    """The result of a job without a fit."""
    return Result(head(state) | {"problem": state.problem}, problem=state.problem)


def head(state: GlmState) -> dict[str, Any]:
    """What every result says first. With noise, what it would have to be counted for is left out."""
    parameters = state.parameters
    figures: dict[str, Any] = {
        "task": "glm",
        "family": parameters.family,
        "outcome": state.terms[-1].name,
        "covariates": list(parameters.covariates),
        "ridge": parameters.ridge,
        "confidence": parameters.confidence,
        "rows": state.rows,
    }
    if state.noise is None:
        figures["left_out"] = state.left_out
    if parameters.family == "binomial" and state.noise is None:
        figures["events"] = state.events
    return figures


def _tables(
    state: GlmState, data: dict[str, Any], columns: tuple[str, ...], numbers: NDArray[np.float64]
) -> tuple[ResultTable, ...]:
    shown = ("rows", "left_out", "events", "deviance", "null_deviance", "log_likelihood", "aic", "evaluations")
    figures = tuple((key.replace("_", " "), data[key]) for key in shown if key in data)
    return coefficient_table(state, columns[2], numbers), ResultTable("Fit", ("figure", "value"), figures)


def coefficient_table(state: GlmState, letter: str, numbers: NDArray[np.float64]) -> ResultTable:
    """Coefficients for people. letter: of the test statistic. numbers: of shape (p, 6), a row a coefficient."""
    parameters = state.parameters
    tail = f"{50 * (1 - state.parameters.confidence):g} %", f"{50 * (1 + state.parameters.confidence):g} %"
    heads = ("term", "coefficient", "standard error", letter, "p value", *tail)
    body = tuple((name, *row) for name, row in zip(state.names, numbers.tolist(), strict=True))
    title = f"{state.terms[-1].name} ~ {' + '.join(parameters.covariates)} ({parameters.family})"
    return ResultTable(title, heads, body)


def _arrays(fit: Fit, errors: Vector) -> dict[str, NDArray[np.float64]]:
    return {"coefficients": fit.coefficients, "standard_errors": errors, "covariance": fit.covariance}
