"""What is held against the federation: each hospital alone, all rows in one table, and hospitals that are all honest.

All are a federation without the protocol, the first two of one: the same state, the same `local` and `update`, the same
encoding, sums in the clear.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protocols.core import Draw
from protocols.errors import LocalError
from secured_node.data.errors import DataError
from secured_node.data.rows import ROWS_MIN
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course, add


@dataclass(frozen=True, slots=True)
class Fitted:
    """A course that was followed to its end. problem: why it has no answer, or ""."""

    course: Course
    problem: str


def fit(
    task: str,
    raw: Mapping[str, Any],
    schema: Schema | None,
    tables: Sequence[Table | None],
    seed: str,
    noise: Noise | None = None,
    min_rows: int = ROWS_MIN,
) -> Fitted:
    """The task over tables, one a hospital. What task or data refuse becomes the problem; wrong parameters raise."""
    course, draw = Course(task, raw, schema, len(tables), noise, min_rows), drawer(seed)
    try:
        prepared = [course.prepare(table) for table in tables]
        while not course.done:
            course.apply(add([course.vector(data, draw) for data in prepared]))
    except (DataError, LocalError) as error:
        return Fitted(course, str(error))
    return Fitted(course, course.result().problem)


def drawer(seed: str) -> Draw:
    """Bytes that follow from a seed: for the rounding, which in a hospital is the operating system's."""
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)
