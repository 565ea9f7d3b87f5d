"""Count, mean, variance and missing values of columns, and counts of levels.

Two rounds. First counts and sums; then the sums of squares about the federated mean, so that the variance does not
suffer from the cancellation of "mean of squares minus square of mean": the two-pass algorithm of Chan, Golub and
LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983), section 2.

Bounds: on the scale of `units`, a sum over rows is at most the number of rows (the job's rows_max), a squared deviation
at most 4, and the number of rows that have the column is public after the first round.

Without noise a site withholds columns and levels of which it has only a few values: `summary_floor`. With noise there
is nothing to withhold, and one round: `summary_noisy`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from protocols.encoding import Layout
from protocols.privacy.plan import Clipped
from secured_node.data.errors import DataError
from secured_node.data.schema import Column, Schema
from secured_node.data.table import Table
from secured_node.tasks.base import (
    Parameters,
    Result,
    ResultTable,
    State,
    Sums,
    Task,
    Values,
    check_rows,
    need_schema,
    need_table,
)
from secured_node.tasks.base import Unit as PrivacyUnit
from secured_node.tasks.summary_floor import Released
from secured_node.tasks.summary_noisy import clipped_blocks, noisy_figures, record_parts
from secured_node.tasks.units import Unit, count_block, real_block

COLUMNS_MAX = 1000
"""Columns of one summary; more are several jobs."""

SUPPRESSED = (
    "a column or level of which a site has fewer values than its floor (ten, unless it says otherwise) counts as "
    "missing there: any may be suppressed at some sites"
)
"""Said of every exact result: whether a site withheld something must not show."""


class SummaryParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """columns: names in the schema, each once."""

    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=COLUMNS_MAX)]

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("a column is named twice in columns")


class SummaryState(State, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """parameters, schema: the schema has the job's columns alone. stage: the round to come.

    rows: that have at least one of the columns. present: rows that have each column. levels: counts of the choices of
    all columns that have any, one column after the other. What sites withhold is counted nowhere. sums,
    squares: of each numeric column, on the scale of its unit; squares are about the mean.
    """

    parameters: SummaryParameters
    schema: Schema
    stage: Literal["sums", "squares", "done"] = "sums"
    rows: int = 0
    present: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    sums: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()


class Summary(Task[SummaryParameters, SummaryState, Released]):
    """See the module."""

    name = "summary"
    parameters_type = SummaryParameters
    state_type = SummaryState

    def columns(self, parameters: SummaryParameters) -> tuple[str, ...]:
        return parameters.columns

    def rounds_max(self, parameters: SummaryParameters) -> int:
        return 2

    def start(self, parameters: SummaryParameters, schema: Schema | None, members: int) -> SummaryState:
        wanted = need_schema(schema).only(parameters.columns)
        return SummaryState(members=members, parameters=parameters, schema=wanted)

    def layout(self, state: SummaryState) -> Layout:
        numbers, choices = len(_numeric(state.schema)), sum(len(column.choices) for column in _columns(state.schema))
        if state.stage == "squares":
            # Each of the rows that have a column lies at most 2 from the mean, since both lie in -1 .. 1.
            return Layout((real_block("squares", numbers, 4.0 * max(state.present) + 1, state.members),))
        rows_max = state.parameters.rows_max
        blocks = [
            count_block("rows", 1, rows_max),
            count_block("present", len(state.schema.columns), rows_max),
        ]
        if choices:
            blocks.append(count_block("levels", choices, rows_max))
        if numbers:  # + 1: a number at the end of its range may be rounded to just beyond 1
            blocks.append(real_block("sums", numbers, rows_max + 1.0, state.members))
        return Layout(tuple(blocks))

    def prepare(self, state: SummaryState, table: Table | None) -> Released:
        table = need_table(table, state.schema)
        check_rows(table, state.parameters.rows_max)
        return Released.of(table, state.schema) if state.noise is None else Released(table)

    def remark(self, state: SummaryState, prepared: Released) -> str:
        if not prepared.withheld:
            return ""
        return f"not put into the sums, fewer than {prepared.table.least} values here: {', '.join(prepared.withheld)}"

    def local(self, state: SummaryState, prepared: Released) -> Values:
        numeric, table = _numeric(state.schema), prepared.table
        if state.stage == "squares":
            means = _means(state)
            squares = [
                float(np.nansum(np.square(Unit.of(column).scaled(table.columns[name]) - mean)))
                for (name, column), mean in zip(numeric, means, strict=True)
            ]
            return {"squares": np.array(squares)}
        present = [table.rows - int(table.missing(name).sum()) for name in state.schema.columns]
        values: Values = {"rows": np.array([_rows(table, state.schema)]), "present": np.array(present)}
        levels = [
            np.bincount(table.columns[name] + 1, minlength=len(column.choices) + 1)[1:]  # code -1 is missing
            for name, column in state.schema.columns.items()
            if column.choices
        ]
        if levels:
            values["levels"] = np.concatenate(levels)
        if numeric:
            values["sums"] = np.array(
                [np.nansum(Unit.of(column).scaled(table.columns[name])) for name, column in numeric]
            )
        return values

    def noisy_rounds(self, parameters: SummaryParameters, unit: PrivacyUnit) -> int:
        if unit != "record":
            raise self._cannot(unit)
        return 1

    def records_max(self, state: SummaryState) -> int:
        return state.parameters.rows_max

    def clipped(self, state: SummaryState) -> tuple[Clipped, ...]:
        return clipped_blocks(state.schema)

    def contributions(self, state: SummaryState, prepared: Released) -> Iterator[Values]:
        return record_parts(state.schema, prepared.table)

    def update(self, state: SummaryState, sums: Sums) -> SummaryState:
        if state.noise is not None:
            figures = noisy_figures(state.schema, sums)
            return msgspec.structs.replace(state, stage="done", **msgspec.structs.asdict(figures))
        if state.stage == "squares":
            squares = tuple(sums["squares"].tolist())
            return msgspec.structs.replace(state, stage="done", squares=squares)
        numeric = bool(_numeric(state.schema))
        return msgspec.structs.replace(
            state,
            stage="squares" if numeric else "done",
            rows=int(sums["rows"][0]),
            present=tuple(sums["present"].tolist()),
            levels=tuple(sums["levels"].tolist()) if "levels" in sums else (),
            sums=tuple(sums["sums"].tolist()) if numeric else (),
        )

    def done(self, state: SummaryState) -> bool:
        return state.stage == "done"

    def result(self, state: SummaryState) -> Result:
        if not self.done(state):
            raise DataError("the job", "it has no result yet")
        columns = _describe(state)
        numbers = {name: column for name, column in columns.items() if "mean" in column}
        missing = "missing" if state.noise is not None else "missing or suppressed"
        keys = ("count", "missing", "mean", "variance", "standard_deviation")
        tables = [
            ResultTable(
                f"Numbers ({state.rows} rows)",
                ("column", "unit", "count", missing, "mean", "variance", "standard deviation"),
                tuple((name, column["unit"], *(column[key] for key in keys)) for name, column in numbers.items()),
            ),
            ResultTable(
                f"Levels ({state.rows} rows)",
                ("column", "level", "count", "share of those known", missing),
                tuple(
                    (name, level, count, count / column["count"] if column["count"] > 0 else None, column["missing"])
                    for name, column in columns.items()
                    for level, count in column.get("levels", {}).items()
                ),
            ),
        ]
        arrays = {
            key: np.array([math.nan if column[key] is None else column[key] for column in numbers.values()], np.float64)
            for key in keys
            if numbers
        }
        data: dict[str, Any] = {"task": self.name, "rows": state.rows, "columns": columns}
        if state.noise is None:
            data["note"] = SUPPRESSED
        return Result(data, tuple(table for table in tables if table.rows), arrays)


def _columns(schema: Schema) -> list[Column]:
    return list(schema.columns.values())


def _numeric(schema: Schema) -> list[tuple[str, Column]]:
    return [(name, column) for name, column in schema.columns.items() if column.numeric]


def _rows(table: Table, schema: Schema) -> int:
    """Rows that have at least one of the columns."""
    some = np.zeros(table.rows, np.bool_)
    for name in schema.columns:
        some |= ~table.missing(name)
    return int(some.sum())


def _means(state: SummaryState) -> list[float]:
    """Means of the numeric columns on the scale of their units; 0 for a column that nobody has."""
    present = dict(zip(state.schema.columns, state.present, strict=True))
    return [
        total / present[name] if present[name] > 0 else 0.0
        for (name, _), total in zip(_numeric(state.schema), state.sums, strict=True)
    ]


def _describe(state: SummaryState) -> dict[str, dict[str, Any]]:
    """Each column's figures as plain values; None where there is none."""
    means, squares, levels = iter(_means(state)), iter(state.squares), iter(state.levels)
    described: dict[str, dict[str, Any]] = {}
    for (name, column), count in zip(state.schema.columns.items(), state.present, strict=True):
        figures: dict[str, Any] = {"type": column.type, "count": count, "missing": state.rows - count}
        if column.numeric:
            unit = Unit.of(column)
            mean, square = next(means), next(squares)
            # Rounding may leave a sum of squares of a constant column just below 0.
            variance = unit.half**2 * max(square, 0.0) / (count - 1) if count > 1 else None
            figures |= {
                "unit": column.unit,
                "mean": unit.centre + unit.half * mean if count > 0 else None,
                "variance": variance,
                "standard_deviation": None if variance is None else math.sqrt(variance),
            }
        else:
            figures["levels"] = {level: next(levels) for level in column.choices}
        described[name] = figures
    return described
