"""Scenarios against each other: `simulations.study.comparing` as a table and as a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from simulations.report.tables import TOTALS, Table, cell, range_cell
from simulations.report.view import View
from simulations.report.words import Part, Shown, clean, count, difference, metric_name, minus, number
from simulations.study.comparing import Difference
from simulations.study.comparing import differences as compare
from simulations.study.result import EVERYWHERE, Interval

if TYPE_CHECKING:
    import pandas as pd


_ARMS = ("federated", "pooled", "alone", "")


def pairs(views: Sequence[View]) -> Iterator[tuple[View, View, Difference]]:
    """Each difference of each result after the first to the first; federated first, counts last."""
    for other in views[1:]:
        found_all = compare(views[0].result, other.result)
        for found in sorted(found_all, key=lambda found: _ARMS.index(found.arm)):
            yield views[0], other, found


def differences(views: Sequence[View]) -> Table:
    """The differences of the models of all together and of the counts; those of hospitals alone are in the file."""
    rows: list[tuple[Part, ...]] = []
    for one, other, found in pairs(views):
        if found.arm == "alone":
            continue
        what, write = name_of(found)
        first, second = value_of(one, found), value_of(other, found)
        sides = (cell(side.mean if side else None, write) for side in (first, second))
        signed = range_cell(found.value, _signed(write))
        rows.append((what, f"{other.letter} against {one.letter}", *sides, *signed, count(found.value.n)))
    heads = ("measure", "scenarios", "first", "second", "difference", "from", "to", "pairs")
    note = (
        f"Means, with {views[0].confidence} intervals of differences; on everybody's test rows. Repetitions are paired "
        "by their number."
    )
    if any(_seeds(view) != _seeds(views[0]) for view in views[1:]):
        note += " Not all pairs have the same seed: what chance gave them does not fall out of the differences."
    return Table("differences", "Differences", heads, tuple(rows), frozenset(range(2, 8)), "differences", note)


def differences_frame(views: Sequence[View]) -> pd.DataFrame:
    """All differences, for files."""
    import pandas as pd  # noqa: PLC0415 - an extra, and slow to import

    rows = [
        {"first": one.letter, "second": other.letter, "name": found.name, "arm": found.arm, "hospital": found.hospital}
        | msgspec.to_builtins(found.value)
        for one, other, found in pairs(views)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "name", "arm", "hospital", *Interval.__struct_fields__])


def name_of(found: Difference) -> tuple[str, Callable[[float], Shown]]:
    """What is compared in words, and how its numbers are written."""
    if found.arm:
        who = f"{found.arm}, {clean(found.hospital)}" if found.hospital else found.arm
        return f"{metric_name(found.name)}, {who}", number
    return TOTALS.get(found.name, (clean(found.name), number))


def value_of(view: View, found: Difference) -> Interval | None:
    """The figure itself, over all repetitions of one result."""
    if not found.arm:
        return view.total(found.name)
    compared = view.comparison(found.arm, found.hospital, EVERYWHERE, found.name)
    return compared.value if compared is not None else None


def _seeds(view: View) -> list[int]:
    return [repetition.seed for repetition in view.result.repetitions]


def _signed(write: Callable[[float], Shown]) -> Callable[[float], Shown]:
    if write is number:
        return difference
    return lambda value: Shown(value, ("+" if value > 0 else "") + minus(write(value).text))
