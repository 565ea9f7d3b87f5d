"""`summary` with noise that hides one row: one round of counts, sums and sums of squares about the middle of the range.

One row's part, on the scale of `units`: 1 in the count of rows, 1 in that of each column that it has, 1 in one level of
each column of levels, and per number x in -1..1 the number and its square. Norms follow from the number of columns
alone; the noise is the same for all figures. Squares are not taken about the federated mean as without noise: that
would need a second round, which has to share the cost, and what is lost to cancellation is far below the noise.

Counts come out as whole numbers, rounded after the noise; they may be below 0. That is left so: to cut them off would
bias sums over many small ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.privacy.plan import Clipped, proportional
from secured_node.data.schema import Column, Schema
from secured_node.data.table import Table
from secured_node.tasks.base import Sums, Values
from secured_node.tasks.units import Unit

CHUNK_ROWS = 1 << 14
"""Rows whose parts are made at a time: 2 MB for sixteen columns."""


class NoisyFigures(msgspec.Struct, frozen=True):
    """What `SummaryState` holds of the same names."""

    rows: int
    present: tuple[int, ...]
    levels: tuple[int, ...]
    sums: tuple[float, ...]
    squares: tuple[float, ...]


def clipped_blocks(schema: Schema) -> tuple[Clipped, ...]:
    """The blocks of the noisy vector."""
    numeric, choices = _numeric(schema), _with_levels(schema)
    blocks = [
        Clipped("rows", 1, 1.0, 1.0),
        Clipped("present", len(schema.columns), math.sqrt(len(schema.columns)), 1.0, largest=1.0),
    ]
    if choices:
        levels = sum(len(column.choices) for _, column in choices)
        blocks.append(Clipped("levels", levels, math.sqrt(len(choices)), 1.0, largest=1.0))
    if numeric:
        norm = math.sqrt(len(numeric))
        blocks += [Clipped(name, len(numeric), norm, 1.0, largest=1.0) for name in ("sums", "squares")]
    return proportional(*blocks)


def record_parts(schema: Schema, table: Table) -> Iterator[Values]:
    """Each row's part, in chunks."""
    for start in range(0, table.rows, CHUNK_ROWS):
        yield _parts(schema, table, slice(start, start + CHUNK_ROWS))


def _parts(schema: Schema, table: Table, rows: slice) -> Values:
    has: NDArray[np.bool_] = np.column_stack([~table.missing(name)[rows] for name in schema.columns])
    values: Values = {"rows": np.logical_or.reduce(has, axis=1, keepdims=True), "present": has}
    levels = [
        table.columns[name][rows][:, np.newaxis] == np.arange(len(column.choices))
        for name, column in _with_levels(schema)
    ]
    if levels:
        values["levels"] = np.column_stack(levels)
    numbers = [_number(table.columns[name][rows], column) for name, column in _numeric(schema)]
    if numbers:
        values["sums"] = np.column_stack(numbers)
        values["squares"] = np.square(values["sums"])
    return values


def _number(cells: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """A column's numbers on the scale of its unit; a missing one adds nothing."""
    return np.nan_to_num(Unit.of(column).scaled(cells), nan=0.0)


def noisy_figures(schema: Schema, sums: Sums) -> NoisyFigures:
    """The figures of noisy sums; bit-exact."""
    present = tuple(round(count) for count in sums["present"].tolist())
    count_of = dict(zip(schema.columns, present, strict=True))
    totals = sums["sums"].tolist() if "sums" in sums else []
    raw = sums["squares"].tolist() if "squares" in sums else []
    about_mean = [
        square - total * total / count_of[name] if count_of[name] > 0 else 0.0
        for (name, _), total, square in zip(_numeric(schema), totals, raw, strict=True)
    ]
    return NoisyFigures(
        rows=round(sums["rows"].tolist()[0]),
        present=present,
        levels=tuple(round(count) for count in sums["levels"].tolist()) if "levels" in sums else (),
        sums=tuple(totals),
        squares=tuple(about_mean),
    )


def _numeric(schema: Schema) -> list[tuple[str, Column]]:
    return [(name, column) for name, column in schema.columns.items() if column.numeric]


def _with_levels(schema: Schema) -> list[tuple[str, Column]]:
    return [(name, column) for name, column in schema.columns.items() if column.choices]
