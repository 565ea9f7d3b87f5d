"""Workers that are refused, attacked, killed, or hostile themselves: real processes, real walls."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from secured_node.config import Rule, WorkerOptions
from secured_node.policy import ROWS_MIN
from secured_node.tasks.base import MIN_ROWS_DEFAULT
from secured_node.work import frames
from secured_node.work.frames import ROWS_FLOOR, TO_DAEMON, TO_WORKER
from secured_node.work.launch import ChildLauncher, SocketLauncher
from secured_node.work.memfd import seal
from secured_node.work.serving import Settings
from secured_node.work.supervisor import JobFailed, Supervisor, WorkerDied
from secured_node.work.walls import Layer
from tests.misbehaving import ATTEMPTS
from tests.unit.walls_kit import REPOSITORY, needs_walls
from tests.worker_kit import (
    JOB,
    SCHEMA,
    WORKER,
    gone,
    install_plugin,
    on_ward,
    order,
    ward_rows,
    worker_site,
)

pytestmark = [needs_walls, pytest.mark.timeout(120)]

SUMMARY = b'{"columns": ["age"]}'
CANARIES = ("77.4321987", "Jane-Roe")


def canary_rows(rows: int = 30) -> list[tuple[Any, ...]]:
    """Every age begins with the canary."""
    return [(CANARIES[0], 70.0, "true", "late") for _ in range(rows)]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_plugin(tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def logs() -> Iterator[list[dict[str, Any]]]:
    structlog.reset_defaults()  # a command that another test ran in this process may have left its level behind
    with structlog.testing.capture_logs() as captured:
        yield captured


# --- what the walls are ----------------------------------------------------------------------------------------------


async def test_worker_tells_how_its_walls_stand_before_it_reads(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site", ward_rows(1, 30)) as site:
        walls = await site.supervisor.try_walls()
        assert walls.sufficient
        assert walls.sandbox == "strict"
        assert Layer.SECCOMP in walls.raised
        session = await site.supervisor.open(on_ward(site, "summary", SUMMARY))
        assert session.walls.raised == walls.raised
        assert session.opened.rows == 30
        assert not session.done


@pytest.mark.parametrize("sandbox", ["strict", "none"])
async def test_task_cannot_leave_the_worker(tmp_path: Path, plugins: Path, sandbox: Any) -> None:
    """Behind the walls nothing works. Without them (and only then) everything does: so the attempts are real."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "target").write_text("another hospital's", encoding="ascii")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(outside / "l"))
        listener.listen()
        parameters = json.dumps({"target": str(outside / "target"), "listener": str(outside / "l")}).encode()
        command = WORKER if sandbox == "strict" else unwalled(tmp_path)
        rows = ward_rows(1, 30)
        async with worker_site(tmp_path / "site", rows, plugins=plugins, sandbox=sandbox, command=command) as site:
            session = await site.supervisor.open(on_ward(site, "escapes", parameters))
            assert session.walls.sufficient == (sandbox == "strict")
            words, _ = await session.local(1)
    assert words.view("<u8").tolist() == [int(sandbox == "none")] * ATTEMPTS


def unwalled(folder: Path) -> tuple[str, ...]:
    """A machine on which no wall can be raised: a program that leaves all layers out, and then is the worker."""
    program = folder / "unwalled.py"
    program.write_text(
        "from secured_node.work import serving\n"
        "from secured_node.work.walls import Layer, raise_walls\n"
        "serving.raise_walls = lambda walls: raise_walls(walls, without=frozenset(Layer))\n"
        "from secured_node.work.worker import main\n"
        "raise SystemExit(main())\n",
        encoding="ascii",
    )
    return (sys.executable, "-P", str(program))


