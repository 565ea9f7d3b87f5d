"""All plots of a report, in the order of its pages."""

from __future__ import annotations

from typing import Final

from simulations.report.plots.cost import rounds, times, traffic
from simulations.report.plots.estimates import estimates
from simulations.report.plots.events import attacks, refusals, timeline
from simulations.report.plots.learning import learning
from simulations.report.plots.models import forest, hospitals
from simulations.report.plots.plot import Drawer
from simulations.report.plots.sequence import sequence

SECTIONS: Final[tuple[tuple[str, tuple[Drawer, ...]], ...]] = (
    ("The models", (forest, hospitals, learning, estimates)),
    ("What it costs", (traffic, rounds, times)),
    ("What happened", (sequence, timeline, refusals, attacks)),
)
"""Chapters of the report and their plots."""
