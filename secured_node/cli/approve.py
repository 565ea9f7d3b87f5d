"""`secured-node approve`: admit a newcomer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from secured_node.cli.common import CommandError, Exit, ask, plain, put, safe, with_json, with_state
from secured_node.naming import fitting


@click.command("approve")
@click.argument("node", required=False)
@click.option("--refuse", "reason", metavar="REASON", help="Turn the newcomer away instead.")
@click.option("--yes", is_flag=True, help="Do not ask whether the words were compared.")
@with_state
@with_json
def command(node: str | None, reason: str | None, yes: bool, state: Path, as_json: bool) -> None:
    """Admit a newcomer: NODE is its name, its id, or the end of it; without it, whoever waits alone."""
    known = ask(state, "GET", "/v1/members")
    newcomer = _meant(known, node)
    if reason is not None:
        refused = ask(state, "POST", "/v1/members/refuse", {"node": newcomer["node"], "reason": reason})
        put(as_json, refused, lambda console: console.print(f"Turned away: {safe(newcomer['name'])}", markup=False))
        return
    same = next((m["node"] for m in known["members"] if m["name"] == newcomer["name"]), None)
    if same is not None:
        _question_name(newcomer, same, yes)
    if newcomer["words"] and not yes:
        who = safe(f"{newcomer['name']} ({newcomer['organisation']})")
        click.echo(f"{who}\n  words: {' '.join(newcomer['words'])}", err=True)
        click.confirm("Does the other screen show the same six words?", abort=True, err=True)
    value = ask(state, "POST", "/v1/members/approve", {"node": newcomer["node"]})

    def human(console: Console) -> None:
        if value["member"]:
            console.print(plain(f"{newcomer['name']} is a member: {value['node']}"))
        else:
            console.print(plain(f"{newcomer['name']} has {value['votes']} of {value['quorum']} stewards' votes."))

    put(as_json, value, human)


def _question_name(newcomer: dict[str, Any], member: str, yes: bool) -> None:
    """A member has this name: whoever approves must know that these are two. Raises `CommandError`, `click.Abort`."""
    why = f"a member is called {newcomer['name']} already: {member}; the newcomer is {newcomer['node']}"
    if yes:
        todo = "without --yes, to be asked; or 'approve --refuse', and have it join with another --name"
        raise CommandError("nobody was admitted", why, todo, Exit.REFUSED)
    click.echo(safe(f"warning: {why}"), err=True)
    click.confirm("Two members of one name are told apart by their ids alone. Go on?", abort=True, err=True)


def _meant(known: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The one who waits and is meant."""
    waiting = known["waiting"]
    fits = [w for w in waiting if text is None or fitting(text, ((w["node"], w["name"]),))]
    if len(fits) == 1:
        newcomer: dict[str, Any] = fits[0]
        return newcomer
    members = [m["name"] for m in known["members"] if text is not None and fitting(text, ((m["node"], m["name"]),))]
    if members and not fits:
        raise CommandError("nobody was admitted", f"{members[0]} is a member already")
    why = f"{len(fits)} newcomers fit" if fits else "nobody waits" if not waiting else "nobody of that name waits"
    todo = "'secured-node members' shows who waits; a newcomer waits once 'secured-node join' runs at its machine"
    raise CommandError("nobody was admitted", why, todo, Exit.NOT_FOUND)
