"""Estimates, as a model's coefficients: federated against pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulations.report.look import LINE, MUTED, figure, rows_of, tall
from simulations.report.plots.plot import Plot, dot, is_narrow, key, note, stripe
from simulations.report.terms import Term, terms_of
from simulations.report.view import TOGETHER, View
from simulations.report.words import Sentence, count, difference, label, minus, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TERMS_MAX: Final = 60
"""Drawn; the tables have all."""
NORMAL_95: Final = 1.959963984540054
"""Standard errors on either side in a 95 % interval of a normal estimate."""
LINEAR: Final = 2.0
"""So far from zero the scale is linear, then logarithmic."""
TICKS: Final = (-1000, -100, -10, -2, 0, 2, 10, 100, 1000)


def estimates(view: View) -> Plot | None:
    """How far each estimate lies from the pooled one, in its standard errors (or percent, where it has none)."""
    terms = terms_of(view)
    scaled = [term for term in terms if term.shift is not None]
    if not scaled:
        return None
    drawn_terms, in_errors = scaled[:TERMS_MAX], all(term.in_errors for term in scaled)

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(drawn_terms), 0.27, 0.95))
        stripe(axes, len(drawn_terms))
        if in_errors:
            axes.axvspan(-NORMAL_95, NORMAL_95, color=LINE, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(0, color=MUTED, linewidth=1)
        _dots(axes, view, drawn_terms)
        for row, term in enumerate(drawn_terms):
            apart = str(difference(term.apart))
            note(axes, row, apart if is_narrow(width_in) else f"{number(term.pooled)}   {apart}")
        if not is_narrow(width_in):
            note(axes, -0.9, "pooled   difference")
        _scale(axes, drawn_terms)
        rows_of(axes, [label(term.name, 14 if is_narrow(width_in) else 24) for term in drawn_terms])
        unit = "in its standard errors" if in_errors else "in percent of it"
        axes.set_xlabel(f"difference to the pooled estimate, {unit}")
        first = view.look(next((hospital for term in drawn_terms for hospital in term.alone), ""))
        alone = [("a hospital alone", first.colour, first.marker, True)] if any(t.alone for t in drawn_terms) else []
        key(axes, [("federated", TOGETHER["federated"].colour, TOGETHER["federated"].marker, True), *alone])
        return drawn

    band = "The grey band is the pooled fit's own 95 % interval. " if in_errors else ""
    more = f" The first {TERMS_MAX} are drawn; the tables have all." if len(scaled) > TERMS_MAX else ""
    caption: Sentence = (
        f"Means over repetitions. {band}On the right the pooled estimate, where there is room, and the largest "
        f"difference of the federated one to it. The scale is linear near zero and logarithmic further out.{more}",
    )
    apart = max((term.apart for term in terms), key=abs)
    alternative: Sentence = (
        count(len(terms)), " estimates; federated and pooled differ most by ", difference(apart), ".",
    )  # fmt: skip
    return Plot("estimates", "Estimates against the pooled fit", caption, alternative, draw)


def _dots(axes: Axes, view: View, terms: list[Term]) -> None:
    for hospital in view.hospitals:
        found = [(term.alone[hospital], row) for row, term in enumerate(terms) if hospital in term.alone]
        dot(axes, [x for x, _ in found], [y for _, y in found], view.look(hospital), size=4.2)
    dot(axes, [term.shift or 0.0 for term in terms], list(range(len(terms))), TOGETHER["federated"])


def _scale(axes: Axes, terms: list[Term]) -> None:
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=1.2)
    reach = max(1.5 * LINEAR, *(1.25 * abs(v) for t in terms for v in (t.shift or 0.0, *t.alone.values())))
    axes.set_xlim(-reach, reach)
    ticks = [tick for tick in TICKS if abs(tick) <= reach]
    axes.set_xticks(ticks, [minus(str(tick)) for tick in ticks])
    axes.minorticks_off()
