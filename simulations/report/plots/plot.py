"""A plot: what it shows in words, and how to draw it at any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulations.report.look import INK, LINE, MUTED, NARROW_IN, PAPER
from simulations.report.view import Look, View
from simulations.report.words import Sentence
from simulations.study.result import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOT: Final = 5.5
"""Points across."""


@dataclass(frozen=True)
class Plot:
    """One plot of one result.

    name: of its files. title: what it shows. caption: how to read it. alternative: what it says, for those who cannot
    see it. draw: makes the figure for a width in inches; call it within `look.drawing`. shared: the axes ("x", "y",
    "xy" or none) that must be the same where the plots of several results stand side by side.
    """

    name: str
    title: str
    caption: Sentence
    alternative: Sentence
    draw: Callable[[float], Figure]
    shared: str = "x"


Drawer = Callable[[View], "Plot | None"]
"""Makes a plot of a result; None if the result has nothing for it."""


def is_narrow(width_in: float) -> bool:
    """Whether a plot must do without its side notes."""
    return width_in <= NARROW_IN


def whisker(axes: Axes, value: Interval, y: float, look: Look, filled: bool = True) -> None:
    """A dot at the mean and a line over the interval."""
    if value.mean is None:
        return
    if value.low is not None and value.high is not None:
        axes.plot([value.low, value.high], [y, y], color=look.colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    dot(axes, value.mean, y, look, filled)


def dot(
    axes: Axes,
    x: float | Sequence[float],
    y: float | Sequence[float],
    look: Look,
    filled: bool = True,
    size: float = DOT,
) -> None:
    """A mark, or several, in somebody's look, rimmed in the colour of the paper so that it stands out of lines."""
    size = size if look.marker in "os" else 1.35 * size
    face, edge = (look.colour, PAPER) if filled else (PAPER, look.colour)
    axes.plot(
        x, y, look.marker, color=look.colour, markersize=size, markerfacecolor=face, markeredgecolor=edge,
        markeredgewidth=0.7 if filled else 1.4, zorder=3, clip_on=False,
    )  # fmt: skip


def note(axes: Axes, y: float, text: str, colour: str = MUTED) -> None:
    """A text right of the axes, at a height in data coordinates."""
    axes.annotate(
        text, (1, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=colour, fontsize=7.5, annotation_clip=False,
    )  # fmt: skip


def key(axes: Axes, entries: Sequence[tuple[str, str, str, bool]], columns: int = 0) -> None:
    """A legend above the axes: (text, colour, marker, whether filled)."""
    from matplotlib.lines import Line2D  # noqa: PLC0415

    handles = [
        Line2D([], [], color=colour, linestyle="", marker=marker, markersize=DOT, label=text,
               markerfacecolor=colour if filled else PAPER)
        for text, colour, marker, filled in entries
    ]  # fmt: skip
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns or len(handles), borderaxespad=0.3,
        borderpad=0, handletextpad=0.4, columnspacing=1.4, handlelength=1.4, labelcolor=INK,
    )  # fmt: skip


def whole_axis(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))


def stripe(axes: Axes, rows: int) -> None:
    """Hair lines between rows, to lead the eye from a name to its dot."""
    for row in range(rows):
        axes.axhline(row, color=LINE, linewidth=0.5, zorder=0)


def share_axes(figures: Sequence[Figure], which: str) -> None:
    """Give the axes of several figures the same limits, axes by axes."""
    for same in zip(*(figure.axes for figure in figures), strict=False):
        for letter in which:
            limits = [getattr(axes, f"get_{letter}lim")() for axes in same]
            down = limits[0][0] > limits[0][1]
            low, high = min(map(min, limits)), max(map(max, limits))
            for axes in same:
                getattr(axes, f"set_{letter}lim")((high, low) if down else (low, high))
