"""A column's numbers on the scale from -1 to 1 that its declared range gives: the same at every site, known beforehand.

Sums of such numbers are bounded by the number of rows, so their fixed-point scale follows from public facts alone.
With the default cap of 10^7 rows and four members a 64-bit word leaves 2^-37 of the half range as the unit of last
place of a
sum: over 1,000 rows the mean is known to 10^-13 of the half range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.encoding import Block, WordBits, finest_scale
from secured_node.data.schema import Column

WORD_BITS: WordBits = 64
"""Statistics use wide words: coefficients shall agree with a pooled fit to nine digits and more."""


@dataclass(frozen=True, slots=True)
class Unit:
    """centre, half: middle and half width of the declared range, in the column's unit."""

    centre: float
    half: float

    @classmethod
    def of(cls, column: Column) -> Unit:
        """The unit of a column; of an indicator of a level, if the column holds levels."""
        low, high = column.range
        return cls((low + high) / 2, (high - low) / 2)

    def scaled(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers on the scale from -1 to 1."""
        return (numbers - self.centre) / self.half


def count_block(name: str, length: int, rows_max: int) -> Block:
    """Counts of rows."""
    return Block(name, length, "count", float(rows_max))


def real_block(
    name: str, length: int, bound: float, members: int, *, clip: bool = False, bits: WordBits = WORD_BITS
) -> Block:
    """Real numbers of at most `bound` a site, at the finest scale that leaves headroom for all members."""
    return Block(name, length, "real", bound, finest_scale(bound, bits, members), "clip" if clip else "refuse")
