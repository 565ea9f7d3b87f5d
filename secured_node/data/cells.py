"""From a site's cells to the schema's values: one column at a time, bad cells counted by kind and row, never shown.

Numbers come out as float64 with NaN where there is none, choices as int32 codes (positions in `Column.choices`) with -1
where there is none. A cell that does not fit becomes "none" too: it is counted as a problem, and no sum will see it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from secured_node.data.mapping import ColumnMapping
from secured_node.data.schema import Column

PROBLEM_ROWS_MAX = 20
"""Row numbers listed for each problem; the count goes on. Enough to find the pattern, short enough to read."""

NO_CODE = -1
BAD_CODE = -2


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells of one column that do not fit the schema.

    column: the schema's name. kind: what is wrong, a fixed phrase. count: how many cells.
    rows: the first of their row numbers, 1 being the first row of data (blank lines of a text file are not rows).
    """

    column: str
    kind: str
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A column as a source gives it.

    values: one dimension; bool, integers, floats, or objects that are all `str`.
    absent: True where the file itself has nothing; the value there is arbitrary.
    """

    values: NDArray[Any]
    absent: NDArray[np.bool_]


@dataclass(slots=True)
class CellReader:
    """Turns one raw column into the schema's values and notes the problems.

    name, column: what the schema says. mapping, markers, decimal: what the site says.
    """

    name: str
    column: Column
    mapping: ColumnMapping
    markers: tuple[str, ...]
    decimal: str = "."
    problems: list[Problem] = field(default_factory=list)

    def read(self, raw: RawColumn) -> NDArray[Any]:
        """float64 for numbers, int32 for choices."""
        return self._numbers(raw) if self.column.numeric else self._codes(raw)

    def _note(self, kind: str, bad: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            first = tuple(int(row) + 1 for row in rows[:PROBLEM_ROWS_MAX])
            self.problems.append(Problem(self.name, kind, int(rows.size), first))

    def _numbers(self, raw: RawColumn) -> NDArray[np.float64]:
        numbers, absent = self._parse(raw)
        bad = ~absent & ~np.isfinite(numbers)
        self._note("not a number", bad)
        numbers[bad | absent] = math.nan
        if (self.mapping.factor, self.mapping.offset) != (1.0, 0.0):
            numbers = numbers * self.mapping.factor + self.mapping.offset
        low, high = self.column.range
        checks = [("below the minimum", numbers < low), ("above the maximum", numbers > high)]
        if self.column.type == "integer":
            checks.append(("not a whole number", np.isfinite(numbers) & (numbers != np.rint(numbers))))
        for kind, bad in checks:
            self._note(kind, bad)
            numbers[bad] = math.nan
        self._note_absent(absent)
        return numbers

    def _parse(self, raw: RawColumn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Numbers (NaN where the cell is none) and where there is nothing."""
        if raw.values.dtype.kind == "O":
            return self._parse_text(raw)
        if raw.values.dtype.kind == "b":  # true and false are no measurement
            return np.full(len(raw.values), math.nan), raw.absent.copy()
        numbers = raw.values.astype(np.float64)
        absent = raw.absent | np.isnan(numbers)
        for marker in map(_number, self.markers):
            absent |= numbers == marker
        return numbers, absent

    def _parse_text(self, raw: RawColumn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        absent, markers = raw.absent.copy(), frozenset(self.markers)
        numbers = np.full(len(absent), math.nan)
        for row, text in enumerate(raw.values):
            stripped = text.strip()
            if stripped in markers:
                absent[row] = True
            elif not absent[row]:
                numbers[row] = _number(stripped if self.decimal == "." else stripped.replace(self.decimal, "."))
        return numbers, absent

    def _codes(self, raw: RawColumn) -> NDArray[np.int32]:
        lookup = dict.fromkeys(self.markers, NO_CODE)
        lookup |= {choice: code for code, choice in enumerate(self.column.choices)}
        lookup |= {local: self.column.choices.index(level) for local, level in self.mapping.levels.items()}
        if raw.values.dtype.kind == "O":
            codes = np.array([lookup.get(text.strip(), BAD_CODE) for text in raw.values], np.int32)
        else:
            lookup["nan"] = NO_CODE  # what `_text` makes of a float that is none
            distinct, positions = np.unique(raw.values, return_inverse=True)
            codes = np.array([lookup.get(_text(value), BAD_CODE) for value in distinct], np.int32)[positions]
        codes[raw.absent] = NO_CODE
        bad, absent = codes == BAD_CODE, codes == NO_CODE
        self._note("not true or false" if self.column.type == "boolean" else "not a level of the schema", bad)
        codes[bad] = NO_CODE
        self._note_absent(absent)
        return codes

    def _note_absent(self, absent: NDArray[np.bool_]) -> None:
        if not self.column.missing:
            self._note("missing, which the schema does not allow", absent)


def _number(text: str) -> float:
    """The number that a text spells, or NaN. Python alone would also take underscores and digits of other scripts."""
    if not text.isascii() or "_" in text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def _text(value: Any) -> str:
    """How a typed cell would be written. Whole floats without a point: tools turn codes with gaps into floats."""
    if isinstance(value, np.bool_):
        return "true" if value else "false"
    if isinstance(value, np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
