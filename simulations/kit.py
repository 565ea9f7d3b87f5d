"""The test kit for those who write tasks and plugins: a fake clock, a fake network, a fake peer, small federations.

    from simulations.kit import run_task, schema_of, table_of

    schema = schema_of(age={"type": "integer", "minimum": 0, "maximum": 120})
    result = run_task("summary", {"columns": ["age"]}, [table_of(schema, age=range(20 + k, 40 + k)) for k in range(3)])

`run_task` adds vectors up in the clear: quick, and enough to see whether a task computes what it should. `run_hubs`
runs the same over real hubs in a virtual world. A task that is not installed yet is passed itself, not its name.
`NumbersFederation` is for what does not depend on a task: links, records, jobs. None of it opens a socket or waits.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols.core import Effect, Event, Received, Send
from protocols.identity import Identity, NodeId
from protocols.job.job import Job
from protocols.job.kinds import DataRef, JobSpec
from protocols.job.life import State
from protocols.message import Message, Payload
from secured_node import tasks
from secured_node.data.cells import RawColumn
from secured_node.data.mapping import SiteMapping
from secured_node.data.rows import ROWS_MIN
from secured_node.data.schema import Schema, parse_schema
from secured_node.data.table import Table, build_table
from secured_node.tasks.base import Result, Task
from secured_node.tasks.course import Course, add
from simulations.federation import Federation
from simulations.network import Network
from simulations.study.site import Site, spec_of
from simulations.world import World

FakeNetwork = Network
"""Latency, loss, bandwidth, partitions: the network of every virtual world."""
BOUND: Final = 1000
"""Of the words of `Numbers`."""
DATA: Final = DataRef("numbers", "1", bytes(32))
"""The data set of `NumbersFederation`."""


class FakeClock:
    """A monotonic clock that stands still until it is told to go on: call it for the time, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; the new time. Raises `ValueError` for less than nothing: no monotonic clock goes back."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self.now += seconds
        return self.now


class FakePeer:
    """A node of a world that does what a test says. received: all messages, with their senders and payloads.

    answer: what it sends when a message comes; nothing unless a test sets it.
    """

    wake_at = None

    def __init__(self, world: World, node: NodeId, answer: Callable[[Received], Sequence[Send]] = lambda _: ()) -> None:
        """Takes the place of the host of that node, before it is booted."""
        self._world, self.node, self.answer = world, node, answer
        self.received: list[Received] = []
        self._to_say: list[Send] = []
        world.hosts[node].factory = lambda _: (self, lambda _now: ())

    def say(self, to: NodeId, message: Message, payload: Payload | None = None) -> None:
        """Send a message now, whatever it is."""
        self._to_say.append(Send(to, message, payload))
        self._world.feed(self.node, _Speak())

    def heard(self, kind: type[Message]) -> list[Received]:
        """The messages of one type."""
        return [event for event in self.received if isinstance(event.message, kind)]

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """As a core: notes what comes, and sends what it was told to."""
        said, self._to_say = self._to_say, []
        if isinstance(event, Received):
            self.received.append(event)
            said += self.answer(event)
        return said

    def receives(self, event: Received) -> bool:
        """It takes any payload."""
        return True


class _Speak(Event):
    """A fake peer is to say what it was told."""


# -- tasks over small tables ------------------------------------------------------------------------------------------


def schema_of(name: str = "small", /, **columns: dict[str, Any]) -> Schema:
    """A schema from its columns as they stand in a schema's file. Raises `DataError`."""
    return parse_schema({"name": name, "version": 1, "columns": columns}, "the kit's schema")


def table_of(schema: Schema, **columns: Any) -> Table:
    """A table from sequences, one a column. Raises `ValueError` if a value does not fit the schema."""
    table, problems = build_table(Columns(**columns), schema, SiteMapping())
    if problems:
        raise ValueError("; ".join(f"column {p.column}: {p.count} cells: {p.kind}" for p in problems))
    return table


class Columns:
    """A raw table from Python lists or arrays: what a data source would give."""

    def __init__(self, **columns: Any) -> None:
        self._columns = {name: np.asarray(values) for name, values in columns.items()}
        for name, values in self._columns.items():
            if values.dtype.kind == "U":
                self._columns[name] = values.astype(object)

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return list(self._columns)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self._columns.values())))

    def column(self, name: str) -> RawColumn:
        """One column; no cell is missing."""
        values = self._columns[name]
        return RawColumn(values, np.zeros(len(values), np.bool_))


@contextlib.contextmanager
def known(task: str | type[Task[Any, Any, Any]]) -> Iterator[str]:
    """A task's name; a task that is not installed is known by its name for this long, in this process.

    Raises `ValueError` for a name that is taken.
    """
    if isinstance(task, str):
        yield task
        return
    if task.name in tasks.task_names():
        raise ValueError(f"there is a task {task.name!r} already")
    tasks.BUILT_IN[task.name] = task
    try:
        yield task.name
    finally:
        del tasks.BUILT_IN[task.name]


def run_task(
    task: str | type[Task[Any, Any, Any]],
    parameters: Mapping[str, Any],
    tables: Sequence[Table | None],
    schema: Schema | None = None,
    min_rows: int = ROWS_MIN,
) -> Result:
    """The result of a job over the tables, one a hospital, as the worker and the secure sum would compute it.

    schema: of the tables; not needed if there are any. Raises what the task raises.
    """
    with known(task) as name:
        last = list(run_states(name, parameters, schema or _schema(tables), tables, min_rows))[-1]
        return tasks.find_task(name).result(last)


