"""The durable facts of a hub, written by one thread.

The driver hands over the facts of a step; when `commit` returns they are on disk, all or none. Reading happens at the
start, and for what people ask; both go through the same thread, so that SQLite sees one user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from protocols.errors import PeerError
from protocols.job.clock import Waited
from protocols.job.events import Joined
from protocols.message import Message
from protocols.records.record import Record, decode_record, encode_record
from protocols.secagg.effects import Certified, Entered, Signed
from protocols.secagg.messages import Certificate, Offer, Root, Sum, Vote
from secured_node.store.audit import Audit, Entry, Told
from secured_node.store.blobs import Blobs
from secured_node.store.database import open_database, translated

if TYPE_CHECKING:
    from sqlite_utils import Database

T = TypeVar("T")
DATABASE: Final = "node.db"
BLOBS: Final = "blobs"


class SignedRow(Message, frozen=True):
    """A `Signed` fact on disk. inputs: (author, segment, name of the blob). total: name of the blob."""

    vote: Vote
    offers: tuple[Offer, ...]
    roots: tuple[Root, ...]
    sums: tuple[Sum, ...]
    inputs: tuple[tuple[int, int, str], ...]
    total: str


class Store:
    """All that a hub keeps, in one folder. Open it before the event loop needs it; close it last."""

    def __init__(self, folder: Path) -> None:
        """Raises `DatabaseError` if the file cannot be used."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._path = folder / DATABASE
        self.blobs = Blobs(folder / BLOBS)
        self._db: Database = self._thread.submit(open_database, self._path).result()
        self.audit = Audit(self._thread.submit(self._translated, self._last_entry).result())

    async def run(self, work: Callable[[], T]) -> T:
        """Run something on the store's thread. Raises `DatabaseError` if the file is damaged, `StorageError` if the
        disk does not take or give it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._translated, work)

    def _translated(self, work: Callable[[], T]) -> T:
        with translated(self._path):
            return work()

    async def close(self) -> None:
        """Write what is left and close the file."""
        await self.run(self._db.close)
        self._thread.shutdown()

    async def sweep(self) -> int:
        """Delete what a crash left behind and no row names; how many blobs. At the start, before anything is written,
        and only by the one process that has the folder."""
        return await self.run(lambda: self.blobs.sweep(self._named()))

    def _named(self) -> set[str]:
        """The blobs that rows name."""
        sums = {name for (name,) in self._db.execute("SELECT total FROM certified")}
        return sums | {name for row in self._signed_rows() for name in _blobs_of(row)}

    # -- facts ---------------------------------------------------------------------------------------------------

    async def commit(self, facts: Sequence[object], told: Sequence[Told] = (), dropped: Sequence[bytes] = ()) -> None:
        """Make facts, and what the audit is told of them, durable together, all or none.

        dropped: digests of records that stand no longer.
        """
        if facts or told or dropped:
            await self.run(lambda: self._commit(facts, told, dropped))

    def _commit(self, facts: Sequence[object], told: Sequence[Told], dropped: Sequence[bytes]) -> None:
        unused: list[str] = []
        entries = self.audit.linked(told)
        with self._db.atomic():
            for fact in facts:
                unused += self._put(fact)
            for digest in dropped:
                self._db.execute("DELETE FROM record WHERE digest = ?", (digest,))
            for entry in entries:
                row = (entry.sequence, entry.time, entry.event, entry.body, entry.digest)
                self._db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", row)
        self.audit.written(entries)
        for name in self._unreferenced(unused):
            self.blobs.drop(name)

    def _unreferenced(self, names: Sequence[str]) -> set[str]:
        """Those blobs that no row names: equal vectors of several rounds or jobs are one blob."""
        if not names:
            return set()
        used = {name for row in self._signed_rows() for name in _blobs_of(row)}
        query = "SELECT 1 FROM certified WHERE total = ?"
        return {name for name in names if name not in used and self._db.execute(query, (name,)).fetchone() is None}

    def _put(self, fact: object) -> list[str]:
        """Write one fact; the names of blobs that nothing needs any more once this is committed."""
        match fact:
            case Kept():
                self._db.execute(
                    "INSERT OR REPLACE INTO record VALUES (?, ?)", (fact.digest, encode_record(fact.record))
                )
            case Joined():
                self._db.execute("INSERT INTO joined VALUES (?, ?)", (fact.job, fact.cohort))
                self._db.execute("DELETE FROM waited WHERE job = ?", (fact.job,))
            case Waited():
                self._db.execute("INSERT OR REPLACE INTO waited VALUES (?, ?)", (fact.job, fact.waited_s))
            case Entered():
                row = (fact.job, fact.round, fact.attempt)
                self._db.execute("INSERT OR REPLACE INTO entered VALUES (?, ?, ?)", row)
            case Signed():
                self._put_signed(fact)
            case Certified():
                return self._put_certified(fact)
            case Setting():
                self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (fact.name, fact.value))
            case Row():
                self._put_row(fact)
            case _:
                raise TypeError(f"{type(fact).__name__} is not a fact that is kept")
        return []

    def _put_row(self, fact: Row) -> None:
        table = fact.table
        if fact.data is None:
            self._db.execute(f"DELETE FROM {table.name} WHERE {table.key} = ?", (fact.key,))  # noqa: S608 - a constant
        else:
            self._db.execute(f"INSERT OR REPLACE INTO {table.name} VALUES (?, ?)", (fact.key, fact.data))  # noqa: S608

    def _put_signed(self, fact: Signed) -> None:
        inputs = tuple((author, segment, self.blobs.put(words)) for author, segment, words in fact.inputs)
        row = SignedRow(fact.vote, fact.offers, fact.roots, fact.sums, inputs, self.blobs.put(fact.total))
        values = (fact.vote.job, fact.vote.round, msgspec.msgpack.encode(row))
        self._db.execute("INSERT OR REPLACE INTO signed VALUES (?, ?, ?)", values)

    def _put_certified(self, fact: Certified) -> list[str]:
        certificate, total = fact.certificate, self.blobs.put(fact.total)
        row = (certificate.job, certificate.round, msgspec.msgpack.encode(certificate), total)
        self._db.execute("INSERT OR REPLACE INTO certified VALUES (?, ?, ?, ?)", row)
        unused = [name for signed in self._signed_rows(certificate.job) for name in _blobs_of(signed)]
        self._db.execute("DELETE FROM signed WHERE job = ?", (certificate.job,))
        self._db.execute("DELETE FROM entered WHERE job = ?", (certificate.job,))
        return unused

    def _signed_rows(self, job: bytes | None = None) -> list[SignedRow]:
        where, values = ("", ()) if job is None else (" WHERE job = ?", (job,))
        rows = self._db.execute(f"SELECT data FROM signed{where}", values).fetchall()  # noqa: S608 - two constants
        return [msgspec.msgpack.decode(data, type=SignedRow) for (data,) in rows]

    # -- reading -------------------------------------------------------------------------------------------------

    async def records(self) -> list[Record]:
        """All records that were kept. One that does not decode any more is left out: its peers have it."""
        rows = await self.run(lambda: self._db.execute("SELECT data FROM record").fetchall())
        return [record for (data,) in rows if (record := _record(data)) is not None]

    async def job_facts(self) -> list[object]:
        """Every job's facts for `protocols.job.restore`; of what is certified, the certificates: sums stay on disk."""
        return await self.run(self._job_facts)

    def _job_facts(self) -> list[object]:
        execute = self._db.execute
        facts: list[object] = [Joined(job, cohort) for job, cohort in execute("SELECT job, cohort FROM joined")]
        facts += [Waited(*row) for row in execute("SELECT job, seconds FROM waited")]
        latest = "SELECT certificate, max(round) FROM certified GROUP BY job"
        facts += [_certificate(certificate) for certificate, _ in execute(latest)]
        facts += [Entered(*row) for row in execute("SELECT job, round, attempt FROM entered")]
        return facts + [self._signed(row) for row in self._signed_rows()]

    def _certified(self, certificate: bytes, total: str) -> Certified:
        return Certified(_certificate(certificate), self.blobs.get(total))

    def _signed(self, row: SignedRow) -> Signed:
        inputs = tuple((author, segment, self.blobs.get(name)) for author, segment, name in row.inputs)
        return Signed(row.vote, row.offers, row.roots, row.sums, inputs, self.blobs.get(row.total))

    async def certified(self, job: bytes, number: int) -> Certified | None:
        """The certificate and sum of a past round. Raises `DamagedBlob` if the sum is not what was certified here."""
        query = "SELECT certificate, total FROM certified WHERE job = ? AND round = ?"

        def read() -> Certified | None:
            row = self._db.execute(query, (job, number)).fetchone()
            return None if row is None else self._certified(*row)

        return await self.run(read)

    async def row(self, table: Table, key: str | bytes) -> bytes | None:
        """One row of a two-column table."""
        query = f"SELECT * FROM {table.name} WHERE {table.key} = ?"  # noqa: S608 - constants
        row = await self.run(lambda: self._db.execute(query, (key,)).fetchone())
        return None if row is None else row[1]

    async def rows(self, table: Table) -> dict[Any, bytes]:
        """All rows of a two-column table."""
        rows = await self.run(lambda: self._db.execute(f"SELECT * FROM {table.name}").fetchall())  # noqa: S608
        return dict(rows)

    async def entries(self, first: int = 1, limit: int = 1_000_000) -> list[Entry]:
        """Audit entries from a sequence number on."""
        query = "SELECT sequence, time, event, body, digest FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT ?"
        rows = await self.run(lambda: self._db.execute(query, (first, limit)).fetchall())
        return [Entry(*row) for row in rows]

    def _last_entry(self) -> Entry | None:
        query = "SELECT sequence, time, event, body, digest FROM audit ORDER BY sequence DESC LIMIT 1"
        row = self._db.execute(query).fetchone()
        return None if row is None else Entry(*row)


