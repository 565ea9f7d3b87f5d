"""A study's result for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from secured_node.cli.common import table
from simulations.study.result import EVERYWHERE, Comparison, Interval, StudyResult

METRICS_SHOWN = ("auc", "accuracy", "log_loss", "brier", "rmse", "r2", "coefficient_error")


def show(console: Console, result: StudyResult) -> None:
    """Everything that a reader looks at first."""
    _head(console, result)
    _arms(console, result)
    _nodes(console, result)
    _costs(console, result)
    _troubles(console, result)


def arms_of(result: StudyResult) -> dict[tuple[str, str], dict[str, Comparison]]:
    """On everybody's test rows: (arm, hospital) to metric to figures; federated first, then pooled, then alone."""
    order = {"federated": 0, "pooled": 1, "alone": 2}
    found: dict[tuple[str, str], dict[str, Comparison]] = {}
    for c in sorted(result.comparisons, key=lambda c: order[c.arm]):
        if c.tested_on == EVERYWHERE:
            found.setdefault((c.arm, c.hospital), {})[c.metric] = c
    return found


def label(arm: str, hospital: str) -> str:
    """An arm as it is called in a table."""
    if arm == "alone":
        return f"{hospital} alone"
    return f"{arm} ({hospital})" if hospital else arm


def with_interval(value: Interval) -> str:
    """A mean with its interval."""
    if value.mean is None:
        return "-"
    if value.low is None or value.high is None or value.deviation == 0:
        return f"{value.mean:.4g}"
    return f"{value.mean:.4g} ({value.low:.4g} to {value.high:.4g})"


def size(count: float | None) -> str:
    """Bytes in the unit that fits."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _titled(console: Console, title: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """A table under a title of its own width, after an empty line."""
    console.print(f"\n{title}", style="italic")
    table(console, "", columns, list(rows))


def _head(console: Console, result: StudyResult) -> None:
    network, outcomes = result.network, [r.outcome for r in result.repetitions]
    counted = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
    line = "no limit" if network.bandwidth_bit_s is None else f"{network.bandwidth_bit_s / 1e6:g} Mbit/s"
    console.print(f"[bold]{result.title}[/bold]  ({result.task}; rows {result.split})")
    console.print(
        f"{len(result.repetitions)} repetitions: {counted}. Network: {network.latency_s * 1e3:g} ms one way, {line}, "
        f"loss {network.loss:.0%}. Took {result.wall_s:.1f} s."
    )


def _arms(console: Console, result: StudyResult) -> None:
    arms = arms_of(result)
    if not result.metric:
        _estimates(console, result)
        return
    metrics = [m for m in METRICS_SHOWN if any(m in found for found in arms.values())]
    rows = [
        (label(*arm), *(with_interval(found[m].value) if m in found else "" for m in metrics))
        for arm, found in arms.items()
    ]
    interval = f"{result.confidence:.0%} intervals: Student's t over repetitions"
    _titled(
        console,
        f"On the test rows of all hospitals ({interval})",
        ("model", *(m.replace("_", " ") for m in metrics)),
        rows,
    )


def _estimates(console: Console, result: StudyResult) -> None:
    """A task without a model: what it estimates, in the first repetition."""
    first = result.repetitions[0].estimates
    terms = list(dict.fromkeys(e.term for e in first))
    arms = list(dict.fromkeys((e.arm, e.hospital) for e in first))
    values = {(e.arm, e.hospital, e.term): e.value for e in first}
    found = [[values.get((*arm, term)) for arm in arms] for term in terms]
    rows = [(term, *("-" if v is None else f"{v:.6g}" for v in line)) for term, line in zip(terms, found, strict=True)]
    _titled(console, "Estimates (first repetition)", ("column", *(label(*arm) for arm in arms)), rows)


def _nodes(console: Console, result: StudyResult) -> None:
    totals = {(t.name, t.node): t.value.mean for t in result.totals}
    names = list(dict.fromkeys(node.name for r in result.repetitions for node in r.nodes))
    first = {node.name: node for node in result.repetitions[0].nodes}
    rows = []
    for name in names:
        states = [node.state for r in result.repetitions for node in r.nodes if node.name == name]
        counted = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        sent, received = totals.get(("sent_bytes", name)), totals.get(("received_bytes", name))
        rows.append((name, first[name].train_rows, first[name].test_rows, size(sent), size(received), counted))
    columns = ("hospital", "training rows", "test rows", "sent", "received", "its job at the end")
    _titled(console, "Hospitals (rows of the first repetition, bytes a repetition)", columns, rows)


def _costs(console: Console, result: StudyResult) -> None:
    totals = {t.name: t.value for t in result.totals if not t.node}
    shown = [("rounds", "secure sums"), ("virtual_s", "virtual seconds"), ("retries", "attempts without a sum")]
    shown += [("drop_outs", "drop-outs"), ("refusals", "refusals")]
    if result.target is not None:
        shown.append(("rounds_to_target", f"rounds to {result.metric} {result.target:g}"))
    rows = [(text, with_interval(totals[name])) for name, text in shown if name in totals]
    _titled(console, "A repetition", ("figure", "mean"), rows)


def _troubles(console: Console, result: StudyResult) -> None:
    if result.notes:
        _titled(console, "The data", ("what was noticed",), [(note,) for note in result.notes])
    failures = dict.fromkeys((f.node, f.round, f.error) for r in result.repetitions for f in r.failures)
    if failures:
        _titled(console, "The task failed", ("hospital", "round", "error"), list(failures))
    reasons = dict.fromkeys((r.outcome, r.reason or r.problem) for r in result.repetitions if r.reason or r.problem)
    if reasons:
        _titled(console, "Jobs without an answer", ("outcome", "reason"), list(reasons))
    alone = dict.fromkeys((m.node, m.text) for r in result.repetitions for m in r.moments if m.kind == "alone")
    if alone:
        _titled(console, "Without a model of their own (in some repetition)", ("hospital", "why"), list(alone))
