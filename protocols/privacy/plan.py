"""From clipped records to noisy integers: how finely, with how much noise, and why that suffices.

Rules.

1. A task names the blocks of its vector as `Clipped`: of one record's part, the L2 norm at most, and the share of the
   round's cost that goes to the block. Both are public. What it then hands over is each record's part by itself;
   clipping, rounding and adding up are done here, so a task cannot be wrong about its own sensitivity, as long as a
   record's part depends on that record and public facts alone.
2. A record's part is clipped in floating point, scaled by a power of two, rounded to the nearest integer, and summed in
   integers. Rounding moves a part by half the root of its length at most, floating point by less than 2^-20 of it: with
   d numbers, one record moves the integer sum by at most `reach` = norm * scale * (1 + 2^-20) + sqrt(d) / 2. This is
   the worst case over all roundings; there is no bad luck to account for. (Summing first in floating point would not
   do: one record more changes how all others round. Casacuberta et al., "Widespread Underestimation of Sensitivity in
   Differentially Private Libraries", CCS 2022.)
3. Each member adds noise of `sigma` units, a whole number, so that the parts of n - colluders members cost the block's
   share: reach^2 / (2 (n - colluders) sigma^2) + closeness * d <= share. All n parts are in the sum; its noise has the
   variance n sigma^2 (`Noisy.deviation`).
4. The scale is the finest at which noise and sum fit into the word with all members' headroom; beyond SIGMA_BEST units
   of noise a finer one is of no use. Noise beyond TAIL sigmas is an error, never a wrap: less than once in 2^128
   numbers, and independent of the data.

All numbers follow from public facts by integer and rational arithmetic, so all members have the same plan. What this
cannot express: one norm over several blocks (give them shares in proportion to their squared norms: the noise is then
the same as under one norm), noise that depends on data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.core import Draw
from protocols.encoding import SCALE_EXPONENT_MAX, Block, EncodingError, Layout, WordBits, Words, check_headroom
from protocols.privacy.accounting import closeness
from protocols.privacy.gaussian import DiscreteGaussian

SIGMA_BEST: Final = 1 << 24
"""Units of noise beyond which a finer scale is of no use: rounding is then 2^-25 of the noise."""
SIGMA_MIN: Final = 1 << 6
"""Units of noise below which rounding would be felt, and sums of discrete Gaussians would need more than `SLACK`."""
TAIL: Final = Fraction(67, 5)
"""Noise goes beyond so many sigmas with a probability below 2 exp(-13.4^2 / 2) < 2^-128 (Canonne et al., Lemma 22)."""
SLACK: Final = Fraction(1, 1 << 20)
"""Share of the cost, and of the norm, that is set aside for `closeness`, and for floating point while clipping."""


@dataclass(frozen=True, slots=True)
class Clipped:
    """A block of a noisy vector, as a task names it.

    length: how many numbers. norm: the largest L2 norm of one record's part, in the block's unit; a larger one is
    clipped. share: of the round's cost; the shares of a vector add up to at most 1. largest: of one number of a part;
    0: as the norm.
    """

    name: str
    length: int
    norm: float
    share: float
    largest: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.norm) and self.norm > 0 and 0 <= self.largest <= self.norm and 0 < self.share <= 1):
            raise EncodingError(self.name, "a norm is finite and above 0, no number is beyond it, a share is in 0..1")


@dataclass(frozen=True, slots=True)
class Noisy:
    """A block with what its noise needs. block: how sums are read. sigma: of one member's noise, in words."""

    clipped: Clipped
    block: Block
    sigma: int

    def deviation(self, members: int) -> float:
        """The standard deviation of the noise in a sum of `members` vectors, in the block's unit."""
        return math.sqrt(members) * self.sigma / self.block.scale


@dataclass(frozen=True, slots=True)
class Plan:
    """How one round's vector becomes words. records_max: of one site; more is an error."""

    blocks: tuple[Noisy, ...]
    records_max: int

    @property
    def layout(self) -> Layout:
        """How the noisy sum is read."""
        return Layout(tuple(noisy.block for noisy in self.blocks))


def proportional(*blocks: Clipped) -> tuple[Clipped, ...]:
    """The blocks, their shares in proportion to their squared norms: each number gets the noise that one norm over all
    blocks would give it."""
    total = math.fsum(block.norm * block.norm for block in blocks) * (1 + 2.0**-40)
    return tuple(Clipped(b.name, b.length, b.norm, b.norm * b.norm / total, b.largest) for b in blocks)


def plan_noise(
    blocks: Iterable[Clipped], records_max: int, rho: Fraction, members: int, colluders: int, word_bits: WordBits
) -> Plan:
    """The plan of a round that may cost rho.

    records_max: of one site. colluders: so many members' noise may be known to each other; at least one is not.
    Raises `EncodingError`: no scale fits, or the shares are more than the whole.
    """
    clipped = tuple(blocks)
    parts = members - colluders
    if parts < 1 or rho <= 0 or records_max < 1:
        raise EncodingError("", "noise needs one honest member, a cost above 0 and room for one record")
    if sum(Fraction(block.share) for block in clipped) > 1:
        raise EncodingError("", "the shares of the blocks are more than the whole cost")
    noisy = tuple(_finest(block, records_max, rho, members, parts, word_bits) for block in clipped)
    plan = Plan(noisy, records_max)
    check_headroom(plan.layout, word_bits, members)
    return plan


