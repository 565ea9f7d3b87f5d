"""What a task is: a state machine that every node runs alike, and one function that looks at a site's own data.

Theory of operation. A job's state is public: all nodes start from the same parameters, schema and number of members,
and apply `update` to the same sums. `local` is private: it turns state and data into numbers that only ever leave the
worker as encoded, masked words. A round is: `layout(state)`, `local(state, prepared)`, the secure sum, `update(state,
sums)`; rounds go on until `done(state)`; `result(state)` is for people and files.

Three rules for whoever writes a task:

1. `layout` depends on public state alone, and its bounds too: on the schema's ranges, on caps in the parameters, on
   sums already released. A bound taken from a site's own data would tell of the data.
2. `update` is bit-exact: plain + - * / and square roots, element by element, and `math.fsum`. No logarithm, no
   exponential, no linear algebra library: those differ in the last bit between processors, and nodes that disagree
   about `done` or `layout` would part for ever. `local` and `result` are free to use anything.
3. A state is plain values: it goes through msgpack to disk and back.

Noise (`protocols.privacy`). A task that can be noised says in how many sums (`noisy_rounds`), names the blocks of a
noisy vector with the norm of one record's part in each (`clipped`), and hands over the parts record by record
(`contributions`), each made from that record and public state alone. Clipping, rounding, adding up and the noise itself
are the worker's. Sums then arrive as floating-point numbers, counts too. A task that says nothing of this takes no
noise, and its jobs with noise are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.encoding import Layout, WordBits
from protocols.privacy.plan import Clipped, Plan, plan_noise
from secured_node.data.errors import DataError
from secured_node.data.rows import ROWS_MIN, most_rows, published_rows, too_few
from secured_node.data.schema import Schema
from secured_node.data.strict import strict
from secured_node.data.table import Table

MEMBERS_MAX = 4096
"""Members of a cohort that a layout is made for."""

ROWS_MAX_DEFAULT = 10_000_000
MIN_ROWS = "min_rows"
MIN_ROWS_DEFAULT = ROWS_MIN

Sums = Mapping[str, NDArray[Any]]
Values = dict[str, NDArray[Any]]
Cell = str | int | float | None


class TooFewRowsError(DataError):
    """This site has fewer usable rows than the job asks of each site, and takes no part."""

    def __init__(self, min_rows: int, usable: str) -> None:
        super().__init__("this site's data", f"fewer than {min_rows} {usable}", "this site cannot take part in the job")


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every task that reads rows is told.

    rows_max: a site that may have more rows, by the number of them that it publishes, refuses; the cap makes bounds
    known. The fewest rows are no parameter: policies would not see it (`State.min_rows`).
    """

    rows_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = ROWS_MAX_DEFAULT


Unit = Literal["record", "site"]
"""What noise hides: one record (a row) of a site's data, or all that the site put in."""


class Noise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The noise of a job. unit: what it hides. rho: its cost in zCDP over all rounds, spread evenly over them. delta:
    at which people are told an epsilon. colluders: members whose parts of the noise do not count."""

    unit: Unit
    rho: Annotated[float, msgspec.Meta(gt=0)]
    rounds: Annotated[int, msgspec.Meta(ge=1)]
    delta: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    colluders: Annotated[int, msgspec.Meta(ge=0)]


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public state of a job.

    members: how many vectors each sum adds up. noise: None if the sums are exact. min_rows: of the job record; a site
    with fewer usable rows refuses, unless there is noise.
    """

    members: Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)]
    noise: Noise | None = None
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = MIN_ROWS_DEFAULT

    def check_usable(self, table: Table, usable: int, noun: str) -> None:
        """Raise `TooFewRowsError` if exact sums would be over too few of a site's rows.

        With noise nothing is said: a refusal would tell the very number that the noise hides, and cost nothing.
        """
        if self.noise is None and too_few(usable, self.min_rows, table.least, noisy=False):
            raise TooFewRowsError(self.min_rows, noun)


