"""The public description of a data set, the same at every site: columns, units, levels, plausible ranges.

A schema holds no data. Its ranges are chosen from medical knowledge, not read off a table: they become the bounds
within which a site's contribution to a sum must lie, so they are public and independent of any patient. A TOML file:

    name = "heart-disease"
    version = 1
    description = "Angiography patients of four hospitals"

    [columns.age]
    type = "number"
    unit = "years"
    minimum = 0
    maximum = 120

    [columns.chest_pain]
    type = "category"
    levels = ["typical", "atypical", "other", "none"]
    missing = false
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocols.digest import digest
from secured_node.data.errors import DataError
from secured_node.data.strict import read_toml, strict

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
COLUMN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")

COLUMNS_MAX = 10_000
"""Columns of a data set: an expression panel has a few thousand; more belongs in a matrix format."""

LEVELS_MAX = 1_000
"""Levels of a category: each may become a coefficient. A chapter of ICD-10 fits, free text does not."""

LEVEL_CHARACTERS_MAX = 100
TEXT_CHARACTERS_MAX = 2_000
"""Characters of a unit, and of a description: a paragraph."""

NUMBER_MAX = 1e15
"""The largest absolute value of a range's end: below it, whole numbers are exact in doubles (2^53 is 9.007e15)."""

BOOLEAN_LEVELS = ("false", "true")


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column.

    type: ``number`` and ``integer`` need a range; ``category`` needs levels; ``boolean`` needs nothing.
    unit: of the numbers, in the field's words (``years``, ``mmHg``); the site's own units are its mapping's affair.
    levels: of a category, in order; the first is the reference in models unless a job names another.
    minimum, maximum: the plausible range, inclusive; what lies outside counts as a problem and is left out.
    missing: whether a row may lack this column.
    description: for people.
    """

    type: Literal["number", "integer", "category", "boolean"]
    unit: str = ""
    levels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    missing: bool = True
    description: str = ""

    def __post_init__(self) -> None:
        if self.numeric:
            self._check_range()
        elif self.minimum is not None or self.maximum is not None or self.unit:
            raise ValueError(f"minimum, maximum and unit belong to numbers, not to a {self.type} column")
        if self.type == "category":
            self._check_levels()
        elif self.levels:
            raise ValueError(f"levels belong to a category column, not to one of type {self.type}")
        if max(len(self.unit), len(self.description)) > TEXT_CHARACTERS_MAX:
            raise ValueError(f"unit and description have at most {TEXT_CHARACTERS_MAX} characters")

    def _check_range(self) -> None:
        if self.minimum is None or self.maximum is None:
            raise ValueError(f"a column of type {self.type} needs minimum and maximum, its plausible range")
        if not (math.isfinite(self.minimum) and math.isfinite(self.maximum) and self.minimum < self.maximum):
            raise ValueError("minimum must be below maximum, both finite")
        if max(-self.minimum, self.maximum) > NUMBER_MAX:
            raise ValueError(f"minimum and maximum lie within plus or minus {NUMBER_MAX:g}: take a larger unit")

    def _check_levels(self) -> None:
        if not 2 <= len(self.levels) <= LEVELS_MAX or len(set(self.levels)) != len(self.levels):
            raise ValueError(f"a category has 2 to {LEVELS_MAX} different levels")
        for level in self.levels:
            if not level.strip() or level != level.strip() or not level.isprintable():
                raise ValueError("a level is printable text that neither begins nor ends with a space")
            if len(level) > LEVEL_CHARACTERS_MAX:
                raise ValueError(f"a level has at most {LEVEL_CHARACTERS_MAX} characters")

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers (else it holds one of `choices`)."""
        return self.type in ("number", "integer")

    @property
    def choices(self) -> tuple[str, ...]:
        """The levels that a cell can have: a category's own, ``false`` and ``true`` of a boolean, () of numbers."""
        return BOOLEAN_LEVELS if self.type == "boolean" else self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The ends between which the column's numbers lie; 0 and 1 for an indicator of a level."""
        if self.minimum is None or self.maximum is None:
            return 0.0, 1.0
        return self.minimum, self.maximum


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A data set's public description.

    name, version: together they name the schema in the federation; a change of content needs a higher version.
    columns: by name, in the order of the file.
    """

    name: str
    version: int
    columns: dict[str, Column]
    description: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError("name is 1 to 64 of a-z, 0-9, dot, underscore, hyphen, and begins with a letter or digit")
        if self.version < 1:
            raise ValueError("version is a whole number from 1")
        if not 1 <= len(self.columns) <= COLUMNS_MAX:
            raise ValueError(f"a schema has 1 to {COLUMNS_MAX} columns")
        if not all(map(COLUMN_NAME.fullmatch, self.columns)):
            raise ValueError("a column's name is 1 to 64 of letters, digits, underscore, dot, and begins with a letter")
        if len(self.description) > TEXT_CHARACTERS_MAX:
            raise ValueError(f"description has at most {TEXT_CHARACTERS_MAX} characters")

    def digest(self) -> bytes:
        """SHA-256 of the content, whatever the order of keys in the file: 32 bytes."""
        return digest("schema", msgspec.json.encode(self, order="deterministic"))

    def column(self, name: str) -> Column:
        """The column of that name. Raises `DataError` if there is none."""
        try:
            return self.columns[name]
        except KeyError:
            raise DataError(
                f"column '{name}'", f"the schema '{self.name}' has no such column", f"it has: {_list(self.columns)}"
            ) from None

    def only(self, names: tuple[str, ...]) -> Schema:
        """The same schema with the named columns alone, in that order. Raises `DataError` for an unknown name."""
        return msgspec.structs.replace(self, columns={name: self.column(name) for name in names})


def load_schema(path: Path) -> Schema:
    """The schema in a TOML file. Raises `DataError` that names file, key and what is allowed."""
    return parse_schema(read_toml(path), str(path))


def parse_schema(raw: dict[str, Any], where: str) -> Schema:
    """A schema from plain values; `where` (the file's name) begins each error."""
    columns = raw.get("columns")
    if isinstance(columns, dict):  # one by one, so that an error names its column
        for name, column in columns.items():
            strict(column, Column, f"{where}: columns.{name}")
    return strict(raw, Schema, where)


def _list(names: dict[str, Column]) -> str:
    shown = list(names)[:20]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
