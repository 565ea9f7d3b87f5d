"""What the federation costs: bytes, rounds, virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulations.report.look import BAD, INK, MUTED, figure, rows_of, tall
from simulations.report.plots.plot import Plot, is_narrow, note, stripe, whole_axis
from simulations.report.plots.units import BYTES, SECONDS, unit_axis
from simulations.report.view import View, middle
from simulations.report.words import NOTHING, Sentence, Shown, count, label, size, span
from simulations.study.result import Interval, RoundResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS: Final = 28
"""Columns of the distribution of times."""


def traffic(view: View) -> Plot | None:
    """Bytes that each hub sent and received."""
    rows = [(name, view.total("sent_bytes", name), view.total("received_bytes", name)) for name in view.hospitals]
    rows = [row for row in rows if row[1] is not None or row[2] is not None]
    if not rows:
        return None

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(rows), 0.34, 0.85))
        stripe(axes, len(rows))
        for row, (name, sent, received) in enumerate(rows):
            colour = view.look(name).colour
            for place, value, alpha in ((row - 0.16, sent, 1.0), (row + 0.16, received, 0.4)):
                if value is not None and value.mean is not None:
                    axes.barh(place, value.mean, height=0.28, color=colour, alpha=alpha)
                    axes.plot(
                        [value.low or value.mean, value.high or value.mean], [place, place], color=INK, linewidth=1
                    )
            note(axes, row, _both(sent, received, is_narrow(width_in)))
        rows_of(axes, [label(name, 14 if is_narrow(width_in) else 24) for name, _, _ in rows])
        axes.set_xlim(0, max(_end(v) for row in rows for v in row[1:]) * 1.06)
        unit_axis(axes, "x", BYTES)
        axes.set_xlabel("bytes in one repetition")
        note(axes, -0.85, "sent" if is_narrow(width_in) else "sent / received")
        return drawn

    caption: Sentence = (
        f"Mean and {view.confidence} interval over repetitions of what each hub put on the wire and took from it, "
        "signatures and records included: the full bar is sent, the pale one received.",
    )
    parts: list[str | Shown] = ["Bytes sent: "]
    for name, sent, _ in rows:
        parts += [f"{label(name)} ", size(sent.mean or 0.0) if sent else "not known", "; "]
    return Plot("traffic", "Bytes by hospital", caption, tuple(parts[:-1]), draw)


def rounds(view: View) -> Plot | None:
    """Virtual time and bytes of each round."""
    everyone = [a_round for repetition in view.result.repetitions for a_round in repetition.rounds]
    if not everyone:
        return None
    durations = _by_round(everyone, lambda r: None if r.all_s is None else r.all_s - r.started_s)
    sizes = _by_round(everyone, lambda r: float(r.sent_bytes))

    def draw(width_in: float) -> Figure:
        drawn, panels = figure(width_in, 3.4 if is_narrow(width_in) else 3.8, rows=2)
        for axes, values, unit, title in zip(
            panels, (durations, sizes), (SECONDS, BYTES), ("virtual time", "bytes of all hubs"), strict=True
        ):
            axes.grid(True, axis="y")
            axes.grid(False, axis="x")
            _band(axes, values, view.result.confidence)
            axes.set_ylim(0, 1.12 * max((high for high in axes.dataLim.intervaly), default=1.0) or 1.0)
            unit_axis(axes, "y", unit)
            axes.set_title(title, loc="left", color=MUTED)
            axes.margins(x=0.03)
        retried = sorted({r.number for r in everyone if r.attempts > 1})
        if retried:
            panels[0].plot(
                retried, [0] * len(retried), "^", color=BAD, markersize=5, clip_on=False, zorder=4, linestyle="none"
            )
        panels[-1].set_xlabel("round")
        whole_axis(panels[-1])
        return drawn

    times = [value for _, values in durations for value in values]
    again = sum(r.attempts > 1 for r in everyone)
    caption: Sentence = (
        "Median over repetitions and the middle ", f"{view.confidence} as a band: from the moment the first hospital "
        "began its vector until the last had the certificate, and what all hubs sent meanwhile.",
        *((" A triangle marks a round that some repetition needed more than one attempt for (", count(again),
           " rounds in all).") if again else ()),
    )  # fmt: skip
    alternative: Sentence = (
        "A round takes ", span(middle(times, 0.5)[0]), " in the median.",
    ) if times else ("No round was finished by all.",)  # fmt: skip
    return Plot("rounds", "Time and bytes by round", caption, alternative, draw, shared="xy")


def times(view: View) -> Plot | None:
    """Distribution of virtual time until the job was over."""
    repetitions = view.result.repetitions
    if len(repetitions) < 2:
        return None
    values = [repetition.virtual_s for repetition in repetitions]
    if not any(values):
        return None  # an experiment without a world
    median = middle(values, view.result.confidence)[0]

    def draw(width_in: float) -> Figure:
        places, heights = _stacks(values)
        drawn, (axes,) = figure(width_in, min(2.6, 0.9 + 0.13 * max(heights, default=1)))
        for done in (True, False):
            chosen = [i for i, r in enumerate(repetitions) if (r.outcome == "done") is done]
            axes.plot(
                [places[i] for i in chosen], [heights[i] for i in chosen], "o" if done else "X",
                color=INK if done else BAD, markersize=4.5, linestyle="none", alpha=0.85, markeredgewidth=0,
            )  # fmt: skip
        axes.axvline(median, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=0)
        axes.annotate(
            f"median {span(median)}", (median, 1), (4, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=MUTED, fontsize=7.5, va="bottom", annotation_clip=False,
        )  # fmt: skip
        axes.set_yticks([])
        axes.set_ylim(0.3, max(heights) + 0.7)
        axes.margins(x=0.04)
        unit_axis(axes, "x", SECONDS)
        axes.set_xlabel("virtual time")
        return drawn

    unfinished = sum(repetition.outcome != "done" for repetition in repetitions)
    caption: Sentence = (
        "One mark a repetition: the virtual time until its job was over.",
        *((" Crosses are the ", count(unfinished), " that ended without a result.") if unfinished else ()),
    )  # fmt: skip
    alternative: Sentence = (
        "Between ", span(min(values)), " and ", span(max(values)), " of virtual time, ", span(median),
        " in the median.",
    )  # fmt: skip
    return Plot("times", "How long it takes", caption, alternative, draw)


def _by_round(rounds: list[RoundResult], of: Callable[[RoundResult], float | None]) -> list[tuple[int, list[float]]]:
    values: dict[int, list[float]] = {}
    for a_round in rounds:
        value = of(a_round)
        if value is not None:
            values.setdefault(a_round.number, []).append(value)
    return sorted(values.items())


def _band(axes: Axes, values: list[tuple[int, list[float]]], part: float) -> None:
    numbers = [number for number, _ in values]
    bands = [middle(some, part) for _, some in values]
    axes.fill_between(
        numbers, [low for _, low, _ in bands], [high for _, _, high in bands], color=INK, alpha=0.12, linewidth=0
    )
    axes.plot(numbers, [median for median, _, _ in bands], color=INK, linewidth=1.8, marker="o", markersize=3.5)


def _both(sent: Interval | None, received: Interval | None, short: bool) -> str:
    texts = [
        str(size(value.mean)) if value is not None and value.mean is not None else NOTHING for value in (sent, received)
    ]
    return texts[0] if short else " / ".join(texts)


def _end(value: Interval | None) -> float:
    return 1.0 if value is None else max(1.0, value.mean or 0.0, value.high or 0.0)


def _stacks(values: list[float]) -> tuple[list[float], list[int]]:
    """Marks of a dot plot: each value's column, and its height in it."""
    low, high = min(values), max(values)
    step = (high - low) / BINS or 1.0
    columns = [round((value - low) / step) for value in values]
    heights = [columns[: i + 1].count(column) for i, column in enumerate(columns)]
    return [low + column * step for column in columns], heights
