"""A program of many commands, one per file, each imported when it is called: help and quick commands start at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class Commands(click.Group):
    """The commands of `package`, whose modules are called like them. about: by name, a sentence each."""

    package: str
    about: Mapping[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.about]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.about:
            return None
        command: click.Command = importlib.import_module(f"{self.package}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*self.about.items()])
