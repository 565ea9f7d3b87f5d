"""The store: all of a step or nothing, what a restart reads, vectors that several rows share."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from protocols.identity import Identity
from protocols.job.events import Joined
from protocols.job.restore import restore
from protocols.message import Payload
from protocols.records.record import sign_record
from protocols.secagg.effects import Certified, Entered, Signed
from protocols.secagg.messages import Certificate, Vote
from secured_node.store.audit import first_bad_entry
from secured_node.store.blobs import DamagedBlob
from secured_node.store.database import MIGRATIONS, DatabaseError
from secured_node.store.store import DATA_SETS, LOCAL_REASONS, RESULTS, SETTINGS, Kept, Row, Setting, Store
from tests.unit.membership_kit import Note

ME = Identity(bytes(32))
JOB, OTHER = b"\1" * 32, b"\2" * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path)
    yield made
    await made.close()


async def reopened(store: Store, folder: Path) -> Store:
    await store.close()
    return Store(folder)


def words(value: int, length: int = 64) -> Payload:
    return np.full(length, value, np.uint8)


def vote(job: bytes, number: int) -> Vote:
    return Vote(job, number, 1, ME.node, bytes([number]) * 32, bytes(64))


def certified(job: bytes, number: int, total: Payload) -> Certified:
    return Certified(Certificate(job, number, bytes([number]) * 32, (vote(job, number),)), total)


def signed(job: bytes, number: int, *inputs: Payload, total: Payload) -> Signed:
    given = tuple((author, 0, one) for author, one in enumerate(inputs))
    return Signed(vote(job, number), (), (), (), given, total)


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").iterdir()}


async def test_a_step_that_fails_in_the_middle_leaves_nothing_of_itself(store: Store) -> None:
    await store.commit((Setting("a", b"1"),), [store.audit.entry("t", "first", {})])
    with pytest.raises(TypeError):
        await store.commit((Setting("a", b"2"), Joined(JOB, bytes(32)), object()), [store.audit.entry("t", "lost", {})])
    assert await store.rows(SETTINGS) == {"a": b"1"}
    assert await store.job_facts() == []
    await store.commit((Setting("a", b"3"),), [store.audit.entry("t", "second", {})])
    entries = await store.entries()
    assert [entry.event for entry in entries] == ["first", "second"]
    assert first_bad_entry(entries) is None, "an entry that was rolled back must not leave a gap"


async def test_one_cohort_per_job_is_held_by_the_file_itself(store: Store) -> None:
    await store.commit((Joined(JOB, b"a" * 32),))
    with pytest.raises(DatabaseError):
        await store.commit((Joined(JOB, b"b" * 32),))
    assert await store.job_facts() == [Joined(JOB, b"a" * 32)]


async def test_a_restart_reads_each_job_as_it_stood(store: Store, tmp_path: Path) -> None:
    total = words(7)
    await store.commit((Joined(JOB, b"c" * 32), Joined(OTHER, b"d" * 32)))
    await store.commit((Entered(JOB, 1, 1),))
    await store.commit((signed(JOB, 1, total=total),))
    await store.commit((certified(JOB, 1, total),))
    await store.commit((Entered(JOB, 2, 1),))
    await store.commit((Entered(JOB, 2, 4),))
    await store.commit((certified(OTHER, 1, words(1)),))
    await store.commit((certified(OTHER, 2, words(2)), Entered(OTHER, 3, 1)))
    await store.commit((signed(OTHER, 3, words(3), words(4), total=words(5)),))
    again = await reopened(store, tmp_path)
    try:
        jobs = restore(await again.job_facts())
        assert (jobs[JOB].cohort, jobs[JOB].rounds, jobs[JOB].entered, jobs[JOB].signed) == (b"c" * 32, 1, 4, None)
        assert jobs[JOB].history == b"\1" * 32
        other = jobs[OTHER]
        assert (other.rounds, other.entered, other.history) == (2, 1, b"\2" * 32)
        assert other.signed is not None and other.signed.vote == vote(OTHER, 3)
        np.testing.assert_array_equal(other.signed.total, words(5))
        np.testing.assert_array_equal(other.signed.inputs[1][2], words(4))
        fact = await again.certified(OTHER, 1)
        assert fact is not None and (fact.total == words(1)).all()
        assert await again.certified(OTHER, 9) is None
    finally:
        await again.close()
    store._thread.shutdown()


@pytest.fixture(autouse=True)
def _close_twice_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that open the folder again have closed the fixture's store already."""
    close = Store.close

    async def once(self: Store) -> None:
        if not self._thread._shutdown:
            await close(self)

    monkeypatch.setattr(Store, "close", once)


