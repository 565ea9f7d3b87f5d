"""`secured-node status`: how a running hub stands."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import ask, put, spent, table, with_json, with_state


@click.command("status")
@with_state
@with_json
def command(state: Path, as_json: bool) -> None:
    """Show how this hub stands: federation, links, jobs, the worker's walls."""
    value = ask(state, "GET", "/v1/status")

    def human(console: Console) -> None:
        lines = ("name", "node", "federation", "version", "members", "data_sets", "uptime_s")
        for line in lines:
            console.print(f"{line:<12} {value[line]}")
        walls = value["sandbox"]
        console.print(f"{'sandbox':<12} {', '.join(walls['raised']) if walls else 'not tried yet'}")
        console.print(f"{'jobs':<12} {', '.join(f'{n} {s}' for s, n in value['jobs'].items()) or 'none'}")
        for budget in value["budgets"]:
            console.print(f"{'epsilon':<12} {budget['data']}: {spent(budget)}", markup=False)
        if value["answers_needed"]:
            console.print(f"{'':<12} waiting for your answer: {value['answers_needed']} (secured-node job list)")
        links = [
            (
                k["name"],
                "up" if k["up"] else "down",
                f"{k['since_s']:.0f} s",
                k["sent_bytes"],
                k["received_bytes"],
                k["trouble"],
            )
            for k in value["links"]
        ]
        table(console, "\nLinks", ("member", "link", "for", "sent", "received", "trouble"), links)

    put(as_json, value, human)
