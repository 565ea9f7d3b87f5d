"""From a noisy fit to the report: coefficients in the schema's units, with errors that hold the noise, too.

Standard errors hold both the sampling error and the noise, to first order: with A the information, sigma the noise of
each number and b the coefficients, the covariance is A^-1 (dispersion A + sigma_g^2 I + N) A^-1; N, the noise of A b,
is there for a gaussian alone: sigma_A^2 (|b|^2 I + b b' - diag(b^2)), since in a symmetric noise matrix the two numbers
at mirrored places are one. A binomial's noise in A only turns the way to coefficients at which the gradient is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protocols.privacy.plan import Plan
from secured_node.tasks.base import Result
from secured_node.tasks.distributions import normal_quantile, normal_two_sided
from secured_node.tasks.exact import Matrix
from secured_node.tasks.glm_noisy import range_penalty
from secured_node.tasks.glm_result import backwards, coefficient_table, head
from secured_node.tasks.glm_state import GlmState


def covariance_of(state: GlmState, plan: Plan) -> Matrix:
    """Of the coefficients on the scale of the ranges: sampling and noise, to first order. Shape (p, p)."""
    deviations = {noisy.block.name: noisy.deviation(state.members) for noisy in plan.blocks}
    information = state.matrix(state.information)
    inverse = np.linalg.inv(information + np.diag(range_penalty(state)))
    noise = deviations["gradient"] ** 2 * np.eye(state.size)
    dispersion = 1.0
    if state.parameters.family == "gaussian":
        best = np.array(state.coefficients)
        dispersion = state.deviance / (state.rows - state.size)
        mixed = best @ best * np.eye(state.size) + np.outer(best, best) - np.diag(best * best)
        noise = noise + deviations["information"] ** 2 * mixed
    covariance: Matrix = inverse @ (dispersion * information + noise) @ inverse
    return covariance


def noisy_success(state: GlmState, plan: Plan) -> Result:
    """The result of a fit with noise. Tests and intervals are normal; errors hold the noise too."""
    back = backwards(state)
    coefficients = back @ np.array(state.coefficients)
    coefficients[0] += state.centres[-1]
    covariance = back @ covariance_of(state, plan) @ back.T
    errors = np.sqrt(np.diag(covariance))
    statistics = coefficients / errors
    width = normal_quantile(state.parameters.confidence)
    p_values = [normal_two_sided(value) for value in statistics.tolist()]
    columns = ("coefficient", "standard_error", "z", "p_value", "lower", "upper")
    numbers = np.column_stack(
        [coefficients, errors, statistics, p_values, coefficients - width * errors, coefficients + width * errors]
    )
    rows = [dict(zip(columns, row, strict=True)) for row in numbers.tolist()]
    data: dict[str, Any] = head(state) | {
        "coefficients": dict(zip(state.names, rows, strict=True)),
        "evaluations": state.fits,
    }
    arrays = {"coefficients": coefficients, "standard_errors": errors, "covariance": covariance}
    return Result(data, (coefficient_table(state, columns[2], numbers),), arrays)
