"""`secured-node init`: found a federation."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import click
from rich.console import Console

from protocols.errors import LocalError
from protocols.membership.charter import MIN_COHORT, MIN_COHORT_MAX, federation_of
from secured_node.cli.common import CommandError, Exit, plain, put, with_json, with_state
from secured_node.founding import found_federation
from secured_node.state import State, StateError
from secured_node.store.database import DatabaseError


@click.command("init")
@click.option("--federation", required=True, metavar="NAME", help="The federation's name.")
@click.option("--name", default=socket.gethostname, show_default="host name", help="This hub's name.")
@click.option("--organisation", help="Whom it stands for.  [default: the hub's name]")
@click.option(
    "--min-cohort",
    type=click.IntRange(MIN_COHORT, MIN_COHORT_MAX),
    default=MIN_COHORT,
    show_default=True,
    help="No job ever has fewer members; 3 at least.",
)
@with_state
@with_json
def command(federation: str, name: str, organisation: str | None, min_cohort: int, state: Path, as_json: bool) -> None:
    """Found a federation: make this hub's key and a charter that names it as the only steward.

    A steward admits and revokes members; every member can invite. The charter is final: name, steward and --min-cohort
    stay as they are, and without its steward's key a federation admits nobody any more. A charter with up to 16
    stewards can be made with the library alone (protocols.membership.charter), not with this command.
    Further hubs come in by 'secured-node invite' and 'secured-node join'.
    """
    work = found_federation(State(state), federation, name, organisation or name, min_cohort)
    try:
        identity, charter = asyncio.run(work)
    except (StateError, DatabaseError) as error:
        raise CommandError("no federation was founded", str(error), exit_code=Exit.STATE) from None
    except LocalError as error:
        raise CommandError("no federation was founded", str(error), exit_code=Exit.USAGE) from None
    value = {"node": identity.node, "federation": federation, "federation_id": federation_of(charter).hex()}

    def human(console: Console) -> None:
        console.print(plain(f"Founded {federation} with this hub as its steward."), style="bold")
        console.print(f"  node        {identity.node}\n  federation  {value['federation_id']}\n  state       {state}")
        console.print(f"Next: secured-node run --state {state} --config FILE, then secured-node invite --state {state}")
        console.print("FILE sets network.endpoints, where others reach this hub; without it 'invite' wants --endpoint.")

    put(as_json, value, human)
