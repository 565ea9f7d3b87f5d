"""Axes of seconds and of bytes: one unit for all ticks, as few digits as tell them apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Units = tuple[tuple[float, str], ...]
SECONDS: Final[Units] = ((1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86_400.0, "days"))
BYTES: Final[Units] = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
ENOUGH: Final = 2.0
"""A unit is used from so many of it on."""


def unit_of(largest: float, units: Units) -> tuple[float, str]:
    """The unit for an axis that goes so far."""
    fitting = [unit for unit in units if abs(largest) >= ENOUGH * unit[0]]
    return fitting[-1] if fitting else units[0]


def tick_texts(ticks: Sequence[float], units: Units) -> list[str]:
    """The ticks in one unit."""
    size, name = unit_of(max(map(abs, ticks), default=0.0), units)
    steps = [abs(b - a) / size for a, b in itertools.pairwise(ticks) if b != a]
    digits = max(0, math.ceil(-math.log10(min(steps)) - 1e-9)) if steps else 0
    if steps and any(abs(tick / size - round(tick / size, digits)) > 0.01 * min(steps) for tick in ticks):
        digits += 1  # steps of 1.5, or of 0.25
    return [f"{tick / size:,.{digits}f} {name}" if tick else "0" for tick in ticks]


def unit_axis(axes: Axes, letter: str, units: Units) -> None:
    """Write the ticks of the x or y axis in units, at round numbers of them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415

    class Ticks(MaxNLocator):
        def tick_values(self, vmin: float, vmax: float) -> Any:
            size, _ = unit_of(max(abs(vmin), abs(vmax)), units)
            return [tick * size for tick in super().tick_values(vmin / size, vmax / size)]

    class Texts(FuncFormatter):
        def format_ticks(self, values: Any) -> list[str]:
            return tick_texts([float(value) for value in values], units)

    axis = axes.xaxis if letter == "x" else axes.yaxis
    axis.set_major_locator(Ticks(5))
    axis.set_major_formatter(Texts(lambda value, _: tick_texts([value], units)[0]))
