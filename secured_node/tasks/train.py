"""A classifier trained over all sites' rows by federated averaging: many rounds of local steps, of which only the mean
change leaves the sum.

Rounds. First the moments: complete rows, rows of each class, and sums by which the terms are standardised (`moments`).
Then `rounds` times: every site starts from the federation's model, takes steps of stochastic gradient descent over its
own rows, and puts in how the model changed; the federation applies an optimiser to the mean change.

- Federated averaging: McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
  AISTATS 2017, algorithm 1. The mean is weighted: each vector is (w * change, w), and the sums are divided. By rows, w
  is the site's share of all rows, which are public after the first round; equal, it is 1.
- fedavgm: Hsu, Qi and Brown, "Measuring the effects of non-identical data distribution" (2019), section 2: momentum.
- fedadam: Reddi et al., "Adaptive federated optimization", ICLR 2021, algorithm 2, with its v_{-1} = tau^2.
- proximal: Li et al., "Federated optimization in heterogeneous networks" (FedProx), MLSys 2020, equation 2.

Bounds. A site's change is shortened to the length clip_norm, so no coordinate is beyond it, whatever the data; a
weight is at most 1. No loss and no score of a round leaves a site: they would tell whose data are good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.encoding import Layout, WordBits
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import (
    MIN_ROWS_DEFAULT,
    Result,
    ResultTable,
    Sums,
    Task,
    Values,
    check_rows,
    need_schema,
    need_table,
)
from secured_node.tasks.glm_terms import Design, Term, units_of
from secured_node.tasks.moments import local_moments, moment_blocks, spreads, thin_levels, too_thin
from secured_node.tasks.train_network import Matrix, Vector
from secured_node.tasks.train_state import TrainParameters, TrainState, first_state, numbers, raw_of
from secured_node.tasks.units import count_block, real_block


@dataclass(frozen=True, slots=True)
class Examples:
    """A site's complete rows. design: for the moments. x: the terms, in their own units; y: the classes."""

    design: Design
    x: Matrix
    y: NDArray[np.intp]

    @classmethod
    def of(cls, state: TrainState, table: Table) -> Examples:
        """The rows of a table that have all columns of the model."""
        design = Design.of(table, (*state.terms, Term(state.parameters.outcome)))
        chunks = list(design.chunks())
        rows = np.concatenate(chunks) if chunks else np.empty((0, len(design.terms)))
        return cls(design, np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.intp))

    def standardised(self, state: TrainState) -> Matrix:
        """The terms about their federated means, in federated standard deviations."""
        x: Matrix = (self.x - np.array(state.centres)) / np.array(state.scales)
        return x


class Train(Task[TrainParameters, TrainState, Examples]):
    """See the module."""

    name = "train"
    parameters_type = TrainParameters
    state_type = TrainState

    def word_bits(self, parameters: TrainParameters) -> WordBits:
        return parameters.word_bits

    def columns(self, parameters: TrainParameters) -> tuple[str, ...]:
        return parameters.columns

    def rounds_max(self, parameters: TrainParameters) -> int:
        return 1 + parameters.rounds

    def start(self, parameters: TrainParameters, schema: Schema | None, members: int) -> TrainState:
        return first_state(parameters, need_schema(schema), members)

    def layout(self, state: TrainState) -> Layout:
        parameters = state.parameters
        if state.stage == "moments":
            blocks = moment_blocks(len(state.terms), parameters.rows_max, state.members, parameters.word_bits)
            return Layout((*blocks, count_block("classes", len(state.choices), parameters.rows_max)))
        bits, bound = parameters.word_bits, parameters.clip_norm
        return Layout(
            (
                real_block("change", state.network.size, bound, state.members, clip=True, bits=bits),
                real_block("weight", 1, 1.0, state.members, bits=bits),
            )
        )

    def prepare(self, state: TrainState, table: Table | None) -> Examples:
        table = need_table(table, state.schema)
        examples = Examples.of(state, table)
        check_rows(table, state.parameters.rows_max)
        state.check_usable(table, len(examples.y), "rows that have all columns of the model")
        return examples

    def local(self, state: TrainState, prepared: Examples) -> Values:
        if state.stage == "moments":
            values = local_moments(prepared.design, units_of(state.schema, state.terms))
            return values | {"classes": np.bincount(prepared.y, minlength=len(state.choices))}
        weight = len(prepared.y) / state.rows if state.parameters.weighting == "rows" else 1.0
        weight = min(weight, 1.0)  # a site that put in fewer rows than it has is held to what it said
        return {"change": weight * local_change(state, prepared), "weight": np.array([weight])}

    def update(self, state: TrainState, sums: Sums) -> TrainState:
        return _standardise(state, self.layout(state), sums) if state.stage == "moments" else _step(state, sums)

    def go_on(self, state: TrainState, fresh: TrainState) -> TrainState:
        """The model is kept, and the scales of its inputs, which may come from any rows."""
        return msgspec.structs.replace(state, members=fresh.members) if state.stage == "train" else fresh

    def done(self, state: TrainState) -> bool:
        return state.stage == "done"

    def result(self, state: TrainState) -> Result:
        if not self.done(state):
            raise DataError("the job", "it has no result yet")
        return _result(state)


def probabilities(state: TrainState, table: Table) -> NDArray[np.float64]:
    """What the state's model says of a table's complete rows: shape (rows, classes). For a state that has a model."""
    examples = Examples.of(state, table)
    return state.network.probabilities(numbers(state.model), examples.standardised(state))


