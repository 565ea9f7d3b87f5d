"""One job inside the worker: the task's state, the site's prepared data, and rounds in their order.

Rules.
- `apply` counts: see `tasks.course`. A worker that is opened anew and given the same sums has the same state.
- `local` for round r + 1 is possible only in that state, and gives the same integers however often it is asked.
- What the job record says and what the task makes of it must agree (word size, rows, noise), else the job is refused.
- The daemon's order is not believed where it would make sums finer than this site allows: the floor on rows is the
  worker's own.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save

from protocols.encoding import Layout
from secured_node.data.check import read_table
from secured_node.data.errors import DataError
from secured_node.data.rows import published_rows
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course
from secured_node.work.documents import Description
from secured_node.work.failures import WorkerError
from secured_node.work.frames import Open, Opened
from secured_node.work.kept import Kept
from secured_node.work.parsing import parse_data, parse_parameters


class Computation:
    """A job. opened: what the daemon is told of it. remark: what the site's people are told, in the log; or ""."""

    def __init__(self, order: Open, description: Description, kept: Kept, rows_floor: int) -> None:
        """Parse, read the data, prepare. rows_floor: of this site, which no order can lower.

        Raises `DataError`, `EncodingError`, `WorkerError`, and what a task raises.
        """
        self._kept = kept
        self._rounds_max = order.rounds_max + sum(rounds for _, rounds in order.before)
        raw = parse_parameters(description.parameters)
        schema, mapping = parse_data(description)
        terms = _terms(order)
        course = Course(order.task, raw, schema, order.members, terms, order.min_rows, order.before)
        self._course = course
        if course.bits != order.word_bits:
            raise DataError(
                "the job",
                f"it asks for words of {order.word_bits} bits, its task for {course.bits}",
                "submit it with the task's word size",
            )
        uses_data = course.task.uses_data
        self._takes_part = order.path is not None or not uses_data
        self._prepared: Any = None
        rows = problems = 0
        table: Table | None = None
        if order.path is not None and uses_data:
            _check_floor(order.min_rows, rows_floor)
            # Before any data are opened: whether there is such a plan must depend on public facts alone.
            course.layout()
            columns = course.task.columns(course.parameters)
            table, found = read_table(Path(order.path), _need(schema), mapping, columns)
            table = replace(table, least=rows_floor)
            rows, problems = published_rows(table.rows), sum(problem.count for problem in found)
        self.remark = ""
        if self._takes_part:
            self._prepared = course.prepare(table)
            self.remark = course.task.remark(course.state, self._prepared)
        self.opened = Opened(rows, problems, course.rounds_max, course.done)

    def local(self, number: int, *, again: bool) -> tuple[memoryview, int]:
        """This site's words for the coming round, and the bound of each.

        Raises `WorkerError`: ``order`` for another round, ``lost`` if `again` is asked for and they are not kept.
        """
        self._expect(number)
        if not self._takes_part:
            raise WorkerError("order", "this node only reads along: it was opened without a data set")
        if number > self._rounds_max:
            raise WorkerError("order", f"the job allows {self._rounds_max} rounds", "submit it with more")
        layout = self._course.layout()
        words = self._kept.load(number, self._bytes(layout))
        if words is None and again:
            raise WorkerError(
                "lost",
                f"the integers of round {number} were handed over before and are not on this site's disk any more; "
                "made again they would differ, and the difference would tell of patients",
                "the job must fail; submit it again",
            )
        if words is None:
            made = self._course.vector(self._prepared, os.urandom)
            words = _bytes_of(made.astype(made.dtype.newbyteorder("<"), copy=False))
            self._kept.keep(number, words)
        return words, layout.words_max

    def _bytes(self, layout: Layout) -> int:
        return layout.length * self._course.bits // 8

    def apply(self, number: int, total: memoryview) -> bool:
        """Take a certified sum into the state; whether the task is done.

        Raises `WorkerError` for another round, and `DataError` for words that are no sum of such vectors.
        """
        self._expect(number)
        bits = self._course.bits
        if len(total) != self._bytes(self._course.layout()):
            raise WorkerError("order", f"the sum of round {number} has {len(total)} bytes, its layout another number")
        words: Any = np.frombuffer(total, f"<u{bits // 8}").view(f"u{bits // 8}")
        self._course.apply(words)
        self._kept.drop(number)
        return self._course.done

    def _expect(self, number: int) -> None:
        done = self._course.rounds_done
        if number != done + 1:
            raise WorkerError("order", f"round {number} was asked for, but {done} are done")

    def result(self) -> tuple[bytes, bytes]:
        """The result: a `ResultDocument`, and its arrays as safetensors."""
        if not self._course.done:
            raise WorkerError("order", f"the job has no result after {self._course.rounds_done} rounds")
        result = self._course.result()
        document = {"data": result.data, "tables": result.tables, "problem": result.problem}
        return msgspec.json.encode(document), save(result.arrays)


def _check_floor(min_rows: int, floor: int) -> None:
    """Not `max` of the two: what a task makes of the number must be the same at all sites."""
    if min_rows < floor:
        raise DataError(
            "the job",
            f"it is content with {min_rows} rows of a site; this site's worker wants {floor}",
            "submit it with a larger min_rows; the worker's own command line (--min-rows) sets the floor",
        )


def _terms(order: Open) -> Noise | None:
    """The noise that is ordered; its cost is spread over all rounds that the job allows."""
    noise = order.noise
    if noise is None:
        return None
    rounds = order.rounds_max
    return Noise(unit=noise.unit, rho=noise.rho, rounds=rounds, delta=noise.delta, colluders=noise.colluders)


def _need(schema: Schema | None) -> Schema:
    if schema is None:
        raise DataError("the job", "it names a data set without a schema", "register the data set again")
    return schema


def _bytes_of(words: Any) -> memoryview:
    return memoryview(words).cast("B")
