"""How well the models do: alone, federated, pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.report.look import MUTED, figure, rows_of, tall
from simulations.report.plots.plot import Plot, is_narrow, key, note, stripe, whisker
from simulations.report.view import FOUNDERS, TOGETHER, Look, View
from simulations.report.words import Sentence, Shown, label, number
from simulations.study.result import EVERYWHERE, Comparison, Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def together_and_alone(view: View) -> list[tuple[str, Look, Interval]]:
    """Whose model, its look and its first metric on everybody's test rows: federated, pooled,
    then each hospital's."""
    rows = [(arm, look, view.comparison(arm, "", EVERYWHERE)) for arm, look in TOGETHER.items()]
    rows.insert(1, ("founders", TOGETHER["federated"], view.comparison("federated", FOUNDERS, EVERYWHERE)))
    rows += [(name, view.look(name), view.comparison("alone", name, EVERYWHERE)) for name in view.hospitals]
    return [(name, look, found.value) for name, look, found in rows if found is not None]


def forest(view: View) -> Plot | None:
    """Each model on everybody's test rows."""
    rows = together_and_alone(view)
    if not rows:
        return None
    pooled = view.comparison("pooled", "", EVERYWHERE)

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(rows), 0.27))
        stripe(axes, len(rows))
        if pooled is not None and pooled.value.mean is not None:
            axes.axvline(pooled.value.mean, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        for row, (_, look, value) in enumerate(rows):
            whisker(axes, value, row, look, filled=look.colour != MUTED)
            note(axes, row, interval_text(value, short=is_narrow(width_in)))
        rows_of(axes, [_row_name(name, is_narrow(width_in)) for name, _, _ in rows])
        axes.set_xlabel(f"{view.metric} on everybody's test rows")
        axes.margins(x=0.08)
        return drawn

    caption: Sentence = (
        f"Mean and {view.confidence} interval over repetitions, each model tested on the test rows of all hospitals "
        f"together. {_better(view)} The dotted line is the pooled model, which nobody can have: its rows would have to "
        "leave the hospitals.",
    )
    parts: list[str | Shown] = [f"{view.metric}: "]
    for name, _, value in rows:
        parts += [f"{label(name)} ", number(value.mean or 0.0), "; "]
    return Plot("models", "Alone, federated, pooled", caption, tuple(parts[:-1]), draw)


def hospitals(view: View) -> Plot | None:
    """On each hospital's own test rows: its own model, the federated, the pooled."""
    rows = [(name, _three(view, name)) for name in view.hospitals]
    rows = [(name, values) for name, values in rows if values]
    if not rows:
        return None

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(rows), 0.42, 0.95))
        stripe(axes, len(rows))
        for row, (name, values) in enumerate(rows):
            for arm, value in values.items():
                place = row + {"alone": -0.2, "federated": 0.0, "pooled": 0.2}[arm]
                look = TOGETHER.get(arm, view.look(name))
                whisker(axes, value.value, place, look, filled=arm != "pooled")
        rows_of(axes, [_row_name(name, is_narrow(width_in)) for name, _ in rows])
        axes.set_xlabel(f"{view.metric} on the hospital's own test rows")
        axes.margins(x=0.06)
        first = view.look(rows[0][0])
        arms = [("alone", first.colour, first.marker, True)]
        arms += [(arm, look.colour, look.marker, arm != "pooled") for arm, look in TOGETHER.items()]
        key(axes, [arm for arm in arms if any(arm[0] in values for _, values in rows)])
        return drawn

    caption: Sentence = (
        f"Mean and {view.confidence} interval over repetitions on the test rows of one hospital at a time: whom the "
        "federation helps, and whom it does not. Few test rows make wide intervals.",
    )
    parts: list[str | Shown] = [f"{view.metric} on each hospital's own rows. "]
    for name, values in rows:
        parts.append(f"{label(name)}: ")
        for arm, value in values.items():
            parts += [f"{arm} ", number(value.value.mean or 0.0), ", "]
        parts[-1] = "; "
    return Plot("hospitals", "Each hospital's own patients", caption, tuple(parts[:-1]), draw)


def interval_text(value: Interval, short: bool = False) -> str:
    """ "0.871 (0.862 to 0.880)"."""
    mean = str(number(value.mean or 0.0))
    if short or value.low is None or value.high is None:
        return mean
    return f"{mean}  ({number(value.low)} to {number(value.high)})"


def _three(view: View, name: str) -> dict[str, Comparison]:
    pairs = (("alone", name), ("federated", ""), ("pooled", ""))
    found = {arm: view.comparison(arm, hospital, name) for arm, hospital in pairs}
    return {arm: value for arm, value in found.items() if value is not None}


def _row_name(name: str, narrow: bool) -> str:
    return label(name, 14) if narrow else label(name)


def _better(view: View) -> str:
    return "Right is better." if view.result.higher_is_better else "Left is better."
