"""A vector of pseudo-random numbers, summed: for measuring what a round costs. It reads no data.

All members put in the same vector, made from a formula when the worker opens the job and so before any clock starts.
Its sum is therefore known, and a sample of it is checked. With noise the whole vector counts as one record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.encoding import Block, Layout, WordBits, finest_scale
from protocols.privacy.plan import Clipped
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import Result, ResultTable, State, Sums, Task, Unit, Values

LENGTH_MAX = 1 << 28
"""Numbers in a vector: 2 GiB of doubles, what a worker can hold a few times."""

SAMPLE = 1 << 16
"""Coordinates of a sum that are checked: enough to see any fault of a whole segment, too few to be felt."""

MULTIPLIER = np.uint32(2_654_435_761)
"""Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4): 2^32 / golden ratio."""


class BenchParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """length: numbers in the vector. word_bits: of the words. rounds: how often it is summed."""

    length: Annotated[int, msgspec.Meta(ge=1, le=LENGTH_MAX)]
    word_bits: Literal[32, 64] = 32
    rounds: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1


class BenchState(State, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """rounds_done: sums so far. error_max: the largest difference from the known sum that the samples showed."""

    parameters: BenchParameters
    rounds_done: int = 0
    error_max: float = 0.0


class Bench(Task[BenchParameters, BenchState, NDArray[np.float64]]):
    """See the module."""

    name = "bench"
    parameters_type = BenchParameters
    state_type = BenchState
    uses_data = False

    def word_bits(self, parameters: BenchParameters) -> WordBits:
        return parameters.word_bits

    def columns(self, parameters: BenchParameters) -> tuple[str, ...]:
        return ()

    def rounds_max(self, parameters: BenchParameters) -> int:
        return parameters.rounds

    def start(self, parameters: BenchParameters, schema: Schema | None, members: int) -> BenchState:
        return BenchState(members=members, parameters=parameters)

    def layout(self, state: BenchState) -> Layout:
        scale = finest_scale(1.0, state.parameters.word_bits, state.members)
        return Layout((Block("vector", state.parameters.length, "real", 1.0, scale),))

    def prepare(self, state: BenchState, table: Table | None) -> NDArray[np.float64]:
        return vector(np.arange(state.parameters.length, dtype=np.uint32))

    def local(self, state: BenchState, prepared: NDArray[np.float64]) -> Values:
        return {"vector": prepared}

    def update(self, state: BenchState, sums: Sums) -> BenchState:
        stride = max(1, state.parameters.length // SAMPLE)
        expected = state.members * vector(np.arange(0, state.parameters.length, stride, dtype=np.uint32))
        error = float(np.abs(sums["vector"][::stride] - expected).max())
        return msgspec.structs.replace(state, rounds_done=state.rounds_done + 1, error_max=max(state.error_max, error))

    def done(self, state: BenchState) -> bool:
        return state.rounds_done >= state.parameters.rounds

    def noisy_rounds(self, parameters: BenchParameters, unit: Unit) -> int:
        return parameters.rounds

    def records_max(self, state: BenchState) -> int:
        return 1

    def clipped(self, state: BenchState) -> tuple[Clipped, ...]:
        length = state.parameters.length
        return (Clipped("vector", length, math.sqrt(length), 1.0, largest=1.0),)

    def contributions(self, state: BenchState, prepared: NDArray[np.float64]) -> Iterator[Values]:
        yield {"vector": prepared[np.newaxis]}

    def result(self, state: BenchState) -> Result:
        parameters = state.parameters
        block = (self.layout(state) if state.noise is None else self.plan(state, parameters.word_bits).layout).blocks[0]
        allowed = state.members * (1 + block.noise_max) / block.scale  # each member's rounding error is below 1 / scale
        data: dict[str, str | int | float] = {
            "task": self.name,
            "length": parameters.length,
            "word_bits": parameters.word_bits,
            "rounds": state.rounds_done,
            "error_max": state.error_max,
            "error_allowed": allowed,
        }
        table = ResultTable("Bench", tuple(data)[1:], (tuple(data.values())[1:],))
        problem = "" if state.error_max <= allowed else "the sum is not that of the members' vectors"
        return Result(data, (table,), problem=problem)


def vector(indices: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The numbers at these positions of the vector: in -1 .. 1, all bits in use, the same on every machine."""
    return (indices * MULTIPLIER).astype(np.float64) * 2.0**-31 - 1.0
