"""`secured-sim run`: a scenario from beginning to end."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console

from secured_node.cli.common import Exit, put, with_json
from simulations.cli import running
from simulations.cli.show import show


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
    """Run SCENARIO, a TOML file or the name of one that ships, and write what it found.

    Exit code 1 if in no repetition the job was done.
    """
    result = running.run(scenario, repetitions, seed, executor, workers)
    folder = out or Path(f"sim-{result.name}")
    running.write(result, folder)

    def human(console: Console) -> None:
        show(console, result)
        console.print(f"\nWritten: {folder}/{running.RESULT_FILE}, frames as CSV and Parquet in {folder}/frames")

    put(as_json, msgspec.to_builtins(result), human)
    if not any(r.outcome == "done" for r in result.repetitions):
        raise SystemExit(Exit.FAILED)