async def test_too_few_walls_are_refused_unless_the_command_line_says_none(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site", ward_rows(1, 30), command=unwalled(tmp_path)) as site:
        walls = await site.supervisor.try_walls()
        assert not walls.sufficient
        assert not walls.raised
        for attempt in (
            site.supervisor.open(on_ward(site, "summary", SUMMARY)),
            site.supervisor.check(str(site.data), SCHEMA, None),
        ):
            with pytest.raises(JobFailed, match="not walled in, so no data set is opened") as caught:
                await attempt
            assert caught.value.code == "walls"
            assert 'sandbox = "none"' in caught.value.todo
            assert caught.value.public == "its worker could not be walled in"


async def test_worker_with_folders_for_data_serves_no_other(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "link.csv").symlink_to(tmp_path / "site" / "ward.csv")
    async with worker_site(tmp_path / "site", ward_rows(1, 30), command=(*WORKER, "--data", str(served))) as site:
        for path in (site.data, served / "link.csv", served / ".." / "site" / "ward.csv"):
            with pytest.raises(JobFailed, match="none of the folders that this worker serves"):
                await site.supervisor.check(str(path), SCHEMA, None)
        (served / "ward.csv").write_bytes(site.data.read_bytes())
        assert (await site.supervisor.check(str(served / "ward.csv"), SCHEMA, None)).report.rows == 30


# --- data that are refused --------------------------------------------------------------------------------------------


async def test_data_set_is_checked_behind_walls(tmp_path: Path) -> None:
    rows = [*ward_rows(1, 30), ("-4", "x", "perhaps", "late")]
    async with worker_site(tmp_path / "site", rows) as site:
        checkup = await site.supervisor.check(str(site.data), SCHEMA, None)
        assert checkup.walls.sufficient
        assert (checkup.report.rows, checkup.report.published_rows) == (31, 30)
        assert checkup.report.name == "ward"
        problems = {(problem.column, problem.kind): problem.rows for problem in checkup.report.problems}
        assert problems == {
            ("age", "below the minimum"): (31,),
            ("weight", "not a number"): (31,),
            ("smoker", "not true or false"): (31,),
        }


@pytest.mark.parametrize(
    ("path", "schema", "mapping", "message"),
    [
        ("nowhere.csv", SCHEMA, None, "nowhere.csv does not exist"),
        ("ward.csv", "name = ", None, "the schema: not valid TOML"),
        ("ward.csv", 'name = "x"\nversion = 1\ncolumns = {}', None, "the schema"),
        ("ward.csv", SCHEMA, "[columns.age]\nfactor = 'x'", "the mapping: columns.age"),
        ("ward.csv", SCHEMA, '[columns.age]\nlocal = "Alter"', "it lacks these columns: age"),
        ("scratch", SCHEMA, None, "a plugin could then change the data"),
    ],
)
async def test_data_set_that_cannot_be_read_is_refused_in_words(
    tmp_path: Path, path: str, schema: str, mapping: str | None, message: str
) -> None:
    async with worker_site(tmp_path / "site", ward_rows(1, 30)) as site:
        if path == "scratch":
            path = "scratch/without-job/set.csv"
            (site.scratch / "without-job").mkdir()
            (site.root / path).write_bytes(site.data.read_bytes())
        with pytest.raises(JobFailed, match=message):
            await site.supervisor.check(str(site.root / path), schema, mapping)


async def test_path_that_is_no_path_is_refused_before_any_worker_sees_it(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        for path in ("ward.csv", "", "/a\nb", "/\udcff", "/" + "x" * 5000):
            with pytest.raises(JobFailed, match="must begin at /"):
                await site.supervisor.check(path, SCHEMA, None)


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        ({}, 9, "fewer than 10 rows"),
        ({"min_rows": 31}, 30, "fewer than 31 rows"),
        ({"parameters": b'{"columns": ["age"], "min_rows": 40}'}, 30, "the fewest rows are the job's own"),
        ({"parameters": b'{"columns": ["age"], "min_rows": 1}'}, 30, "the fewest rows are the job's own"),
        ({"parameters": b'{"columns": ["height"]}'}, 30, "no such column"),
        ({"parameters": b"[]"}, 30, "not a JSON object"),
        ({"parameters": b'{"columns": ["age"], "evil": 1}'}, 30, "task summary"),
        ({"parameters": b"\xff"}, 30, "not UTF-8 text"),
        ({"word_bits": 32}, 30, "words of 32 bits, its task for 64"),
        ({"task": "magic"}, 30, "there is no such task here"),
        ({"schema": None}, 30, "needs a data set|without a schema"),
    ],
)
async def test_job_that_does_not_fit_is_refused_in_words(
    tmp_path: Path, changes: dict[str, Any], rows: int, message: str
) -> None:
    async with worker_site(tmp_path / "site", canary_rows(rows)) as site:
        job = on_ward(site, "summary", SUMMARY)
        job = type(job)(**{name: changes.get(name, getattr(job, name)) for name in job.__slots__})
        with pytest.raises(JobFailed, match=message) as caught:
            await site.supervisor.open(job)
        assert CANARIES[0] not in str(caught.value)


