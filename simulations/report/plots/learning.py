"""The model's metric, round by round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulations.report.look import BAD, INK, LINE, MUTED, figure, spread
from simulations.report.plots.plot import Plot, is_narrow, whole_axis
from simulations.report.view import View, middle
from simulations.report.words import Sentence, label, metric_name, number
from simulations.study.result import EVERYWHERE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES_MAX: Final = 8
"""Hospitals whose own lines are named; more are shown as a band."""
THREADS_MAX: Final = 30
"""Repetitions drawn one by one behind the median."""


def learning(view: View) -> Plot | None:
    """The first metric after each round, with the models that need no rounds as lines."""
    curve = view.curve
    if not curve:
        return None

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, 2.5 if is_narrow(width_in) else 3.4)
        axes.grid(True, axis="y")
        axes.grid(False, axis="x")
        rounds = [number for number, _ in curve]
        bands = [middle(values, view.result.confidence) for _, values in curve]
        _threads(axes, view)
        axes.fill_between(
            rounds, [low for _, low, _ in bands], [high for _, _, high in bands], color=INK, alpha=0.1, linewidth=0
        )
        axes.plot(rounds, [median for median, _, _ in bands], color=INK, linewidth=2, marker="o", markersize=3.5)
        axes.margins(x=0.03)
        labels = [(bands[-1][0], "federated", INK), *_references(axes, view)]
        axes.set_xlabel("round")
        axes.set_ylabel(metric_name(view.result.metric))
        whole_axis(axes)
        _name(axes, labels, width_in)
        return drawn

    at_all = {len(values) for _, values in curve}
    repetitions = len(view.result.repetitions)
    some = "" if at_all == {repetitions} else " Not every repetition has every round: a median is over those that do."
    start = (
        f"{view.metric[:1].upper()}{view.metric[1:]} of the federated model on everybody's test rows after each round"
    )
    caption: Sentence = (
        f"{start}: the median over repetitions, the middle {view.confidence} of them as a band, single ones as thin "
        f"lines.{some}",
    )
    first, last = middle(curve[0][1], view.result.confidence)[0], middle(curve[-1][1], view.result.confidence)[0]
    alternative: Sentence = (
        f"{view.metric} by round: median ", number(first), f" after round {curve[0][0]}, ",
        number(last), f" after round {curve[-1][0]}.",
    )  # fmt: skip
    return Plot("learning", "Learning curve", caption, alternative, draw, shared="xy")


def _threads(axes: Axes, view: View) -> None:
    if not 1 < len(view.result.repetitions) <= THREADS_MAX:
        return
    for repetition in view.result.repetitions:
        values = [(r.number, r.metrics.get(view.result.metric)) for r in repetition.rounds]
        known = [(number, value) for number, value in values if value is not None]
        axes.plot([n for n, _ in known], [v for _, v in known], color=MUTED, linewidth=0.5, alpha=0.5, zorder=1)


def _references(axes: Axes, view: View) -> list[tuple[float, str, str]]:
    """Lines of the models without rounds; returns (height, name, colour) of each."""
    labels = []
    pooled = view.comparison("pooled", "", EVERYWHERE)
    if pooled is not None and pooled.value.mean is not None:
        axes.axhline(pooled.value.mean, color=MUTED, linewidth=1.3, linestyle=(0, (5, 3)), zorder=2)
        labels.append((pooled.value.mean, "pooled", MUTED))
    found = [(name, view.comparison("alone", name, EVERYWHERE)) for name in view.hospitals]
    means = [(name, value.value.mean) for name, value in found if value is not None and value.value.mean is not None]
    if len(means) > LINES_MAX:
        low, high = min(m for _, m in means), max(m for _, m in means)
        axes.axhspan(low, high, color=LINE, alpha=0.5, linewidth=0, zorder=0)
        labels.append(((low + high) / 2, f"{len(means)} alone", MUTED))
    else:
        for name, mean in means:
            colour = view.look(name).colour
            axes.axhline(mean, color=colour, linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=1)
            labels.append((mean, f"{name} alone", colour))
    if view.result.target is not None:
        axes.axhline(view.result.target, color=BAD, linewidth=1.1, linestyle=(0, (7, 2, 1, 2)), zorder=2)
        labels.append((view.result.target, "target", BAD))
    return labels


def _name(axes: Axes, labels: list[tuple[float, str, str]], width_in: float) -> None:
    """Names right of the lines, moved apart where they would overlap, each led to its line."""
    low, high = axes.get_ylim()
    gap = (high - low) * (0.075 if is_narrow(width_in) else 0.052)
    for (y, text, colour), place in zip(labels, spread([y for y, _, _ in labels], gap), strict=True):
        axes.annotate(
            label(text, 16 if is_narrow(width_in) else 30), (1, y), (1.035, place), xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"), va="center", fontsize=7.5, color=INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1.1, "shrinkA": 1, "shrinkB": 0,
                        "relpos": (0, 0.5)},
        )  # fmt: skip
