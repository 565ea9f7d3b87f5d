"""The terms of a model, and a site's rows as a matrix of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.units import Unit

TERMS_MAX = 500
"""Terms of a model beside the intercept: the upper triangle of their information is then 1 MB of words."""

CHUNK_ROWS = 1 << 14
"""Rows put into a matrix at a time: 2 MB for sixteen terms."""


@dataclass(frozen=True, slots=True)
class Term:
    """A number, or the indicator of a level. code: position of the level in `Column.choices`, -1 for a number."""

    column: str
    level: str = ""
    code: int = -1

    @property
    def name(self) -> str:
        """How the term is shown: ``age``, ``chest_pain=typical``."""
        return f"{self.column}={self.level}" if self.level else self.column

    def numbers(self, table: Table, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The term in these rows of the table, in the column's own unit; 0 and 1 for an indicator."""
        cells = table.columns[self.column][rows]
        return (cells == self.code).astype(np.float64) if self.level else cells


def terms_of(schema: Schema, columns: tuple[str, ...], reference: dict[str, str]) -> tuple[Term, ...]:
    """The terms of the columns: numbers as they are, an indicator for each level but the reference.

    Raises `DataError` for an unknown column or level.
    """
    terms: list[Term] = []
    for name in columns:
        column = schema.column(name)
        if column.numeric:
            terms.append(Term(name))
            continue
        left_out = reference_of(schema, name, reference)
        terms += [Term(name, level, code) for code, level in enumerate(column.choices) if level != left_out]
    return tuple(terms)


def reference_of(schema: Schema, name: str, reference: dict[str, str]) -> str:
    """The level that the others of a column are compared with. Raises `DataError` if it is not a level."""
    column = schema.column(name)
    level = reference.get(name) or column.choices[0]
    if level not in column.choices:
        raise DataError(f"reference of '{name}'", f"'{level}' is not a level", f"allowed: {' | '.join(column.choices)}")
    return level


@dataclass(frozen=True, slots=True)
class Design:
    """A site's complete rows as numbers of the model's terms, the outcome last.

    rows: positions of the complete rows. left_out: how many rows lack something.
    """

    table: Table
    terms: tuple[Term, ...]
    rows: NDArray[np.intp]
    left_out: int

    @classmethod
    def of(cls, table: Table, terms: tuple[Term, ...]) -> Design:
        """The design of a table; `terms` ends with the outcome."""
        rows = np.flatnonzero(table.complete({term.column for term in terms}))
        return cls(table, terms, rows, table.rows - len(rows))

    def chunks(self) -> Iterator[NDArray[np.float64]]:
        """Matrices of shape (some rows, terms), together all complete rows."""
        for start in range(0, len(self.rows), CHUNK_ROWS):
            rows = self.rows[start : start + CHUNK_ROWS]
            yield np.column_stack([term.numbers(self.table, rows) for term in self.terms])


def units_of(schema: Schema, terms: tuple[Term, ...]) -> tuple[Unit, ...]:
    """The public scale of each term, from the declared ranges."""
    return tuple(Unit.of(schema.column(term.column)) for term in terms)