@pytest.mark.parametrize(("rows", "forged"), [(30, 9), (5, 5), (5, 1)])
async def test_a_forged_order_cannot_lower_the_workers_own_floor(tmp_path: Path, rows: int, forged: int) -> None:
    """A daemon that was taken over says what it likes; the floor stands on the worker's command line."""
    parameters = b'{"columns": ["age"]}'
    async with worker_site(tmp_path / "site", canary_rows(rows)) as site:
        with pytest.raises(JobFailed, match=f"content with {forged} rows of a site; this site's worker wants 10"):
            await site.supervisor.open(on_ward(site, "summary", parameters, min_rows=forged))
        assert not site.kept()
    async with worker_site(tmp_path / "rare", canary_rows(rows), floor=forged) as site:
        session = await site.supervisor.open(on_ward(site, "summary", parameters, min_rows=forged))
        words, _ = await session.local(1)
        assert len(words)
        await session.close()


def test_the_floor_is_the_same_number_everywhere() -> None:
    floors = {
        Settings(Path()).rows_floor,
        WorkerOptions().min_rows,
        ROWS_MIN,
        MIN_ROWS_DEFAULT,
        Rule(action="join").min_rows,
    }
    assert floors == {ROWS_FLOOR} == {10}


# --- tasks that misbehave ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        ("raises", "task", "the task's code raised KeyError .*, in local"),
        ("talks", "task", "the task's code raised"),
        ("exits", "task", "SystemExit"),
        ("wrong", "encoding", "a count is below 0 or above 1000"),
    ],
)
async def test_failure_of_a_task_is_told_without_the_data(
    tmp_path: Path, plugins: Path, logs: list[dict[str, Any]], capfd: Any, task: str, code: str, message: str
) -> None:
    async with worker_site(tmp_path / "site", canary_rows(), plugins=plugins) as site:
        session = await site.supervisor.open(on_ward(site, task, b"{}"))
        with pytest.raises(JobFailed, match=message) as caught:
            await session.local(1)
        assert caught.value.code == code
        assert site.kept() == []
    said = [entry for entry in logs if entry["event"] == "worker_says"]
    assert any(f"failed ({code})" in entry["line"] for entry in said)
    everything = f"{logs} {caught.value} {caught.value.todo} {capfd.readouterr()}"
    if task == "talks":  # a type named after the value is the one thing it can still tell; see `failures`
        everything = everything.replace(f"raised {CANARIES[0]} (", "")
    assert CANARIES[0] not in everything
    assert "Traceback" not in everything


