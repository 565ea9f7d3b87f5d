"""Hospitals that follow the protocol and lie about their data: poisoned updates, flipped labels, free riders.

No secure sum can tell: what such a member puts in is a valid vector. What holds it is the task's own bound, which is
part of the encoding: a coordinate beyond ``clip_norm`` is no vector of the job. (That a change is *shortened* to
clip_norm is the work of each site's own worker; whoever evades it can use all coordinates to the bound.)

- byzantine_scale, byzantine_sign: Blanchard et al., "Machine learning with adversaries", NeurIPS 2017; Bagdasaryan et
  al., "How to backdoor federated learning", AISTATS 2020, section 4.2 (scaling).
- byzantine_labels: Tolpegin et al., "Data poisoning attacks against federated learning systems", ESORICS 2020.
- byzantine_backdoor: Gu, Dolan-Gavitt and Garg, "BadNets" (2017): rows with a trigger are given one class.
- free_rider_zero, free_rider_stale: Fraboni, Vidal and Lorenzi, "Free-rider attacks on model aggregation in federated
  learning", AISTATS 2021.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from protocols.encoding import Words, encode
from protocols.job.job import Job
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks import find_task
from secured_node.tasks.train_state import TrainState
from simulations.study.plan import Adversary
from simulations.study.rows import join
from simulations.study.site import Share, Site, as_share

SCALE: Final = "byzantine_scale"
SIGN: Final = "byzantine_sign"
LABELS: Final = "byzantine_labels"
BACKDOOR: Final = "byzantine_backdoor"
ZERO: Final = "free_rider_zero"
STALE: Final = "free_rider_stale"
KINDS: Final = {
    SCALE: "puts in its change of the model many times over",
    SIGN: "puts in the opposite of its change, many times over",
    LABELS: "computes on rows whose outcome it gave other classes",
    BACKDOOR: "adds rows with a trigger, a covariate at its largest value, all of the outcome's first class",
    ZERO: "puts in no change and takes the model",
    STALE: "puts in its first change again in every round and takes the model",
}
"""What each does."""
OF_UPDATES: Final = frozenset({SCALE, SIGN, ZERO, STALE})
"""Those that need a task that puts in changes of a model."""
FREE_RIDERS: Final = frozenset({ZERO, STALE})


class PoisonedSite(Site):
    """A hospital whose updates are not those that its rows give."""

    def __init__(self, adversary: Adversary, *site: Any) -> None:
        super().__init__(*site)
        self._adversary = adversary

    def vector(self, job: Job, number: int) -> Callable[[], Share]:
        states = self.states[job.job]
        course = self.courses[job.job]
        if self._adversary.kind != STALE or not states or not _trains(course.state):
            return super().vector(job, number)
        now = course.state
        course.state = states[0]  # the first that trains: what it puts in is its share of that round
        try:
            return super().vector(job, number)
        finally:
            course.state = now

    def share(self, *what: Any) -> Callable[[], Share]:
        factor = {SCALE: self._adversary.factor, SIGN: -self._adversary.factor, ZERO: 0.0}.get(self._adversary.kind)
        return super().share(*what) if factor is None else functools.partial(make_scaled, factor, *what)


def _trains(state: Any) -> bool:
    return isinstance(state, TrainState) and state.stage == "train"


def make_scaled(factor: float, task: str, state: bytes, *rest: Any) -> Share:
    """As `make_share`, the change of the model times `factor`; the encoding cuts each coordinate at its bound."""
    members, bits, prepared, key, bound = rest
    found = find_task(task)
    loaded = found.load(state)

    def words() -> Words:
        values = dict(found.local(loaded, prepared))
        if _trains(loaded):
            values["change"] = factor * values["change"]
        return encode(values, found.layout(loaded), bits, members, lambda _: key)

    return as_share(words, bound)


def poisoned(table: Table, adversary: Adversary, outcome: str, covariates: Sequence[str]) -> Table:
    """The rows that it computes on. Raises `DataError` if this cannot be done to them."""
    if adversary.kind == LABELS:
        known = table.columns[outcome] >= 0
        classes = len(table.schema.column(outcome).choices)
        codes = np.where(known, (table.columns[outcome] + 1) % classes, table.columns[outcome])
        return _with(table, outcome, codes.astype(table.columns[outcome].dtype))
    if adversary.kind == BACKDOOR:
        column = trigger_column(table.schema, adversary, covariates)
        first = _with(table, outcome, np.zeros_like(table.columns[outcome]))
        return join([table, triggered(first, column)])
    return table


def trigger_column(schema: Schema, adversary: Adversary, covariates: Sequence[str]) -> str:
    """The covariate that is a backdoor's trigger. Raises `DataError`."""
    numeric = [name for name in covariates if schema.column(name).numeric]
    if adversary.column:
        numeric = [name for name in numeric if name == adversary.column]
    if not numeric:
        why = "no covariate is a number" if not adversary.column else "it is no covariate that is a number"
        raise DataError("adversary.column" + (f" = {adversary.column!r}" if adversary.column else ""), why)
    return numeric[0]


def triggered(table: Table, column: str) -> Table:
    """The rows with the trigger: the column at the largest value that the schema allows."""
    return _with(table, column, np.full(table.rows, table.schema.column(column).maximum, np.float64))


def _with(table: Table, column: str, values: Any) -> Table:
    return Table(table.schema, table.rows, table.columns | {column: values})
