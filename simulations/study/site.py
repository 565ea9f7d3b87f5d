"""A hospital of a study: the worker's part of a simulated hub, with the real tasks on the hospital's training rows.

It follows a job's course as the daemon's worker does. Its share of a round is a function of plain values
(`make_share`), so that it may be computed in another process or on a cluster; the rounding's randomness follows from
the repetition's seed, hospital, job and round, so the words do not depend on where, or in which order, they are made.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from protocols.encoding import WordBits, Words
from protocols.errors import LocalError
from protocols.job.job import Job
from protocols.job.kinds import DataRef, JobSpec, Privacy
from protocols.message import Payload
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course, make_words
from secured_node.work.errors import PUBLIC

Share = tuple[Payload, int]
"""A site's words for a round, and the largest absolute value of one of them."""

RAISED: Final = "raised on purpose: the scenario has a fault of kind raise here"


class ShareFailed(Exception):  # noqa: N818 - says what happened
    """A hospital's share of a round could not be made. public: as other hospitals read it. detail: the error itself."""

    def __init__(self, public: str, detail: str) -> None:
        super().__init__(public, detail)
        self.public, self.detail = public, detail

    def __str__(self) -> str:
        return self.public


class Site:
    """One hospital. work_s: virtual seconds that its share of a round takes. raises: rounds in which its task raises.

    courses: of the jobs that it follows. states: the task's state after each sum of each job.
    """

    def __init__(
        self,
        name: str,
        task: str,
        raw: Mapping[str, Any],
        schema: Schema,
        table: Table,
        seed: int,
        noise: Noise | None = None,
    ) -> None:
        self.name, self._task, self._raw, self._schema, self._table = name, task, raw, schema, table
        self._noise = noise
        self._seed = f"{seed}/{name}"
        self.work_s = 0.0
        self.raises: set[int] = set()
        self.courses: dict[bytes, Course] = {}
        self.states: dict[bytes, list[Any]] = {}
        self._prepared: dict[bytes, Any] = {}

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        """Bring a job's course up to the sum of round `number`; whether it has its result."""
        if number == 0:
            if job.body is None:
                raise LookupError("a job without a cohort has no course")
            before = [(len(earlier.body.members), rounds) for earlier, rounds in job.before if earlier.body is not None]
            members, min_rows = len(job.body.members), job.spec.min_rows
            course = Course(self._task, self._raw, self._schema, members, self._noise, min_rows, before)
            self.courses[job.job] = course
            self.states[job.job] = []
        elif total is not None:
            course = self.courses[job.job]
            size = course.layout().length * course.bits // 8  # what follows are check words
            course.apply(total[:size].view(f"<u{course.bits // 8}").astype(f"u{course.bits // 8}"))
            self.states[job.job].append(course.state)
        return self.courses[job.job].done

    def vector(self, job: Job, number: int) -> Callable[[], Share]:
        """What makes this hospital's share of a round. An error of the task comes when it is called, as in a worker."""
        course = self.courses[job.job]
        if number in self.raises:
            return functools.partial(fail, PUBLIC["task"], RAISED)
        try:
            prepared = self._prepare(job.job, course)
            bound = course.layout().words_max
        except (DataError, LocalError) as error:
            return functools.partial(fail, _public(error), str(error))
        key = hashlib.sha256(f"{self._seed}/{job.subject}/{number}".encode()).digest()
        state = course.task.dump(course.state)
        return self.share(course.task.name, state, course.members, course.bits, prepared, key, bound)

    def share(self, *what: Any) -> Callable[[], Share]:
        """What makes a share of the arguments of `make_share`; a site that lies makes another."""
        return functools.partial(make_share, *what)

    def _prepare(self, job: bytes, course: Course) -> Any:
        if job not in self._prepared:
            self._prepared[job] = course.prepare(self._table)
        return self._prepared[job]


def spec_of(course: Course, raw: Mapping[str, Any], schema: Schema, **fields: Any) -> JobSpec:
    """What a job says of a course. fields: of the `JobSpec`, what the course does not know."""
    noise = course.noise
    return JobSpec(
        task=course.task.name,
        parameters=msgspec.json.encode(raw),
        data=DataRef(schema.name, str(schema.version), schema.digest()),
        purpose="a simulated study",
        rounds_max=course.rounds_max,
        word_bits=course.bits,
        privacy=None if noise is None else Privacy(noise.unit, noise.rho, noise.delta),
        **fields,
    )


def make_share(task: str, state: bytes, members: int, bits: WordBits, prepared: Any, key: bytes, bound: int) -> Share:
    """A hospital's share of a round: a function of plain values, for any process. Raises `ShareFailed`."""
    return as_share(lambda: make_words(task, state, members, bits, prepared, key), bound)


def as_share(words_of: Callable[[], Words], bound: int) -> Share:
    """Words as bytes, and an error as it may be told. Raises `ShareFailed`."""
    try:
        words = words_of()
    except Exception as error:  # noqa: BLE001 - the seam: a task may raise anything
        raise ShareFailed(_public(error), f"{type(error).__name__}: {error}") from None
    return np.ascontiguousarray(words.astype(words.dtype.newbyteorder("<"), copy=False)).view(np.uint8), bound


def fail(public: str, detail: str) -> Share:
    """The share of a hospital that cannot make one."""
    raise ShareFailed(public, detail)


def _public(error: Exception) -> str:
    """The reason as a daemon would tell others."""
    match error:
        case DataError():
            return PUBLIC["data"]
        case LocalError():
            return PUBLIC["encoding"]
    return PUBLIC["task"]
