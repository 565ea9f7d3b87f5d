"""The command line: one command per file, loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from secured_node import VERSION
from secured_node.cli.common import CommandError, Exit, report

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


class _Lazy(click.Group):
    """Imports a command's module when it is called: the daemon's command line must start quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"secured_node.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
