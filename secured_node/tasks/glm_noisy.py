"""`glm` with noise that hides one row: Newton's method in a fixed number of sums, nothing tested on the way.

A row's part must not depend on the other rows, not even in its last bit: sums and exponentials are made of single
operations on each number (`exact`), since a linear algebra library adds up in another order at another place.

Terms, and a gaussian outcome, are on the scale of their declared ranges, so all lie in -1..1 and there is nothing to
standardise first. A row with terms z (the intercept's 1 among them), residual r and weight w adds r z to the gradient
and w z z' to the information. With p coefficients and |r| <= 1 the norms of these follow from p alone: sqrt(p), and
w sqrt(p (p + 1) / 2) for the upper triangle; no row is ever clipped but by the rounding at the end of a range.

A gaussian model takes one sum, since its gradient at zero coefficients is Z'y and one step solves the equations: that
is perturbation of sufficient statistics (Vu and Slavkovic, "Differential privacy for clinical trial data", ICDM
Workshops 2009; Wang, "Revisiting differentially private linear regression", UAI 2018). A binomial one takes `steps`
sums, each with a share of the cost: noisy Newton steps; the last one's gradient decides how good the coefficients are.

Where the information's smallest eigenvalue is not above what noise alone would show (the norm of a symmetric matrix of
independent noise is about 2 sigma sqrt(p): Wigner), the fit is given up, in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from protocols.privacy.plan import Clipped, Plan, proportional
from secured_node.tasks.base import Noise, Sums, Values
from secured_node.tasks.exact import Matrix, SingularError, Vector, cholesky, dot, exp_of_minus, product, solve
from secured_node.tasks.glm_family import BOUNDS, binomial_terms
from secured_node.tasks.glm_state import GlmState
from secured_node.tasks.glm_terms import Design
from secured_node.tasks.units import Unit

PARTS_MAX = 1 << 22
"""Numbers in the rows' matrices at a time: 32 MB of doubles."""

INFORMATION_SHARE = 0.34
"""Of a binomial step's cost. In proportion to norms it would be 0.13 for four coefficients: errors would be 8 % smaller
for 12,000 rows and epsilon 3, but there is a fit only from half as many rows more on (both measured)."""

STEP_MAX = 8.0
"""A step moves no row's linear predictor further, which takes a probability from 0.02 to 0.98: noise cannot throw a fit
out of the region where Newton's method works. A fit whose last step was cut is none."""

SETTLED_PER_TERM, SETTLED = 4.0, 30.0
"""Between two fits that have settled lies noise alone: the last step, measured by the errors that will be told, has a
square of at most 2 chi^2 with p degrees of freedom. Above 4 p + 30 it goes by chance less than once in 5,000 fits."""


def begin(state: GlmState, noise: Noise) -> GlmState:
    """The first state: every term on the scale of its range, coefficients zero."""
    units = [Unit.of(state.schema.column(term.column)) for term in state.terms]
    centres, scales = [unit.centre for unit in units], [unit.half for unit in units]
    if state.parameters.family == "binomial":
        centres[-1], scales[-1] = 0.0, 1.0
    trial = (0.0,) * state.size
    return msgspec.structs.replace(
        state, noise=noise, stage="fit", centres=tuple(centres), scales=tuple(scales), trial=trial
    )


def clipped_blocks(state: GlmState) -> tuple[Clipped, ...]:
    """The blocks of a noisy evaluation."""
    size, family = state.size, state.parameters.family
    weight, pairs = BOUNDS[family].weight, size * (size + 1) // 2
    gradient = Clipped("gradient", size, math.sqrt(size), 1 - INFORMATION_SHARE, largest=1.0)
    information = Clipped("information", pairs, weight * math.sqrt(pairs), INFORMATION_SHARE, largest=weight)
    if family == "gaussian":
        return proportional(gradient, information, Clipped("deviance", 1, 1.0, 1.0))
    return gradient, information


