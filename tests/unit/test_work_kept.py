"""Integers on the worker's disk, exceptions as words, and the two descriptions of a report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from protocols.encoding import EncodingError
from protocols.errors import LocalError
from secured_node.data import cells, check
from secured_node.data.errors import DataError
from secured_node.tasks import base
from secured_node.work import documents, kept
from secured_node.work.failures import WorkerError, failed
from secured_node.work.frames import TO_DAEMON, FrameError
from secured_node.work.kept import Kept
from secured_node.work.walls import WallsError
from tests.unit.walls_kit import REPOSITORY

WORDS = memoryview(bytes(range(256)) * 16)


# --- kept -------------------------------------------------------------------------------------------------------------


def test_words_stay_until_their_round_is_certified(tmp_path: Path) -> None:
    store = Kept(tmp_path)
    assert store.load(1, len(WORDS)) is None
    store.keep(1, WORDS)
    loaded = store.load(1, len(WORDS))
    assert loaded == WORDS
    assert loaded is not None
    assert loaded.readonly
    assert store.load(2, len(WORDS)) is None
    store.drop(1)
    store.drop(1)
    assert store.load(1, len(WORDS)) is None
    assert loaded == WORDS


def test_words_are_for_the_worker_alone(tmp_path: Path) -> None:
    Kept(tmp_path).keep(1, WORDS)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_words_are_never_replaced(tmp_path: Path) -> None:
    """Half-written ones are cleared away at the start; finished ones are what counts."""
    (tmp_path / "round-1.part").write_bytes(b"half")
    store = Kept(tmp_path)
    assert not (tmp_path / "round-1.part").exists()
    store.keep(1, WORDS)
    (tmp_path / "round-2.part").write_bytes(b"someone else's")
    with pytest.raises(FileExistsError):
        store.keep(2, WORDS)


def test_damaged_words_are_lost_and_not_made_again(tmp_path: Path) -> None:
    store = Kept(tmp_path)
    store.keep(1, WORDS)
    with pytest.raises(WorkerError) as caught:
        store.load(1, len(WORDS) + 4)
    assert caught.value.code == "lost"


def test_second_worker_at_one_job_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LOCK_WAIT_S", 0.05)
    first = Kept(tmp_path)
    with pytest.raises(WorkerError) as caught:
        Kept(tmp_path)
    assert caught.value.code == "busy"
    first.keep(1, WORDS)


# --- failures ---------------------------------------------------------------------------------------------------------

CANARY = "Jane-Roe-1957"


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


@pytest.mark.parametrize(
    "error",
    [
        KeyError(CANARY),
        ValueError(f"could not convert string to float: '{CANARY}'"),
        OSError(CANARY),
        OSError(5, CANARY, CANARY),
        SystemExit(CANARY),
        MemoryError(CANARY),
        RecursionError(CANARY),
        UnicodeDecodeError("ascii", CANARY.encode(), 0, 1, CANARY),
        type(CANARY * 20, (Exception,), {})(CANARY),
        type("two\nlines", (Exception,), {})(CANARY),
        msgspec.ValidationError(CANARY),
    ],
    ids=lambda error: type(error).__name__[:20],
)
def test_foreign_error_tells_its_type_and_place_but_never_its_text(error: BaseException) -> None:
    frame = failed(raised(error))
    assert CANARY not in repr(frame)
    assert frame.code in {"task", "system", "memory"}
    if frame.code == "task":
        assert "test_work_kept.py, line" in frame.reason
    TO_DAEMON.encode(frame)


@pytest.mark.parametrize(
    ("error", "code", "reason", "todo"),
    [
        (DataError("column 'age'", "it is missing", "map it"), "data", "column 'age': it is missing", "map it"),
        (base.TooFewRowsError(10, "rows"), "data", "this site's data: fewer than 10 rows", "cannot take part"),
        (EncodingError("sums", "a number is beyond"), "encoding", "block 'sums': a number is beyond", ""),
        (WallsError("no walls", "old kernel", "update"), "walls", "no walls: old kernel", "update"),
        (WorkerError("lost", "gone", "submit again"), "lost", "gone", "submit again"),
        (FrameError("malformed", "not an Open"), "frame", "malformed: not an Open", "same version"),
        (OSError(28, "x"), "system", "No space left on device", "disk"),
        (LocalError("x" * 10_000), "encoding", "x…", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_own_error_tells_what_and_what_to_do(error: Exception, code: str, reason: str, todo: str) -> None:
    frame = failed(raised(error))
    assert frame.code == code
    assert reason in frame.reason
    assert todo in frame.todo
    TO_DAEMON.encode(frame)


# --- documents --------------------------------------------------------------------------------------------------------


def test_report_is_the_same_on_both_sides() -> None:
    pairs = (
        (documents.DataReport, check.Report),
        (documents.ColumnReport, check.ColumnReport),
        (documents.Problem, cells.Problem),
    )
    for ours, theirs in pairs:
        assert ours.__struct_fields__ == theirs.__struct_fields__
    report = check.Report(
        "s", 1, "00" * 32, 12, 10, (check.ColumnReport("age", 2, 1),), (cells.Problem("age", "x", 1, (3,)),)
    )
    received = documents.decode_document(memoryview(msgspec.json.encode(report)), documents.DataReport)
    assert msgspec.to_builtins(received) == msgspec.to_builtins(report)


@pytest.mark.parametrize("content", [b"", b"null", b"[", b"[" * 100_000, b'{"data":1}', b"\xff", b'{"schema":1}'])
def test_document_that_is_none_is_refused(content: bytes) -> None:
    for kind in (documents.Description, documents.DataReport, documents.ResultDocument):
        with pytest.raises(FrameError):
            documents.decode_document(memoryview(content), kind)


# --- the daemon stays light -------------------------------------------------------------------------------------------


def test_daemon_imports_neither_data_nor_tasks() -> None:
    code = """
import sys
import secured_node.work.supervisor
heavy = ["pyarrow", "pandas", "sklearn", "safetensors", "secured_node.tasks", "secured_node.data"]
heavy += ["secured_node.work.walls", "secured_node.work.computation"]
print([name for name in heavy if name in sys.modules])
"""
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_reading_data_does_not_import_pandas(tmp_path: Path) -> None:
    """Arrow would, by the way, if it were asked in the wrong words: 0.2 s and 45 MB."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "set.csv").write_text("a,b\n1,x\n,\n", encoding="ascii")
    columns = {"a": pa.array([1.5, None]), "b": pa.array(["x", None]), "c": pa.array([None, True])}
    parquet.write_table(pa.table(columns), tmp_path / "set.parquet")
    code = """
import sys
from pathlib import Path
from secured_node.data.mapping import TextFormat
from secured_node.data.sources import find_source
for name in ("set.csv", "set.parquet"):
    table = find_source(Path(sys.argv[1], name))(Path(sys.argv[1], name), ["a", "b", "c"], TextFormat())
    print([(list(map(str, c.values[~c.absent])), c.absent.tolist()) for c in map(table.column, table.names)])
print("pandas" in sys.modules)
"""
    environment = {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        "[(['1', ''], [False, False]), (['x', ''], [False, False])]",
        "[(['1.5'], [False, True]), (['x'], [False, True]), (['True'], [True, False])]",
        "False",
    ]


def test_worker_can_begin_cold_without_numpy() -> None:
    code = "import sys, secured_node.work.worker; print('numpy' in sys.modules, 'pyarrow' in sys.modules)"
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]
