"""A data set in memory: one numpy array for each column of the schema, every value within what the schema declares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secured_node.data.cells import CellReader, Problem
from secured_node.data.errors import DataError
from secured_node.data.mapping import SiteMapping
from secured_node.data.rows import ROWS_MIN
from secured_node.data.schema import Schema
from secured_node.data.sources.base import RawTable


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a data set. It exists in the worker alone.

    schema: describes exactly the columns that are here.
    rows: how many.
    columns: by name, each of shape (rows,): float64 for numbers (NaN: missing), int32 codes of `Column.choices` for
    categories and booleans (-1: missing).
    least: the fewest values of this site that an exact sum may be over: the site's own floor, never a job's choice.
    """

    schema: Schema
    rows: int
    columns: dict[str, NDArray[Any]]
    least: int = ROWS_MIN

    def missing(self, name: str) -> NDArray[np.bool_]:
        """True where a row lacks the column."""
        values = self.columns[name]
        return np.isnan(values) if values.dtype.kind == "f" else values < 0

    def complete(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """True where a row lacks none of the named columns."""
        complete = np.ones(self.rows, np.bool_)
        for name in names:
            complete &= ~self.missing(name)
        return complete


def build_table(raw: RawTable, schema: Schema, mapping: SiteMapping) -> tuple[Table, tuple[Problem, ...]]:
    """The table, and what in the file does not fit the schema. Cells that do not fit are missing in the table.

    mapping: fits the schema (`SiteMapping.check`). Raises `DataError` if the file lacks a column.
    """
    absent = [name for name in schema.columns if mapping.local(name) not in raw.names]
    if absent:
        wanted = ", ".join(f"{name} (looked for as '{mapping.local(name)}')" for name in absent)
        raise DataError("the data set", f"it lacks these columns: {wanted}", "give their local names in the mapping")
    columns: dict[str, NDArray[Any]] = {}
    problems: list[Problem] = []
    for name, column in schema.columns.items():
        reader = CellReader(name, column, mapping.of(name), mapping.markers(name), mapping.text.decimal)
        columns[name] = reader.read(raw.column(mapping.local(name)))
        problems += reader.problems
    return Table(schema, raw.rows, columns), tuple(problems)
