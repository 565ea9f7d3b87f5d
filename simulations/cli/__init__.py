"""`secured-sim`: one command per file, loaded when it is used."""

from __future__ import annotations

from typing import Final

import click

from secured_node import VERSION
from secured_node.cli.common import CommandError, Exit, report
from secured_node.cli.lazy import Commands
from secured_node.data.errors import DataError

COMMANDS: Final = {
    "list": "Show what ships: scenarios, experiments, trials, adversaries, data sets.",
    "run": "Run a scenario, a file of yours or one that ships, or an experiment.",
    "compare": "Run two scenarios and hold their results side by side.",
    "seeds": "Play many seeds of the trials, which try to break the protocols.",
    "replay": "Play one seed of a trial again, and tell what happens.",
}


class _Root(Commands):
    """See `lazy`."""

    package, about = "simulations.cli", COMMANDS


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="secured-sim")
def root() -> None:
    """Simulate federations of hospitals with the very code that hospitals run, on one machine, in virtual time."""


def main() -> None:
    """The `secured-sim` program."""
    try:
        root(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except DataError as error:
        failure = CommandError(error.what, error.why, error.todo, Exit.CONFIG)
        report(failure)
        raise SystemExit(failure.exit_code) from None
    except CommandError as failure:
        report(failure)
        raise SystemExit(failure.exit_code) from None
