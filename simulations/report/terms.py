"""What a task estimates, term by term: the federated estimate held against the pooled one."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from simulations.report.view import View
from simulations.study.result import Estimate, Repetition


@dataclass(frozen=True)
class Term:
    """An estimate over the repetitions in which federated and pooled have it.

    federated, pooled: means. apart: federated minus pooled in the repetition where they differ most. n: repetitions.
    shift: mean of federated minus pooled. alone: the same of each hospital alone. Both are in pooled standard errors if
    `in_errors`, else in percent of the pooled estimate; None where that is zero.
    """

    name: str
    federated: float
    pooled: float
    apart: float
    n: int
    in_errors: bool
    shift: float | None
    alone: dict[str, float]


def terms_of(view: View) -> list[Term]:
    """Every term that both estimate, in the order in which it comes first."""
    names = dict.fromkeys(e.term for r in view.result.repetitions for e in r.estimates if e.arm == "pooled")
    by_repetition = [_by_whom(repetition) for repetition in view.result.repetitions]
    return [term for name in names if (term := _term(by_repetition, name)) is not None]


_ByWhom = dict[tuple[str, str, str], Estimate]


def _by_whom(repetition: Repetition) -> _ByWhom:
    return {(e.term, e.arm, e.hospital): e for e in repetition.estimates if e.value is not None}


def _term(by_repetition: list[_ByWhom], name: str) -> Term | None:
    pairs = [
        (found, found[name, "federated", ""].value or 0.0, found[name, "pooled", ""].value or 0.0)
        for found in by_repetition
        if (name, "federated", "") in found and (name, "pooled", "") in found
    ]
    if not pairs:
        return None
    in_errors = all(found[name, "pooled", ""].standard_error for found, _, _ in pairs)
    shifts: list[float] = []
    alone: dict[str, list[float]] = {}
    for found, ours, centre in pairs:
        unit = found[name, "pooled", ""].standard_error if in_errors else abs(centre) / 100
        if not unit:
            continue
        shifts.append((ours - centre) / unit)
        for (term, arm, hospital), estimate in found.items():
            if (term, arm) == (name, "alone"):
                alone.setdefault(hospital, []).append(((estimate.value or 0.0) - centre) / unit)
    return Term(
        name=name,
        federated=statistics.fmean(ours for _, ours, _ in pairs),
        pooled=statistics.fmean(centre for _, _, centre in pairs),
        apart=max((ours - centre for _, ours, centre in pairs), key=abs),
        n=len(pairs),
        in_errors=in_errors,
        shift=statistics.fmean(shifts) if shifts else None,
        alone={hospital: statistics.fmean(values) for hospital, values in alone.items()},
    )
