"""`secured-sim compare`: two scenarios side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from secured_node.cli.common import CommandError, Exit, put, with_json
from simulations.cli import running
from simulations.report import check_folder, write_comparison
from simulations.report.terminal import comparison
from simulations.study.comparing import differences


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the report (default: sim-FIRST-SECOND)."
)
@running.with_execution
@with_json
def command(first: str, second: str, out: Path | None, as_json: bool, **execution: Any) -> None:
    """Run scenarios FIRST and SECOND, show and write what was found of each, and the differences second minus first.

    The intervals of differences are of pairs of repetitions with the same number, which have the same seed if both
    scenarios start from the same one.
    """
    for name in (first, second):
        if running.experiment_of(name) is not None:
            raise CommandError(
                f"{name} is an experiment", "it compares by itself", f"secured-sim run {name}", Exit.USAGE
            )
    folder = out or Path("sim-" + "-".join(map(running.called, (first, second))))
    check_folder(folder)
    one, other = (running.run(name, **execution) for name in (first, second))
    page = write_comparison((one, other), folder)

    def human(console: Console) -> None:
        console.print(comparison((one, other)))
        console.print(f"\nThe report: {page}", soft_wrap=True, markup=False)

    value = {"first": one, "second": other, "differences": differences(one, other)}
    put(as_json, msgspec.to_builtins(value), human)
