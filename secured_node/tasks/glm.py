"""Generalised linear models on the rows of all sites: as if the rows were pooled, from nothing but sums.

Rounds. First the moments: complete rows, sums and sums of squares of every term, on the public scale of the schema's
ranges; they give the federated mean and standard deviation by which terms (and a gaussian outcome) are standardised.
Then one round for each evaluation of the model: gradient, information and deviance (`glm_newton`). A gaussian model
takes two of them, a logistic one about eight.

Bounds. Moments: at most 1 a row, and a site has at most rows_max rows. Evaluations: by construction the squares of a
standardised term add up to N, the number of complete rows of all sites, which is public after the first round. A site's
part cannot be more, and by the inequality of Cauchy and Schwarz neither can a sum of products of two terms, nor of a
term and residuals whose squares add up to N at most. Weights are at most 1/4 (binomial) or 1. So the bound is N times a
constant, with 1 % for the rounding of the first round, whatever the ranges in the schema are: with four members and
N = 1,000 a 64-bit word leaves 2^-50 as the unit of last place. The deviance at trial coefficients has no such bound,
and is clipped: `glm_newton` says why that is right. Standardising changes neither the model nor its coefficients, which
are carried back exactly; so the first round's rounding does not matter beyond the 1 % (for the ridge it is corrected).

With noise all this is another way: `glm_noisy`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from protocols.encoding import Layout
from protocols.privacy.plan import Clipped
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks import glm_noisy
from secured_node.tasks.base import Noise, Result, Sums, Task, Unit, Values, check_rows, need_schema, need_table
from secured_node.tasks.glm_family import BOUNDS, row_terms
from secured_node.tasks.glm_newton import advance
from secured_node.tasks.glm_noisy_result import noisy_success
from secured_node.tasks.glm_result import failure, success
from secured_node.tasks.glm_state import GlmParameters, GlmState
from secured_node.tasks.glm_terms import TERMS_MAX, Design, Term, units_of
from secured_node.tasks.moments import local_moments, moment_blocks, spreads, thin_levels, too_thin
from secured_node.tasks.units import WORD_BITS, real_block

SLACK = 1.01
"""For the rounding of the first round; the two limits of `moments` keep it under 1 %."""


class Glm(Task[GlmParameters, GlmState, Design]):
    """See the module."""

    name = "glm"
    parameters_type = GlmParameters
    state_type = GlmState

    def columns(self, parameters: GlmParameters) -> tuple[str, ...]:
        return parameters.columns

    def rounds_max(self, parameters: GlmParameters) -> int:
        return 1 + parameters.fits_max

    def start(self, parameters: GlmParameters, schema: Schema | None, members: int) -> GlmState:
        schema = need_schema(schema)
        for name in parameters.reference:
            if schema.column(name).numeric:
                raise DataError(f"reference of '{name}'", "the column holds numbers", "remove it from reference")
        state = GlmState(members=members, parameters=parameters, schema=schema.only(parameters.columns))
        if len(state.terms) > TERMS_MAX:
            raise DataError("the model", f"it has more than {TERMS_MAX} terms", "take fewer covariates or levels")
        return state

    def layout(self, state: GlmState) -> Layout:
        members = state.members
        if state.stage == "moments":
            return Layout(moment_blocks(len(state.terms), state.parameters.rows_max, members))
        bounds = BOUNDS[state.parameters.family]
        rows, size = SLACK * state.rows + 1, state.size
        return Layout(
            (
                real_block("gradient", size, rows, members),
                real_block("information", size * (size + 1) // 2, bounds.weight * rows, members),
                real_block("deviance", 1, bounds.deviance * rows, members, clip=True),
            )
        )

    def prepare(self, state: GlmState, table: Table | None) -> Design:
        table = need_table(table, state.schema)
        design = Design.of(table, state.terms)
        check_rows(table, state.parameters.rows_max)
        state.check_usable(table, len(design.rows), "rows that have all columns of the model")
        return design

    def local(self, state: GlmState, prepared: Design) -> Values:
        if state.stage == "moments":
            return local_moments(prepared, units_of(state.schema, state.terms))
        return _evaluate(state, prepared)

    def update(self, state: GlmState, sums: Sums) -> GlmState:
        if state.noise is not None:
            return glm_noisy.advance(state, sums, self.plan(state, WORD_BITS))
        return _standardise(state, self.layout(state), sums) if state.stage == "moments" else advance(state, sums)

    def noisy_rounds(self, parameters: GlmParameters, unit: Unit) -> int:
        if unit != "record":
            raise self._cannot(unit)
        return 1 if parameters.family == "gaussian" else parameters.steps

    def with_noise(self, state: GlmState, noise: Noise) -> GlmState:
        return glm_noisy.begin(state, noise)

    def records_max(self, state: GlmState) -> int:
        return state.parameters.rows_max

    def clipped(self, state: GlmState) -> tuple[Clipped, ...]:
        return glm_noisy.clipped_blocks(state)

    def contributions(self, state: GlmState, prepared: Design) -> Iterator[Values]:
        return glm_noisy.row_parts(state, prepared)

    def done(self, state: GlmState) -> bool:
        return state.stage == "done"

    def result(self, state: GlmState) -> Result:
        if not self.done(state):
            raise DataError("the job", "it has no result yet")
        if state.problem:
            return failure(state)
        return success(state) if state.noise is None else noisy_success(state, self.plan(state, WORD_BITS))


def _evaluate(state: GlmState, design: Design) -> Values:
    size, family = state.size, state.parameters.family
    centres, scales, trial = np.array(state.centres), np.array(state.scales), np.array(state.trial)
    gradient, information, deviance = np.zeros(size), np.zeros((size, size)), 0.0
    for chunk in design.chunks():
        standard = (chunk - centres) / scales
        z = np.column_stack([np.ones(len(chunk)), standard[:, :-1]])
        rows = row_terms(family, z @ trial, standard[:, -1])
        gradient += z.T @ rows.residual
        information += (z.T * rows.weight) @ z
        deviance += rows.deviance
    return {
        "gradient": gradient,
        "information": information[np.triu_indices(size)],
        "deviance": np.array([deviance]),
    }


def _standardise(state: GlmState, layout: Layout, sums: Sums) -> GlmState:
    """Centres and scales from the moments; bit-exact."""
    rows, left_out = (int(count) for count in sums["rows"])
    state = msgspec.structs.replace(state, rows=rows, left_out=left_out)
    if rows <= state.size:
        return state.failed(f"{rows} complete rows cannot determine {state.size} coefficients; take fewer covariates")
    terms, units = state.terms, units_of(state.schema, state.terms)
    found = list(spreads(units, layout, sums, state.members))
    constant = [term for term, spread in zip(terms, found, strict=True) if not spread.deviation]
    if constant:
        return state.failed(_constant(state, constant))
    thin = thin_levels(state.schema, terms, sums, state.min_rows)
    if thin:
        return state.failed(too_thin(thin))
    centres, scales = [spread.centre for spread in found], [spread.deviation for spread in found]
    if state.parameters.family == "binomial":
        # An indicator is 1 or -1 on the scale of its unit, and whole numbers are summed exactly.
        events = (rows + round(sums["sums"].tolist()[-1])) // 2
        if not 0 < events < rows:
            return state.failed("the sums contradict each other: a site put in what cannot come from rows")
        state = msgspec.structs.replace(state, events=events)
        centres[-1], scales[-1] = 0.0, 1.0
    return msgspec.structs.replace(
        state, stage="fit", centres=tuple(centres), scales=tuple(scales), trial=(0.0,) * state.size
    )


def _constant(state: GlmState, constant: list[Term]) -> str:
    outcome = state.terms[-1]
    if outcome in constant:
        return (
            f"the outcome '{outcome.column}' is the same in all {state.rows} complete rows of the federation (or "
            "varies by next to nothing of its declared range): there is nothing to model"
        )
    names = ", ".join(f"'{term.name}'" for term in constant)
    return (
        f"{names}: the same in all {state.rows} complete rows of the federation (a level that does not occur, or a "
        "number that varies by next to nothing of its declared range); leave out the covariate, join levels, or narrow "
        "the range"
    )
