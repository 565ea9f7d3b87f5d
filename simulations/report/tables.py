"""Tables of a report, the same for the page and the terminal; a number in a cell keeps its value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from simulations.report.terms import terms_of
from simulations.report.view import View
from simulations.report.words import (
    NONE,
    NOTHING,
    Code,
    Part,
    Shown,
    clean,
    count,
    difference,
    metric_name,
    number,
    size,
    span,
)
from simulations.study.result import EVERYWHERE, Comparison, Interval

ROWS_MAX: Final = 200
"""In the page; the files have all."""
TOTALS: Final[dict[str, tuple[str, Callable[[float], Shown]]]] = {
    "rounds": ("rounds", count),
    "rounds_to_target": ("rounds until the target", count),
    "virtual_s": ("virtual time", span),
    "drop_outs": ("drop-outs", count),
    "retries": ("attempts without a sum", count),
    "refusals": ("refusals", count),
    "sent_bytes": ("bytes sent", size),
    "received_bytes": ("bytes received", size),
}
"""Names of totals, and how their numbers are written."""


@dataclass(frozen=True)
class Table:
    """heads: of the columns; numeric ones (`right`) are aligned on the right. file: of all the data."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Part, ...], ...]
    right: frozenset[int] = frozenset()
    file: str = ""
    note: str = ""

    @property
    def shown(self) -> tuple[tuple[Part, ...], ...]:
        """The rows that the page has room for."""
        return self.rows[:ROWS_MAX]


Maker = Callable[[View], "Table | None"]


def cell(value: float | None, write: Callable[[float], Shown] = number) -> Part:
    """A number, or that there is none."""
    return NONE if value is None else write(value)


def range_cell(value: Interval | None, write: Callable[[float], Shown] = number) -> tuple[Part, Part, Part]:
    """Mean, low, high."""
    return (NONE,) * 3 if value is None else (cell(value.mean, write), cell(value.low, write), cell(value.high, write))


def models(view: View) -> Table | None:
    """The first metric: each model, on everybody's rows and on each hospital's."""
    found = [c for c in view.result.comparisons if c.metric == view.result.metric and _is_shown(c)]
    if not found:
        return None
    rows = []
    for c in sorted(found, key=lambda c: (c.tested_on != EVERYWHERE, ("federated", "pooled", "alone").index(c.arm))):
        shift = (NOTHING,) * 3 if c.minus_pooled is None else range_cell(c.minus_pooled, difference)
        where = "everybody" if c.tested_on == EVERYWHERE else clean(c.tested_on)
        rows.append((where, whose(c), *range_cell(c.value), count(c.value.n), *shift))
    heads = ("tested on", "model", view.metric, "from", "to", "repetitions", "minus pooled", "from", "to")
    return Table(
        "models", f"{view.metric}: all models", heads, tuple(rows), frozenset(range(2, 9)), "comparisons",
        f"Means with {view.confidence} intervals over repetitions; differences are paired by repetition.",
    )  # fmt: skip


def _is_shown(comparison: Comparison) -> bool:
    """A hospital's own model on another's rows is for the files alone: with many hospitals there are very many."""
    return comparison.arm != "alone" or comparison.tested_on in (EVERYWHERE, comparison.hospital)


def whose(comparison: Comparison) -> str:
    """The model of a comparison in words."""
    if comparison.arm == "alone":
        return f"{clean(comparison.hospital)} alone"
    return f"{comparison.arm}, {clean(comparison.hospital)}" if comparison.hospital else comparison.arm


def metrics(view: View) -> Table | None:
    """All metrics on everybody's test rows, one column a metric."""
    found = [c for c in view.result.comparisons if c.tested_on == EVERYWHERE]
    names = list(dict.fromkeys(c.metric for c in found))
    if len(names) < 2:
        return None
    by_model: dict[str, dict[str, Interval]] = {}
    for c in sorted(found, key=lambda c: ("federated", "pooled", "alone").index(c.arm)):
        by_model.setdefault(whose(c), {})[c.metric] = c.value
    rows = tuple(
        (model, *(cell(values[name].mean) if name in values else NOTHING for name in names))
        for model, values in by_model.items()
    )
    heads = ("model", *map(metric_name, names))
    return Table(
        "metrics", "All metrics on everybody's test rows", heads, rows, frozenset(range(1, len(heads))), "comparisons",
        "Means over repetitions.",
    )  # fmt: skip


def estimates(view: View) -> Table | None:
    """What the task estimates: federated and pooled."""
    terms = terms_of(view)
    rows = [(clean(t.name), number(t.federated), number(t.pooled), difference(t.apart), count(t.n)) for t in terms]
    heads = ("estimate", "federated", "pooled", "largest difference", "repetitions")
    note = "Means over repetitions, and the largest difference between the two in one repetition."
    table = Table("estimates", "Estimates", heads, tuple(rows), frozenset(range(1, 5)), "estimates", note)
    return table if rows else None


