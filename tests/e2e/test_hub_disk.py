"""A hub whose disk fails it: killed while it writes, damaged files, no room, read only. Nothing committed is lost."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.hubs import Hub, wait_until
from secured_node.cli.common import CommandError
from secured_node.store.audit import first_bad_entry
from secured_node.store.store import Store
from tests.hub_kit import audit_entries, cli, end_all, found_hubs, submit
from tests.tools import missing, need

pytestmark = pytest.mark.timeout(90)
SEED = 20_261_122
WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from protocols.job.events import Joined
from protocols.secagg.effects import Certified
from protocols.secagg.messages import Certificate, Vote
from protocols.identity import Identity
from secured_node.store.store import Setting, Store

async def write(folder):
    store, who = Store(folder), Identity(bytes(32)).node
    begun = await store.rows(__import__("secured_node.store.store", fromlist=["x"]).SETTINGS)
    number = int(begun.get("n", b"0"))
    while True:
        number += 1
        job = number.to_bytes(32, "big")
        vote = Vote(job, 1, 1, who, bytes(32), bytes(64))
        total = np.full(20_000, number % 251, np.uint8)
        facts = [Joined(job, bytes(32)), Certified(Certificate(job, 1, bytes(32), (vote,)), total)]
        facts.append(Setting("n", str(number).encode()))
        await store.commit(facts, [store.audit.entry("now", "step", {"n": number})] * 2)
        print(number, flush=True)

asyncio.run(write(Path(sys.argv[1])))
"""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[Hub]:
    (hub,) = found_hubs(folder, ("alone",), '[policy]\ndefault = "join"\n')
    try:
        yield hub
    finally:
        end_all([hub])


