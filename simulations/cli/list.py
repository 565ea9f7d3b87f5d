"""`secured-sim list`: what ships."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from secured_node.cli.common import put, table, with_json
from simulations.adversaries.catalogue import ADVERSARIES
from simulations.experiments.catalogue import EXPERIMENTS
from simulations.study.bundled import BUNDLED, DATA_VARIABLE, here
from simulations.study.poison import KINDS
from simulations.study.scenario import shelf
from simulations.study.split import in_words
from simulations.trials.catalogue import TRIALS


@click.command("list")
@with_json
def command(as_json: bool) -> None:
    """Show what ships: scenarios and experiments to run, trials to play seeds of, adversaries and data sets."""
    found = shipped()

    def show(console: Console) -> None:
        rows = [(s["name"], s["title"], _marked(s["data"]), s["task"]) for s in found["scenarios"]]
        table(console, "Scenarios: secured-sim run NAME", ("name", "what it shows", "data", "task"), rows)
        _two(console, "Experiments: secured-sim run NAME", found["experiments"], "title")
        trials = [trial for trial in found["trials"] if not trial["name"].startswith("adversary-")]
        several = {"name": "adversary-KIND", "about": "the same with each kind of the protocol's adversaries"}
        _two(console, "Trials: secured-sim seeds --trial NAME", [*trials, several], "about")
        for title, protocol in (
            ("Adversaries of the protocol", True),
            ("Adversaries that lie about their data", False),
        ):
            _two(
                console,
                f"{title}: kind of an adversary",
                [a for a in found["adversaries"] if a["protocol"] == protocol],
                "does",
            )
        console.print(f"\nBundled data sets: {', '.join(map(_marked, found['data']))}.")
        if found["missing"]:
            console.print(f"* its files are not here: put them into a folder, and name that in {DATA_VARIABLE}")

    put(as_json, found, show)


def shipped() -> dict[str, Any]:
    """Everything, as plain values."""
    plans = [scenario.plan for scenario in shelf()]
    return {
        "scenarios": [
            {
                "name": plan.name,
                "title": plan.title,
                "description": plan.description,
                "data": plan.data.bundled,
                "task": plan.task.name,
                "split": in_words(plan.split),
            }
            for plan in plans
        ],
        "experiments": [{"name": e.name, "title": e.title, "description": e.about} for e in EXPERIMENTS.values()],
        "trials": [{"name": trial.name, "about": trial.about} for trial in TRIALS.values()],
        "adversaries": [
            *({"name": name, "does": entry.does, "protocol": True} for name, entry in ADVERSARIES.items()),
            *({"name": name, "does": does, "protocol": False} for name, does in KINDS.items()),
        ],
        "data": list(BUNDLED),
        "missing": [name for name in BUNDLED if not here(name)],
    }


def _marked(data: str) -> str:
    """A bundled data set's name, marked if its files are not here."""
    return data if not data or here(data) else f"{data}*"


def _two(console: Console, title: str, rows: list[dict[str, Any]], about: str) -> None:
    console.print()
    table(console, title, ("name", "what it is"), [(row["name"], row[about]) for row in rows])