@pytest.mark.parametrize(
    ("task", "message"), [("crashes", "killed by SIGSEGV"), ("ends", "exit code 7"), ("sleeps", "no answer within")]
)
async def test_worker_that_dies_of_its_task_is_told_as_dead(
    tmp_path: Path, plugins: Path, logs: list[dict[str, Any]], task: str, message: str
) -> None:
    async with worker_site(tmp_path / "site", canary_rows(), plugins=plugins, local_s=0.5) as site:
        session = await site.supervisor.open(on_ward(site, task, b"{}"))
        with pytest.raises(WorkerDied, match=message):
            await session.local(1)
        assert await gone(session.process)
        with pytest.raises(WorkerDied):
            await session.local(1)
    if task == "crashes":
        assert any("Segmentation fault" in str(entry.get("line")) for entry in logs)
    assert CANARIES[0] not in str(logs)


async def test_cancelled_order_ends_the_worker(tmp_path: Path, plugins: Path) -> None:
    async with worker_site(tmp_path / "site", canary_rows(), plugins=plugins) as site:
        session = await site.supervisor.open(on_ward(site, "sleeps", b"{}"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.local(1)
        assert await gone(session.process)
        with pytest.raises(WorkerDied, match=r"worker \d+: it (was|ended)"):
            await session.local(1)


async def test_cancelled_opening_ends_the_worker(tmp_path: Path, plugins: Path) -> None:
    async with worker_site(tmp_path / "site", canary_rows(), plugins=plugins) as site:
        opening = asyncio.create_task(site.supervisor.open(on_ward(site, "waits", b"{}")))
        while not (workers := _children()):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert all([await gone(worker) for worker in workers])


def _children() -> list[int]:
    """Workers that are children of this process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == os.getpid() and b"secured_node.work.worker" in command:
                found.append(int(entry.name))
    return found


# --- a daemon that misbehaves -----------------------------------------------------------------------------------------


def _junk() -> tuple[bytes, list[int]]:
    return os.urandom(50), []


def _open_frame(size: int, *contents: bytes, sealed: bool = True) -> tuple[bytes, list[int]]:
    made = [_content(content, sealed) for content in contents]
    return TO_WORKER.encode(frames.Open(size, JOB, "bench", None, 4, 32, 10, 100)), made


def _content(content: bytes, sealed: bool) -> int:
    if sealed:
        return seal("content", [content])[0]
    descriptor = os.memfd_create("content", os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    return descriptor


ATTACKS: list[tuple[str, Callable[[], tuple[bytes, list[int]]]]] = [
    ("junk", _junk),
    ("an answer", lambda: (TO_DAEMON.encode(frames.Applied(1, True)), [])),
    ("an order before the job", lambda: (TO_WORKER.encode(frames.Local(1, False)), [])),
    ("a descriptor that is not announced", lambda: (TO_WORKER.encode(frames.Finish()), [_content(b"{}", True)])),
    ("no descriptor", lambda: _open_frame(2)),
    ("two descriptors", lambda: _open_frame(2, b"{}", b"{}")),
    ("a memfd without seals", lambda: _open_frame(2, b"{}", sealed=False)),
    ("a memfd of another size", lambda: _open_frame(3, b"{}")),
    ("a document that is none", lambda: _open_frame(2, b"[]")),
    ("deep nesting", lambda: _open_frame(100_000, b"[" * 100_000)),
]


@pytest.mark.parametrize("attack", [row[1] for row in ATTACKS], ids=[row[0] for row in ATTACKS])
async def test_order_that_is_none_is_answered_by_one_failure(
    tmp_path: Path, attack: Callable[[], tuple[bytes, list[int]]]
) -> None:
    async with worker_site(tmp_path / "site") as site:
        launcher = ChildLauncher(site.scratch)
        worker = await launcher.launch()
        data, descriptors = attack()
        raw: Any = worker.channel
        socket.send_fds(raw._socket, [data], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        packet = await worker.channel.receive()
        assert packet is not None
        assert isinstance(packet.frame, frames.Failed)
        assert packet.frame.code in {"frame", "order"}
        assert await worker.channel.receive() is None
        assert await worker.stop() == "it ended with exit code 1"
        assert not (site.scratch / JOB).exists()


# --- processes --------------------------------------------------------------------------------------------------------


async def test_spare_is_used_replaced_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secured_node.work.supervisor.SPARE_AFTER_S", 0.05)
    async with worker_site(tmp_path / "site", spare=True) as site:
        supervisor: Any = site.supervisor
        supervisor.start()
        first = (await asyncio.shield(supervisor._spare)).process
        session = await supervisor.open(order("bench", b'{"length": 5}', word_bits=32))
        assert session.process == first
        await asyncio.sleep(0.2)
        second = (await asyncio.shield(supervisor._spare)).process
        assert second != first
        os.kill(second, signal.SIGKILL)
        assert await gone(second)
        walls = await supervisor.try_walls()  # a dead spare is no reason to fail
        assert walls.sufficient
    assert all([await gone(process) for process in (first, second)])
    assert not _children()


async def test_forgetting_keeps_the_spare_and_touches_one_job_alone(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site", spare=True) as site:
        other = "0b" * 32
        for job in (JOB, other):
            session = await site.supervisor.open(order("bench", b'{"length": 5}', word_bits=32, job=job))
            await session.local(1)
            await session.close()
        await site.supervisor.forget(JOB)
        assert not (site.scratch / JOB).exists()
        assert site.kept(other) == ["round-1.words"]
        await site.supervisor.forget(JOB)
        supervisor: Any = site.supervisor
        assert supervisor._spare is not None
        (site.scratch / JOB).write_text("no folder", encoding="ascii")
        with pytest.raises(WorkerDied, match="Not a directory"):
            await site.supervisor.forget(JOB)


async def test_second_worker_at_a_job_is_refused(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        job = order("bench", b'{"length": 5}', word_bits=32)
        first = await site.supervisor.open(job)
        waiting = asyncio.create_task(site.supervisor.open(job))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        await first.close()
        second = await waiting  # which waited for the lock
        await second.local(1)


DAEMON = """
import asyncio, sys
from pathlib import Path
from secured_node.work.supervisor import ChildLauncher, OpenJob, Supervisor
scratch, code, data, schema = sys.argv[1:]
async def main():
    supervisor = Supervisor(ChildLauncher(Path(scratch), environment={"PYTHONPATH": code}))
    async def busy(job):
        session = await supervisor.open(OpenJob(job * 32, "sleeps", b"{}", 4, 64, 10, 9, data, schema))
        print(session.process, flush=True)
        await session.local(1)
    async def spare():
        print((await asyncio.shield(supervisor._spare)).process, flush=True)
    first = asyncio.create_task(busy("aa"))
    await asyncio.sleep(0)
    supervisor.start()
    await asyncio.gather(first, spare())
asyncio.run(main())
"""


async def test_death_of_the_daemon_ends_busy_and_spare_workers(tmp_path: Path, plugins: Path) -> None:
    async with worker_site(tmp_path / "site", canary_rows()) as site:
        path = os.pathsep.join((str(plugins), str(REPOSITORY)))
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-c", DAEMON, str(site.scratch), path, str(site.data), SCHEMA],
            env={"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert daemon.stdout is not None
        with daemon.stdout as said:
            workers: list[int] = []
            while len(workers) < 2:
                line = await asyncio.to_thread(said.readline)
                assert line, "the daemon ended by itself"
                if line.strip().isdigit():
                    workers.append(int(line))
            await asyncio.sleep(0.2)
            assert all(Path(f"/proc/{worker}").exists() for worker in workers)
            daemon.kill()
            daemon.wait()
            assert all([await gone(worker) for worker in workers])


async def test_worker_ends_with_its_daemon_even_without_the_kernels_signal(tmp_path: Path, plugins: Path) -> None:
    """As behind systemd, where the daemon is not its parent: it computes, and the socket closes."""
    async with worker_site(tmp_path / "site", canary_rows(), plugins=plugins) as site:
        session = await site.supervisor.open(on_ward(site, "sleeps", b"{}"))
        computing = asyncio.create_task(session.local(1))
        await asyncio.sleep(0.3)
        dialogue: Any = session._dialogue
        dialogue._worker.channel._socket.shutdown(socket.SHUT_RDWR)
        assert await gone(session.process, 2.0)
        with pytest.raises(WorkerDied):
            await computing


async def test_worker_behind_a_socket_as_systemd_starts_it(tmp_path: Path) -> None:
    """Accept=yes, StandardInput=socket, a journal's stream socket as standard error."""
    async with worker_site(tmp_path / "site", ward_rows(1, 30)) as site:
        folder = tmp_path / "run"
        folder.mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(folder / "worker.sock"))
            listener.listen()
            listener.setblocking(False)
            started: list[subprocess.Popen[bytes]] = []
            serving = asyncio.create_task(_accept(listener, site.scratch, started))
            supervisor = Supervisor(SocketLauncher(folder / "worker.sock"), spare=False)
            session = await supervisor.open(on_ward(site, "summary", SUMMARY))
            assert session.walls.sufficient
            words, _ = await session.local(1)
            assert len(words) == 8 * 3
            await supervisor.close()
            assert await asyncio.to_thread(started[0].wait, 10) == 0
            serving.cancel()
        with pytest.raises(WorkerDied, match=r"is secured-node-worker\.socket active"):
            await Supervisor(SocketLauncher(folder / "worker.sock")).try_walls()


async def _accept(listener: socket.socket, scratch: Path, started: list[subprocess.Popen[bytes]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        connected, _ = await loop.sock_accept(listener)
        journal, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with connected, theirs:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "secured_node.work.worker", "--scratch", str(scratch)],
                    env={"PYTHONPATH": str(REPOSITORY)},
                    stdin=connected,
                    stdout=theirs,
                    stderr=theirs,
                )
            )
        journal.close()


