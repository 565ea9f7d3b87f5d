"""Federated means and standard deviations of a model's terms: the first round of every task that standardises.

Sums and sums of squares are taken on the public scale of the schema's ranges, where a row adds at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from protocols.encoding import Block, Layout, WordBits
from secured_node.data.schema import Schema
from secured_node.tasks.base import MIN_ROWS_DEFAULT, Sums, Values
from secured_node.tasks.glm_terms import Design, Term
from secured_node.tasks.units import WORD_BITS, Unit, count_block, real_block

SPREAD_MIN_UNITS = 1 << 10
"""A term's sum of squares about its mean must be this many units of last place a member, else it counts as constant.
With four members, 1,000 rows and the default rows_max: a standard deviation of 10^-5 of the declared half range."""

SPREAD_MIN_SHARE = 1e-12
"""And this share of what the declared range would allow: doubles hold no more of a difference of squares."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A term over the federation, in its own unit. deviation: 0 if it counts as constant."""

    centre: float
    deviation: float


def moment_blocks(terms: int, rows_max: int, members: int, bits: WordBits = WORD_BITS) -> tuple[Block, ...]:
    """``rows`` (complete, left out), ``sums`` and ``squares`` of so many terms."""
    return (
        count_block("rows", 2, rows_max),
        # + 1: a number at the end of its range may be rounded to just beyond 1.
        real_block("sums", terms, rows_max + 1.0, members, bits=bits),
        real_block("squares", terms, rows_max + 1.0, members, bits=bits),
    )


def local_moments(design: Design, units: Sequence[Unit]) -> Values:
    """A site's part: of the first `len(units)` terms of its design."""
    centres, halves = np.array([unit.centre for unit in units]), np.array([unit.half for unit in units])
    sums, squares = np.zeros(len(units)), np.zeros(len(units))
    for chunk in design.chunks():
        scaled = (chunk[:, : len(units)] - centres) / halves
        sums += scaled.sum(axis=0)
        squares += np.square(scaled).sum(axis=0)
    return {"rows": np.array([len(design.rows), design.left_out]), "sums": sums, "squares": squares}


def thin_levels(schema: Schema, terms: Sequence[Term], sums: Sums, min_rows: int) -> list[str]:
    """Levels that some rows of the federation have, but fewer than `min_rows` or ten, whichever is less.

    The next sums would hold products of such a level with all other terms: one patient's values, if it is one patient.
    """
    rows, least = int(sums["rows"][0]), min(min_rows, MIN_ROWS_DEFAULT)
    counts: dict[str, dict[str, int]] = {}
    for term, total in zip(terms, sums["sums"].tolist(), strict=True):
        if term.level:  # an indicator is 1 or -1 on the scale of its unit, and whole numbers are summed exactly
            counts.setdefault(term.column, {})[term.level] = (rows + round(total)) // 2
    for column, levels in counts.items():
        reference = next(level for level in schema.column(column).choices if level not in levels)
        levels[reference] = rows - sum(levels.values())
    return [f"'{c}={level}'" for c, levels in counts.items() for level, n in levels.items() if 0 < n < least]


def too_thin(levels: list[str]) -> str:
    """Why a job ends at such levels, in words."""
    return (
        f"{', '.join(levels)}: too few rows of the federation have this level; sums of it would tell of single rows; "
        "join levels, or leave the column out"
    )


def spreads(units: Sequence[Unit], layout: Layout, sums: Sums, members: int) -> Iterator[Spread]:
    """Each term's mean and standard deviation over all complete rows, of which there is at least one; bit-exact."""
    rows = int(sums["rows"][0])
    scale = next(block.scale for block in layout.blocks if block.name == "squares")
    noise = SPREAD_MIN_UNITS * members / scale + SPREAD_MIN_SHARE * rows
    for unit, total, square in zip(units, sums["sums"].tolist(), sums["squares"].tolist(), strict=True):
        spread = square - total * total / rows
        centre = unit.centre + unit.half * (total / rows)
        yield Spread(centre, unit.half * math.sqrt(spread / rows) if spread > noise else 0.0)
