"""Coefficients: federated against pooled."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulations.report.look import LINE, MUTED, figure, rows_of, tall
from simulations.report.plots.plot import Plot, dot, is_narrow, key, note, stripe
from simulations.report.view import TOGETHER, View
from simulations.report.words import Sentence, count, difference, label, minus, number
from simulations.study.result import Repetition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TERMS_MAX: Final = 60
"""Drawn; the tables have all."""
NORMAL_95: Final = 1.959963984540054
"""Standard errors on either side in a 95 % interval of a normal estimate."""


@dataclass(frozen=True)
class Term:
    """A coefficient over the repetitions. pooled: mean estimate. shift: mean of federated minus pooled. apart: the
    largest difference in size. alone: by hospital. shift and alone in pooled standard errors."""

    name: str
    pooled: float
    shift: float
    apart: float
    alone: dict[str, float]


def terms_of(view: View) -> list[Term]:
    """Every term that both fits estimate, in the order of the first repetition that has it."""
    names = dict.fromkeys(e.term for r in view.result.repetitions for e in r.estimates if e.arm == "pooled")
    return [term for name in names if (term := _term(view, name)) is not None]


def _term(view: View, name: str) -> Term | None:
    pooled, shifts, differences = [], [], []
    alone: dict[str, list[float]] = {}
    for repetition in view.result.repetitions:
        centre, error = _of(repetition, name, "pooled")
        ours = _of(repetition, name, "federated")[0]
        if centre is None or not error or ours is None:
            continue
        pooled.append(centre)
        differences.append(ours - centre)
        shifts.append((ours - centre) / error)
        for estimate in repetition.estimates:
            if estimate.arm == "alone" and estimate.term == name and estimate.value is not None:
                alone.setdefault(estimate.hospital, []).append((estimate.value - centre) / error)
    if not pooled:
        return None
    means = {hospital: statistics.mean(values) for hospital, values in alone.items()}
    return Term(name, statistics.mean(pooled), statistics.mean(shifts), max(differences, key=abs), means)


def _of(repetition: Repetition, term: str, arm: str) -> tuple[float | None, float | None]:
    found = [e for e in repetition.estimates if e.arm == arm and e.term == term]
    return (found[0].value, found[0].standard_error) if found else (None, None)


def estimates(view: View) -> Plot | None:
    """How far each fit's coefficients lie from the pooled fit's, in its standard errors."""
    terms = terms_of(view)
    if not terms:
        return None
    drawn_terms = terms[:TERMS_MAX]
    apart = max((term.apart for term in terms), key=abs)

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(drawn_terms), 0.27, 0.95))
        stripe(axes, len(drawn_terms))
        axes.axvspan(-NORMAL_95, NORMAL_95, color=LINE, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(0, color=MUTED, linewidth=1)
        for row, term in enumerate(drawn_terms):
            for hospital, value in term.alone.items():
                dot(axes, value, row, view.look(hospital), size=4.2)
            dot(axes, term.shift, row, TOGETHER["federated"])
            far = f"{number(term.pooled)}  {difference(term.apart)}"
            note(axes, row, str(difference(term.apart)) if is_narrow(width_in) else far)
        axes.set_xscale("symlog", linthresh=2, linscale=1.2)
        reach = max(3.0, *(abs(v) * 1.25 for t in drawn_terms for v in (t.shift, *t.alone.values())))
        axes.set_xlim(-reach, reach)
        ticks = [tick for tick in (-100, -30, -10, -4, -2, 0, 2, 4, 10, 30, 100) if abs(tick) <= reach]
        axes.set_xticks(ticks, [minus(str(tick)) for tick in ticks])
        axes.minorticks_off()
        rows_of(axes, [label(term.name, 14 if is_narrow(width_in) else 24) for term in drawn_terms])
        axes.set_xlabel("difference to the pooled fit, in its standard errors")
        shape = next(iter(terms[0].alone), "")
        alone = [("a hospital alone", view.look(shape).colour, view.look(shape).marker, True)] if shape else []
        key(axes, [("federated", TOGETHER["federated"].colour, "D", True), *alone])
        return drawn

    caption: Sentence = (
        f"Mean over repetitions. The grey band is the pooled fit's own {100 * 0.95:g} % interval. On the right the "
        "pooled coefficient and the largest difference of the federated one to it. The scale is linear near zero and "
        "logarithmic outside."
        + (f" The first {TERMS_MAX} terms are drawn; the tables have all." if len(terms) > TERMS_MAX else ""),
    )
    alternative: Sentence = (
        count(len(terms)), " coefficients; the largest difference between federated and pooled is ", difference(apart),
    )  # fmt: skip
    return Plot("coefficients", "Coefficients against the pooled fit", caption, alternative, draw)
