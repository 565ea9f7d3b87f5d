"""A result as the plots and texts of one page look at it: hospitals in one order, each with its own look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy

from simulations.report.look import HOSPITALS, INK, MARKERS, MUTED
from simulations.report.words import clean, metric_name
from simulations.study.result import EVERYWHERE, Comparison, Interval, Repetition, StudyResult, Total


@dataclass(frozen=True)
class Look:
    """How somebody is drawn."""

    colour: str
    marker: str


TOGETHER = {"federated": Look(INK, "D"), "pooled": Look(MUTED, "s")}


FOUNDERS: Final = "founders"
"""As the hospital of a federated model that was made before others joined."""
LETTERS: Final = "ABCDEFGH"
"""Names of the results of one page, and the most there can be."""


class View:
    """One result of a page.

    hospitals: of all results of the page, so that a hospital looks the same in each. letter: of a result among several.
    """

    def __init__(self, result: StudyResult, hospitals: Sequence[str], letter: str = "") -> None:
        self.result, self.letter = result, letter
        self.all_hospitals = tuple(hospitals)

    @cached_property
    def hospitals(self) -> tuple[str, ...]:
        """Of this result, in the page's order."""
        here = hospitals_of(self.result)
        return tuple(name for name in self.all_hospitals if name in here)

    def look(self, hospital: str) -> Look:
        """The same for the same hospital, everywhere; grey for a hub that is none."""
        if hospital not in self.all_hospitals:
            return Look(MUTED, "o")
        place = self.all_hospitals.index(hospital)
        return Look(HOSPITALS[place % len(HOSPITALS)], MARKERS[place // len(HOSPITALS) % len(MARKERS)])

    @property
    def suffix(self) -> str:
        """At the end of the names of its files: "", or "-a"."""
        return f"-{self.letter.lower()}" if self.letter else ""

    @property
    def is_from_python(self) -> bool:
        """Whether the scenario's text is JSON, as of one that was made in Python, and not TOML."""
        return self.result.scenario.lstrip().startswith("{")

    @property
    def scenario_file(self) -> str:
        """The name of the scenario's file in the report."""
        return f"scenario{self.suffix}.{'json' if self.is_from_python else 'toml'}"

    @property
    def title(self) -> str:
        """As it is written above things."""
        name = clean(self.result.title or self.result.name)
        return f"{self.letter}: {name}" if self.letter else name

    @property
    def metric(self) -> str:
        """The metric that is looked at first, as it is written."""
        return metric_name(self.result.metric)

    @property
    def confidence(self) -> str:
        """ "95 %"."""
        return f"{100 * self.result.confidence:g} %"

    @cached_property
    def shown(self) -> Repetition | None:
        """The repetition whose messages and moments are drawn: the first that kept its messages, else the first."""
        kept = [repetition for repetition in self.result.repetitions if repetition.messages]
        return (kept or self.result.repetitions or (None,))[0]

    @property
    def shown_number(self) -> int:
        """Which one it is, from 1."""
        return 0 if self.shown is None else self.result.repetitions.index(self.shown) + 1

    def comparison(self, arm: str, hospital: str, tested_on: str, metric: str = "") -> Comparison | None:
        """The comparison, if it was made and has a value. metric: "" for the first."""
        found = self._comparisons.get((arm, hospital, tested_on, metric or self.result.metric))
        return found if found is not None and found.value.mean is not None else None

    def total(self, name: str, node: str = "") -> Interval | None:
        """The total, if there is one with a value."""
        found = self._totals.get((name, node))
        return found.value if found is not None and found.value.mean is not None else None

    @cached_property
    def curve(self) -> list[tuple[int, list[float]]]:
        """The first metric by round: the values of all repetitions that have one."""
        values: dict[int, list[float]] = {}
        for repetition in self.result.repetitions:
            for a_round in repetition.rounds:
                value = a_round.metrics.get(self.result.metric)
                if value is not None:
                    values.setdefault(a_round.number, []).append(value)
        return sorted(values.items())

    @cached_property
    def gap(self) -> float | None:
        """The largest difference between a federated and the pooled model's first metric: same repetition, same rows.

        None without such a pair.
        """
        gaps = []
        for repetition in self.result.repetitions:
            of_metric = [s for s in repetition.scores if s.metric == self.result.metric and s.value is not None]
            pooled = {s.tested_on: s.value for s in of_metric if s.arm == "pooled"}
            ours = [s for s in of_metric if (s.arm, s.hospital) == ("federated", "") and s.tested_on in pooled]
            gaps += [abs((s.value or 0.0) - (pooled[s.tested_on] or 0.0)) for s in ours]
        return max(gaps) if gaps else None

    @cached_property
    def _comparisons(self) -> dict[tuple[str, str, str, str], Comparison]:
        return {(c.arm, c.hospital, c.tested_on, c.metric): c for c in self.result.comparisons}

    @cached_property
    def _totals(self) -> dict[tuple[str, str], Total]:
        return {(t.name, t.node): t for t in self.result.totals}


def hospitals_of(result: StudyResult) -> tuple[str, ...]:
    """All hospitals that a result names, in the order in which it names them first."""
    names = [node.name for repetition in result.repetitions for node in repetition.nodes]
    compared = [(c.hospital if c.arm == "alone" else "", c.tested_on) for c in result.comparisons]
    names += [name for pair in compared for name in pair if name not in ("", EVERYWHERE)]
    return tuple(dict.fromkeys(names))


def views_of(results: Iterable[StudyResult]) -> tuple[View, ...]:
    """The results of one page."""
    kept = tuple(results)
    names = dict.fromkeys(name for result in kept for name in hospitals_of(result))
    letters = LETTERS if len(kept) > 1 else ("",)
    return tuple(View(result, tuple(names), letter) for result, letter in zip(kept, letters, strict=False))


def middle(values: Sequence[float], part: float) -> tuple[float, float, float]:
    """The median, and the lower and upper end of the middle part of the values (0.95: from 2.5 % to 97.5 %)."""
    low, median, high = numpy.quantile(values, [(1 - part) / 2, 0.5, (1 + part) / 2])
    return float(median), float(low), float(high)
