"""The database, read without writing a byte to it: is it whole, and does it say who belongs to the federation?

A daemon may be writing at the same time (`store.database.reading`).
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.kinds import KINDS
from protocols.membership.roster import Roster
from protocols.membership.store import open_store
from protocols.records.record import Record, decode_record
from secured_node.doctor.finding import Finding, doubt, fine, wrong
from secured_node.founding import CHARTER
from secured_node.stewards import lost_with
from secured_node.store.audit import Entry, first_bad_entry
from secured_node.store.database import MIGRATIONS, reading
from secured_node.store.store import DATABASE

FAULTS_MAX: Final = 5
"""Faults of the file that are told."""
_WAL_AT: Final = 18  # file format version numbers, 2 in WAL mode: SQLite's file format, section 1.3
_WAL: Final = b"\2\2"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read. version: of the schema. wal: whether the file is in that mode. faults: of its structure.

    charter, records: as encoded. entries: of the audit log, last: the newest one's digest, break_: where the chain
    breaks, or empty.
    """

    version: int
    wal: bool
    faults: tuple[str, ...]
    charter: bytes | None
    records: tuple[bytes, ...]
    entries: int
    last: bytes
    break_: str


def read_database(path: Path) -> Contents:
    """Read everything that is looked at. Raises `OSError`, `sqlite3.Error`."""
    with path.open("rb") as file:
        wal = file.read(_WAL_AT + len(_WAL))[_WAL_AT:] == _WAL
    with reading(path) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        faults = tuple(row[0] for row in db.execute(f"PRAGMA quick_check({FAULTS_MAX})") if row[0] != "ok")
        if faults or not 0 < version <= len(MIGRATIONS):
            return Contents(version, wal, faults, None, (), 0, b"", "")
        charter = db.execute("SELECT value FROM setting WHERE name = ?", (CHARTER,)).fetchone()
        records = tuple(data for (data,) in db.execute("SELECT data FROM record"))
        trail = _Trail(db)
        broken = first_bad_entry(trail)
        return Contents(
            version, wal, (), charter and charter[0], records, trail.count, trail.last, broken[1] if broken else ""
        )


class _Trail:
    """The audit's entries one by one, and how many came by: a log of years need not fit into memory."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.count, self.last = 0, b""

    def __iter__(self) -> Iterator[Entry]:
        for row in self._db.execute("SELECT sequence, time, event, body, digest FROM audit ORDER BY sequence"):
            entry = Entry(*row)
            self.count, self.last = self.count + 1, entry.digest
            yield entry


def check_database(folder: Path) -> tuple[Contents | None, list[Finding]]:
    """The file: readable by its owner alone, whole, of a known version; and the audit log in it."""
    path = folder / DATABASE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        contents = read_database(path)
    except FileNotFoundError:
        return None, [wrong("database", f"there is none at {path}", "secured-node init, or secured-node join")]
    except PermissionError:
        return None, [doubt("database", f"{path} is out of this user's reach", "run this as root to look at it")]
    except (OSError, sqlite3.Error) as error:
        todo = "check the disk, then restore the folder from your backup"
        return None, [wrong("database", f"{path} cannot be read: {error}", todo)]
    return contents, [_judge_file(path, mode, contents), *_judge_audit(contents)]


def _judge_file(path: Path, mode: int, contents: Contents) -> Finding:
    if contents.faults:
        todo = "stop the daemon, check the disk, restore the folder from your backup"
        return wrong("database", f"{path} is damaged: {'; '.join(contents.faults)}", todo)
    if contents.version > len(MIGRATIONS):
        found = f"{path} has version {contents.version}; this program knows {len(MIGRATIONS)}"
        return wrong("database", found, "install the newer version again")
    if contents.version == 0:
        return wrong("database", f"{path} is empty", "secured-node init, or secured-node join")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return wrong("database", f"{path} is open to others (mode {mode:o})", f"chmod 600 {path}")
    if contents.version < len(MIGRATIONS):
        return doubt("database", f"version {contents.version}; the daemon brings it up to date when it starts")
    if not contents.wal:
        return doubt("database", f"{path} is not in WAL mode; the daemon puts it there when it starts")
    return fine("database", f"whole, version {contents.version}, {len(contents.records)} records, mode {mode:o}")


def _judge_audit(contents: Contents) -> list[Finding]:
    if contents.faults or not 0 < contents.version <= len(MIGRATIONS):
        return []
    if contents.break_:
        return [wrong("audit log", contents.break_, "compare with a backup; find out who had access")]
    last = contents.last.hex()[:16] or "none"
    return [fine("audit log", f"{contents.entries} entries, an unbroken chain, last {last} (compare with your note)")]


def read_roster(contents: Contents | None) -> Roster | None:
    """Who belongs to the federation, by the records in the database. None without a federation, or a false charter."""
    if contents is None or contents.charter is None:
        return None
    try:
        store, roster = open_store(decode_record(contents.charter), KINDS)
    except PeerError:
        return None
    store.restore(list(_decoded(contents.records)))
    return roster


def _decoded(records: tuple[bytes, ...]) -> Iterator[Record]:
    for data in records:
        try:
            yield decode_record(data)
        except PeerError:
            continue


def check_federation(contents: Contents | None, roster: Roster | None, own: NodeId | None) -> list[Finding]:
    """Whether this hub belongs to a federation, with the key that it has."""
    if contents is None or contents.faults:
        return []
    if roster is None:
        why = "the charter in the database does not hold" if contents.charter else "this hub belongs to no federation"
        return [wrong("federation", why, "secured-node init, or secured-node join")]
    about = f"{roster.charter.name} ({roster.federation.hex()[:16]}), {len(roster.members())} members"
    if own is None:
        return [doubt("federation", f"{about}; whether this hub is one of them needs its key", "run this as root")]
    if roster.revoked(own):
        reasons = "; ".join(one.reason for one in roster.revocations() if one.node == own)
        todo = "a revoked key never comes back: ask for an invitation, and join with a new state folder"
        return [wrong("federation", f"{about}; this hub was revoked: {reasons}", todo)]
    if not roster.allowed(own):
        return [wrong("federation", f"{about}; the key here is no member's", "restore the key that belongs to it")]
    return [fine("federation", f"{about}, this hub among them"), *_judge_stewards(roster)]


def _judge_stewards(roster: Roster) -> list[Finding]:
    lost = lost_with(roster, roster.acting_stewards())
    return [doubt("stewards", lost, "its members can found another; jobs and links go on")] if lost else []
