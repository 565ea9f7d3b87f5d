"""Real workers for tests: sites in a temporary folder, a plugin with tasks that misbehave, sums added in the open.

The tasks reach the worker as any plugin does: an installed distribution with an entry point. Nothing in the product
knows of them.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols.message import Payload
from secured_node.work.frames import ROWS_FLOOR, Sandbox
from secured_node.work.launch import MODULE
from secured_node.work.supervisor import ChildLauncher, JobResult, OpenJob, Session, Supervisor
from tests.unit.walls_kit import REPOSITORY

JOB = "5e" * 32
SCHEMA = """
name = "ward"
version = 1
[columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 120
[columns.weight]
type = "number"
unit = "kg"
minimum = 0
maximum = 300
[columns.smoker]
type = "boolean"
[columns.stage]
type = "category"
levels = ["early", "late"]
"""
CHECK_BYTES = 8
WORKER = (sys.executable, "-P", "-s", "-m", MODULE)


@dataclass
class Site:
    """One hospital's worker: a data set, a scratch folder, a supervisor."""

    root: Path
    data: Path
    supervisor: Supervisor

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def kept(self, job: str = JOB) -> list[str]:
        """Names of what the worker keeps for a job."""
        return sorted(path.name for path in (self.scratch / job).iterdir() if path.name != "lock")


def write_ward(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """A data set of `SCHEMA`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("age", "weight", "smoker", "stage"), *rows])


def ward_rows(seed: int, rows: int) -> list[tuple[Any, ...]]:
    """Patients, some with gaps."""
    draw = np.random.default_rng(seed)
    age, weight = draw.uniform(20, 90, rows).round(1), draw.normal(75, 12, rows).round(1)
    smoker, stage = draw.random(rows) < 0.3, draw.random(rows) < 0.4
    return [
        (age[i], "" if i % 11 == 3 else weight[i], "true" if smoker[i] else "false", "late" if stage[i] else "early")
        for i in range(rows)
    ]


@asynccontextmanager
async def worker_site(
    root: Path,
    rows: Sequence[Sequence[Any]] = (),
    *,
    sandbox: Sandbox = "strict",
    plugins: Path | None = None,
    command: tuple[str, ...] = WORKER,
    local_s: float = 60.0,
    floor: int = ROWS_FLOOR,
    spare: bool = False,
) -> AsyncIterator[Site]:
    """A site whose workers are children of this process, all ended when it is left."""
    (root / "scratch").mkdir(parents=True)
    data = root / "ward.csv"
    write_ward(data, rows)
    paths = [str(path) for path in (plugins, REPOSITORY) if path is not None]
    environment = {"PYTHONPATH": os.pathsep.join(paths)}
    launcher = ChildLauncher(root / "scratch", sandbox, min_rows=floor, command=command, environment=environment)
    supervisor = Supervisor(launcher, local_s=local_s, spare=spare)
    try:
        yield Site(root, data, supervisor)
    finally:
        await supervisor.close()


def order(task: str, parameters: bytes = b"{}", **changes: Any) -> OpenJob:
    """A job for four sites that allows 100 rounds."""
    made = OpenJob(JOB, task, parameters, members=4, word_bits=64, min_rows=10, rounds_max=100)
    return replace(made, **changes)


def on_ward(site: Site, task: str, parameters: bytes, **changes: Any) -> OpenJob:
    """The same on the site's data set."""
    return order(task, parameters, path=str(site.data), schema=SCHEMA, **changes)


def add_up(vectors: Sequence[Payload], word_bits: int) -> Payload:
    """The sum of the sites' words, with the check words that a round appends."""
    total = sum((vector.view(f"<u{word_bits // 8}") for vector in vectors), np.zeros(1, f"<u{word_bits // 8}"))
    return np.concatenate([np.ascontiguousarray(total).view(np.uint8), np.zeros(CHECK_BYTES, np.uint8)])


async def run_job(sites: Sequence[Site], order_of: Callable[[Site], OpenJob]) -> tuple[list[JobResult], list[Payload]]:
    """A whole job over real workers, the secure sum replaced by addition: each site's result, and the sums."""
    orders = [order_of(site) for site in sites]
    sessions = await asyncio.gather(*(site.supervisor.open(order) for site, order in zip(sites, orders, strict=True)))
    sums: list[Payload] = []
    while not sessions[0].done:
        made = await asyncio.gather(*(session.local(len(sums) + 1) for session in sessions))
        assert len({bound for _, bound in made}) == 1
        sums.append(add_up([words for words, _ in made], orders[0].word_bits))
        done = await asyncio.gather(*(session.apply(len(sums), sums[-1]) for session in sessions))
        assert len(set(done)) == 1
    results = await asyncio.gather(*(session.finish() for session in sessions))
    return list(results), sums


async def reopened(site: Site, job: OpenJob, sums: Sequence[Payload]) -> Session:
    """A new worker for a job, brought up to date."""
    session = await site.supervisor.open(job)
    for number, total in enumerate(sums, 1):
        await session.apply(number, total)
    return session


async def gone(process: int, within_s: float = 10.0) -> bool:
    """Whether a process has ended (or only waits for its parent to notice)."""
    for _ in range(int(within_s / 0.02)):
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.02)
    return False


def install_plugin(folder: Path) -> Path:
    """An installed distribution whose tasks misbehave; the folder to put on the worker's path."""
    installed = folder / "site-packages"
    package, about = installed / "misbehaving", installed / "misbehaving-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    source = Path(__file__).with_name("misbehaving.py").read_text(encoding="utf-8")
    (package / "__init__.py").write_text(source, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n", encoding="utf-8")
    names = ("raises", "talks", "escapes", "sleeps", "crashes", "ends", "exits", "wrong", "waits")
    lines = "".join(f"{name} = misbehaving:{name.title()}\n" for name in names)
    (about / "entry_points.txt").write_text(f"[secured_node.tasks]\n{lines}", encoding="utf-8")
    return installed
