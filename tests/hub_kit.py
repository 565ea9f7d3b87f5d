"""Federations of real daemons for the end-to-end tests: made quickly, watched by polling, always ended by pid."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from demo.hubs import PROGRAM, Hub, stop_all, wait_until
from protocols.invitation.redeem import Welcome
from protocols.kinds import KINDS
from protocols.membership.acts import admit, describe
from protocols.membership.store import open_store
from protocols.records.record import Record
from secured_node.cli.common import CommandError
from secured_node.founding import finish_joining, found_federation, node_body
from secured_node.state import State
from secured_node.store.audit import Entry
from secured_node.store.store import DATABASE

JOIN_ALL = '[policy]\ndefault = "join"\n'
ENDED = ("done", "failed", "cancelled")
SEED = 20_261_122


def found_hubs(folder: Path, names: Sequence[str], policy: str = JOIN_ALL) -> list[Hub]:
    """Hubs of one federation, not yet running: what `init`, `invite`, `join` and `approve` leave behind."""
    hubs = [Hub(name, folder, policy) for name in names]
    first, *others = hubs
    endpoints = {hub.name: (f"127.0.0.1:{hub.port}",) for hub in hubs}

    async def found() -> None:
        steward, charter = await found_federation(
            State(first.state), "test", first.name, first.name, 3, endpoints[first.name]
        )
        store, roster = open_store(charter, KINDS)
        records: list[Record] = [
            charter,
            describe(steward, roster.federation, node_body(steward, first.name, first.name, endpoints[first.name])),
        ]
        for hub in others:
            state = State(hub.state)
            state.make()
            identity = state.make_identity()
            about = describe(identity, roster.federation, node_body(identity, hub.name, hub.name, endpoints[hub.name]))
            records += [admit(steward, roster, store, about), about]
        for hub in hubs:
            await finish_joining(State(hub.state), hub.name, hub.name, Welcome(charter, tuple(records)))

    asyncio.run(found())
    return hubs


def start_all(hubs: Sequence[Hub]) -> None:
    """Start daemons at the same time; returns when every pair is linked."""
    for hub in hubs:
        hub.start(wait=False)
    for hub in hubs:
        hub.wait_ready()
    for hub in hubs:
        wait_until(partial(hub.linked, len(hubs) - 1), f"{hub.name} has no links")


@contextlib.contextmanager
def running(folder: Path, names: Sequence[str], policy: str = JOIN_ALL) -> Iterator[list[Hub]]:
    """A running federation, stopped whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    hubs = found_hubs(folder, names, policy)
    try:
        start_all(hubs)
        yield hubs
    finally:
        end_all(hubs)


def end_all(hubs: Sequence[Hub]) -> None:
    """Stop daemons; one that does not stop keeps none of the others alive."""
    try:
        stop_all(list(hubs))
    finally:
        for hub in hubs:
            if hub.process is not None and hub.process.poll() is None:
                hub.kill()


# -- the command line and the local API ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """A command that ended. value: its JSON, None if it printed none. error: of `--json`, {} if there is none."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        lines = [line for line in self.err.splitlines() if line.startswith('{"error"')]
        return dict(json.loads(lines[-1])["error"]) if lines else {}


def cli(state: Path | None, *arguments: str, as_json: bool = True, text: str = "", **options: Any) -> Ran:
    """Run a command of the product; whatever its exit code."""
    where = [] if state is None else ["--state", str(state)]
    command = [*PROGRAM, *arguments, *where, *(["--json"] if as_json else [])]
    done = subprocess.run(command, capture_output=True, text=True, input=text, timeout=60, check=False, **options)
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Answer:
    """An answer of the local API."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


def request(
    path: Path, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """A request over a Unix socket, with exactly these headers beside those that HTTP needs."""
    given = {"Host": "localhost", **(headers or {})}
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(str(path))
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if body is not None:
            given["Content-Length"] = str(len(body))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders()
        with contextlib.suppress(BrokenPipeError):  # an answer may come before all of a large body is sent
            if body is not None:
                connection.send(body)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


# -- data and jobs -------------------------------------------------------------------------------------------------

CLINIC = """
name = "{name}"
version = {version}
description = "made up"

[columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 120

[columns.weight]
type = "number"
unit = "kg"
minimum = 0
maximum = 400

[columns.stage]
type = "category"
levels = ["one", "two", "three"]

[columns.ill]
type = "boolean"
"""


@dataclass(frozen=True)
class Table:
    """A hospital's made-up patients; NaN and "" are missing."""

    age: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    stage: list[str]
    ill: npt.NDArray[np.bool_]

    def write(self, path: Path) -> Path:
        lines = ["age,weight,stage,ill"]
        for age, weight, stage, ill in zip(self.age, self.weight, self.stage, self.ill, strict=True):
            cells = ("" if np.isnan(age) else repr(float(age)), "" if np.isnan(weight) else repr(float(weight)))
            lines.append(",".join((*cells, stage, "true" if ill else "false")))
        path.write_text("\n".join(lines) + "\n")
        return path


def patients(hospital: int, rows: int, gaps: bool = True) -> Table:
    """Patients of one hospital: the same in every run, others in every hospital."""
    rng = np.random.default_rng([SEED, hospital])
    age = np.round(rng.normal(55 + 3 * hospital, 9, rows).clip(1, 119), 3)
    weight = np.round(rng.normal(75, 12, rows).clip(30, 200), 2)
    stage = [("one", "two", "three")[k] for k in rng.choice(3, rows, p=(0.5, 0.3, 0.2))]
    risk = -4.5 + 0.05 * age + 0.012 * weight + np.array([{"one": 0.0, "two": 0.6, "three": 1.1}[s] for s in stage])
    ill = rng.random(rows) < 1 / (1 + np.exp(-risk))
    if gaps:
        age[::17], weight[5::23] = np.nan, np.nan
    return Table(age, weight, stage, ill)


def register(hub: Hub, folder: Path, table: Table, name: str = "clinic", version: int = 1) -> dict[str, Any]:
    """Register a table as a hub's data set."""
    path = table.write(folder / f"{hub.name}-{name}.csv")
    body = {"path": str(path), "schema": CLINIC.format(name=name, version=version)}
    added: dict[str, Any] = hub.ask("POST", "/v1/data", body)
    return added


def wait_offers(hubs: Sequence[Hub], name: str, count: int) -> None:
    """Wait until every hub knows that so many offer a data set."""
    for hub in hubs:
        wait_until(
            lambda hub=hub: sum(c["name"] == name for c in hub.ask("GET", "/v1/catalogue")["catalogue"]) == count,
            f"{hub.name} does not know who offers {name}",
        )


def submit(hub: Hub, task: str, parameters: dict[str, Any], members: Sequence[Hub] = (), **changes: Any) -> str:
    """Propose a job; its id."""
    body: dict[str, Any] = {"task": task, "parameters": parameters, "purpose": "research", "rounds_max": 100}
    body |= {"members": [member.name for member in members], "collect_s": 60.0, **changes}
    if members:
        body = {"min_nodes": max(3, len(members)), "max_nodes": max(3, len(members)), **body}
    job: str = hub.ask("POST", "/v1/jobs", body)["job"]
    return job


def ended(hub: Hub, job: str) -> dict[str, Any] | None:
    """How a job ended at a hub; None while it has not."""
    try:
        shown = hub.job(job)
    except CommandError:  # its record is still on the way, or the hub is down
        return None
    return shown if shown["state"] in ENDED else None


def wait_ended(hubs: Sequence[Hub], job: str, seconds: float = 60.0) -> list[dict[str, Any]]:
    """Wait until a job has ended everywhere; how."""
    return [wait_until(partial(ended, hub, job), f"job {job[:8]} does not end at {hub.name}", seconds) for hub in hubs]


def result(hub: Hub, job: str) -> dict[str, Any]:
    """A job's result, once it is kept."""

    def kept() -> Any:
        with contextlib.suppress(CommandError):
            return hub.ask("GET", f"/v1/jobs/{job}/result")

    shown: dict[str, Any] = wait_until(kept, f"{hub.name} has no result of {job[:8]}")
    return shown


def done(hubs: Sequence[Hub], job: str, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until a job is done everywhere; the first hub's result."""
    for shown in wait_ended(hubs, job, seconds):
        assert shown["state"] == "done", shown
    return result(hubs[0], job)


# -- looking at what lies on disk ----------------------------------------------------------------------------------


def rows_of(hub: Hub, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a hub's database, read beside the daemon."""
    db = sqlite3.connect(f"file:{hub.state / DATABASE}?mode=ro", uri=True, timeout=10)
    try:
        return db.execute(query, values).fetchall()
    finally:
        db.close()


def certified(hub: Hub) -> dict[tuple[str, int], tuple[bytes, str]]:
    """(job, round) -> the certified history and the name of the sum's blob."""
    found = {}
    for job, number, certificate, total in rows_of(hub, "SELECT job, round, certificate, total FROM certified"):
        # A certificate may hold other t of the n votes here than there; what it certifies may not differ.
        history = msgspec.msgpack.decode(certificate)[2]
        found[job.hex(), number] = (history, total)
    return found


def assert_never_two(hubs: Sequence[Hub]) -> dict[tuple[str, int], tuple[bytes, str]]:
    """No round of any job has two certified histories or sums anywhere; all that is certified, together."""
    together: dict[tuple[str, int], tuple[bytes, str]] = {}
    for hub in hubs:
        for place, what in certified(hub).items():
            assert together.setdefault(place, what) == what, f"{hub.name} holds another sum of {place}"
    return together


def audit_entries(hub: Hub) -> list[Entry]:
    """The audit as it lies on disk."""
    return [Entry(*row) for row in rows_of(hub, "SELECT sequence, time, event, body, digest FROM audit")]


def audited(hub: Hub, event: str, **about: Any) -> list[dict[str, Any]]:
    """Bodies of audit entries of an event that say at least this."""
    bodies = [json.loads(entry.body) for entry in audit_entries(hub) if entry.event == event]
    return [body for body in bodies if about.items() <= body.items()]


def children(pid: int) -> list[int]:
    """Processes that a daemon started and that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs."""
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


STRANGER = """
import http.client, os, socket, sys
path, gid, method, target, body = sys.argv[1:6]
os.setgroups([]); os.setgid(int(gid)); os.setuid(65534)
connection = http.client.HTTPConnection("localhost", timeout=20)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(path)
connection.request(method, target, body or None, {"Host": "localhost"})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


def ask_as_stranger(path: Path, method: str, target: str, body: str = "", gid: int = 65534) -> tuple[int, str]:
    """Ask the local API as `nobody`, with a group of choice; only root can. Its status and body."""
    command = [sys.executable, "-c", STRANGER, str(path), str(gid), method, target, body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    status, _, answer = done.stdout.partition(" ")
    return int(status), answer