def _finest(clipped: Clipped, records_max: int, rho: Fraction, members: int, parts: int, word_bits: WordBits) -> Noisy:
    share = rho * Fraction(clipped.share)
    room = 2 ** (word_bits - 1) - 1
    exponent = min(word_bits - math.frexp(clipped.norm)[1], SCALE_EXPONENT_MAX)
    while exponent > -SCALE_EXPONENT_MAX:
        sigma = sigma_units(clipped, exponent, share, parts)
        if sigma <= SIGMA_BEST:
            noisy = _at(clipped, exponent, records_max, sigma)
            if members * noisy.block.words_max <= room:
                break
        exponent -= 1
    else:
        raise EncodingError(clipped.name, "no scale is coarse enough for this norm and so many members")
    tau = closeness(sigma, parts) if sigma >= 1 else math.inf
    if sigma < SIGMA_MIN or Fraction(tau) * clipped.length > share * SLACK:
        raise EncodingError(
            clipped.name,
            f"{word_bits}-bit words leave too little room for {members} members' noise: take 64-bit words, a smaller "
            "norm, fewer rows (rows_max) or more noise",
        )
    return noisy


def reach(clipped: Clipped, exponent: int) -> int:
    """How far one record moves the integer sum at most (L2), at the scale 2^exponent. See rule 2."""
    root = math.isqrt(clipped.length - 1) + 1  # the square root, rounded up
    return math.ceil(Fraction(clipped.norm) * Fraction(2) ** exponent * (1 + SLACK)) + (root + 1) // 2


def sigma_units(clipped: Clipped, exponent: int, share: Fraction, parts: int) -> int:
    """The smallest whole sigma for which `parts` members' noise costs at most the share, but for what `SLACK` keeps."""
    square = Fraction(reach(clipped, exponent) ** 2) / (2 * share * (1 - SLACK) * parts)
    return math.isqrt(math.ceil(square) - 1) + 1


def _at(clipped: Clipped, exponent: int, records_max: int, sigma: int) -> Noisy:
    scale = math.ldexp(1.0, exponent)
    largest = clipped.largest or clipped.norm
    bound = records_max * (largest * (1 + 2.0**-20) + 1 / scale)  # + 1 unit: each record's rounding
    block = Block(clipped.name, clipped.length, "real", bound, scale, noise_max=math.ceil(sigma * TAIL))
    return Noisy(clipped, block, sigma)


def encode_noisy(records: Iterable[Mapping[str, NDArray[Any]]], plan: Plan, word_bits: WordBits, draw: Draw) -> Words:
    """One site's noisy vector as words, modulo 2^word_bits.

    records: chunks; in each, for every block, an array of shape (records, length): one record's part a row.
    draw: gives 32 random bytes, the key of the noise. A vector is made once and kept: made again, its noise would be
    another, and the mean of the two has less of it.

    Raises `EncodingError`: blocks missing or of another shape, a number that is not finite, more records than planned.
    """
    total = np.zeros(plan.layout.length, np.int64)
    seen = 0
    for chunk in records:
        seen += _add(chunk, plan, total)
        if seen > plan.records_max:
            raise EncodingError("", f"more than {plan.records_max} records, for which the bounds of the job are made")
    stream = DiscreteGaussian(draw(32))
    at = 0
    for noisy in plan.blocks:
        noise = stream.samples(noisy.sigma, noisy.block.length)
        if int(np.abs(noise).max()) > noisy.block.noise_max:
            raise EncodingError(noisy.block.name, "its noise left the room made for it, a chance of 1 in 2^128")
        total[at : at + len(noise)] += noise
        at += len(noise)
    words: Words = total.astype(f"i{word_bits // 8}").view(f"u{word_bits // 8}")
    return words


def _add(chunk: Mapping[str, NDArray[Any]], plan: Plan, total: NDArray[np.int64]) -> int:
    """Add a chunk's records to the integer sum; how many there were."""
    if set(chunk) != {noisy.block.name for noisy in plan.blocks}:
        raise EncodingError("", "the records' blocks are not those of the plan")
    counts = {len(part) for part in chunk.values()}
    if len(counts) != 1:
        raise EncodingError("", "the blocks have parts of different numbers of records")
    at = 0
    for noisy in plan.blocks:
        total[at : at + noisy.block.length] += _rounded(chunk[noisy.block.name], noisy).sum(axis=0)
        at += noisy.block.length
    return counts.pop()


def _rounded(part: NDArray[Any], noisy: Noisy) -> NDArray[np.int64]:
    """Each record's part, clipped, as integers."""
    clipped = noisy.clipped
    if part.ndim != 2 or part.shape[1] != clipped.length or part.dtype.kind not in "fiub":
        raise EncodingError(clipped.name, f"a record's part must be {clipped.length} numbers")
    part = np.ascontiguousarray(part, np.float64)  # each row is then added up alike, wherever it stands
    if not np.isfinite(part).all():
        raise EncodingError(clipped.name, "it holds a number that is not finite (NaN or infinity)")
    with np.errstate(over="ignore"):  # a norm beyond all numbers scales its part to zero, which is within the norm
        norms = np.sqrt(np.square(part).sum(axis=1, keepdims=True))
    part = part * (clipped.norm / np.maximum(norms, clipped.norm))
    largest = clipped.largest or clipped.norm
    whole: NDArray[np.int64] = np.rint(np.clip(part, -largest, largest) * noisy.block.scale).astype(np.int64)
    return whole
