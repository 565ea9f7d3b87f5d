"""A result in a terminal: what was found, the models, the cost, a small learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from simulations.report import findings
from simulations.report.differences import differences
from simulations.report.tables import Table, attacks, cell, estimates, failures, hospitals, metrics, totals
from simulations.report.view import View, middle, views_of
from simulations.report.words import NONE, NOTHING, Part, difference, label, number, plain
from simulations.study.result import EVERYWHERE, StudyResult

BARS: Final = "▁▂▃▄▅▆▇█"
SPARK_MAX: Final = 48
"""Characters of a learning curve; with more rounds each stands for several."""
HOSPITALS_MAX: Final = 12
"""Rows of hospitals alone; more are summed up by the findings."""
ROWS_MAX: Final = 15
"""Rows of any other table."""


def summary(result: StudyResult) -> RenderableType:
    """One result, for `rich.console.Console.print`."""
    return _summary(views_of((result,))[0])


def comparison(results: Sequence[StudyResult]) -> RenderableType:
    """What was found of each of several results, then their differences to the first."""
    views = views_of(results)
    parts: list[RenderableType] = []
    for view in views:
        parts += [Text(view.title, style="bold"), Text(), _found(view), Text()]
    table = differences(views)
    return Group(*parts, Text(table.title, style="bold"), Text(table.note, style="dim"), _rich(table))


def spark(values: Sequence[float]) -> str:
    """A curve as one line of blocks, from its lowest to its highest value."""
    if not values:
        return ""
    step = max(1, -(-len(values) // SPARK_MAX))
    chosen = [values[min(i + step, len(values)) - 1] for i in range(0, len(values), step)]
    low, high = min(chosen), max(chosen)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in chosen)


def _summary(view: View) -> RenderableType:
    result = view.result
    parts: list[RenderableType] = [Text(view.title, style="bold"), Text(), _found(view)]
    values = estimates(view) if not result.metric else None
    for table in (_models(view), metrics(view), values, hospitals(view), totals(view), attacks(view), failures(view)):
        if table is not None:
            parts += [Text(), Text(table.title, style="bold"), _rich(table)]
    if view.curve:
        medians = [middle(values, result.confidence)[0] for _, values in view.curve]
        ends = f"  {number(medians[0])} to {number(medians[-1])} in {len(medians)} rounds"
        parts += [Text(), Text(f"{view.metric} by round", style="bold"), Text(f" {spark(medians)}{ends}")]
    return Group(*parts, Text())


def _found(view: View) -> RenderableType:
    found = RichTable.grid(padding=(0, 1, 0, 0))
    for sentence in findings.found(view):
        found.add_row(Text(" •"), Text(plain(sentence)))
    return found


def _models(view: View) -> Table | None:
    """The first metric on everybody's test rows."""
    rows: list[tuple[Part, ...]] = []
    who = [("federated", ""), ("pooled", ""), *(("alone", name) for name in view.hospitals[:HOSPITALS_MAX])]
    for arm, hospital in who:
        found = view.comparison(arm, hospital, EVERYWHERE)
        if found is None or found.value.mean is None:
            continue
        value, shift = found.value, found.minus_pooled
        around = (
            f"{number(value.low)} to {number(value.high)}"
            if value.low is not None and value.high is not None
            else NOTHING
        )
        minus: Part = difference(shift.mean) if shift is not None and shift.mean is not None else NOTHING
        rows.append((f"{label(hospital)} alone" if hospital else arm, cell(value.mean), around, minus))
    if not rows:
        return None
    heads = ("model", view.metric, f"{view.confidence} interval", "minus pooled")
    return Table("models", f"{view.metric} on everybody's test rows", heads, tuple(rows), frozenset({1, 2, 3}))


def _rich(table: Table) -> RichTable:
    drawn = RichTable(box=None, pad_edge=True, header_style="dim")
    for place, head in enumerate(table.heads):
        drawn.add_column(Text(head), justify="right" if place in table.right else "left", overflow="fold")
    for row in table.rows[:ROWS_MAX]:
        drawn.add_row(*(Text(str(part), style="dim" if part in (NONE, NOTHING) else "") for part in row))
    if len(table.rows) > ROWS_MAX:
        drawn.add_row(Text(f"and {len(table.rows) - ROWS_MAX} more", style="dim"))
    return drawn
