"""How one site's own table becomes the schema's: names, units, codes and markers of what is missing.

A part of the site's own configuration; it never leaves the site. A TOML file:

    missing = ["", "?", "NA"]

    [text]
    delimiter = ";"
    decimal = ","

    [columns.age]
    local = "Alter"

    [columns.weight]
    local = "weight_lb"
    factor = 0.45359237

    [columns.chest_pain]
    levels = { "1" = "typical", "2" = "atypical", "3" = "other", "4" = "none" }
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import msgspec

from secured_node.data.errors import DataError
from secured_node.data.schema import Column, Schema
from secured_node.data.strict import read_toml, strict


class TextFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How text files are written at this site.

    delimiter: between cells; "" for a comma, or a tabulator in files that end with .tsv.
    decimal: the decimal mark.
    encoding: of the characters.
    header: the columns' names, for a file that has no header row; () takes them from its first row.
    """

    delimiter: Literal["", ",", ";", "\t", "|"] = ""
    decimal: Literal[".", ","] = "."
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    header: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.header)) != len(self.header):
            raise ValueError("the names in header must differ from each other")


class ColumnMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one column of the schema is found at this site.

    local: the site's name of the column; "" if it is the schema's own.
    factor, offset: schema's number = site's number * factor + offset.
    levels: site's code to schema's level (of a boolean: ``true`` or ``false``); other codes must be levels already.
    missing: markers of this column, in place of the site's general ones.
    """

    local: str = ""
    factor: float = 1.0
    offset: float = 0.0
    levels: dict[str, str] = {}
    missing: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.factor == 0 or not (math.isfinite(self.factor) and math.isfinite(self.offset)):
            raise ValueError("factor and offset are finite, and factor is not 0")


class SiteMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is particular to one site's table.

    missing: what stands for "not known" in every column that has no markers of its own.
    text: how text files are written.
    columns: by the schema's names; a column that is not listed has the schema's name, unit and levels.
    """

    missing: tuple[str, ...] = ("",)
    text: TextFormat = TextFormat()
    columns: dict[str, ColumnMapping] = {}

    def of(self, name: str) -> ColumnMapping:
        """The mapping of one column of the schema."""
        return self.columns.get(name, ColumnMapping())

    def local(self, name: str) -> str:
        """The site's name of a column of the schema."""
        return self.of(name).local or name

    def markers(self, name: str) -> tuple[str, ...]:
        """What stands for "not known" in a column of the schema."""
        own = self.of(name).missing
        return self.missing if own is None else own

    def check(self, schema: Schema, where: str = "mapping") -> None:
        """Raise `DataError` if the mapping does not fit the schema."""
        for name, mapping in self.columns.items():
            _check_column(mapping, schema.column(name), f"{where}: columns.{name}")


def load_mapping(path: Path, schema: Schema) -> SiteMapping:
    """The mapping in a TOML file, checked against the schema. Raises `DataError`."""
    return parse_mapping(read_toml(path), schema, str(path))


def parse_mapping(raw: dict[str, Any], schema: Schema, where: str) -> SiteMapping:
    """A mapping from plain values, checked against the schema; `where` (the file's name) begins each error."""
    columns = raw.get("columns")
    if isinstance(columns, dict):  # one by one, so that an error names its column
        for name, column in columns.items():
            strict(column, ColumnMapping, f"{where}: columns.{name}")
    mapping = strict(raw, SiteMapping, where)
    mapping.check(schema, where)
    return mapping


def _check_column(mapping: ColumnMapping, column: Column, where: str) -> None:
    if column.numeric and mapping.levels:
        raise DataError(f"{where}.levels", f"the schema's column is of type {column.type}", "remove levels")
    if not column.numeric and (mapping.factor, mapping.offset) != (1.0, 0.0):
        raise DataError(f"{where}.factor", f"the schema's column is of type {column.type}", "remove factor and offset")
    unknown = sorted(set(mapping.levels.values()) - set(column.choices))
    if unknown:
        why = f"not levels of the schema: {', '.join(unknown)}"
        raise DataError(f"{where}.levels", why, f"allowed: {' | '.join(column.choices)}")
