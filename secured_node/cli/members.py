"""`secured-node members`: who belongs to the federation, and who waits."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import ask, put, short, table, with_json, with_state


@click.command("members")
@with_state
@with_json
def command(state: Path, as_json: bool) -> None:
    """Show members, and who waits for approval with the words to compare."""
    value = ask(state, "GET", "/v1/members")

    def human(console: Console) -> None:
        columns = ("name", "organisation", "id", "endpoints", "steward")
        rows = [
            (m["name"], m["organisation"], m["node"], " ".join(m["endpoints"]), "yes" if m["steward"] else "")
            for m in value["members"]
        ]
        table(console, "Members", columns, rows)
        if value["waiting"]:
            waiting = [(w["name"], w["organisation"], short(w["node"]), " ".join(w["words"])) for w in value["waiting"]]
            table(console, "\nWaiting for approval", ("name", "organisation", "id", "words to compare"), waiting)

    put(as_json, value, human)
