"""The test kit, and the example of its documentation."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import msgspec
import numpy as np
import pytest

from protocols.encoding import Block, Layout, WordBits
from protocols.job.life import State
from protocols.records.messages import Summary
from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks import task_names
from secured_node.tasks.base import Parameters, Result, Sums, Task, Values
from secured_node.tasks.base import State as TaskState
from simulations import kit

PAGE = Path(__file__).parents[3] / "docs" / "simulation.md"


class NoParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Counted(TaskState, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rows: int = -1


class CountRows(Task[NoParameters, Counted, int]):
    """A task as a plugin's author writes it: how many rows there are."""

    name = "count-rows"
    parameters_type = NoParameters
    state_type = Counted

    def word_bits(self, parameters: NoParameters) -> WordBits:
        return 64

    def columns(self, parameters: NoParameters) -> tuple[str, ...]:
        return ()

    def rounds_max(self, parameters: NoParameters) -> int:
        return 1

    def start(self, parameters: NoParameters, schema: Schema | None, members: int) -> Counted:
        return Counted(members=members)

    def layout(self, state: Counted) -> Layout:
        return Layout((Block("rows", 1, "count", 1_000_000),))

    def prepare(self, state: Counted, table: Table | None) -> int:
        return table.rows if table is not None else 0

    def local(self, state: Counted, prepared: int) -> Values:
        return {"rows": np.array([prepared])}

    def update(self, state: Counted, sums: Sums) -> Counted:
        return msgspec.structs.replace(state, rows=int(sums["rows"][0]))

    def done(self, state: Counted) -> bool:
        return state.rows >= 0

    def result(self, state: Counted) -> Result:
        return Result({"rows": state.rows})


class Drifting(CountRows):
    """It makes another state of the same sum each time."""

    name = "drifting"
    times = 0

    def update(self, state: Counted, sums: Sums) -> Counted:
        Drifting.times += 1
        return msgspec.structs.replace(state, rows=Drifting.times)


class Endless(CountRows):
    name = "endless"

    def done(self, state: Counted) -> bool:
        return False


SCHEMA = kit.schema_of(age={"type": "integer", "minimum": 0, "maximum": 120})


def tables(n: int = 3) -> list[Table]:
    return [kit.table_of(SCHEMA, age=range(20, 30 + k)) for k in range(n)]


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    section = PAGE.read_text().partition("## The test kit")[2]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    found = runpy.run_path(str(tmp_path / "example.py"))
    assert found["federation"].states(found["job"]) == [State.DONE] * 5


def test_a_task_that_is_not_installed_runs_in_the_clear_and_over_hubs() -> None:
    assert kit.run_task(CountRows, {}, tables()).data == {"rows": 33}
    assert kit.run_hubs(CountRows, {}, tables()).data == {"rows": 33}
    assert "count-rows" not in task_names()


def test_a_built_in_name_cannot_be_taken() -> None:
    class Taken(CountRows):
        name = "summary"

    with pytest.raises(ValueError, match="a task 'summary' already"):
        kit.run_task(Taken, {}, tables())


def test_a_task_whose_update_is_not_deterministic_is_found() -> None:
    with pytest.raises(RuntimeError, match="not deterministic"):
        kit.run_hubs(Drifting, {}, tables())


def test_a_task_that_takes_more_sums_than_it_says_is_found() -> None:
    with pytest.raises(RuntimeError, match="its own rounds_max"):
        kit.run_task(Endless, {}, tables())


def test_a_job_that_is_not_done_says_why() -> None:
    short = kit.table_of(SCHEMA, age=[30])
    with pytest.raises(RuntimeError, match=r"h\d is failed"):
        kit.run_hubs("summary", {"columns": ["age"]}, [*tables(2), short])


def test_values_that_do_not_fit_and_wrong_schemas_are_refused() -> None:
    with pytest.raises(ValueError, match="column age: 1 cells"):
        kit.table_of(SCHEMA, age=[20, 500])
    with pytest.raises(DataError, match="age"):
        kit.schema_of(age={"type": "integer"})


def test_a_fake_clock_goes_on_when_told_to() -> None:
    clock = kit.FakeClock(10.0)
    assert clock() == 10.0
    assert clock.advance(2.5) == clock() == 12.5
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_fake_peer_hears_and_says_what_a_test_wants() -> None:
    federation = kit.NumbersFederation(4)
    peer = kit.FakePeer(federation.world, federation.nodes[3])
    federation.boot()
    federation.world.run(seconds=5.0)
    asked = peer.heard(Summary)
    assert asked  # hubs compare records with it, as with anybody
    before = federation.world.hosts[federation.nodes[0]].received_bytes
    peer.say(federation.nodes[0], asked[0].message)
    federation.world.run(seconds=1.0)
    assert federation.world.hosts[federation.nodes[0]].received_bytes > before
    job = federation.propose(0, [0, 1, 2])
    assert federation.run_until(job, State.DONE, [0, 1, 2])
