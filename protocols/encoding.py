"""Fixed point in Z_2^w: how a site's numbers become words that can be masked and added, and how a sum is read back.

Rules.

1. A `Layout` says what a vector is made of: named blocks, each with a length, a kind, a bound and a scale. It is a
   function of public job state alone, so every node has the same one, and a sum can be read only through it.
2. A value v becomes the integer v * scale (two's complement, modulo 2^w). Scales are powers of two: scaling is then
   exact in binary floating point, and all that is lost is lost in the rounding.
3. Rounding is stochastic and unbiased: x becomes floor(x) + 1 with probability x - floor(x), else floor(x). The error
   of one contribution is below 1/scale, its expectation zero (to 2^-32 / scale), and the errors of different members
   are independent. Connolly, Higham and Mary, "Stochastic rounding and its probabilistic backward error analysis",
   SIAM J. Sci. Comput. 43 (2021), section 2, mode 1.
4. Headroom comes first: n members * (ceil(bound * scale) + noise) must fit into the signed range of the word. It is
   checked before anything is encoded, so a sum never wraps; a sum beyond that is then proof of garbage
   (`blocks_beyond`).
5. Counts are exact: scale 1, no rounding. NaN and infinity are refused. No error ever holds a value.

What this cannot express: values whose sizes differ by more than the word inside one block (give them two blocks), and
products of encoded numbers (sums are all that is ever computed on words).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from protocols.core import Draw
from protocols.errors import LocalError

WordBits = Literal[32, 64]
"""Bits of a word. 32 for models and small statistics, 64 where sums must be as good as doubles."""

Words = NDArray[np.uint32] | NDArray[np.uint64]
"""An encoded vector, in the machine's byte order; on the wire it is little-endian."""

CHUNK_VALUES = 1 << 15
"""Values rounded at a time: three buffers of 256 KiB stay in a core's second-level cache (measured best)."""

SCALE_EXPONENT_MAX = 512
"""Scales lie in 2^-512 .. 2^512: far beyond need, and neither a scale nor its inverse can leave a double's range."""

BLOCKS_MAX = 4096
"""Named blocks in a layout: a model has a few hundred tensors; more is a mistake."""

LAYOUT_WORDS_MAX = 1 << 30
"""Words in a vector: 8 GiB of 64-bit words, above what a node could hold."""


class EncodingError(LocalError):
    """A vector cannot be encoded or read. `block` names the block at fault; the text never holds a value."""

    def __init__(self, block: str, detail: str) -> None:
        super().__init__(f"block '{block}': {detail}" if block else detail)
        self.block = block


@dataclass(frozen=True, slots=True)
class Block:
    """A run of numbers of one kind.

    name: unique in its layout.
    length: how many numbers.
    kind: ``count`` for integers from 0 to the bound, exact; ``real`` for everything else, rounded to 1/scale.
    bound: the largest absolute value that one site may contribute, in the block's own unit; public.
    scale: words per unit, a power of two; 1 for counts. `finest_scale` gives the best one.
    over: what happens to a finite real value beyond the bound: ``refuse`` (statistics) or ``clip`` (training).
    noise_max: the largest absolute value of the noise that one site adds to a word (`privacy.plan`); 0: none is added.
    """

    name: str
    length: int
    kind: Literal["count", "real"]
    bound: float
    scale: float = 1.0
    over: Literal["refuse", "clip"] = "refuse"
    noise_max: int = 0

    def __post_init__(self) -> None:
        if not self.name or self.length < 1:
            raise EncodingError(self.name, "a block needs a name and a length of at least 1")
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise EncodingError(self.name, "the bound must be a finite number above 0")
        mantissa, exponent = math.frexp(self.scale)
        if mantissa != 0.5 or abs(exponent - 1) > SCALE_EXPONENT_MAX:
            raise EncodingError(self.name, "the scale must be a power of two from 2^-512 to 2^512")
        if self.kind == "count" and (self.scale != 1 or not float(self.bound).is_integer()):
            raise EncodingError(self.name, "counts have scale 1 and a whole number as their bound")

    @property
    def words_max(self) -> int:
        """The largest absolute value of one site's word; rounding and noise cannot go beyond it."""
        return math.ceil(self.bound * self.scale) + self.noise_max


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of a vector, in their order. The same on every node of a job."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if not names or len(names) > BLOCKS_MAX or len(set(names)) != len(names):
            raise EncodingError("", f"a layout has 1 to {BLOCKS_MAX} blocks, each with a name of its own")
        if self.length > LAYOUT_WORDS_MAX:
            raise EncodingError("", f"a vector has at most {LAYOUT_WORDS_MAX} words, this layout has {self.length}")

    @property
    def length(self) -> int:
        """Words in a vector of this layout."""
        return sum(block.length for block in self.blocks)

    @property
    def words_max(self) -> int:
        """The largest absolute value of any word of one site's vector."""
        return max(block.words_max for block in self.blocks)


