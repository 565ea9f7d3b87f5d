"""What `run` and `compare` share: options, and a progress bar while a study runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from secured_node.cli.common import screen
from secured_node.data.errors import DataError
from simulations.experiments.catalogue import EXPERIMENTS
from simulations.experiments.experiment import Experiment
from simulations.study import executors
from simulations.study.result import StudyResult
from simulations.study.scenario import Scenario
from simulations.study.study import Progress as Step
from simulations.study.study import Watch

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


def experiment_of(name: str) -> Experiment | None:
    """The experiment of that name, unless there is a file or a scenario of it."""
    return None if Path(name).exists() else EXPERIMENTS.get(name)


def called(name: str) -> str:
    """The name of a scenario or an experiment, for its folder. Raises `DataError`."""
    experiment = experiment_of(name)
    return experiment.name if experiment is not None else Scenario.load(name).plan.name


def run(name: str, repetitions: int | None, seed: int | None, executor: str, workers: int | None) -> StudyResult:
    """Run a scenario or an experiment, with a progress bar on a terminal. Raises `DataError`."""
    experiment = experiment_of(name)
    if experiment is not None:
        if executor != executors.IN_PROCESS:
            raise DataError(f"executor {executor!r}", f"{name} is an experiment and computes here", "leave it out")
        count = repetitions or experiment.repetitions
        with _progress(name, count) as watch:
            return experiment.study(count, 1 if seed is None else seed, watch=watch)
    changes = {"repetitions": repetitions, "seed": seed}
    changes = {key: value for key, value in changes.items() if value is not None}
    scenario = Scenario.load(name)
    scenario = scenario.with_run(**changes) if changes else scenario
    with _progress(scenario.plan.name, scenario.plan.run.repetitions) as watch:
        return scenario.study(executor, workers=workers, watch=watch)


@contextlib.contextmanager
def _progress(name: str, repetitions: int) -> Iterator[Watch]:
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
        bar = progress.add_task(name, total=repetitions, rounds="")

        def watch(step: Step) -> None:
            rounds = f"round {step.rounds}" if step.rounds else ""
            progress.update(bar, completed=step.done, rounds=rounds)

        yield watch
