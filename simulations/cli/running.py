"""What `run` and `compare` share: options, and a progress bar while a study runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from secured_node.cli.common import screen
from simulations.study import executors
from simulations.study.result import StudyResult
from simulations.study.scenario import Scenario
from simulations.study.study import Progress as Step

F = TypeVar("F", bound=Callable[..., Any])


def with_execution(command: F) -> F:
    """The options that say how often and where it is computed."""
    options = (
        click.option("--repetitions", type=click.IntRange(1), help="In place of the scenario's number."),
        click.option("--seed", type=click.IntRange(0), help="Of the first repetition, in place of the scenario's."),
        click.option(
            "--executor",
            default=executors.IN_PROCESS,
            show_default=True,
            help="Where hospitals compute: here, processes, dask (a cluster on this machine), tcp://scheduler:8786.",
        ),
        click.option("--workers", type=click.IntRange(1), help="Processes, with processes and dask."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def run(name: str, repetitions: int | None, seed: int | None, executor: str, workers: int | None) -> StudyResult:
    """Load and run a scenario, with a progress bar on a terminal. Raises `DataError`."""
    changes = {"repetitions": repetitions, "seed": seed}
    changes = {key: value for key, value in changes.items() if value is not None}
    scenario = Scenario.load(name)
    scenario = scenario.with_run(**changes) if changes else scenario
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("repetitions"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rounds]}"),
    )
    console = screen(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(scenario.plan.name, total=scenario.plan.run.repetitions, rounds="")

        def watch(step: Step) -> None:
            rounds = f"round {step.rounds}" if step.rounds else ""
            progress.update(bar, completed=step.done, rounds=rounds)

        return scenario.study(executor, workers=workers, watch=watch)
