"""`secured-node audit`: what happened at this hub, and whether the log is whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import CommandError, Exit, put, table, with_json, with_state
from secured_node.store.audit import Entry, first_bad_entry
from secured_node.store.database import reading
from secured_node.store.store import DATABASE


@click.group("audit")
def command() -> None:
    """Show and verify the audit log; works with and without the daemon."""


def _entries(state: Path, first: int = 1) -> list[Entry]:
    if not (state / DATABASE).exists():
        raise CommandError(
            "there is no audit log", f"{state} holds no database", "name the hub with --state", Exit.STATE
        )

    query = "SELECT sequence, time, event, body, digest FROM audit WHERE sequence >= ? ORDER BY sequence"
    try:
        with reading(state / DATABASE) as db:
            return [Entry(*row) for row in db.execute(query, (first,))]
    except (OSError, sqlite3.Error) as error:
        todo = "look at its owner and disk; restore a damaged one from your backup"
        raise CommandError("the audit log cannot be read", str(error), todo, Exit.STATE) from None


@command.command("show")
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="Sequence number to begin with.")
@click.option(
    "--last", type=click.IntRange(1), default=50, show_default=True, help="At most so many entries, the newest."
)
@with_state
@with_json
def show(first: int, last: int, state: Path, as_json: bool) -> None:
    """Show entries. The digest of the newest one stands for all before it: write it down elsewhere."""
    entries = _entries(state, first)[-last:]
    value = [
        {"sequence": e.sequence, "time": e.time, "event": e.event, "body": e.body, "digest": e.digest.hex()}
        for e in entries
    ]

    def human(console: Console) -> None:
        rows = [(e.sequence, e.time, e.event, e.body, e.digest.hex()[:16]) for e in entries]
        table(console, "Audit", ("#", "time", "event", "about", "digest"), rows)

    put(as_json, value, human)


@command.command("verify")
@with_state
@with_json
def verify(state: Path, as_json: bool) -> None:
    """Check the chain of the log; name the first bad entry."""
    entries = _entries(state)
    bad = first_bad_entry(entries)
    last = entries[-1].digest.hex() if entries else ""
    value = {"entries": len(entries), "ok": bad is None, "first_bad": bad[0] if bad else None, "last_digest": last}
    if bad is not None:
        raise CommandError("the audit log was tampered with", bad[1], "compare with a backup", Exit.PROOF)
    put(as_json, value, lambda console: console.print(f"{len(entries)} entries, an unbroken chain. Last: {last[:16]}"))
