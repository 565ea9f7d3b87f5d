"""`secured-sim compare`: two scenarios side by side."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.console import Console

from secured_node.cli.common import put, table, with_json
from simulations.cli import running
from simulations.cli.show import METRICS_SHOWN, arms_of, label, with_interval
from simulations.study.comparing import differences
from simulations.study.result import StudyResult


@click.command("compare")
@click.argument("first")
@click.argument("second")
@running.with_execution
@with_json
def command(first: str, second: str, as_json: bool, **execution: Any) -> None:
    """Run scenarios FIRST and SECOND and show their figures side by side, with the differences second minus first.

    The intervals of differences are of pairs of repetitions with the same number, which have the same seed if both
    scenarios start from the same one.
    """
    one, other = (running.run(name, **execution) for name in (first, second))
    found = differences(one, other)
    value = {"first": one, "second": other, "differences": found}
    put(as_json, msgspec.to_builtins(value), lambda console: _show(console, one, other))


def _show(console: Console, one: StudyResult, other: StudyResult) -> None:
    found = differences(one, other)
    left, right = arms_of(one), arms_of(other)
    console.print(f"first: [bold]{one.title}[/bold]\nsecond: [bold]{other.title}[/bold]\n")
    rows = []
    for metric in METRICS_SHOWN:
        for arm in (arm for arm in left if arm in right and metric in left[arm] and metric in right[arm]):
            key = f"{metric} {label(*arm)}"
            difference = next((d for d in found if d.name == metric and (d.arm, d.hospital) == arm), None)
            told = with_interval(difference.value) if difference else "-"
            rows.append((key, with_interval(left[arm][metric].value), with_interval(right[arm][metric].value), told))
    table(console, "On the test rows of all hospitals", ("figure", "first", "second", "second - first"), rows)
    console.print()
    totals = {t.name: t.value for t in one.totals if not t.node}, {t.name: t.value for t in other.totals if not t.node}
    costs = [
        (name.replace("_", " "), with_interval(value), with_interval(totals[1][name]), _difference(found, name))
        for name, value in totals[0].items()
        if name in totals[1] and value.n
    ]
    table(console, "A repetition", ("figure", "first", "second", "second - first"), costs)


def _difference(found: Any, name: str) -> str:
    return next((with_interval(d.value) for d in found if d.name == name and not d.arm), "-")
