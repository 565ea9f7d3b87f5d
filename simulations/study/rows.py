"""The rows of a study before they are divided: one table, and for each row the hospital that the data name, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secured_node.data.check import read_table
from secured_node.data.errors import DataError
from secured_node.data.mapping import SiteMapping, load_mapping
from secured_node.data.schema import Schema, load_schema
from secured_node.data.table import Table
from simulations.study.plan import Data

Positions = NDArray[np.intp]
"""Places of rows in a table."""


@dataclass(frozen=True, slots=True)
class Rows:
    """table: all rows. hospitals: names, empty if the data name none. place: for each row the position of its hospital
    in `hospitals`. notes: what was noticed while reading, for people."""

    table: Table
    hospitals: tuple[str, ...] = ()
    place: Positions | None = None
    notes: tuple[str, ...] = ()


def take(table: Table, rows: Positions) -> Table:
    """Some rows of a table."""
    return Table(table.schema, len(rows), {name: values[rows] for name, values in table.columns.items()})


def join(tables: Sequence[Table]) -> Table:
    """All rows of several tables of one schema."""
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns
    }
    return Table(tables[0].schema, sum(table.rows for table in tables), columns)


def read_files(data: Data, folder: Path) -> Rows:
    """The rows of a scenario's own files; paths are relative to `folder`. Raises `DataError`."""
    schema = load_schema(folder / data.schema)
    mapping = load_mapping(folder / data.mapping, schema) if data.mapping else SiteMapping()
    if data.file:
        table, notes = _read(folder / data.file, schema, mapping)
        return Rows(table, notes=notes)
    return read_hospitals({name: folder / path for name, path in data.files.items()}, schema, mapping)


def read_hospitals(paths: Mapping[str, Path], schema: Schema, mapping: SiteMapping) -> Rows:
    """One file for each hospital. Raises `DataError`, also for a file without rows."""
    tables: list[Table] = []
    notes: list[str] = []
    for path in paths.values():
        table, said = _read(path, schema, mapping)
        tables.append(table)
        notes += said
    place = np.repeat(np.arange(len(tables)), [table.rows for table in tables])
    return Rows(join(tables), tuple(paths), place, tuple(notes))


def _read(path: Path, schema: Schema, mapping: SiteMapping) -> tuple[Table, tuple[str, ...]]:
    if not path.exists():
        raise DataError(str(path), "there is no such file", "paths are relative to the scenario's file")
    table, problems = read_table(path, schema, mapping)
    notes = tuple(
        f"{path.name}: column '{p.column}': {p.count} cells count as missing ({p.kind})" for p in problems if p.count
    )
    return table, notes
