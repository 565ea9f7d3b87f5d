"""`secured-node invite`: an invitation for one new hub."""

from __future__ import annotations

from pathlib import Path

import click
import segno
from rich.console import Console

from protocols.invitation.desk import EXPIRES_S_MAX
from secured_node.cli.common import ask, hours, put, with_endpoints, with_json, with_state


@click.command("invite")
@click.option(
    "--expires",
    "hours",
    default=24.0,
    callback=hours(EXPIRES_S_MAX / 3600),
    show_default=True,
    help="Hours in which it must be used.",
)
@with_endpoints("Where the newcomer finds this hub; repeat.  [default: network.endpoints]")
@click.option("--qr", is_flag=True, help="Show it as a QR code too.")
@with_state
@with_json
def command(hours: float, endpoints: tuple[str, ...], qr: bool, state: Path, as_json: bool) -> None:
    """Print an invitation's code. It lets in one hub, once; send it over a channel that you trust."""
    value = ask(state, "POST", "/v1/invitations", {"expires_s": hours * 3600, "endpoints": list(endpoints)})

    def human(console: Console) -> None:
        console.print(value["code"], soft_wrap=True)
        if qr:
            segno.make(value["code"]).terminal(compact=True)
        console.print(f"\nOn the new machine, within {hours:g} hours:  secured-node join CODE")
        console.print(f"Then compare the six words and:  secured-node approve NAME --state {state}")

    put(as_json, value, human)
