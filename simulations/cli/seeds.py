"""`secured-sim seeds`: many seeds of the trials, with checkers on, and a tally to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from secured_node.cli.common import CommandError, Exit, put, screen, table, with_json
from simulations.trials.catalogue import TRIALS
from simulations.trials.sweep import Tally, keep_tally, load_tally, sweep


@click.command("seeds")
@click.option("--trial", "names", multiple=True, metavar="NAME", help="Only these trials; all of them by default.")
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(1), help="So many more seeds of each.")
@click.option("--jobs", default=None, type=click.IntRange(1), help="Processes; one a core by default.")
@click.option(
    "--tally", "path", type=click.Path(path_type=Path, dir_okay=False), help="A file to count in, and go on from."
)
@click.option("--list", "only_list", is_flag=True, help="Show the trials and stop.")
@with_json
def command(
    names: tuple[str, ...], seeds: int, jobs: int | None, path: Path | None, only_list: bool, as_json: bool
) -> None:
    """Play seeds of the trials: faults, adversaries, many jobs. Exit code 1 if any rule was broken."""
    unknown = [name for name in names if name not in TRIALS]
    if unknown:
        raise CommandError(f"no trial {unknown[0]!r}", f"there are {', '.join(TRIALS)}", "name one of them", Exit.USAGE)
    if only_list:
        _show_trials(as_json)
        return
    tally = load_tally(path) if path is not None else Tally()
    _play(list(names) or list(TRIALS), seeds, jobs, tally, path)
    put(as_json, _value(tally), lambda console: _show(console, tally))
    if tally.failed:
        raise SystemExit(1)


def _play(names: list[str], seeds: int, jobs: int | None, tally: Tally, path: Path | None) -> None:
    console = screen(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=seeds * len(names))
        for chunk in sweep(names, seeds, tally, jobs):
            progress.advance(task, chunk.seeds)
            for failure in chunk.failures:
                again = f"secured-sim replay {failure.seed} --scenario {chunk.trial}"
                progress.console.print(f"{failure.rule}: {failure.detail}\n  {again}", markup=False, highlight=False)
            if path is not None:
                keep_tally(path, tally)


def _show_trials(as_json: bool) -> None:
    found = [{"name": trial.name, "about": trial.about} for trial in TRIALS.values()]
    rows = [(trial["name"], trial["about"]) for trial in found]
    put(as_json, {"trials": found}, lambda console: table(console, "Trials", ("name", "what it plays"), rows))


def _value(tally: Tally) -> dict[str, Any]:
    return {
        "seeds": tally.seeds,
        "failed": tally.failed,
        "trials": {
            name: {
                "seeds": count.next,
                "events": count.events,
                "failed": count.failed,
                "failures": [{"seed": f.seed, "rule": f.rule, "detail": f.detail} for f in count.failures],
            }
            for name, count in tally.trials.items()
        },
    }


def _show(console: Console, tally: Tally) -> None:
    rows = [
        (name, f"{count.next:,}", f"{count.events:,}", f"{count.seconds:,.0f}", str(count.failed or ""))
        for name, count in sorted(tally.trials.items())
    ]
    table(
        console, f"{tally.seeds:,} runs, {tally.failed} failed", ("trial", "seeds", "events", "CPU s", "failed"), rows
    )