def check_rows(table: Table, rows_max: int) -> None:
    """Raise `DataError` if a site may have more rows than a job allows, by the number that it publishes."""
    if most_rows(published_rows(table.rows)) > rows_max:
        why = f"it has more than {rows_max} rows, or about so many"
        raise DataError("this site's data", why, "raise the job's rows_max")


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table for people. Each row has as many cells as there are columns; None is an empty cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What a job found out.

    data: plain values for JSON, without NaN. tables: for a terminal. arrays: float64, for safetensors.
    problem: why there is no answer, in words for the researcher; "" if there is one.
    """

    data: dict[str, Any]
    tables: tuple[ResultTable, ...] = ()
    arrays: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    problem: str = ""


P = TypeVar("P", bound=msgspec.Struct)
S = TypeVar("S", bound=State)
D = TypeVar("D")


class Task(ABC, Generic[P, S, D]):
    """A computation on a federation's rows. P: its parameters, S: its state, D: what `prepare` makes of a table."""

    name: ClassVar[str]
    parameters_type: ClassVar[type[msgspec.Struct]]
    state_type: ClassVar[type[State]]
    uses_data: ClassVar[bool] = True

    def parse(self, raw: Mapping[str, Any]) -> P:
        """Parameters from plain values. Raises `DataError` that names key and what is allowed.

        The fewest rows are none of them, in any task: policies judge the job record's number, and there is no other.
        """
        if MIN_ROWS in raw:
            what = f"parameter {MIN_ROWS} of task {self.name}"
            raise DataError(what, "the fewest rows are the job's own", "name them there: job submit --min-rows")
        parameters: P = strict(dict(raw), self.parameters_type, f"task {self.name}")  # type: ignore[assignment]
        return parameters

    def dump(self, state: S) -> bytes:
        """The state as bytes."""
        return msgspec.msgpack.encode(state)

    def load(self, raw: bytes) -> S:
        """The state that `dump` wrote. Raises `DataError` if these are not its bytes."""
        try:
            state: S = msgspec.msgpack.decode(raw, type=self.state_type)  # type: ignore[assignment]
        except msgspec.MsgspecError:
            raise DataError(f"task {self.name}", "this is not a state of it") from None
        return state

    def word_bits(self, parameters: P) -> WordBits:
        """Bits of the words of all rounds: 64 unless a task says otherwise."""
        return 64

    @abstractmethod
    def columns(self, parameters: P) -> tuple[str, ...]:
        """The schema's columns that the task reads; the worker loads no others."""

    @abstractmethod
    def rounds_max(self, parameters: P) -> int:
        """The largest number of secure sums that the job can take."""

    @abstractmethod
    def start(self, parameters: P, schema: Schema | None, members: int) -> S:
        """The first state. Raises `DataError` if the parameters do not fit the schema.

        schema: of the job's data set, None for a task that uses no data.
        """

    @abstractmethod
    def layout(self, state: S) -> Layout:
        """What this round's vector is made of."""

    @abstractmethod
    def prepare(self, state: S, table: Table | None) -> D:
        """What `local` needs of the table, made once, when the worker opens the job (at any state of it).

        table: the columns that were asked for, None for a task that uses no data.
        Raises `DataError` if the site must not take part, for example `TooFewRowsError`.
        """

    def remark(self, state: S, prepared: D) -> str:
        """What this site's people should know of how their data enter the sums; "" for nothing. It stays here."""
        return ""

    @abstractmethod
    def local(self, state: S, prepared: D) -> Values:
        """This site's vector for this round, block by block."""

    @abstractmethod
    def update(self, state: S, sums: Sums) -> S:
        """The next state, from the sum of all sites' vectors."""

    def go_on(self, state: S, fresh: S) -> S:
        """Where a successor job with fewer members begins, from the state that it takes over; bit-exact.

        fresh: the first state of a job with these members, which is the answer here: most tasks' sums belong together,
        and one of all sites set against one of some of them would give a false result.
        """
        return fresh

    # -- noise ---------------------------------------------------------------------------------------------------

    def noisy_rounds(self, parameters: P, unit: Unit) -> int:
        """The largest number of noisy sums. Raises `DataError` if the task cannot hide that unit, as most cannot."""
        raise self._cannot(unit)

    def with_noise(self, state: S, noise: Noise) -> S:
        """The first state of a job with noise."""
        return msgspec.structs.replace(state, noise=noise)

    def records_max(self, state: S) -> int:
        """The largest number of records of one site; a site that hands over more refuses."""
        raise self._cannot("record")

    def clipped(self, state: S) -> tuple[Clipped, ...]:
        """The blocks of this round's noisy vector, from public state alone."""
        raise self._cannot("record")

    def contributions(self, state: S, prepared: D) -> Iterator[Values]:
        """This site's records, in chunks: for each block an array of shape (records, length)."""
        raise self._cannot("record")

    def plan(self, state: S, word_bits: WordBits) -> Plan:
        """How this round's noisy vector becomes words, for a state with noise."""
        noise = state.noise
        if noise is None:
            raise DataError("the job", "it has no noise to plan for")
        rho = Fraction(noise.rho) / noise.rounds
        clipped, records_max = self.clipped(state), self.records_max(state)
        return plan_noise(clipped, records_max, rho, state.members, noise.colluders, word_bits)

    def _cannot(self, unit: Unit) -> DataError:
        why = f"it cannot say how much one {unit} changes its sums, so noise that hides one would be a guess"
        return DataError(f"task {self.name}", why, "submit the job without noise, or for another unit")

    @abstractmethod
    def done(self, state: S) -> bool:
        """Whether the job has its result."""

    @abstractmethod
    def result(self, state: S) -> Result:
        """The result of a state that is done."""


def need_schema(schema: Schema | None) -> Schema:
    """The schema, in a task that uses data. Raises `DataError` if the job names no data set."""
    if schema is None:
        raise DataError("the job", "its task needs a data set", "name one")
    return schema


def need_table(table: Table | None, schema: Schema) -> Table:
    """The table, in a task that uses data. Raises `DataError` if its columns are not those of the job's schema."""
    if table is None:
        raise DataError("the job", "its task needs a data set", "name one")
    different = [name for name, column in schema.columns.items() if table.schema.columns.get(name) != column]
    if different:
        why = f"these columns are not as the job's schema describes them: {', '.join(different)}"
        raise DataError("this site's data", why, "use the same version of the schema at all sites")
    return table