def finest_scale(bound: float, word_bits: WordBits, members: int) -> float:
    """The largest power of two with which `members` values of at most `bound` still fit into a signed word.

    Raises `EncodingError` if even the coarsest scale does not do.
    """
    if not (math.isfinite(bound) and bound > 0) or members < 1:
        raise EncodingError("", "a scale needs a finite bound above 0 and at least one member")
    room = 2 ** (word_bits - 1) - 1
    exponent = min(word_bits - math.frexp(bound)[1] - members.bit_length() + 1, SCALE_EXPONENT_MAX)
    while exponent >= -SCALE_EXPONENT_MAX and members * math.ceil(math.ldexp(bound, exponent)) > room:
        exponent -= 1
    if exponent < -SCALE_EXPONENT_MAX:
        raise EncodingError("", "no scale is coarse enough for this bound and so many members")
    return math.ldexp(1.0, exponent)


def check_headroom(layout: Layout, word_bits: WordBits, members: int) -> None:
    """Raise `EncodingError` if the sum of `members` vectors of this layout could leave the signed range of a word."""
    if members < 1:
        raise EncodingError("", "a sum has at least one member")
    room = 2 ** (word_bits - 1) - 1
    for block in layout.blocks:
        if members * block.words_max > room:
            raise EncodingError(
                block.name,
                f"{members} members with a bound of {block.bound:g} at scale {block.scale:g} overflow "
                f"{word_bits}-bit words: take 64-bit words, a lower bound or a coarser scale",
            )


def encode(values: Mapping[str, NDArray[Any]], layout: Layout, word_bits: WordBits, members: int, draw: Draw) -> Words:
    """One site's vector as words, modulo 2^word_bits.

    values: an array of shape (length,) for each block, float32 or float64 for ``real``, any integer type for ``count``.
    members: how many vectors will be added up; decides the headroom.
    draw: gives 32 random bytes, the key of the rounding's AES-256-CTR stream. A vector is encoded once and kept: drawn
    again, it would come out different, and the difference would tell of the fractions.

    Raises `EncodingError`: no headroom, blocks missing or of another shape or type, NaN or infinity, a count or a
    refusing block's value beyond its bound.
    """
    check_headroom(layout, word_bits, members)
    if set(values) != {block.name for block in layout.blocks}:
        raise EncodingError("", "the vector's blocks are not those of the layout")
    signed = np.empty(layout.length, f"i{word_bits // 8}")
    rounding = _Rounding(draw(32), min(CHUNK_VALUES, layout.length))
    at = 0
    for block in layout.blocks:
        array = _checked(values[block.name], block)
        out = signed[at : at + block.length]
        if block.kind == "count":
            _encode_counts(array, block, out)
        else:
            rounding.encode(array, block, out)
        at += block.length
    return signed.view(f"u{word_bits // 8}")


def decode(total: Words, layout: Layout, word_bits: WordBits) -> dict[str, NDArray[Any]]:
    """The sum of encoded vectors, by block: int64 for ``count``, float64 for ``real`` (error: see rule 3)."""
    signed = _signed(total, layout, word_bits)
    sums: dict[str, NDArray[Any]] = {}
    at = 0
    for block in layout.blocks:
        part = signed[at : at + block.length]
        if block.kind == "count":
            sums[block.name] = part.astype(np.int64)
        else:
            sums[block.name] = np.multiply(part, 1 / block.scale, dtype=np.float64)
        at += block.length
    return sums


