"""The two comparisons beside the federation: each hospital alone, and all rows in one table, by the very same task.

Both are a federation of one, without the protocol: the same state, the same `local` and `update`, the same encoding.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocols.core import Draw
from protocols.errors import LocalError
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.course import Course


@dataclass(frozen=True, slots=True)
class Fitted:
    """A course that was followed to its end. problem: why it has no answer, or ""."""

    course: Course
    problem: str


def fit(task: str, raw: Mapping[str, Any], schema: Schema, table: Table, seed: str) -> Fitted:
    """The task on one table. What the task or the data refuse becomes the problem; wrong parameters raise."""
    course, draw = Course(task, raw, schema, 1), drawer(seed)
    try:
        prepared = course.prepare(table)
        while not course.done:
            course.apply(course.vector(prepared, draw))
    except (DataError, LocalError) as error:
        return Fitted(course, str(error))
    return Fitted(course, course.result().problem)


def drawer(seed: str) -> Draw:
    """Bytes that follow from a seed: for the rounding, which in a hospital is the operating system's."""
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)