async def test_a_certificate_takes_the_place_of_what_led_to_it(store: Store, tmp_path: Path) -> None:
    await store.commit((Entered(JOB, 1, 2), signed(JOB, 1, words(1), words(2), total=words(3))))
    assert len(blobs(tmp_path)) == 3
    await store.commit((certified(JOB, 1, words(3)),))
    assert len(blobs(tmp_path)) == 1, "masked inputs are not needed any more, the sum is"
    assert restore(await store.job_facts())[JOB].entered == 0


async def test_equal_vectors_of_several_rounds_and_jobs_survive_each_other(store: Store, tmp_path: Path) -> None:
    same = words(9)
    await store.commit((signed(JOB, 1, same, total=same), signed(OTHER, 1, same, words(8), total=same)))
    assert len(blobs(tmp_path)) == 2
    await store.commit((certified(JOB, 1, same),))
    await store.commit((signed(JOB, 2, same, total=same),))
    await store.commit((certified(JOB, 2, words(1)),))
    for number, value in ((1, 9), (2, 1)):
        fact = await store.certified(JOB, number)
        assert fact is not None and (fact.total == words(value)).all()
    kept = restore(await store.job_facts())[OTHER].signed
    assert kept is not None and (kept.total == same).all() and (kept.inputs[0][2] == same).all()
    await store.commit((certified(OTHER, 1, words(1)),))
    fact = await store.certified(JOB, 1)
    assert fact is not None and (fact.total == same).all()


async def test_an_empty_vector_is_a_vector(store: Store) -> None:
    await store.commit((certified(JOB, 1, np.empty(0, np.uint8)),))
    fact = await store.certified(JOB, 1)
    assert fact is not None and len(fact.total) == 0


async def test_rows_come_go_and_are_replaced(store: Store) -> None:
    await store.commit((Row(DATA_SETS, "a", b"1"), Row(RESULTS, JOB, b"r")))
    await store.commit((Row(DATA_SETS, "a", b"2"), Row(DATA_SETS, "b", b"3")))
    assert await store.rows(DATA_SETS) == {"a": b"2", "b": b"3"}
    assert await store.row(DATA_SETS, "b") == b"3" and await store.row(RESULTS, JOB) == b"r"
    await store.commit((Row(DATA_SETS, "a", None),))
    assert await store.row(DATA_SETS, "a") is None


async def test_records_stand_until_they_are_dropped(store: Store, tmp_path: Path) -> None:
    record = sign_record(ME, bytes(32), "note", "s", Note("x"), sequence=1)
    await store.commit((Kept(b"k" * 32, record), Kept(b"l" * 32, record)))
    await store.commit((), dropped=(b"k" * 32,))
    assert await store.records() == [record]
    with sqlite3.connect(tmp_path / "node.db") as db:
        db.execute("INSERT INTO record VALUES (?, ?)", (b"m" * 32, b"garbage"))
    db.close()
    assert await store.records() == [record], "one that does not decode is left out: its peers have it"


async def test_everything_is_readable_by_its_owner_alone(store: Store, tmp_path: Path) -> None:
    await store.commit((certified(JOB, 1, words(1)),))
    for path in [*tmp_path.glob("node.db*"), *(tmp_path / "blobs").iterdir()]:
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700


async def test_a_file_of_a_newer_program_is_refused(store: Store, tmp_path: Path) -> None:
    await store.close()
    with sqlite3.connect(tmp_path / "node.db") as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(DatabaseError, match="newer"):
        Store(tmp_path)


async def test_a_file_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "node.db")) as db:
        db.executescript(MIGRATIONS[0])
        db.executescript("PRAGMA user_version = 1; INSERT INTO setting VALUES ('name', x'6e');")
    store = Store(tmp_path)
    try:
        await store.commit((Row(LOCAL_REASONS, b"job", b"no such column"),))
        assert await store.row(LOCAL_REASONS, b"job") == b"no such column"
        assert await store.rows(SETTINGS) == {"name": b"n"}
    finally:
        await store.close()


@pytest.mark.parametrize("damage", ["no database at all" * 500, ""])
async def test_a_damaged_file_is_a_database_error(store: Store, tmp_path: Path, damage: str) -> None:
    await store.close()
    for path in tmp_path.glob("node.db*"):
        path.write_text(damage)
    if damage:
        with pytest.raises(DatabaseError, match=r"node\.db"):
            Store(tmp_path)
    else:  # an empty file is a new database; the hub then finds that it belongs to no federation
        assert await Store(tmp_path).rows(SETTINGS) == {}


async def test_a_row_that_does_not_decode_is_a_database_error(store: Store, tmp_path: Path) -> None:
    await store.commit((certified(JOB, 1, words(1)),))
    with sqlite3.connect(tmp_path / "node.db") as db:
        db.execute("UPDATE certified SET certificate = x'c0'")
    db.close()
    with pytest.raises(DatabaseError, match="damaged"):
        await store.job_facts()
    with pytest.raises(DatabaseError, match="damaged"):
        await store.certified(JOB, 1)


