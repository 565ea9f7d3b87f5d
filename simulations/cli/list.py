"""`secured-sim list`: what ships."""

from __future__ import annotations

import click
from rich.console import Console

from secured_node.cli.common import put, table, with_json
from simulations.study.bundled import BUNDLED
from simulations.study.scenario import shelf
from simulations.study.split import in_words


@click.command("list")
@with_json
def command(as_json: bool) -> None:
    """Show the scenarios that ship, and the data sets that a scenario can name."""
    plans = [scenario.plan for scenario in shelf()]
    scenarios = [
        {
            "name": plan.name,
            "title": plan.title,
            "description": plan.description,
            "data": plan.data.bundled,
            "task": plan.task.name,
            "split": in_words(plan.split),
        }
        for plan in plans
    ]

    def show(console: Console) -> None:
        rows = [(s["name"], s["title"], s["data"], s["task"]) for s in scenarios]
        table(console, "Scenarios", ("name", "what it shows", "data", "task"), rows)
        console.print(f"\nBundled data sets: {', '.join(BUNDLED)}.\nRun one: secured-sim run {scenarios[0]['name']}")

    put(as_json, {"scenarios": scenarios, "data": list(BUNDLED)}, show)
