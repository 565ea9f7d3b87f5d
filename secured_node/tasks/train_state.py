"""Parameters and public state of a `train` job."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.encoding import WordBits
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.tasks.base import Parameters, State
from secured_node.tasks.glm_terms import TERMS_MAX, Term, reference_of, terms_of
from secured_node.tasks.train_network import Network

HIDDEN_MAX = 4096
MODEL_NUMBERS_MAX = 1 << 22
"""Numbers of a model: 32 MiB of doubles; what is larger wants a framework of its own."""

CLASSES_MAX = 100

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class TrainParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A classifier, outcome ~ covariates, by federated averaging.

    outcome: a boolean or a category. covariates: columns; reference: as in `glm`.
    hidden: units of the one hidden layer; 0 for logistic (two classes) or softmax regression.
    rounds: sums after the first, which standardises. local_epochs: passes over a site's rows in each round.
    batch_rows: rows of a step; 0 for all. learning_rate: of a site's steps. l2: adds l2 / 2 times the squared weights
    and biases to the mean cross-entropy. proximal: adds proximal / 2 times the squared distance to the round's model.
    clip_norm: a site's change of the model is shortened to this length. weighting: of the sites, by their rows or
    equal.
    optimiser: what the federation does with the mean change. server_rate: its rate. momentum: of fedavgm, and the first
    moment's of fedadam. second_moment, adaptivity: of fedadam (beta_2 and tau).
    word_bits: 64, or 32 for half the bytes, where rows_max must then be small.
    seed: of the first model and of the order of rows.
    """

    outcome: str
    covariates: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=TERMS_MAX)]
    reference: dict[str, str] = msgspec.field(default_factory=dict)
    hidden: Annotated[int, msgspec.Meta(ge=0, le=HIDDEN_MAX)] = 0
    rounds: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 30
    local_epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    batch_rows: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 32
    learning_rate: Positive = 0.1
    l2: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    proximal: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0
    clip_norm: Positive = 10.0
    weighting: Literal["rows", "equal"] = "rows"
    optimiser: Literal["fedavg", "fedavgm", "fedadam"] = "fedavg"
    server_rate: Positive = 1.0
    momentum: Fraction = 0.9
    second_moment: Fraction = 0.99
    adaptivity: Positive = 1e-3
    word_bits: WordBits = 64
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] = 0

    def __post_init__(self) -> None:
        if len({self.outcome, *self.covariates}) != 1 + len(self.covariates):
            raise ValueError("outcome and covariates must be different columns")
        if not set(self.reference) <= set(self.covariates):
            raise ValueError("reference names a column that is not a covariate")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the model, the outcome last."""
        return (*self.covariates, self.outcome)


class TrainState(State, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all nodes know.

    schema: has the model's columns alone. stage: of the round to come. problem: why there is no model, or "".
    rows, left_out: complete and incomplete rows of all sites. classes: complete rows of each class of the outcome.
    centres, scales: of each term; scale 1 for a term that is constant. rounds_done: rounds of training.
    model, first, second: little-endian doubles: the model, and the optimiser's moments (empty where it has none).
    """

    parameters: TrainParameters
    schema: Schema
    stage: Literal["moments", "train", "done"] = "moments"
    problem: str = ""
    rows: int = 0
    left_out: int = 0
    classes: tuple[int, ...] = ()
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    rounds_done: int = 0
    model: bytes = b""
    first: bytes = b""
    second: bytes = b""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the covariates."""
        return terms_of(self.schema, self.parameters.covariates, self.parameters.reference)

    @property
    def choices(self) -> tuple[str, ...]:
        """The classes' names; the first is the reference."""
        return self.schema.column(self.parameters.outcome).choices

    @property
    def network(self) -> Network:
        """The shape of the model."""
        return Network(len(self.terms), self.parameters.hidden, len(self.choices))


def numbers(raw: bytes) -> NDArray[np.float64]:
    """Doubles from a state's bytes."""
    return np.frombuffer(raw, "<f8").astype(np.float64)


def raw_of(values: NDArray[np.float64]) -> bytes:
    """Doubles as a state's bytes."""
    return values.astype("<f8").tobytes()


def first_state(parameters: TrainParameters, schema: Schema, members: int) -> TrainState:
    """The state before any sum. Raises `DataError` if the parameters do not fit the schema."""
    outcome = schema.column(parameters.outcome)
    if not 2 <= len(outcome.choices) <= CLASSES_MAX:
        why = f"it is of type {outcome.type}" + (f" with {len(outcome.choices)} levels" if outcome.choices else "")
        raise DataError(
            f"outcome '{parameters.outcome}'", why, f"train needs a boolean or a category of 2 to {CLASSES_MAX} levels"
        )
    for name in parameters.reference:
        if schema.column(name).numeric:
            raise DataError(f"reference of '{name}'", "the column holds numbers", "remove it from reference")
        reference_of(schema, name, parameters.reference)
    state = TrainState(members=members, parameters=parameters, schema=schema.only(parameters.columns))
    if len(state.terms) > TERMS_MAX or state.network.size > MODEL_NUMBERS_MAX:
        why = f"it has more than {TERMS_MAX} terms or {MODEL_NUMBERS_MAX} numbers"
        raise DataError("the model", why, "take fewer covariates, levels or hidden units")
    return state
