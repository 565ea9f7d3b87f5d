"""Reading a data set through its schema and mapping, and the report that its manager sees before it is published."""

from __future__ import annotations

from pathlib import Path

import msgspec

from secured_node.data.cells import Problem
from secured_node.data.mapping import SiteMapping
from secured_node.data.rows import published_rows
from secured_node.data.schema import Schema
from secured_node.data.sources import find_source
from secured_node.data.table import Table, build_table


class ColumnReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a checked data set.

    missing: cells without a usable value, the problems among them. problems: cells that do not fit the schema.
    """

    name: str
    missing: int
    problems: int


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `check` found. It stays at the site, apart from name, version, digest and `published_rows`.

    name, version, digest: of the schema (digest: hexadecimal). rows: exactly. published_rows: see `published_rows`.
    columns: in the schema's order. problems: by column and kind.
    """

    name: str
    version: int
    digest: str
    rows: int
    published_rows: int
    columns: tuple[ColumnReport, ...]
    problems: tuple[Problem, ...]


def read_table(
    path: Path, schema: Schema, mapping: SiteMapping, columns: tuple[str, ...] = ()
) -> tuple[Table, tuple[Problem, ...]]:
    """The named columns of the schema (all, if none is named), read from a file. Raises `DataError`."""
    mapping.check(schema)
    wanted = schema.only(columns) if columns else schema
    names = tuple(dict.fromkeys(mapping.local(name) for name in wanted.columns))
    return build_table(find_source(path)(path, names, mapping.text), wanted, mapping)


def check(path: Path, schema: Schema, mapping: SiteMapping) -> Report:
    """Read a data set and report what fits and what does not. Raises `DataError` if it cannot be read at all."""
    table, problems = read_table(path, schema, mapping)
    columns = tuple(
        ColumnReport(
            name=name,
            missing=int(table.missing(name).sum()),
            problems=sum(problem.count for problem in problems if problem.column == name),
        )
        for name in schema.columns
    )
    return Report(
        name=schema.name,
        version=schema.version,
        digest=schema.digest().hex(),
        rows=table.rows,
        published_rows=published_rows(table.rows),
        columns=columns,
        problems=problems,
    )
