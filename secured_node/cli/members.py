"""`secured-node members`: who belongs to the federation, and who waits."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import ask, put, safe, short, table, with_json, with_state


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
            console.print("\nWaiting for approval", style="italic")
        for waits in value["waiting"]:
            who = safe(f"{waits['name']} ({waits['organisation']}) {short(waits['node'])}")
            console.print(f"  {who}", markup=False, soft_wrap=True)
            if waits["words"]:
                console.print(f"    words to compare: {' '.join(waits['words'])}", soft_wrap=True)
            elif waits["invited_here"]:
                console.print("    words to compare: shown to administrators of this hub alone")
            else:
                console.print(f"    invited by another hub; stewards' votes so far: {waits['votes']}")

    put(as_json, value, human)