def row_parts(state: GlmState, design: Design) -> Iterator[Values]:
    """Each complete row's part, in chunks."""
    centres, scales, trial = np.array(state.centres), np.array(state.scales), np.array(state.trial)
    upper = np.triu_indices(state.size)
    rows_max = max(1, PARTS_MAX // (state.size * state.size))
    for chunk in design.chunks():
        for start in range(0, len(chunk), rows_max):
            standard = np.clip((chunk[start : start + rows_max] - centres) / scales, -1.0, 1.0)
            z = np.column_stack([np.ones(len(standard)), standard[:, :-1]])
            eta = np.zeros(len(z))
            for column, coefficient in zip(z.T, trial.tolist(), strict=True):
                eta += column * coefficient
            y = standard[:, -1]
            if state.parameters.family == "gaussian":
                residual, weight = y - eta, np.ones(len(z))
            else:
                residual, weight = binomial_terms(eta, y, exp_of_minus(np.abs(eta)))
            parts = {
                "gradient": z * residual[:, np.newaxis],
                "information": (z[:, upper[0]] * z[:, upper[1]]) * weight[:, np.newaxis],
            }
            if state.parameters.family == "gaussian":
                parts["deviance"] = np.square(residual)[:, np.newaxis]
            yield parts


def advance(state: GlmState, sums: Sums, plan: Plan) -> GlmState:
    """The state after a noisy evaluation at `state.trial`; bit-exact."""
    family = state.parameters.family
    deviations = {noisy.block.name: noisy.deviation(state.members) for noisy in plan.blocks}
    information = tuple(sums["information"].tolist())
    if state.fits == 0:
        # At zero coefficients every row has the largest weight, and the intercept's square is 1.
        state = msgspec.structs.replace(state, rows=round(information[0] / BOUNDS[family].weight))
    state = msgspec.structs.replace(state, information=information, fits=state.fits + 1)
    trial, penalty = np.array(state.trial), range_penalty(state)
    matrix = state.matrix(information) + np.diag(penalty)
    floor = 2 * math.sqrt(state.size) * deviations["information"]
    try:
        cholesky(matrix - floor * np.eye(state.size), 0.0)
    except SingularError:
        return state.failed(_drowned(state))
    step = solve(cholesky(matrix, 0.0), sums["gradient"] - penalty * trial)
    if family == "gaussian":
        return _ended_gaussian(state, sums, trial + step)
    longest = math.fsum(np.abs(step).tolist())
    if longest > STEP_MAX:
        step = step * (STEP_MAX / longest)
    best = tuple((trial + step).tolist())
    state = msgspec.structs.replace(state, trial=best, coefficients=best)
    if state.fits < state.parameters.steps:
        return state
    if longest > STEP_MAX or not _settled(matrix, step, deviations["gradient"]):
        return state.failed(
            f"the coefficients still moved in the last of {state.fits} steps: take more steps, or leave out covariates "
            "that predict the outcome all too well"
        )
    return msgspec.structs.replace(state, stage="done")


def _ended_gaussian(state: GlmState, sums: Sums, best: Vector) -> GlmState:
    """The end: the residual sum of squares at the solution, from the noisy sums."""
    residual = float(sums["deviance"][0]) - 2 * dot(best, sums["gradient"])
    residual += dot(best, product(state.matrix(state.information), best))
    if residual <= 0 or state.rows <= state.size:
        return state.failed(_drowned(state))
    return msgspec.structs.replace(state, stage="done", coefficients=tuple(best.tolist()), deviance=residual)


def _settled(matrix: Matrix, step: Vector, deviation: float) -> bool:
    """Whether a binomial's last step is within its errors. deviation: of the gradient's noise."""
    moved = product(matrix, step)
    errors = cholesky(matrix + deviation * deviation * np.eye(len(step)), 0.0)
    return dot(moved, solve(errors, moved)) <= SETTLED_PER_TERM * len(step) + SETTLED


def range_penalty(state: GlmState) -> Vector:
    """The ridge for each coefficient on the scale of the ranges; 0 for the intercept."""
    penalty = np.full(state.size, state.parameters.ridge)
    penalty[0] = 0.0
    return penalty


def _drowned(state: GlmState) -> str:
    return (
        f"the noise is as large as what about {state.rows} complete rows say about these {state.size} coefficients: "
        "take more rows, fewer covariates, ranges in the schema no wider than needed, a ridge, or a larger epsilon"
    )
