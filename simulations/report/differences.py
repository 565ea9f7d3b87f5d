"""Scenarios against each other: differences paired by seed, so that what chance gave both falls out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from simulations.report.tables import TOTALS, Table, cell, range_cell
from simulations.report.view import View
from simulations.report.words import Part, Shown, clean, count, difference, metric_name, minus, number
from simulations.study.intervals import interval
from simulations.study.result import EVERYWHERE, Interval, Repetition, StudyResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """One measure of two scenarios, over the seeds that both ran.

    what: the measure. place: of the second scenario on the page, from 1; the first is always 0. first, second: over
    these seeds. minus: second minus first, paired by seed. write: how its numbers are written.
    """

    what: str
    place: int
    first: Interval
    second: Interval
    minus: Interval
    write: Callable[[float], Shown]


Measure = Callable[[Repetition], "float | None"]


def measures(results: Sequence[StudyResult]) -> dict[str, tuple[Measure, Callable[[float], Shown]]]:
    """What is compared: the federated model's metrics on everybody's rows, then costs."""
    scored = [{s.metric for r in result.repetitions for s in r.scores if s.arm == "federated"} for result in results]
    order = dict.fromkeys(s.metric for r in results[0].repetitions for s in r.scores)
    names = [name for name in order if all(name in metrics for metrics in scored)]
    names.sort(key=lambda name: name != results[0].metric)
    found: dict[str, tuple[Measure, Callable[[float], Shown]]] = {
        f"{metric_name(name)}, federated": (_score(name), number) for name in names
    }
    costs: dict[str, Measure] = {
        "rounds": lambda r: float(len(r.rounds)),
        "rounds_to_target": lambda r: r.rounds_to_target,
        "virtual_s": lambda r: r.virtual_s,
        "sent_bytes": lambda r: float(sum(node.sent_bytes for node in r.nodes)),
        "drop_outs": lambda r: float(sum(node.drop_outs for node in r.nodes)),
        "refusals": lambda r: float(sum(r.refusals.values())),
    }
    return found | {TOTALS[name][0]: (measure, TOTALS[name][1]) for name, measure in costs.items()}


def compare(results: Sequence[StudyResult]) -> list[Difference]:
    """Each result after the first against the first; measures without a pair of values are left out."""
    found = []
    first, confidence = results[0], results[0].confidence
    for place, second in enumerate(results[1:], 1):
        others = {repetition.seed: repetition for repetition in second.repetitions}
        pairs = [(one, others[one.seed]) for one in first.repetitions if one.seed in others]
        for what, (measure, write) in measures(results).items():
            values = [(measure(one), measure(other)) for one, other in pairs]
            known = [(a, b) for a, b in values if a is not None and b is not None]
            if known:
                a, b = (interval(side, confidence) for side in zip(*known, strict=True))
                found.append(Difference(what, place, a, b, interval([b - a for a, b in known], confidence), write))
    return found


def differences(views: Sequence[View]) -> Table:
    """The differences as a table."""
    rows: list[tuple[Part, ...]] = []
    for found in compare([view.result for view in views]):
        signed = _signed(found.write)
        against = f"{views[found.place].letter} against {views[0].letter}"
        rows.append((
            clean(found.what), against, cell(found.first.mean, found.write),
            cell(found.second.mean, found.write), *range_cell(found.minus, signed), count(found.minus.n),
        ))  # fmt: skip
    heads = ("measure", "scenarios", "first", "second", "difference", "from", "to", "pairs")
    note = (
        f"Means over the seeds that both ran; differences are paired by seed, with {views[0].confidence} intervals."
        if rows
        else "The scenarios have no seed in common: nothing can be paired."
    )
    return Table("differences", "Differences", heads, tuple(rows), frozenset(range(2, 8)), "differences", note)


def differences_frame(views: Sequence[View]) -> pd.DataFrame:
    """The same for files."""
    import pandas as pd  # noqa: PLC0415 - an extra, and slow to import

    rows: list[dict[str, Any]] = []
    for found in compare([view.result for view in views]):
        sides = {"first": found.first, "second": found.second, "minus": found.minus}
        numbers = {f"{side}_{k}": v for side, value in sides.items() for k, v in msgspec.to_builtins(value).items()}
        rows.append({"measure": found.what, "scenario": views[found.place].result.name} | numbers)
    names = [f"{side}_{name}" for side in ("first", "second", "minus") for name in Interval.__struct_fields__]
    return pd.DataFrame(rows, columns=["measure", "scenario", *names])


def _score(metric: str) -> Measure:
    def measure(repetition: Repetition) -> float | None:
        for score in repetition.scores:
            if (score.arm, score.hospital, score.tested_on, score.metric) == ("federated", "", EVERYWHERE, metric):
                return score.value
        return None

    return measure


def _signed(write: Callable[[float], Shown]) -> Callable[[float], Shown]:
    if write is number:
        return difference
    return lambda value: Shown(value, ("+" if value > 0 else "") + minus(write(value).text))
