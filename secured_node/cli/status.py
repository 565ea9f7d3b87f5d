"""`secured-node status`: how a running hub stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console

from secured_node.cli.common import ask, put, spent, table, with_json, with_state
from secured_node.doctor.daemon import LinkTold, perhaps_revoked

_NO_MEMBER: Final = "this hub is no member any more: it was revoked. secured-node doctor says why"
_HUNG_UP: Final = "all members hang up after the TLS handshake: perhaps this hub was revoked; ask another site"


def _perhaps_revoked(links: list[dict[str, Any]]) -> bool:
    return perhaps_revoked([msgspec.convert(link, LinkTold) for link in links])


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
        if not value["member"]:
            console.print(f"{'':<12} {_NO_MEMBER}", style="red")
        elif _perhaps_revoked(value["links"]):
            console.print(f"{'':<12} {_HUNG_UP}", style="yellow")
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
