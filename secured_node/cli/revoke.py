"""`secured-node revoke`: end a membership."""

from __future__ import annotations

from pathlib import Path

import click

from secured_node.cli.common import ask, put, safe, with_json, with_state


@click.command("revoke")
@click.argument("node")
@click.option("--reason", required=True, help="Why, for all members to read.")
@click.option("--last-steward", is_flag=True, help="Even if the federation can then admit nobody any more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state
@with_json
def command(node: str, reason: str, last_steward: bool, yes: bool, state: Path, as_json: bool) -> None:
    """End the membership of NODE (name, id, or the end of it) for good. Its links are cut everywhere within seconds."""
    wanted = {"node": node, "reason": reason, "last_steward": last_steward}
    if not yes:
        found = ask(state, "POST", "/v1/members/revoke", wanted | {"ask_only": True})
        who = f"{safe(found['name'])} ({found['node']})"
        meant = f" Afterwards {found['ends']}." if found["ends"] else ""
        click.confirm(f"Revoke {who} for good? Its key never comes back.{meant}", abort=True, err=True)
        wanted["node"] = found["node"]
    value = ask(state, "POST", "/v1/members/revoke", wanted)
    put(as_json, value, lambda console: console.print(f"Revoked: {value['node']}"))
