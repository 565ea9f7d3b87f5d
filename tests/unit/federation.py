"""A federation in one process, to test tasks: plain sums of encoded vectors modulo 2^w, states through their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from secured_node.data.cells import RawColumn
from secured_node.data.mapping import SiteMapping
from secured_node.data.schema import Schema
from secured_node.data.table import Table, build_table
from secured_node.tasks import find_task
from secured_node.tasks.base import Noise, Result
from secured_node.tasks.course import Course, add


def run_task(name: str, raw: Mapping[str, Any], schema: Schema | None, tables: Sequence[Table | None]) -> Result:
    """The result of a job over the tables, as the worker and the secure sum would compute it."""
    task = find_task(name)
    return task.result(list(run_states(name, raw, schema, tables))[-1])


def run_noisy(
    name: str, raw: Mapping[str, Any], schema: Schema | None, tables: Sequence[Table | None], noise: Noise, seed: int
) -> tuple[Any, Result]:
    """The last state and the result of a job with noise, drawn from a seed."""
    course = Course(name, raw, schema, len(tables), noise)
    prepared = [course.prepare(table) for table in tables]
    draw = np.random.default_rng(seed).bytes
    while not course.done:
        assert course.rounds_done < course.rounds_max
        course.apply(add([course.vector(data, draw) for data in prepared]))
        course.state = course.task.load(course.task.dump(course.state))
    return course.state, course.result()


def run_states(
    name: str, raw: Mapping[str, Any], schema: Schema | None, tables: Sequence[Table | None]
) -> Iterator[Any]:
    """The states of the job, each after its way through bytes; the last one is done."""
    course = Course(name, raw, schema, len(tables))
    prepared = [course.prepare(table) for table in tables]
    draw = np.random.default_rng(len(tables)).bytes  # the same bytes in every run
    for _ in range(course.rounds_max):
        if course.done:
            break
        course.apply(add([course.vector(data, draw) for data in prepared]))
        course.state = course.task.load(course.task.dump(course.state))
        yield course.state
    assert course.done


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
