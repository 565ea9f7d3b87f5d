"""The SQLite file: opened once, by one thread, with migrations in order.

WAL with full synchronisation: when `Store.commit` returns, the facts survive a power cut. sqlite-utils pulls pandas in
wherever it is installed; the daemon must not carry it, so it is hidden during that import.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from secured_node.hiding import hidden

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATIONS: Final = (
    """
    CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE record (digest BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE invitation (id BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE joined (job BLOB PRIMARY KEY, cohort BLOB NOT NULL) STRICT;
    CREATE TABLE entered (job BLOB PRIMARY KEY, round INTEGER NOT NULL, attempt INTEGER NOT NULL) STRICT;
    CREATE TABLE signed (job BLOB PRIMARY KEY, round INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE TABLE certified (
        job BLOB NOT NULL, round INTEGER NOT NULL, certificate BLOB NOT NULL, total TEXT NOT NULL,
        PRIMARY KEY (job, round)
    ) STRICT;
    CREATE TABLE result (job BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE data_set (name TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY, time TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL, digest BLOB NOT NULL
    ) STRICT;
    """,
    "CREATE TABLE waited (job BLOB PRIMARY KEY, seconds REAL NOT NULL CHECK (seconds >= 0)) STRICT;",
    "CREATE TABLE local_reason (job BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;",
    "CREATE TABLE spent (job BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;",
)
"""Each is applied once, in order; the file's user_version says how many were."""

BUSY_TIMEOUT_MS: Final = 5000
"""How long another process (a backup, `audit verify`) may hold the file."""


class DatabaseError(Exception):
    """The file cannot be used: what, why, and what to do, in one sentence each."""


class StorageError(Exception):
    """The disk does not take or give what it should, now; what was committed before is whole."""


def open_database(path: Path) -> Database:
    """Open or make the file, mode 0600, and bring it up to date. Raises `DatabaseError`."""
    library = _sqlite_utils()
    try:
        path.touch(mode=0o600, exist_ok=True)
        db: Database = library(str(path), execute_plugins=False)
        db.execute("PRAGMA journal_mode = WAL")
        for pragma in ("synchronous = FULL", "temp_store = MEMORY", f"busy_timeout = {BUSY_TIMEOUT_MS}"):
            db.execute(f"PRAGMA {pragma}")
        _migrate(db)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(
            f"{path} cannot be opened: {error}. Check its owner, its disk and its permissions; "
            "a damaged file is restored from your backup."
        ) from None
    return db


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file read beside a daemon that may be writing, without writing a byte. Raises `OSError`, `sqlite3.Error`.

    SQLite's WAL lets one read beside it. Where no log lies beside the file, no daemon has it open, and it is read as
    immutable, for otherwise reading would leave files behind that a daemon of another user could not open.
    """
    path.open("rb").close()  # that it is not there, or out of reach, is said in the system's words
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    where = f"file:{quote(str(path))}?{how}"
    with contextlib.closing(sqlite3.connect(where, uri=True, timeout=BUSY_TIMEOUT_MS / 1000)) as db:
        yield db


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one seam at which errors of SQLite and of the disk become ours."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(
            f"{path.parent}: {why}. Nothing that was committed is lost: see to the disk, then start again."
        ) from error
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise DatabaseError(f"{path} is damaged: {error}. Restore it from your backup.") from error


def _migrate(db: Database) -> None:
    done = db.execute("PRAGMA user_version").fetchone()[0]
    if done > len(MIGRATIONS):
        raise DatabaseError(
            f"the database has version {done}; this program knows {len(MIGRATIONS)}. Install a newer one."
        )
    for number, script in enumerate(MIGRATIONS[done:], done + 1):
        db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def _sqlite_utils() -> type[Database]:
    with hidden("pandas"):
        from sqlite_utils import Database as Library  # noqa: PLC0415 - see the module's text
    return Library
