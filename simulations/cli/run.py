"""`secured-sim run`: a scenario or an experiment from beginning to end."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console

from secured_node.cli.common import Exit, put, with_json
from simulations.cli import running
from simulations.report import check_folder, write
from simulations.report.terminal import summary


@click.command("run")
@click.argument("scenario")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the results (default: sim-NAME)."
)
@running.with_execution
@with_json
def command(
    scenario: str,
    out: Path | None,
    repetitions: int | None,
    seed: int | None,
    executor: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run SCENARIO, a TOML file or the name of a scenario or an experiment that ships, and write a report.

    Exit code 1 if in no repetition the job was done.
    """
    folder = out or Path(f"sim-{running.called(scenario)}")
    check_folder(folder)
    result = running.run(scenario, repetitions, seed, executor, workers)
    page = write(result, folder)

    def human(console: Console) -> None:
        console.print(summary(result))
        console.print(f"The report: {page}", soft_wrap=True, markup=False)

    put(as_json, msgspec.to_builtins(result), human)
    if not any(r.outcome == "done" for r in result.repetitions):
        raise SystemExit(Exit.FAILED)