class Kept(Message, frozen=True):
    """Fact: a record stands. digest: of what it says."""

    digest: bytes
    record: Record


class Setting(Message, frozen=True):
    """Fact: a named value of this node."""

    name: str
    value: bytes


class Table(msgspec.Struct, frozen=True):
    """A table of two columns: a key and bytes."""

    name: str
    key: str


SETTINGS: Final = Table("setting", "name")
INVITATIONS: Final = Table("invitation", "id")
DATA_SETS: Final = Table("data_set", "name")
RESULTS: Final = Table("result", "job")
LOCAL_REASONS: Final = Table("local_reason", "job")
"""Why a job failed here, in words for this site's own people: they may name files and columns. Never in a record."""
SPENT: Final = Table("spent", "job")


class Row(msgspec.Struct, frozen=True):
    """Fact: a row of a two-column table; data None: it is gone."""

    table: Table
    key: str | bytes
    data: bytes | None


def _record(data: bytes) -> Record | None:
    try:
        return decode_record(data)
    except PeerError:
        return None


def _certificate(data: bytes) -> Certificate:
    return msgspec.msgpack.decode(data, type=Certificate)


def _blobs_of(row: SignedRow) -> Iterable[str]:
    yield from (name for _, _, name in row.inputs)
    yield row.total