def local_change(state: TrainState, examples: Examples) -> Vector:
    """How a site's rows change the model in one round, shortened to clip_norm. Raises `DataError` if it diverges."""
    parameters, network = state.parameters, state.network
    x, y = examples.standardised(state), examples.y
    start = numbers(state.model)
    model = start.copy()
    rng = np.random.default_rng([parameters.seed, state.rounds_done])
    batch = parameters.batch_rows or len(y)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(parameters.local_epochs):
            order = rng.permutation(len(y))
            for at in range(0, len(y), batch):
                rows = order[at : at + batch]
                gradient = network.gradient(model, x[rows], y[rows])
                gradient += parameters.l2 * model + parameters.proximal * (model - start)
                model -= parameters.learning_rate * gradient
        change = model - start
        length = float(np.linalg.norm(change))
    if not math.isfinite(length):
        raise DataError("training", "the model grew beyond all bounds at this site", "lower learning_rate")
    return change * min(1.0, parameters.clip_norm / length) if length else change


def _standardise(state: TrainState, layout: Layout, sums: Sums) -> TrainState:
    """Centres, scales and the first model; bit-exact."""
    rows, left_out = (int(count) for count in sums["rows"])
    classes = tuple(int(count) for count in sums["classes"])
    state = msgspec.structs.replace(state, rows=rows, left_out=left_out, classes=classes)
    if sum(classes) != rows or min(classes) < 0:
        problem = "the sums contradict each other: a site put in what cannot come from rows"
        return msgspec.structs.replace(state, stage="done", problem=problem)
    if max(classes) == rows:
        problem = f"the outcome '{state.parameters.outcome}' is the same in all {rows} complete rows of the federation"
        return msgspec.structs.replace(state, stage="done", problem=problem)
    least = min(state.min_rows, MIN_ROWS_DEFAULT)
    thin = thin_levels(state.schema, state.terms, sums, least)
    thin += [f"'{name}'" for name, n in zip(state.choices, classes, strict=True) if 0 < n < least]
    if thin:
        return msgspec.structs.replace(state, stage="done", problem=too_thin(thin))
    found = list(spreads(units_of(state.schema, state.terms), layout, sums, state.members))
    model = raw_of(state.network.start(state.parameters.seed))
    zeros, tau = raw_of(np.zeros(state.network.size)), state.parameters.adaptivity
    optimiser = state.parameters.optimiser
    return msgspec.structs.replace(
        state,
        stage="train",
        centres=tuple(spread.centre for spread in found),
        scales=tuple(spread.deviation or 1.0 for spread in found),
        model=model,
        first=b"" if optimiser == "fedavg" else zeros,
        second=raw_of(np.full(state.network.size, tau * tau)) if optimiser == "fedadam" else b"",
    )


def _step(state: TrainState, sums: Sums) -> TrainState:
    """The model after one round; bit-exact: numpy's + - * / and square roots, element by element."""
    parameters, done = state.parameters, state.rounds_done + 1
    weight = float(sums["weight"][0])
    if not weight > 0:
        return msgspec.structs.replace(state, stage="done", problem="the sites' weights add up to nothing")
    change = sums["change"] / weight
    first, second = state.first, state.second
    if parameters.optimiser == "fedavgm":
        change = parameters.momentum * numbers(first) + change
        first = raw_of(change)
    elif parameters.optimiser == "fedadam":
        squares = parameters.second_moment * numbers(second) + (1 - parameters.second_moment) * (change * change)
        moment = parameters.momentum * numbers(first) + (1 - parameters.momentum) * change
        first, second = raw_of(moment), raw_of(squares)
        change = moment / (np.sqrt(squares) + parameters.adaptivity)
    model = numbers(state.model) + parameters.server_rate * change
    stage = "done" if done >= parameters.rounds else "train"
    return msgspec.structs.replace(
        state, stage=stage, rounds_done=done, model=raw_of(model), first=first, second=second
    )


def _result(state: TrainState) -> Result:
    parameters = state.parameters
    data: dict[str, Any] = {
        "task": "train",
        "outcome": parameters.outcome,
        "classes": dict(zip(state.choices, state.classes, strict=False)),
        "covariates": list(parameters.covariates),
        "terms": [term.name for term in state.terms],
        "hidden": parameters.hidden,
        "optimiser": parameters.optimiser,
        "rounds": state.rounds_done,
        "rows": state.rows,
        "left_out": state.left_out,
    }
    if state.problem:
        return Result(data | {"problem": state.problem}, problem=state.problem)
    arrays = state.network.layers(numbers(state.model))
    arrays |= {"centres": np.array(state.centres), "scales": np.array(state.scales)}
    data["numbers"] = state.network.size
    shown = ("rows", "left_out", "rounds", "hidden", "numbers", "optimiser")
    title = f"{parameters.outcome} ~ {' + '.join(parameters.covariates)} (trained)"
    tables = [ResultTable(title, ("figure", "value"), tuple((key.replace("_", " "), data[key]) for key in shown))]
    if not parameters.hidden:
        tables.append(_weights(state, arrays["weights"]))
    return Result(data, tuple(tables), arrays)


def _weights(state: TrainState, weights: NDArray[np.float64]) -> ResultTable:
    """Log-odds against the reference for one standard deviation of each term."""
    rows = tuple((term.name, *line) for term, line in zip(state.terms, weights.tolist(), strict=True))
    return ResultTable("Log-odds per standard deviation", ("term", *state.choices[1:]), rows)
