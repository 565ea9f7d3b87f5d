"""`secured-node approve`: admit a newcomer."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import CommandError, Exit, ask, put, with_json, with_state


@click.command("approve")
@click.argument("node", required=False)
@click.option("--refuse", "reason", metavar="REASON", help="Turn the newcomer away instead.")
@click.option("--yes", is_flag=True, help="Do not ask whether the words were compared.")
@with_state
@with_json
def command(node: str | None, reason: str | None, yes: bool, state: Path, as_json: bool) -> None:
    """Admit a newcomer: NODE is its name, its id, or the end of it; without it, whoever waits alone."""
    waiting = ask(state, "GET", "/v1/members")["waiting"]
    fits = [w for w in waiting if node is None or node in (w["node"], w["name"]) or w["node"].endswith(node)]
    if len(fits) != 1:
        why = "nobody of that name waits" if not fits else f"{len(fits)} newcomers fit"
        raise CommandError("nobody was admitted", why, "secured-node members", Exit.NOT_FOUND)
    (newcomer,) = fits
    if reason is not None:
        put(as_json, ask(state, "POST", "/v1/members/refuse", {"node": newcomer["node"], "reason": reason}), _refused)
        return
    if newcomer["words"] and not yes:
        click.echo(f"{newcomer['name']} ({newcomer['organisation']})\n  words: {' '.join(newcomer['words'])}", err=True)
        click.confirm("Does the other screen show the same six words?", abort=True, err=True)
    value = ask(state, "POST", "/v1/members/approve", {"node": newcomer["node"]})

    def human(console: Console) -> None:
        if value["member"]:
            console.print(f"{newcomer['name']} is a member: {value['node']}")
        else:
            console.print(f"{newcomer['name']} has {value['votes']} of {value['quorum']} stewards' votes.")

    put(as_json, value, human)


def _refused(console: Console) -> None:
    console.print("Turned away.")
