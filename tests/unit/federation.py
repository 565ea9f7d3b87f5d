"""A federation in one process, to test tasks: the kit's, and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import MIN_ROWS_DEFAULT, Noise, Result
from secured_node.tasks.course import Course, add
from simulations import kit
from simulations.kit import Columns, run_states, table_of

__all__ = ["Columns", "run_noisy", "run_states", "run_task", "table_of"]


def run_task(
    name: str,
    raw: Mapping[str, Any],
    schema: Schema | None,
    tables: Sequence[Table | None],
    min_rows: int = MIN_ROWS_DEFAULT,
) -> Result:
    """The result of a job over the tables."""
    return kit.run_task(name, raw, tables, schema, min_rows)


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
