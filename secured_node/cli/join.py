"""`secured-node join`: come into a federation with an invitation."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from protocols.errors import LocalError, PeerError
from protocols.invitation.code import Invitation, parse_invitation
from protocols.invitation.redeem import Redemption, Welcome
from protocols.membership.charter import read_charter
from secured_node.cli.common import CommandError, Exit, plain, put, screen, with_endpoints, with_json, with_state
from secured_node.founding import ask, begin_joining, finish_joining
from secured_node.net.calling import CallError
from secured_node.state import State, StateError
from secured_node.store.database import DatabaseError

POLL_S: Final = 1.0
"""People compare words in the meantime; each poll is one small request."""
TROUBLE_S_MAX: Final = 60.0
"""So long an inviter may be out of reach before this gives up; the same command goes on later."""


@click.command("join")
@click.argument("code")
@click.option("--name", default=socket.gethostname, show_default="host name", help="This hub's name.")
@click.option("--organisation", help="Whom it stands for.  [default: the hub's name]")
@with_endpoints("Where others reach this hub; repeat.  [default: it only dials out]")
@with_state
@with_json
def command(
    code: str, name: str, organisation: str | None, endpoints: tuple[str, ...], state: Path, as_json: bool
) -> None:
    """Join a federation. CODE is what 'secured-node invite' printed at a member.

    Both screens show the same six words: compare them, by telephone, before the inviter approves.
    """
    here, stands_for = State(state), organisation or name
    invitation = _read(code)
    try:
        redemption = begin_joining(here, invitation, name, stands_for, endpoints)
        console = screen(stderr=True)
        console.print(plain(f"Words to compare: {' '.join(redemption.words)}"), style="bold", soft_wrap=True)
        welcome = asyncio.run(_wait(redemption, console))
        asyncio.run(finish_joining(here, name, stands_for, welcome))
    except (StateError, DatabaseError) as error:
        raise CommandError("not joined", str(error), exit_code=Exit.STATE) from None
    except CallError as error:
        raise CommandError(
            "not joined", str(error), "the same command again, once the inviter can be reached"
        ) from None
    except PeerError as error:
        raise CommandError("not joined", error.detail, "ask for a new invitation", Exit.REFUSED) from None
    except LocalError as error:
        raise CommandError("not joined", str(error), exit_code=Exit.USAGE) from None
    charter = read_charter(welcome.charter)
    node = redemption.request.record.author
    value = {"node": node, "federation": charter.name, "words": list(redemption.words), "joined": True}

    def human(console: Console) -> None:
        console.print(plain(f"Joined {charter.name} as {node}"), style="bold")
        console.print(f"Next: secured-node run --state {state}")

    put(as_json, value, human)


def _read(code: str) -> Invitation:
    """The invitation in a code; what is wrong with it is wrong here, not at the inviter's."""
    try:
        return parse_invitation(code)
    except PeerError as error:
        todo = "copy the whole code again, from SN1 to its last character"
        if error.code == "other_version":
            todo = "install the same version here and at the inviter's"
        raise CommandError("not joined", error.detail, todo, Exit.REFUSED) from None


async def _wait(redemption: Redemption, console: Console) -> Welcome:
    """Ask until the inviter's people have decided."""
    said, trouble, silent_s = "", "", 0.0
    while True:
        try:
            reply, welcome = await ask(redemption)
            silent_s = 0.0
        except CallError as error:
            if error.code == "intercepted" or silent_s >= TROUBLE_S_MAX:
                raise
            reply, welcome, silent_s = None, None, silent_s + POLL_S
            trouble = error.detail
        if welcome is not None:
            return welcome
        reason = reply.reason if reply is not None else f"the inviter cannot be reached; trying again ({trouble})"
        if reason != said:
            console.print(plain(f"  {reason}"))
            said = reason
        await asyncio.sleep(POLL_S)