def run_states(
    name: str,
    parameters: Mapping[str, Any],
    schema: Schema | None,
    tables: Sequence[Table | None],
    min_rows: int = ROWS_MIN,
) -> Iterator[Any]:
    """The states of the job, each after its way through bytes; the last one is done.

    Raises `RuntimeError` for a task that takes more sums than it says.
    """
    course = Course(name, parameters, schema, len(tables), min_rows=min_rows)
    prepared = [course.prepare(table) for table in tables]
    draw = np.random.default_rng(len(tables)).bytes  # the same bytes in every run
    for _ in range(course.rounds_max):
        if course.done:
            break
        course.apply(add([course.vector(data, draw) for data in prepared]))
        course.state = course.task.load(course.task.dump(course.state))
        yield course.state
    if not course.done:
        raise RuntimeError(f"the task {name!r} is not done after {course.rounds_max} sums, its own rounds_max")


def run_hubs(
    task: str | type[Task[Any, Any, Any]],
    parameters: Mapping[str, Any],
    tables: Sequence[Table],
    *,
    seed: int = 0,
    network: Network | None = None,
) -> Result:
    """The result of a job over real hubs, one a table, which all found the same. Raises `RuntimeError` if not."""
    with known(task) as name:
        schema, n = tables[0].schema, len(tables)
        sites = [Site(f"h{k}", name, parameters, schema, table, seed) for k, table in enumerate(tables)]
        federation = Federation(World(seed, network), sites)
        federation.boot()
        course = Course(name, parameters, schema, n)
        job = federation.submit(0, spec_of(course, parameters, schema, min_nodes=n, max_nodes=n))
        federation.run_until_over(job)
        ends = {k: federation.moves(k, job)[-1] for k in range(n)}
        bad = [f"h{k} is {state}: {reason}" for k, (state, reason) in ends.items() if state is not State.DONE]
        if bad:
            raise RuntimeError(f"the job was not done: {'; '.join(bad)}")
        if len({site.courses[job].task.dump(site.courses[job].state) for site in sites}) > 1:
            raise RuntimeError("hospitals came to different states from the same sums: update is not deterministic")
        return sites[0].courses[job].result()


def _schema(found: Sequence[Table | None]) -> Schema | None:
    return next((table.schema for table in found if table is not None), None)


# -- hubs with numbers ------------------------------------------------------------------------------------------------


class Numbers:
    """A worker with one fixed vector per round; a job is done after `rounds` sums.

    totals: the sums that it was told, by job. fails: a reason for which it cannot make its vectors; "" none.
    """

    def __init__(self, member: int, rounds: int = 3, length: int = 20) -> None:
        self.member, self.rounds, self.length = member, rounds, length
        self.totals: dict[bytes, list[NDArray[np.int64]]] = {}
        self.fails = ""

    def values(self, number: int) -> NDArray[np.int64]:
        """Its vector of a round."""
        rng = np.random.default_rng([self.member, number])
        return rng.integers(-BOUND, BOUND + 1, self.length).astype("i8")

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        """As a `Worker`."""
        if number == 0:
            self.totals[job.job] = []
        elif total is not None:
            self.totals[job.job].append(total.view("<i8")[: self.length].copy())
        return number >= self.rounds

    def vector(self, job: Job, number: int) -> Callable[[], tuple[Payload, int]]:
        """As a `Worker`."""
        if self.fails:
            raise ValueError(self.fails)
        return functools.partial(_made, self.values(number))


def _made(values: NDArray[np.int64]) -> tuple[Payload, int]:
    return np.ascontiguousarray(values.astype("<u8")).view(np.uint8), BOUND


class NumbersFederation(Federation):
    """n hubs with numbers in a world of their own, not yet booted; the first is the founder and only steward."""

    def __init__(
        self,
        n: int,
        seed: int = 0,
        network: Network | None = None,
        rounds: int = 3,
        length: int = 20,
        keys: Sequence[Identity] = (),
        data: DataRef = DATA,
    ) -> None:
        """rounds: after which a job is done. length: of the vectors. data: the data set of the jobs."""
        self._data = data
        self.numbers = [Numbers(i, rounds, length) for i in range(n)]
        super().__init__(World(seed, network), self.numbers, keys=keys)

    def propose(self, i: int = 0, members: Sequence[int] | None = None, **changes: object) -> bytes:
        """Propose a job from hub i, to all or to exactly these members; its id. changes: fields of the `JobSpec`."""
        spec = JobSpec("numbers", b"{}", self._data, "a test", collect_s=30.0)
        if members is not None:
            listed = tuple(self.nodes[m] for m in members)
            changes = {"members": listed, "max_nodes": max(3, len(listed)), "min_nodes": max(3, len(listed)), **changes}
        return Federation.submit(self, i, msgspec.structs.replace(spec, **changes))

    def run_until(self, job: bytes, state: State, which: Sequence[int] | None = None, seconds: float = 600) -> bool:
        """Run until the job is in this state at all of these hubs; whether it came to that."""
        return self.world.run(lambda: set(self.states(job, which)) == {state}, seconds)

    def expected(self, number: int, members: Sequence[int]) -> NDArray[np.int64]:
        """The true sum of a round over these members."""
        total: NDArray[np.int64] = np.sum([self.numbers[m].values(number) for m in members], axis=0)
        return total
