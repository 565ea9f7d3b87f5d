"""The course of a job: what every node makes of parameters, schema and sums, and one site's vectors along it.

Rules.
- The state after the sums of rounds 1 to r depends on parameters, schema, number of members and those sums alone.
  Whoever follows the same sums, a worker that was opened anew or a simulator, has the same state.
- A successor job's course begins with the sums of the jobs that it continues, each with that job's number of members;
  rounds are counted on. At each change the task says what it takes over (`Task.go_on`).
- A vector is made once for a round (its rounding and its noise are random); who keeps it is the caller's affair.
- With noise, the task hands over its records one by one; what bounds their weight, and the noise, is added here.

The worker follows a course behind its walls, the simulator many of them in one process: it is the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np

from protocols.core import Draw
from protocols.encoding import Layout, WordBits, Words, blocks_beyond, check_headroom, decode, encode
from protocols.privacy.accounting import epsilon_of
from protocols.privacy.plan import encode_noisy
from secured_node.data.errors import DataError
from secured_node.data.rows import too_few
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks import find_task
from secured_node.tasks.base import MIN_ROWS_DEFAULT, Cell, Noise, Result, ResultTable, Task, TooFewRowsError

LAYOUT_HAS_NO_SUM = "the sum is not one that honest sites' vectors can have"


class Course:
    """A job as all its nodes see it.

    task: what is computed. bits: of the words. members: vectors in each sum, now. noise: None for exact sums.
    rounds_max: the largest number of sums that the job can take. state: the task's, after `rounds_done` sums.
    """

    def __init__(
        self,
        task: str,
        raw: Mapping[str, Any],
        schema: Schema | None,
        members: int,
        noise: Noise | None = None,
        min_rows: int = MIN_ROWS_DEFAULT,
        before: Sequence[tuple[int, int]] = (),
    ) -> None:
        """The start. raw: the task's parameters as plain values. members, min_rows: of the job record. before: what it
        takes over from earlier jobs, in order: the members of each, and how many of its sums. Raises `DataError`, also
        if the task takes no such noise."""
        self.task: Task[Any, Any, Any] = find_task(task)
        self.parameters = self.task.parse(raw)
        sizes = [*(size for size, _ in before), members]
        ends = accumulate(rounds for _, rounds in before)
        self._turns = list(zip(ends, sizes[1:], strict=True))
        self._schema = schema
        self.members = sizes[0]
        self.bits: WordBits = self.task.word_bits(self.parameters)
        self._min_rows = min_rows
        self.state = self._started()
        self.rounds_max = self.task.rounds_max(self.parameters)
        self.noise = noise
        if noise is not None:
            self._begin_noise(noise)
        self.rounds_done = 0
        self._deviations: dict[str, float] = {}
        self._turn()

    def _started(self) -> Any:
        """The first state of a job with these members."""
        first = self.task.start(self.parameters, self._schema, self.members)
        return msgspec.structs.replace(first, min_rows=self._min_rows)

    def _turn(self) -> None:
        """Where the sums of one job end, those of its successor begin."""
        while self._turns and self._turns[0][0] == self.rounds_done:
            _, self.members = self._turns.pop(0)
            fresh = self._started()
            if self.noise is not None:
                fresh = self.task.with_noise(fresh, self.noise)
            self.state = self.task.go_on(self.state, fresh)

    def _begin_noise(self, noise: Noise) -> None:
        self.rounds_max = self.task.noisy_rounds(self.parameters, noise.unit)
        if self.rounds_max > noise.rounds:
            why = f"its cost is spread over {noise.rounds} sums, and its task takes {self.rounds_max}"
            raise DataError("the job's noise", why, "submit it with more rounds")
        self.state = self.task.with_noise(self.state, noise)

    @property
    def done(self) -> bool:
        """Whether the job has its result."""
        return self.task.done(self.state)

    def layout(self) -> Layout:
        """Of the coming round's vectors. Raises `EncodingError` if their sum could overflow."""
        layout = self._layout()
        check_headroom(layout, self.bits, self.members)
        return layout

    def _layout(self) -> Layout:
        noisy = self.noise is not None
        return self.task.plan(self.state, self.bits).layout if noisy else self.task.layout(self.state)

    def prepare(self, table: Table | None) -> Any:
        """What a site's vectors are made from. Raises `DataError` if it must not take part.

        A site whose floor is above min_rows has refused before (`work.computation`); others keep the lower of the two.
        """
        if table is not None:
            min_rows = self.state.min_rows
            table = replace(table, least=min(table.least, min_rows))
            if too_few(table.rows, min_rows, table.least, noisy=self.noise is not None):
                raise TooFewRowsError(min_rows, "rows")
        return self.task.prepare(self.state, table)

    def vector(self, prepared: Any, draw: Draw) -> Words:
        """A site's words for the coming round. Raises `EncodingError`, and what a task raises."""
        return make_words(self.task.name, self.task.dump(self.state), self.members, self.bits, prepared, draw(32))

    def apply(self, total: Words) -> None:
        """Take the sum of the coming round into the state. Raises `DataError` for words that are no sum of vectors."""
        layout = self._layout()
        beyond = blocks_beyond(total, layout, self.bits, self.members)
        if beyond:
            raise DataError(f"the sum of round {self.rounds_done + 1}", f"{LAYOUT_HAS_NO_SUM}: {', '.join(beyond)}")
        if self.noise is not None:
            plan = self.task.plan(self.state, self.bits)
            self._deviations = {noisy.block.name: noisy.deviation(self.members) for noisy in plan.blocks}
        self.state = self.task.update(self.state, decode(total, layout, self.bits))
        self.rounds_done += 1
        self._turn()

    def result(self) -> Result:
        """The result of a course that is done; beside it, what noise is in it."""
        result = self.task.result(self.state)
        return result if self.noise is None else _with_noise(result, self.noise, self._deviations)


def make_words(task: str, state: bytes, members: int, bits: WordBits, prepared: Any, key: bytes) -> Words:
    """One site's words for the round to which a dumped state belongs: a function of plain values, for any process.

    key: 32 random bytes for the rounding or the noise. Raises `EncodingError`, and what the task raises.
    """
    found = find_task(task)
    loaded = found.load(state)
    if loaded.noise is not None:
        return encode_noisy(found.contributions(loaded, prepared), found.plan(loaded, bits), bits, lambda _: key)
    return encode(found.local(loaded, prepared), found.layout(loaded), bits, members, lambda _: key)


def _with_noise(result: Result, noise: Noise, deviations: dict[str, float]) -> Result:
    """The result and its noise. deviations: of the last sums, by block, in the blocks' units."""
    told: dict[str, str | int | float] = {
        "hides": f"one {noise.unit}",
        "epsilon": epsilon_of(noise.rho, noise.delta),
        "delta": noise.delta,
        "rho": noise.rho,
        "sums": noise.rounds,
        "colluders": noise.colluders,
    }
    rows: list[tuple[Cell, ...]] = [
        *told.items(),
        *((f"standard deviation in '{name}'", value) for name, value in deviations.items()),
    ]
    table = ResultTable("Noise", ("figure", "value"), tuple(rows))
    data = result.data | {"noise": told | {"standard_deviations": deviations}}
    return replace(result, data=data, tables=(*result.tables, table))


def add(vectors: Sequence[Words]) -> Words:
    """The sum of vectors modulo 2^w, in the clear: for nodes' rows that may be seen together."""
    total = vectors[0].copy()
    for vector in vectors[1:]:
        np.add(total, vector, out=total)
    return total
