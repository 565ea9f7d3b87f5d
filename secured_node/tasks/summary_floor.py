"""What of a site's rows an exact `summary` may sum: no column and no level of which the site has only a few.

A column of numbers of which a site has some values, but fewer than its floor, counts as missing there. So does a level
that few rows have; and since what is left of a column tells of what is not, further levels, the smallest first, until
those withheld together reach the floor or none is left. Cells are withheld before anything is counted: sums, counts and
numbers of rows agree with each other, and a site that withholds looks in the sum like one that has nothing. What is
withheld depends on the column and the site's floor alone, not on the job: no two jobs' sums of a column differ by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secured_node.data.schema import Column, Schema
from secured_node.data.table import Table


@dataclass(frozen=True, slots=True)
class Released:
    """A table without what is withheld, and the names of that: ``viral``, ``stage=four``."""

    table: Table
    withheld: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, schema: Schema) -> Released:
        """What of a table may be summed, of the columns in the schema; the floor is `Table.least`."""
        columns = dict(table.columns)
        withheld: list[str] = []
        for name, column in schema.columns.items():
            cells = table.columns[name]
            if column.choices:
                levels = _levels_withheld(cells, column, table.least)
                hidden = np.isin(cells, levels)
                withheld += [f"{name}={column.choices[level]}" for level in levels]
            else:
                hidden = ~table.missing(name)
                few = int(hidden.sum()) < table.least
                withheld += [name] if few and hidden.any() else []
                hidden &= few
            columns[name] = np.where(hidden, -1 if column.choices else np.nan, cells).astype(cells.dtype)
        return cls(replace(table, columns=columns), tuple(withheld))


def _levels_withheld(codes: NDArray[Any], column: Column, least: int) -> list[int]:
    """Positions of the levels that a site withholds."""
    counts = np.bincount(codes + 1, minlength=len(column.choices) + 1)[1:]
    order = [int(level) for level in np.argsort(counts, kind="stable") if counts[level]]
    if not order or counts[order[0]] >= least:
        return []
    withheld: list[int] = []
    for level in order:
        if counts[level] >= least and counts[withheld].sum() >= least:
            break
        withheld.append(level)
    return sorted(withheld)