@pytest.mark.parametrize("damage", ["missing", "one bit", "cut", "emptied", "longer"])
async def test_a_damaged_sum_is_an_error_that_names_the_file_and_never_a_wrong_sum(
    store: Store, tmp_path: Path, damage: str
) -> None:
    await store.commit((certified(JOB, 1, words(1)), signed(OTHER, 1, words(1), total=words(2))))
    path = tmp_path / "blobs" / hashlib.sha256(words(1).data).hexdigest()
    whole = path.read_bytes()
    harm = {"one bit": b"\x81" + whole[1:], "cut": whole[:-1], "emptied": b"", "longer": whole + b"\0"}
    path.unlink() if damage == "missing" else path.write_bytes(harm[damage])
    with pytest.raises(DamagedBlob, match=f"{path} is damaged.*from your backup"):
        await store.certified(JOB, 1)
    with pytest.raises(DamagedBlob, match=path.name):  # evidence of a signature that was given: nothing is made up
        await store.job_facts()
    path.write_bytes(whole)
    fact = await store.certified(JOB, 1)
    assert fact is not None and (fact.total == words(1)).all()


async def test_a_start_needs_no_sum_of_the_past(store: Store, tmp_path: Path) -> None:
    """Where a job stands is in its certificate; an old sum that the disk lost does not keep a hub from starting."""
    await store.commit((Joined(JOB, b"c" * 32), certified(JOB, 1, words(1))))
    for path in (tmp_path / "blobs").iterdir():
        path.unlink()
    assert restore(await store.job_facts())[JOB].rounds == 1


async def test_sweeping_takes_what_no_row_names_and_nothing_else(store: Store, tmp_path: Path) -> None:
    await store.commit((certified(JOB, 1, words(1)), signed(OTHER, 1, words(2), words(3), total=words(4))))
    needed = blobs(tmp_path)
    store.blobs.put(words(5))
    (tmp_path / "blobs" / ("ab" * 32 + ".part")).write_bytes(b"half")
    (tmp_path / "blobs" / "README").write_bytes(b"an administrator's note")
    assert await store.sweep() == 2
    assert blobs(tmp_path) == {*needed, "README"}
    assert await store.sweep() == 0
    assert len(needed) == 4 and restore(await store.job_facts())[OTHER].signed is not None


async def test_nothing_is_swept_if_rows_cannot_be_read(store: Store, tmp_path: Path) -> None:
    await store.commit((signed(OTHER, 1, words(2), total=words(4)),))
    with sqlite3.connect(tmp_path / "node.db") as db:
        db.execute("UPDATE signed SET data = x'c0'")
    db.close()
    with pytest.raises(DatabaseError, match="damaged"):
        await store.sweep()
    assert len(blobs(tmp_path)) == 2


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.unit.test_store import JOB, OTHER, certified, signed, words
from secured_node.store.store import Store

async def write(folder, moment):
    store = Store(folder)
    await store.commit((certified(JOB, 1, words(1)), signed(JOB, 2, words(2), total=words(3))))
    step = getattr(store.blobs, moment)
    def killed(*given):
        if moment == "put":
            step(*given)  # the blob is on disk, its row is not
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(store.blobs, moment, killed)
    await store.commit((certified(JOB, 2, words(9)),))

asyncio.run(write(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("moment", "rounds", "left", "kept"),
    [("put", 1, 4, 3), ("drop", 2, 4, 2)],
    ids=["before its row is written", "after the rows that named them are gone"],
)
async def test_crash_everywhere_a_kill_between_blob_and_row_is_cleared_at_the_next_start(
    tmp_path: Path, moment: str, rounds: int, left: int, kept: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), moment]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(blobs(tmp_path)) == left
    store = Store(tmp_path)
    try:
        await store.sweep()
        assert len(blobs(tmp_path)) == kept
        job = restore(await store.job_facts())[JOB]
        assert job.rounds == rounds and (job.signed is None) == (rounds == 2)
        for number in range(1, rounds + 1):
            assert await store.certified(JOB, number) is not None
    finally:
        await store.close()


async def test_a_damaged_blob_is_written_anew_and_not_trusted_for_its_name(store: Store, tmp_path: Path) -> None:
    name = store.blobs.put(words(5))
    for damage in (b"", b"something else", bytes(words(5).data)[:-1]):
        (tmp_path / "blobs" / name).write_bytes(damage)
        assert store.blobs.put(words(5)) == name
        assert bytes(store.blobs.get(name).data) == bytes(words(5).data)
