"""The SQLite file: opened once, by one thread, with migrations in order.

WAL with full synchronisation: when `Store.commit` returns, the facts survive a power cut. sqlite-utils pulls pandas in
wherever it is installed; the daemon must not carry it, so it is hidden during that import.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
)
"""Each is applied once, in order; the file's user_version says how many were."""

BUSY_TIMEOUT_MS: Final = 5000
"""How long another process (a backup, `audit verify`) may hold the file."""


class DatabaseError(Exception):
    """The file cannot be used: what, why, and what to do, in one sentence each."""


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
    except (OSError, _sqlite_error()) as error:
        raise DatabaseError(
            f"{path} cannot be opened: {error}. Check its owner, its disk and its permissions."
        ) from None
    return db


def _migrate(db: Database) -> None:
    done = db.execute("PRAGMA user_version").fetchone()[0]
    if done > len(MIGRATIONS):
        raise DatabaseError(
            f"the database has version {done}; this program knows {len(MIGRATIONS)}. Install a newer one."
        )
    for number, script in enumerate(MIGRATIONS[done:], done + 1):
        db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def _sqlite_utils() -> type[Database]:
    hidden = "pandas" not in sys.modules
    if hidden:
        sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        from sqlite_utils import Database as Library  # noqa: PLC0415 - see the module's text
    finally:
        if hidden:
            del sys.modules["pandas"]
    return Library


def _sqlite_error() -> type[Exception]:
    import sqlite3  # noqa: PLC0415 - the library chooses the module; this is its error's base

    return sqlite3.Error