def blocks_beyond(total: Words, layout: Layout, word_bits: WordBits, members: int) -> tuple[str, ...]:
    """The blocks with a coordinate that no sum of `members` honest vectors can have: proof of garbage."""
    signed = _signed(total, layout, word_bits)
    beyond = []
    at = 0
    for block in layout.blocks:
        part = signed[at : at + block.length]
        limit = members * block.words_max
        if int(part.max()) > limit or int(part.min()) < -limit:
            beyond.append(block.name)
        at += block.length
    return tuple(beyond)


class _Rounding:
    """Stochastic rounding with buffers and keystream that serve all blocks of one vector."""

    def __init__(self, key: bytes, chunk: int) -> None:
        # The key serves this one vector, so the counter may start at zero.
        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._zeros = bytes(4 * chunk)
        self._bits = np.empty(chunk, np.uint32)
        self._fraction, self._whole, self._uniform = (np.empty(chunk) for _ in range(3))

    def encode(self, array: NDArray[Any], block: Block, out: NDArray[Any]) -> None:
        """Check or clip, scale, round, and write to `out`, chunk by chunk and without a copy of the whole."""
        chunk = len(self._bits)
        for start in range(0, block.length, chunk):
            part = _within(array[start : start + chunk], block)
            scaled = self._fraction[: len(part)]
            np.multiply(part, block.scale, out=scaled, dtype=np.float64)  # float32 is widened first
            self._round(scaled, out[start : start + chunk])

    def _round(self, scaled: NDArray[np.float64], out: NDArray[Any]) -> None:
        count = len(scaled)
        whole, uniform = self._whole[:count], self._uniform[:count]
        self._stream.update_into(self._zeros[: 4 * count], self._bits[:count].data.cast("B"))
        # Splitting first keeps this exact: `scaled + uniform` would itself be rounded, with a bias, beyond 2^20 or so.
        np.floor(scaled, out=whole)
        np.subtract(scaled, whole, out=scaled)
        np.multiply(self._bits[:count], 2.0**-32, out=uniform)
        np.subtract(scaled, uniform, out=scaled)
        np.ceil(scaled, out=scaled)  # 1 where the fraction is above the uniform number, else 0
        np.add(whole, scaled, out=whole)
        out[...] = whole


def _within(part: NDArray[Any], block: Block) -> NDArray[Any]:
    """The values, none beyond the block's bound."""
    low, high = float(part.min()), float(part.max())  # a NaN anywhere makes both NaN
    if -block.bound <= low and high <= block.bound:
        return part
    if not (math.isfinite(low) and math.isfinite(high)):
        raise EncodingError(block.name, "it holds a number that is not finite (NaN or infinity)")
    if block.over == "refuse":
        raise EncodingError(block.name, f"a number is beyond the bound of {block.bound:g} that the job sets for a site")
    return np.clip(part.astype(np.float64), -block.bound, block.bound)


def _encode_counts(array: NDArray[Any], block: Block, out: NDArray[Any]) -> None:
    if int(array.min()) < 0 or int(array.max()) > block.words_max:
        raise EncodingError(block.name, f"a count is below 0 or above {block.words_max}, the job's bound for a site")
    out[...] = array


def _checked(array: NDArray[Any], block: Block) -> NDArray[Any]:
    kinds = "iu" if block.kind == "count" else "f"
    if array.shape != (block.length,) or array.dtype.kind not in kinds:
        wanted = "integers" if block.kind == "count" else "floating-point numbers"
        raise EncodingError(block.name, f"it must be {block.length} {wanted} in one dimension")
    return array


def _signed(total: Words, layout: Layout, word_bits: WordBits) -> NDArray[Any]:
    if total.dtype != f"u{word_bits // 8}" or total.shape != (layout.length,):
        raise EncodingError("", f"a sum of this layout is {layout.length} unsigned words of {word_bits} bits")
    return total.view(f"i{word_bits // 8}")
