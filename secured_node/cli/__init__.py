"""The command line: one command per file, loaded when it is used."""

from __future__ import annotations

import sys
from typing import Final

import click

from secured_node import VERSION
from secured_node.cli.common import CommandError, Exit, report
from secured_node.cli.lazy import Commands

COMMANDS: Final = {
    "init": "Found a federation: this hub is its only steward.",
    "join": "Join a federation with an invitation's code.",
    "run": "Run the daemon.",
    "invite": "Print an invitation for one new hub.",
    "approve": "Admit a newcomer, once the six words are the same on both screens.",
    "members": "Show members, and who waits for approval.",
    "revoke": "End a hub's membership for good.",
    "status": "Show how this hub stands.",
    "data": "Register and check data sets.",
    "job": "Submit, answer and read jobs.",
    "groups": "Show who this hub may only be summed with.",
    "audit": "Show and verify the audit log.",
    "doctor": "Find out what is wrong, with or without the daemon.",
}


class _Root(Commands):
    """See `lazy`."""

    package, about = "secured_node.cli", COMMANDS


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="secured-node")
def root() -> None:
    """Compute with other hospitals without sharing a record: a peer-to-peer hub, no server in the middle."""


def _help_of(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{context.command_path} --help" if context is not None else "secured-node --help"


def main() -> None:
    """The `secured-node` program."""
    try:
        root(standalone_mode=False)
    except click.ClickException as error:
        if "--json" in sys.argv:
            report(CommandError("the command line", error.format_message(), _help_of(error), Exit(error.exit_code)))
        else:
            error.show()
        raise SystemExit(error.exit_code) from None
    except click.Abort:
        raise SystemExit(130) from None
    except CommandError as failure:
        report(failure)
        raise SystemExit(failure.exit_code) from None