def hospitals(view: View) -> Table | None:
    """Each hospital in the repetition that is shown, and its bytes over all."""
    if view.shown is None or not view.shown.nodes:
        return None
    rows = []
    for node in view.shown.nodes:
        sent, received = view.total("sent_bytes", node.name), view.total("received_bytes", node.name)
        rows.append((
            clean(node.name), count(node.rows), count(node.train_rows), count(node.test_rows),
            NOTHING if node.positives is None else count(node.positives),
            cell(sent.mean if sent else None, size), cell(received.mean if received else None, size),
            count(node.drop_outs), clean(f"{node.state}: {node.reason}" if node.reason else node.state),
        ))  # fmt: skip
    heads = ("hospital", "rows", "train", "test", "positives", "sent", "received", "drop-outs", "job at the end")
    return Table(
        "hospitals", "Hospitals", heads, tuple(rows), frozenset(range(1, 8)), "nodes",
        f"As in repetition {view.shown_number}; bytes are means over all repetitions. Positives: train rows with the "
        "modelled outcome.",
    )  # fmt: skip


def totals(view: View) -> Table | None:
    """Counts and times over repetitions, of the whole network."""
    found = [t for t in view.result.totals if t.node == "" and (t.value.n or view.result.target is not None)]
    rows = []
    for total in found:
        name, write = TOTALS.get(total.name, (clean(total.name), number))
        rows.append((name, *range_cell(total.value, write), cell(total.value.deviation, write), count(total.value.n)))
    heads = ("what", "mean", "from", "to", "deviation", "repetitions")
    note = f"Per repetition, with {view.confidence} intervals."
    return Table("totals", "Totals", heads, tuple(rows), frozenset(range(1, 6)), "totals", note) if rows else None


def repetitions(view: View) -> Table | None:
    """What each repetition was, and how to run it again."""
    rows = tuple(
        (
            count(place), Code(str(r.seed)), clean(" - ".join(filter(None, (r.outcome, r.reason, r.problem)))),
            count(len(r.rounds)), span(r.virtual_s), count(r.events), Code(clean(r.trace_hash)),
        )
        for place, r in enumerate(view.result.repetitions, 1)
    )  # fmt: skip
    heads = ("", "seed", "outcome", "rounds", "virtual time", "events", "trace hash")
    return Table("repetitions", "Repetitions", heads, rows, frozenset({0, 3, 4, 5}), "repetitions") if rows else None


def attacks(view: View) -> Table | None:
    """What adversaries tried, equal outcomes together."""
    tried = [a for r in view.result.repetitions for a in r.attacks]
    groups = Counter((a.name, a.node, a.succeeded, a.text) for a in tried)
    rows = []
    for (name, node, succeeded, text), times in groups.items():
        values = [a.value for a in tried if (a.name, a.node, a.succeeded, a.text) == (name, node, succeeded, text)]
        known = [value for value in values if value is not None]
        most: Part = number(max(known, key=abs)) if known else NOTHING
        outcome = "succeeded" if succeeded else "had no success"
        rows.append((clean(name), clean(node) or NOTHING, outcome, count(times), most, clean(text)))
    heads = ("attack", "by", "outcome", "times", "largest measure", "what came of it")
    return Table("attacks", "Attacks", heads, tuple(rows), frozenset({3, 4}), "attacks") if rows else None


def failures(view: View) -> Table | None:
    """Tasks that raised, equal ones together."""
    groups = Counter((f.node, f.round, f.error) for r in view.result.repetitions for f in r.failures)
    rows = [(clean(node), count(a_round), count(n), clean(error)) for (node, a_round, error), n in groups.items()]
    heads = ("hospital", "round", "times", "error")
    note = "Round 0: while the data were prepared."
    table = Table("failures", "Failures of the task", heads, tuple(rows), frozenset({1, 2}), "failures", note)
    return table if rows else None


def moments(view: View) -> Table | None:
    """The timeline in words."""
    if view.shown is None or not view.shown.moments:
        return None
    in_order = sorted(view.shown.moments, key=lambda moment: moment.at_s)
    rows = tuple((span(m.at_s), clean(m.node) or "network", m.kind, clean(m.text)) for m in in_order)
    note = f"Repetition {view.shown_number}."
    return Table("moments", "What happened when", ("at", "hub", "kind", "what"), rows, frozenset({0}), "moments", note)


MAKERS: Final[tuple[Maker, ...]] = (
    models,
    metrics,
    estimates,
    hospitals,
    totals,
    attacks,
    failures,
    moments,
    repetitions,
)


def tables_of(view: View) -> Iterator[Table]:
    """All tables that a result has something for."""
    for make in MAKERS:
        table = make(view)
        if table is not None:
            yield table


def texts(row: Sequence[Part]) -> list[str]:
    """A row as it is read."""
    return [str(part) for part in row]
