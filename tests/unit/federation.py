"""A federation in one process, to test tasks: plain sums of encoded vectors modulo 2^w, states through their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from protocols.encoding import blocks_beyond, decode, encode
from secured_node.data.cells import RawColumn
from secured_node.data.mapping import SiteMapping
from secured_node.data.schema import Schema
from secured_node.data.table import Table, build_table
from secured_node.tasks import find_task
from secured_node.tasks.base import Result


def run_task(name: str, raw: Mapping[str, Any], schema: Schema | None, tables: Sequence[Table | None]) -> Result:
    """The result of a job over the tables, as the worker and the secure sum would compute it."""
    task = find_task(name)
    return task.result(list(run_states(name, raw, schema, tables))[-1])


def run_states(
    name: str, raw: Mapping[str, Any], schema: Schema | None, tables: Sequence[Table | None]
) -> Iterator[Any]:
    """The states of the job, each after its way through bytes; the last one is done."""
    task = find_task(name)
    parameters = task.parse(raw)
    state = task.start(parameters, schema, len(tables))
    prepared = [task.prepare(state, table) for table in tables]
    bits, draw = task.word_bits(parameters), np.random.default_rng(len(tables)).bytes  # the same bytes in every run
    for _ in range(task.rounds_max(parameters)):
        if task.done(state):
            break
        layout = task.layout(state)
        vectors = [encode(task.local(state, data), layout, bits, len(tables), draw) for data in prepared]
        total = vectors[0].copy()
        for vector in vectors[1:]:
            total += vector
        assert not blocks_beyond(total, layout, bits, len(tables))
        state = task.load(task.dump(task.update(state, decode(total, layout, bits))))
        yield state
    assert task.done(state)


class Columns:
    """A raw table from Python lists or arrays."""

    def __init__(self, **columns: Any) -> None:
        self._columns = {name: np.asarray(values) for name, values in columns.items()}
        for name, values in self._columns.items():
            if values.dtype.kind == "U":
                self._columns[name] = values.astype(object)

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    @property
    def rows(self) -> int:
        return len(next(iter(self._columns.values())))

    def column(self, name: str) -> RawColumn:
        values = self._columns[name]
        return RawColumn(values, np.zeros(len(values), np.bool_))


def table_of(schema: Schema, **columns: Any) -> Table:
    """A table that fits its schema without a problem."""
    table, problems = build_table(Columns(**columns), schema, SiteMapping())
    assert not problems
    return table
