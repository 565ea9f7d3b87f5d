"""The public state of a `glm` job."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.tasks.base import Parameters, State
from secured_node.tasks.exact import Matrix, Vector, symmetric
from secured_node.tasks.glm_family import Family
from secured_node.tasks.glm_terms import TERMS_MAX, Term, reference_of, terms_of

INTERCEPT = "(intercept)"


class GlmParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generalised linear model: outcome ~ intercept + covariates.

    family: ``gaussian`` (identity link, a numeric outcome) or ``binomial`` (logit link, a boolean or two-level outcome;
    what is modelled is the probability of the level that is not the reference).
    reference: for a category, the level that the others are compared with, in place of the schema's first.
    ridge: adds ridge / 2 times the sum of squared slopes to the negative log likelihood; the slopes are those of
    standardised covariates, so that units do not matter; the intercept is free.
    confidence: of the intervals. tolerance: fitting stops when no linear combination of coefficients would move by more
    than this many of its standard errors. fits_max: evaluations of the model at all sites, before giving up. steps:
    with noise, evaluations of a binomial model; each has a share of the cost. (Then the ridge's slopes are those of
    covariates on the scale of their declared ranges, tolerance and fits_max say nothing.)
    """

    family: Family
    outcome: str
    covariates: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=TERMS_MAX)]
    reference: dict[str, str] = msgspec.field(default_factory=dict)
    ridge: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    tolerance: Annotated[float, msgspec.Meta(ge=1e-12, le=1e-2)] = 1e-8
    fits_max: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 60
    steps: Annotated[int, msgspec.Meta(ge=1, le=50)] = 4

    def __post_init__(self) -> None:
        if len({self.outcome, *self.covariates}) != 1 + len(self.covariates):
            raise ValueError("outcome and covariates must be different columns")
        if not set(self.reference) <= {self.outcome, *self.covariates}:
            raise ValueError("reference names a column that is not in the model")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the model, the outcome last."""
        return (*self.covariates, self.outcome)


class GlmState(State, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all nodes know.

    schema: has the model's columns alone. stage: the round to come. problem: why there is no fit, or "".
    rows, left_out: complete and incomplete rows of all sites. events: complete rows with the outcome (binomial).
    centres, scales: mean and standard deviation of each term and, last, of a gaussian outcome (0 and 1 for a binomial).
    trial: coefficients that the coming round evaluates, of standardised terms, the intercept first.
    coefficients: the best so far. objective, deviance: there; objective is the deviance with the ridge's penalty.
    information: Z'WZ there, upper triangle. gram: Z'Z, upper triangle. null_deviance: a gaussian's, standardised.
    fits: evaluations so far. halvings: in a row.
    """

    parameters: GlmParameters
    schema: Schema
    stage: Literal["moments", "fit", "done"] = "moments"
    problem: str = ""
    rows: int = 0
    left_out: int = 0
    events: int = 0
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    trial: tuple[float, ...] = ()
    coefficients: tuple[float, ...] = ()
    objective: float = 0.0
    deviance: float = 0.0
    null_deviance: float = 0.0
    information: tuple[float, ...] = ()
    gram: tuple[float, ...] = ()
    fits: int = 0
    halvings: int = 0

    @property
    def covariate_terms(self) -> tuple[Term, ...]:
        """The terms beside the intercept."""
        return terms_of(self.schema, self.parameters.covariates, self.parameters.reference)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms beside the intercept, and the outcome last."""
        return (*self.covariate_terms, outcome_term(self.parameters, self.schema))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return (INTERCEPT, *(term.name for term in self.covariate_terms))

    @property
    def size(self) -> int:
        """How many coefficients there are."""
        return 1 + len(self.covariate_terms)

    def matrix(self, upper: tuple[float, ...]) -> Matrix:
        """`information` or `gram` as a matrix."""
        return symmetric(upper, self.size)

    def penalty(self) -> Vector:
        """The ridge for each coefficient; 0 for the intercept. Bit-exact.

        Terms are standardised only as well as the first round's rounding lets them be; by how much their variances are
        not 1 is known from the first evaluation and taken into account.
        """
        if not self.parameters.ridge:
            return np.zeros(self.size)
        gram, rows = self.matrix(self.gram), self.rows
        means = gram[0] / rows
        variances: Vector = np.diag(gram) / rows - means * means
        variances[0] = 0.0
        return variances * self.parameters.ridge

    def failed(self, problem: str) -> GlmState:
        """The end of a job without a fit."""
        return msgspec.structs.replace(self, stage="done", problem=problem)


def outcome_term(parameters: GlmParameters, schema: Schema) -> Term:
    """The outcome: a number, or the indicator of what is modelled. Raises `DataError` if it does not fit the family."""
    name = parameters.outcome
    column = schema.column(name)
    if parameters.family == "gaussian":
        if not column.numeric:
            raise DataError(f"outcome '{name}'", f"it is of type {column.type}", "gaussian needs number or integer")
        return Term(name)
    if len(column.choices) != 2:
        raise DataError(
            f"outcome '{name}'", "it does not have exactly two levels", "binomial needs a boolean or two-level category"
        )
    code = 1 - column.choices.index(reference_of(schema, name, parameters.reference))
    return Term(name, column.choices[code], code)
