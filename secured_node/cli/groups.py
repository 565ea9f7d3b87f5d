"""`secured-node groups`: who this hub may only be summed with."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from secured_node.cli.common import ask, put, table, with_json, with_state


@click.group("groups", invoke_without_command=True)
@with_state
@with_json
@click.pass_context
def command(ctx: click.Context, state: Path, as_json: bool) -> None:
    """Show who this hub may only be summed with, for each data set."""
    if ctx.invoked_subcommand is None:
        value = ask(state, "GET", "/v1/groups")
        put(as_json, value, lambda console: _show(console, value))


@command.command("alone")
@click.argument("data")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
@with_json
def alone(data: str, yes: bool, state: Path, as_json: bool) -> None:
    """Choose that this hub may be seen alone in sums on DATA. This cannot be taken back.

    Who compares a sum with this hub and one without it sees what this hub put in: its counts, its means.
    """
    if not yes:
        ask(state, "POST", "/v1/groups/alone", {"data": data, "ask_only": True})
        click.confirm(f"Others may then see this site's own numbers on {data!r}. Go on?", abort=True, err=True)
    value = ask(state, "POST", "/v1/groups/alone", {"data": data})
    put(as_json, value, lambda console: _show(console, value))


def _show(console: Console, value: dict[str, list[dict[str, object]]]) -> None:
    rows = [
        (g["data"], g["standing"], ", ".join(map(str, _list(g["members"]))), ", ".join(map(str, _list(g["unsigned"]))))
        for g in value["groups"]
    ]
    table(console, "Groups", ("data set", "standing", "only summed with", "yet to sign"), rows)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
