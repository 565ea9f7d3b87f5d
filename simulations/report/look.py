"""Colours, and how matplotlib is to draw.

Matplotlib draws in the light colours; in the page each is a CSS variable (`svg`), so that one drawing serves light and
dark. The six colours of hospitals are those of Okabe and Ito ("Color Universal Design", 2008) without black and yellow:
people with any of the common colour blindnesses can tell them apart. Black stands for all hospitals together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1c2127"
MUTED: Final = "#5d6773"
LINE: Final = "#d8dde3"
PAPER: Final = "#ffffff"
SHADE: Final = "#f1f3f5"
BAD: Final = "#b3261e"
GOOD: Final = "#1b7f5c"
HOSPITALS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS: Final = ("o", "s", "^", "v", "P", "X", "<", ">", "p", "h", "d")
"""With more hospitals than colours the shapes tell them apart: 66 differ."""
DARK: Final = {
    INK: "#e8eaed",
    MUTED: "#9aa4b0",
    LINE: "#353c45",
    PAPER: "#14171b",
    SHADE: "#1e2329",
    BAD: "#ff8a80",
    GOOD: "#5fd3a8",
    "#0072b2": "#4aa3df",
    "#d55e00": "#f0803c",
    "#009e73": "#2fc79c",
    "#cc79a7": "#dd93bd",
    "#e69f00": "#f0b429",
    "#56b4e9": "#9ad4f5",
}
"""What becomes of each light colour in the dark."""
NAMES: Final = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    SHADE: "shade",
    BAD: "bad",
    GOOD: "good",
    **{colour: f"h{number}" for number, colour in enumerate(HOSPITALS)},
}
"""CSS variables."""

WIDE_IN: Final = 7.6
NARROW_IN: Final = 3.6
"""Inches: the column of the page, and a phone."""
POINTS: Final = 8.5
"""Size of letters."""

_RC: Final[dict[str, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.labelcolor": MUTED,
    "axes.labelpad": 6.0,
    "axes.labelsize": POINTS,
    "axes.linewidth": 0.8,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": POINTS,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": POINTS,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.fontsize": POINTS,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": POINTS - 0.5,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
    "ytick.labelsize": POINTS,
    "ytick.major.pad": 5,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@contextmanager
def drawing(salt: str) -> Iterator[None]:
    """Within it matplotlib draws as here, whatever a user's settings are. salt: of the identifiers in an SVG."""
    import warnings  # noqa: PLC0415

    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box in the PNG; SVG has the text
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _RC | {"svg.hashsalt": salt}))
        yield


def figure(width_in: float, height_in: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many axes, one above the other with one x."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.04)
    drawn = Figure(figsize=(width_in, height_in), layout=layout)
    grid = drawn.subplots(rows, 1, sharex=True, squeeze=False)
    return drawn, list(grid[:, 0])


def tall(rows: int, row_in: float = 0.25, frame_in: float = 0.75) -> float:
    """Height in inches of a plot with so many rows."""
    return max(1, rows) * row_in + frame_in


def rows_of(axes: Axes, names: list[str]) -> None:
    """Name the rows of an axes, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def spread(places: list[float], gap: float) -> list[float]:
    """The same places, moved as little as needed to be at least `gap` apart; their order stays."""
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    groups: list[tuple[float, list[int]]] = []
    for index in order:
        groups.append((places[index], [index]))
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            low, high = groups.pop(-2), groups.pop()
            members = low[1] + high[1]
            groups.append((sum(places[i] for i in members) / len(members), members))
    result = list(places)
    for centre, members in groups:
        for step, index in enumerate(members):
            result[index] = centre + (step - (len(members) - 1) / 2) * gap
    return result


def _touch(low: tuple[float, list[int]], high: tuple[float, list[int]], gap: float) -> bool:
    return high[0] - low[0] < gap * (len(low[1]) + len(high[1])) / 2
