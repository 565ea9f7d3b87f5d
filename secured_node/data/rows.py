"""Numbers of rows as others may learn them: whoever picks what they are compared with could else find them exactly."""

from __future__ import annotations

from typing import Final

ROWS_MIN: Final = 10
"""Sums over fewer rows of a site say too much of each of them."""

ROWS_STEP_MIN: Final = 10
"""Rows are never published more finely than this."""


def published_rows(rows: int) -> int:
    """The number of rows that others are told: two significant digits, never finer than tens, halves upwards.

    303 becomes 300, 117 becomes 120, 1,234 becomes 1,200, 8 becomes 10, 4 becomes 0. One patient more or less shows
    only at the border between two steps.
    """
    step = _step(rows)
    return (rows + step // 2) // step * step


def most_rows(published: int) -> int:
    """The largest number of rows that is published as this one: 1,249 for 1,200."""
    return published + _step(published) // 2 - 1


def too_few(rows: int, min_rows: int, floor: int, *, noisy: bool) -> bool:
    """Whether a site with so many rows refuses a job that wants `min_rows` of them.

    min_rows: the job's, so its author's choice: compared with the published number alone, since many jobs would else
    find the exact one. floor: the site's own, one number for all jobs: exact sums keep it exactly, which tells each
    time the same. With noise, which hides a single row, nothing is compared exactly.
    """
    if noisy:
        return published_rows(rows) < min_rows
    return rows < floor or (min_rows > floor and published_rows(rows) < min_rows)


def _step(rows: int) -> int:
    return max(ROWS_STEP_MIN, int(10 ** max(0, len(str(rows)) - 2)))