async def test_crash_everywhere_kill_while_committing_leaves_all_or_nothing_of_a_step(tmp_path: Path) -> None:
    """What was acknowledged is there after the kill; of the step under way, everything or nothing."""
    draw = random.Random(SEED)
    acknowledged = 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        try:
            acknowledged = int(writer.stdout.readline())  # it has begun
            time.sleep(draw.random() * 0.12)
        finally:
            writer.kill()
            rest = writer.stdout.read().splitlines()
            writer.wait()
        acknowledged = max([acknowledged, *map(int, (line for line in rest if line))])
        store = Store(tmp_path)
        try:
            entries = await store.entries()
            assert first_bad_entry(entries) is None
            count = len(entries) // 2
            assert len(entries) % 2 == 0 and count in (acknowledged, acknowledged + 1)
            facts = await store.job_facts()
            assert len(facts) == 2 * count
            for number in (1, count // 2 + 1, count):
                fact = await store.certified(number.to_bytes(32, "big"), 1)
                assert fact is not None and len(fact.total) == 20_000 and set(fact.total) == {number % 251}
        finally:
            await store.close()


def test_blobs_without_rows_and_halves_of_blobs_are_cleared_at_the_start(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        blobs = hub.state / "blobs"
        blobs.mkdir(exist_ok=True)
        (blobs / ("ab" * 32)).write_bytes(b"a sum whose row was never written")
        (blobs / ("cd" * 32 + ".part")).write_bytes(b"half")
        hub.start()
        assert hub.ask("GET", "/health") == {"ok": True}
        assert not list(blobs.iterdir())
        assert "left_over_blobs_deleted" in hub.log.read_text()


def test_a_damaged_database_is_an_error_in_words_with_its_exit_code(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        hub.start()
        hub.stop()
        path = hub.state / "node.db"
        whole = path.read_bytes()
        page = 4096
        damages = {
            "truncated": whole[: len(whole) // 2],
            "cut in a page": whole[: page * 3 + 100],
            "header": whole[:16] + b"\xff" * 84 + whole[100:],
            "pages": whole[:page] + b"\x5a" * (len(whole) - page),
            "empty": b"",
        }
        for what, data in damages.items():
            for left_over in hub.state.glob("node.db-*"):
                left_over.unlink()
            path.write_bytes(data)
            ran = cli(hub.state, "run", "--config", str(hub.config), as_json=False)
            assert ran.code == 6, f"{what}: {ran.code} {ran.err[-500:]}"
            assert "Traceback" not in ran.err, what
            assert "try:" in ran.err, what
        path.write_bytes(whole)
        hub.start()
        assert cli(hub.state, "audit", "verify").code == 0


def test_a_missing_sum_is_said_and_not_made_up(tmp_path: Path) -> None:
    with alone(tmp_path) as hub, contextlib.closing(sqlite3.connect(hub.state / "node.db")) as db:
        with db:
            row = (bytes(32), 1, b"\x90", "ef" * 32)
            db.execute("INSERT INTO certified VALUES (?, ?, ?, ?)", row)
        ran = cli(hub.state, "run", "--config", str(hub.config), as_json=False)
        assert ran.code in (1, 6) and "Traceback" not in ran.err, ran.err[-500:]


def _write_until_it_ends(hub: Hub) -> int:
    """Have the hub commit things until it stops; its exit code."""
    assert hub.process is not None
    end = time.monotonic() + 40
    while hub.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(CommandError):
            submit(hub, "bench", {"length": 10}, purpose="x" * 400)
    return hub.process.wait(20)


def _assert_whole(hub: Hub, before: int) -> None:
    """The hub starts again, nothing that it said is lost, its log is an unbroken chain."""
    hub.start()
    assert first_bad_entry(audit_entries(hub)) is None
    assert len(audit_entries(hub)) > before
    assert cli(hub.state, "audit", "verify").code == 0
    job = submit(hub, "bench", {"length": 10})
    wait_until(lambda: hub.job(job)["decisions"], "the hub does not decide any more")


def test_disk_full_stops_the_daemon_in_words_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A small tmpfs where that is possible."""
    if os.getuid() != 0:
        missing("only root can mount a small disk")
    need("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False).returncode:
        missing("no tmpfs can be mounted here")
    try:
        with alone(tmp_path) as hub:
            shutil.move(hub.state, disk / "state")
            hub.state = disk / "state"
            hub.start()
            before = len(audit_entries(hub))
            acknowledged = submit(hub, "bench", {"length": 10})
            with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
                while filler.write(bytes(4096)):
                    filler.flush()
            code = _write_until_it_ends(hub)
            assert code == 1, hub.log.read_text()[-2000:]
            assert "the daemon stopped" in hub.log.read_text() and "Traceback" not in hub.log.read_text()
            (disk / "filler").unlink()
            _assert_whole(hub, before)
            assert hub.knows(acknowledged)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_io_error_a_file_that_may_not_grow_stops_the_daemon_the_same_way(tmp_path: Path) -> None:
    """No root needed: a limit on the size of files, set on the running daemon."""
    with alone(tmp_path) as hub:
        hub.start()
        assert hub.process is not None
        before = len(audit_entries(hub))
        largest = max(path.stat().st_size for path in hub.state.glob("node.db*"))
        resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (largest + 20_000, largest + 20_000))
        code = _write_until_it_ends(hub)
        assert code == 1, hub.log.read_text()[-2000:]
        assert "the daemon stopped" in hub.log.read_text()
        _assert_whole(hub, before)


def test_read_only_fs_is_said_at_the_start_and_while_running(tmp_path: Path) -> None:
    if os.getuid() != 0:
        missing("only root can mount a disk")
    need("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=False).returncode:
        missing("no tmpfs can be mounted here")
    try:
        with alone(tmp_path) as hub:
            shutil.move(hub.state, disk / "state")
            hub.state = disk / "state"
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            ran = cli(hub.state, "run", "--config", str(hub.config), as_json=False)
            assert ran.code == 6 and "Read-only" in ran.err.replace("\n", " "), ran.err[-600:]
            assert "Traceback" not in ran.err
            fresh = cli(disk / "fresh", "init", "--federation", "x", "--name", "x")
            assert fresh.code == 6 and "Read-only" in fresh.error["why"]
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            hub.start()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_hub_that_is_stopped_while_it_writes_stops(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        hub.start()
        assert hub.process is not None
        for _ in range(20):
            submit(hub, "bench", {"length": 10})
        hub.process.send_signal(signal.SIGTERM)
        assert hub.process.wait(20) == 0
        _assert_whole(hub, 20)