async def test_library_that_starts_threads_is_kept_behind_the_walls(tmp_path: Path) -> None:
    """The worker sees that it could not be walled in any more, and starts itself anew without it."""
    fake = tmp_path / "fake" / "pyarrow"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n", encoding="ascii"
    )
    async with worker_site(tmp_path / "site", plugins=fake.parent) as site:
        session = await site.supervisor.open(order("bench", b'{"length": 5}', word_bits=32))
        assert session.walls.sufficient
        assert b"--cold" in Path(f"/proc/{session.process}/cmdline").read_bytes()
        await session.local(1)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
        ("import os; os.write(0, b'\\x01\\x40junk')", "malformed"),
        ("import os; os.write(0, b'\\x01\\x41\\x90')", "did not get ready"),
    ],
)
async def test_program_that_is_no_worker_is_told_as_dead(tmp_path: Path, program: str, message: str) -> None:
    async with worker_site(tmp_path / "site", command=(sys.executable, "-c", program)) as site:
        with pytest.raises(WorkerDied, match=message):
            await site.supervisor.try_walls()


async def test_program_that_does_not_exist_is_told_as_such(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site", command=(str(tmp_path / "nothing"),)) as site:
        with pytest.raises(WorkerDied, match="cannot be started"):
            await site.supervisor.try_walls()


async def test_worker_that_says_too_much_is_cut_short(tmp_path: Path, logs: list[dict[str, Any]]) -> None:
    program = "import os\nos.write(2, b'x' * 100_000 + b'\\n\\x1b[2J' + b'line\\n' * 1000)\n"
    async with worker_site(tmp_path / "site", command=(sys.executable, "-c", program)) as site:
        with pytest.raises(WorkerDied):
            await site.supervisor.try_walls()
    said = [entry["line"] for entry in logs if entry["event"] == "worker_says"]
    assert len(said) == 200
    assert max(map(len, said)) == 500
    assert said[1] == "?[2Jline"


def test_worker_by_hand_is_told_that_it_is_not_for_hands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "secured_node.work.worker", "--scratch", str(tmp_path)],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "started by the daemon or by systemd" in done.stderr
