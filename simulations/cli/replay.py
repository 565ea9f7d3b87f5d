"""`secured-sim replay`: one seed of one trial again, with all that happened in it."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from secured_node.cli.common import CommandError, Exit, put, screen, with_json
from simulations.trials.catalogue import TRIALS
from simulations.trials.minimise import minimise
from simulations.trials.sweep import FailedSeed, play_seed


@click.command("replay")
@click.argument("seed", type=click.IntRange(0))
@click.option("--scenario", "trial", required=True, metavar="NAME", help="A trial of secured-sim seeds --list.")
@click.option("--skip", default="", metavar="N,N", help="Strikes of faults to leave out, by the numbers shown.")
@click.option("--minimise", "smaller", is_flag=True, help="Of a failing seed, find the strikes that matter.")
@with_json
def command(seed: int, trial: str, skip: str, smaller: bool, as_json: bool) -> None:
    """Play one seed of a trial again and tell what happens. Exit code 1 if a rule is broken."""
    if trial not in TRIALS:
        raise CommandError(f"no trial {trial!r}", f"there are {', '.join(TRIALS)}", "name one of them", Exit.USAGE)
    left_out = _numbers(skip)
    console = screen(stderr=True)
    if smaller:
        _, failure, told = _played(trial, seed, left_out)
        strikes = 1 + max((int(text[1:].partition(":")[0]) for _, _, text in told if text.startswith("#")), default=0)
        left_out = minimise(trial, seed, strikes, lambda n: console.print(f"{n} strikes left", highlight=False))
    trace, failure, told = _played(trial, seed, left_out)
    again = f"secured-sim replay {seed} --scenario {trial}"
    again += f" --skip {','.join(map(str, sorted(left_out)))}" if left_out else ""

    def show(out: Console) -> None:
        for at_s, node, text in told:
            out.print(f"{at_s:10.3f} s  {node:<6} {text}", markup=False, highlight=False)
        out.print(f"\n{trace.events} events, trace {trace.hash}", highlight=False)
        found = f"broken: {failure.rule}: {failure.detail}" if failure else "no rule was broken"
        out.print(f"{found}\nagain: {again}", markup=False, highlight=False)

    value: dict[str, Any] = {
        "scenario": trial,
        "seed": seed,
        "trace": trace.hash,
        "events": trace.events,
        "failure": None if failure is None else {"rule": failure.rule, "detail": failure.detail},
        "timeline": [{"at_s": at_s, "node": node, "text": text} for at_s, node, text in told],
        "again": again,
    }
    put(as_json, value, show)
    if failure is not None:
        raise SystemExit(1)


def _played(trial: str, seed: int, skip: frozenset[int]) -> tuple[Any, FailedSeed | None, list[tuple[float, str, str]]]:
    told: list[tuple[float, str, str]] = []
    trace, failure = play_seed(trial, seed, skip, lambda at_s, node, text: told.append((at_s, node, text)))
    return trace, failure, told


def _numbers(text: str) -> frozenset[int]:
    try:
        return frozenset(int(part) for part in text.split(",") if part)
    except ValueError:
        why = f"{text!r} is not a list of numbers"
        raise CommandError("--skip cannot be read", why, "write --skip 3,7,12", Exit.USAGE) from None
