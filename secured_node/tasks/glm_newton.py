"""From the sums of one evaluation to the next coefficients: Newton's method, bit-exact, with plain words when it fails.

Theory of operation. All is in standardised terms, z = (x - mean) / standard deviation over the federation, beside an
intercept. A round evaluates the model at `trial`: gradient Z'(y - mu), information Z'WZ, deviance D. The objective is
D + ridge * sum of squared slopes, twice the penalised negative log likelihood but for a constant; it is convex.

- Trial coefficients whose objective is worse than the best are pulled half way back (step halving); a deviance beyond
  what zero coefficients give cannot be better than the best and may arrive clipped.
- A step's length is measured in standard errors: lambda^2 = step' H step / dispersion (the Newton decrement: Boyd and
  Vandenberghe, Convex Optimization, section 9.5.1). It bounds the movement of every linear combination of coefficients,
  each in its own standard errors. At `tolerance` the last step is taken and the fit is done.
- Collinear terms show in Z'Z: what is left of a term after regression on those before it is next to nothing.
- Separation (Albert and Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
  Biometrika 71 (1984)) shows as steps that go on moving linear predictors although they no longer gain any likelihood:
  lambda^2 is next to nothing, yet step' Z'Z step is not.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from secured_node.tasks.base import Sums
from secured_node.tasks.exact import SingularError, Vector, cholesky, dot, product, solve
from secured_node.tasks.glm_family import BOUNDS
from secured_node.tasks.glm_state import INTERCEPT, GlmState

COLLINEAR = 1e-10
"""Share of a term's variance that the others must leave: variance inflation of 10^10. Sums are good to about 10^-15."""

PIVOT_MIN = 1e-14
"""The same for Z'WZ, which separation makes nearly singular: stop where doubles end."""

SEPARATED_GAIN = 1e-8
SEPARATED_MOVE = 0.25
"""lambda^2 below the first, sum of squared movements of linear predictors above the second: separation. So close to its
end, a fit that exists moves predictors by about 10^-4; a separated one moves some rows' by 1 in every step."""

EXACT_FIT = 1e-12
"""Residual share of a gaussian outcome's variance below which rounding is all that is left of the residuals."""

OBJECTIVE_NOISE = 1e-10
"""Relative increase of the objective that is put down to rounding."""

HALVINGS_MAX = 30
"""Step halvings in a row: 2^-30 of a step is nothing."""

SHARE_NAMED = 0.05
"""Terms are named when they contribute more than this share of the largest contribution."""


def advance(state: GlmState, sums: Sums) -> GlmState:
    """The state after the evaluation at `state.trial`."""
    deviance, first = float(sums["deviance"][0]), state.fits == 0
    if first:
        state = _first(state, sums)
    trial = np.array(state.trial)
    objective = deviance + dot(state.penalty() * trial, trial)
    state = msgspec.structs.replace(state, fits=state.fits + 1)
    if not first and objective > state.objective * (1 + OBJECTIVE_NOISE) + OBJECTIVE_NOISE:
        return _halve(state)
    state = msgspec.structs.replace(
        state,
        coefficients=state.trial,
        objective=objective,
        deviance=deviance,
        information=tuple(sums["information"].tolist()),
        halvings=0,
    )
    problem = _collinear(state) if first else ""
    return state.failed(problem) if problem else _step(state, sums["gradient"])


def _first(state: GlmState, sums: Sums) -> GlmState:
    """What the evaluation at zero coefficients tells beside: Z'Z, and a gaussian's sum of squares about its mean."""
    weight = BOUNDS[state.parameters.family].weight  # at zero coefficients every row has the largest weight
    intercept = float(sums["gradient"][0])
    return msgspec.structs.replace(
        state,
        gram=tuple((sums["information"] / weight).tolist()),
        null_deviance=float(sums["deviance"][0]) - intercept * intercept / state.rows,
    )


def _step(state: GlmState, gradient: Vector) -> GlmState:
    """Take a Newton step from the best coefficients, or end."""
    best, penalty = np.array(state.coefficients), state.penalty()
    score = gradient - penalty * best
    try:
        lower = cholesky(state.matrix(state.information) + np.diag(penalty), PIVOT_MIN)
    except SingularError:
        return state.failed(_separated(state, None))
    step = solve(lower, score)
    dispersion = _dispersion(state)
    if dispersion <= 0:
        return state.failed(
            f"the outcome '{state.parameters.outcome}' is an exact linear function of the covariates: "
            "there are no residuals, so nothing can be said about errors"
        )
    gain = max(dot(step, score), 0.0) / dispersion
    if state.parameters.family == "binomial" and gain < SEPARATED_GAIN:
        moved = dot(step, product(state.matrix(state.gram), step))
        if moved > SEPARATED_MOVE:
            return state.failed(_separated(state, step))
    nearer = tuple((best + step).tolist())
    if math.sqrt(gain) <= state.parameters.tolerance:
        return msgspec.structs.replace(state, stage="done", coefficients=nearer)
    if state.fits >= state.parameters.fits_max:
        return state.failed(_unfinished(state))
    return msgspec.structs.replace(state, trial=nearer)


def _halve(state: GlmState) -> GlmState:
    if state.halvings >= HALVINGS_MAX or state.fits >= state.parameters.fits_max:
        return state.failed(_unfinished(state))
    half = (np.array(state.coefficients) + np.array(state.trial)) / 2
    return msgspec.structs.replace(state, trial=tuple(half.tolist()), halvings=state.halvings + 1)


def _dispersion(state: GlmState) -> float:
    """What a unit of deviance is worth: 1 for a binomial, the residual variance for a gaussian, 0 if there is none."""
    if state.parameters.family == "binomial" or state.fits == 1:
        return 1.0
    if state.deviance <= EXACT_FIT * state.rows:
        return 0.0
    return state.deviance / (state.rows - state.size)


def _collinear(state: GlmState) -> str:
    """Names the first term that depends on those before it, and those; "" if there is none."""
    gram = state.matrix(state.gram) + np.diag(state.penalty())
    try:
        cholesky(gram, COLLINEAR)
    except SingularError as error:
        column = error.column
    else:
        return ""
    # Those before it do not depend on each other: the factorisation came this far.
    on = solve(cholesky(gram[:column, :column], 0.0), gram[:column, column])
    others = [state.names[index] for index in _large(on) if state.names[index] != INTERCEPT]
    return (
        f"the covariates are collinear: '{state.names[column]}' is a linear function of {_quoted(others)} in the "
        f"{state.rows} complete rows; leave one of them out, or set a ridge"
    )


def _separated(state: GlmState, step: Vector | None) -> str:
    moving = np.array(state.coefficients) if step is None else step
    names = [state.names[index] for index in _large(moving) if state.names[index] != INTERCEPT]
    degree = "perfectly" if state.deviance < 1e-3 else "perfectly for some rows (quasi-complete separation)"
    return (
        f"{_quoted(names)} predict the outcome '{state.parameters.outcome}' {degree}: their coefficients would grow "
        "without end; leave them out, join levels, or set a ridge"
    )


def _unfinished(state: GlmState) -> str:
    return (
        f"no convergence after {state.fits} evaluations: the coefficients are not determined well by these rows "
        "(nearly separated or collinear?); take fewer covariates, or set a ridge"
    )


def _large(numbers: Vector) -> list[int]:
    sizes = np.abs(numbers)
    return [int(index) for index in np.flatnonzero(sizes > SHARE_NAMED * sizes.max())]


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
