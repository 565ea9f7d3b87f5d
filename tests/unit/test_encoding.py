"""Fixed point: exact where it says exact, unbiased where it rounds, and an error instead of a wrap."""

from __future__ import annotations

import ast
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import protocols.encoding
from protocols.encoding import (
    CHUNK_VALUES,
    Block,
    EncodingError,
    Layout,
    WordBits,
    blocks_beyond,
    check_headroom,
    decode,
    encode,
    finest_scale,
)

BITS: tuple[WordBits, ...] = (32, 64)
CANARY = 1234.5678
DIGESTS = {32: "1fb89e5bb0779894", 64: "65f9ac0c6379c8e8"}
"""First 16 hexadecimal digits of the SHA-256 of the words, little-endian, of a known vector."""


class Draw:
    """Predictable random bytes."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, count: int) -> bytes:
        return self._rng.bytes(count)


def total_of(vectors: Sequence[np.ndarray[Any, Any]]) -> Any:
    total = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return total


def real(length: int, bound: float, bits: WordBits, members: int, over: Any = "refuse") -> Layout:
    return Layout((Block("x", length, "real", bound, finest_scale(bound, bits, members), over),))


@st.composite
def federations(draw: st.DrawFn) -> tuple[WordBits, float, list[list[float]]]:
    bits: WordBits = draw(st.sampled_from(BITS))
    bound = draw(st.floats(1e-12, 1e12))
    length, members = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    number = st.floats(-bound, bound)
    rows = st.lists(st.lists(number, min_size=length, max_size=length), min_size=members, max_size=members)
    return bits, bound, draw(rows)


@given(federations(), st.integers(0, 2**32))
def test_sums_decode_to_sums_within_the_stated_error(
    federation: tuple[WordBits, float, list[list[float]]], seed: int
) -> None:
    bits, bound, rows = federation
    members = len(rows)
    layout = real(len(rows[0]), bound, bits, members)
    draw = Draw(seed)
    total = total_of([encode({"x": np.array(row)}, layout, bits, members, draw) for row in rows])
    found = decode(total, layout, bits)["x"]
    exact = np.array([math.fsum(column) for column in zip(*rows, strict=True)])
    # Each member rounds by less than one unit; the last term is the double's own rounding of a sum.
    allowed = members / layout.blocks[0].scale + np.spacing(members * bound)
    assert np.all(np.abs(found - exact) <= allowed)
    assert blocks_beyond(total, layout, bits, members) == ()


@given(st.sampled_from(BITS), st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20))
def test_counts_are_exact(bits: WordBits, counts: list[int]) -> None:
    layout = Layout((Block("n", 1, "count", 10_000_000.0), Block("x", 1, "real", 1.0, 2.0**20)))
    draw = Draw(0)
    vectors = [
        encode({"n": np.array([count]), "x": np.array([0.5])}, layout, bits, len(counts), draw) for count in counts
    ]
    sums = decode(total_of(vectors), layout, bits)
    assert sums["n"].dtype == np.int64
    assert sums["n"][0] == sum(counts)
    assert sums["x"][0] == 0.5 * len(counts)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("value", [0.25, -0.25, 0.9, -0.001, 12345.75, -(2.0**28) + 0.5])
def test_rounding_is_unbiased(bits: WordBits, value: float) -> None:
    count = 400_000
    layout = Layout((Block("x", count, "real", 2.0**29, 1.0),))
    found = decode(encode({"x": np.full(count, value)}, layout, bits, 1, Draw(7)), layout, bits)["x"]
    fraction = value - math.floor(value)
    assert set(np.unique(found)) <= {math.floor(value), math.floor(value) + 1}
    # Five standard deviations of a mean of coin throws.
    assert abs(found.mean() - value) < 5 * math.sqrt(fraction * (1 - fraction) / count)


def test_rounding_of_large_numbers_is_unbiased_too() -> None:
    """Just below 2^52 a double has one bit of fraction: adding a uniform number there would itself be rounded."""
    count, value = 100_000, 2.0**51 + 0.5
    layout = Layout((Block("x", count, "real", 2.0**52, 1.0),))
    found = decode(encode({"x": np.full(count, value)}, layout, 64, 1, Draw(3)), layout, 64)["x"]
    assert abs((found - 2.0**51).mean() - 0.5) < 5 * 0.5 / math.sqrt(count)


@given(st.integers(-(2**30), 2**30))
def test_whole_numbers_are_not_changed_by_rounding(number: int) -> None:
    layout = Layout((Block("x", 1, "real", 2.0**30, 1.0),))
    assert decode(encode({"x": np.array([float(number)])}, layout, 32, 1, Draw(0)), layout, 32)["x"][0] == number


@given(st.floats(1e-100, 1e100), st.sampled_from(BITS), st.integers(1, 10_000))
def test_finest_scale_fits_and_twice_as_fine_does_not(bound: float, bits: WordBits, members: int) -> None:
    scale = finest_scale(bound, bits, members)
    check_headroom(Layout((Block("x", 1, "real", bound, scale),)), bits, members)
    if scale < 2.0**512:
        with pytest.raises(EncodingError):
            check_headroom(Layout((Block("x", 1, "real", bound, 2 * scale),)), bits, members)


@given(st.sampled_from(BITS), st.integers(1, 1000))
def test_the_extremes_of_all_members_do_not_wrap(bits: WordBits, members: int) -> None:
    bound = 3.7
    layout = real(2, bound, bits, members)
    vector = encode({"x": np.array([bound, -bound])}, layout, bits, members, Draw(1))
    total = vector * vector.dtype.type(members)  # modulo 2^bits
    found = decode(total, layout, bits)["x"]
    assert np.allclose(found, [members * bound, -members * bound], rtol=0, atol=members / layout.blocks[0].scale)


@pytest.mark.parametrize("bits", BITS)
def test_fixed_point_overflow(bits: WordBits) -> None:
    """security-cases.md: refused before anything is encoded, in words that the owner of the job understands."""
    room = 2 ** (bits - 1) - 1
    layout = Layout((Block("weights", 1, "real", float(2 ** (bits - 4)), 1.0),))
    check_headroom(layout, bits, 7)
    with pytest.raises(EncodingError, match=r"block 'weights': 8 members .* overflow") as caught:
        encode({"weights": np.array([CANARY])}, layout, bits, 8, Draw(0))
    assert caught.value.block == "weights"
    assert 8 * layout.blocks[0].words_max > room


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("over", ["refuse", "clip"])
@pytest.mark.parametrize("at", [0, CHUNK_VALUES + 1])
def test_nan_inf_update(bad: float, over: str, at: int) -> None:
    """security-cases.md: the block is named, the value is not."""
    values = np.full(CHUNK_VALUES + 2, CANARY)
    values[at] = bad
    layout = real(len(values), 1e4, 64, 4, over)
    with pytest.raises(EncodingError, match=r"block 'x': .*not finite") as caught:
        encode({"x": values}, layout, 64, 4, Draw(0))
    assert "1234" not in str(caught.value)


def test_beyond_the_bound_is_refused_or_clipped_as_the_block_says() -> None:
    values = {"x": np.array([5.0, -5.0, 1.0, 1e300])}
    with pytest.raises(EncodingError, match="beyond the bound of 2 "):
        encode(values, real(4, 2.0, 64, 3), 64, 3, Draw(0))
    clipped = real(4, 2.0, 64, 3, "clip")
    assert decode(encode(values, clipped, 64, 3, Draw(0)), clipped, 64)["x"].tolist() == [2.0, -2.0, 1.0, 2.0]
    assert values["x"].tolist() == [5.0, -5.0, 1.0, 1e300], "the caller's array is not touched"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": np.array([-1])}, "below 0 or above 10"),
        ({"n": np.array([11])}, "below 0 or above 10"),
        ({"n": np.array([1.0])}, "1 integers"),
        ({"n": np.array([1, 2])}, "1 integers"),
        ({"n": np.array([[1]])}, "one dimension"),
        ({"m": np.array([1])}, "not those of the layout"),
        ({}, "not those of the layout"),
    ],
)
def test_vectors_that_do_not_fit_the_layout(values: dict[str, Any], message: str) -> None:
    layout = Layout((Block("n", 1, "count", 10.0),))
    with pytest.raises(EncodingError, match=message):
        encode(values, layout, 64, 3, Draw(0))


def test_garbage_vector() -> None:
    """security-cases.md: a coordinate that no honest sum can have names its block; another length is refused."""
    layout = Layout((Block("n", 2, "count", 10.0), Block("x", 1, "real", 1.0, 2.0**10)))
    honest = np.array([30, 0, 3 * 2**10], np.uint64)
    assert layout.words_max == 2**10
    assert blocks_beyond(honest, layout, 64, 3) == ()
    assert blocks_beyond(honest + np.array([1, 0, 0], np.uint64), layout, 64, 3) == ("n",)
    assert blocks_beyond(np.array([0, 0, 2**64 - 3 * 2**10 - 1], np.uint64), layout, 64, 3) == ("x",)
    for wrong in (honest[:2], honest.astype(np.uint32)):
        with pytest.raises(EncodingError, match="unsigned words of 64 bits"):
            decode(wrong, layout, 64)


@pytest.mark.parametrize(
    "arguments",
    [
        ("", 1, "real", 1.0),
        ("x", 0, "real", 1.0),
        ("x", 1, "real", 0.0),
        ("x", 1, "real", math.inf),
        ("x", 1, "real", math.nan),
        ("x", 1, "real", 1.0, 3.0),
        ("x", 1, "real", 1.0, 0.0),
        ("x", 1, "real", 1.0, 2.0**600),
        ("x", 1, "count", 1.5),
        ("x", 1, "count", 2.0, 2.0),
    ],
)
def test_impossible_blocks(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(EncodingError):
        Block(*arguments)


def test_impossible_layouts() -> None:
    block = Block("x", 1, "real", 1.0)
    huge = Block("y", 2**31, "real", 1.0)
    for blocks in ((), (block, block), (block, huge)):
        with pytest.raises(EncodingError):
            Layout(blocks)


def test_float32_is_read_as_it_is() -> None:
    values = np.array([1e30, -2.5, 0.0], np.float32)
    layout = real(3, 2e30, 64, 5)
    found = decode(encode({"x": values}, layout, 64, 5, Draw(0)), layout, 64)["x"]
    assert np.allclose(found, values.astype(np.float64), rtol=0, atol=1 / layout.blocks[0].scale)


@pytest.mark.parametrize("bits", BITS)
def test_the_same_draw_gives_the_same_words(bits: WordBits) -> None:
    """Fixes the format: these digests change only with the encoding."""
    layout = Layout((Block("x", CHUNK_VALUES + 5, "real", 1.0, 2.0**20),))
    values = {"x": np.arange(CHUNK_VALUES + 5) * 7919 % 20011 / 10006 - 1}
    words = encode(values, layout, bits, 4, lambda count: bytes(range(count)))
    assert np.array_equal(words, encode(values, layout, bits, 4, lambda count: bytes(range(count))))
    assert not np.array_equal(words, encode(values, layout, bits, 4, Draw(1)))
    little_endian = words.astype(f"<u{bits // 8}").tobytes()
    assert hashlib.sha256(little_endian).hexdigest().startswith(DIGESTS[bits])


def test_encoding_is_pure() -> None:
    tree = ast.parse(Path(protocols.encoding.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    forbidden = {"asyncio", "socket", "time", "random", "secrets", "pathlib", "datetime", "threading", "os"}
    assert not {name.split(".")[0] for name in imported} & forbidden
