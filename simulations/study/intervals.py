"""Means over repetitions with confidence intervals: Student's t, since repetitions are few.

The repetitions draw divisions, test rows and faults anew from the same patients: the intervals tell how much a figure
depends on those, not how it would be with other patients.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from secured_node.tasks.distributions import t_quantile
from simulations.study.result import Interval


def interval(values: Iterable[float | None], confidence: float) -> Interval:
    """Of the values that are known."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return Interval(mean=None, low=None, high=None, deviation=None, n=0)
    mean = statistics.fmean(known)
    if len(known) < 2:
        return Interval(mean=mean, low=None, high=None, deviation=None, n=1)
    deviation = statistics.stdev(known)
    half = t_quantile(confidence, len(known) - 1.0) * deviation / math.sqrt(len(known))
    return Interval(mean=mean, low=mean - half, high=mean + half, deviation=deviation, n=len(known))
