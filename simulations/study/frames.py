"""A study's result as pandas data frames: long tables, one row a value, the repetition's seed as the first column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pandas as pd

from simulations.study.result import (
    Attack,
    Comparison,
    Estimate,
    Failure,
    Interval,
    Moment,
    NodeResult,
    Repetition,
    RoundResult,
    Score,
    SentMessage,
    StudyResult,
    Total,
)

PER_REPETITION: dict[str, type[msgspec.Struct]] = {
    "nodes": NodeResult,
    "rounds": RoundResult,
    "scores": Score,
    "estimates": Estimate,
    "moments": Moment,
    "messages": SentMessage,
    "attacks": Attack,
    "failures": Failure,
}
"""Frames with a row for each value of a repetition, by the name of its field."""


def frames_of(result: StudyResult) -> dict[str, pd.DataFrame]:
    """The frames ``repetitions``, those of `PER_REPETITION`, ``refusals``, ``comparisons`` and ``totals``.

    A frame without rows has its columns nevertheless. A round's metrics become columns of ``rounds``.
    """
    frames = {"repetitions": _frame(_repetitions(result), _scalars(Repetition))}
    for name, kind in PER_REPETITION.items():
        rows = [{"seed": r.seed} | msgspec.to_builtins(value) for r in result.repetitions for value in getattr(r, name)]
        frames[name] = _frame(rows, ("seed", *kind.__struct_fields__))
    frames["rounds"] = _widen(frames["rounds"])
    counted = [{"seed": r.seed, "code": c, "count": n} for r in result.repetitions for c, n in r.refusals.items()]
    frames["refusals"] = _frame(counted, ("seed", "code", "count"))
    frames["comparisons"] = _frame(map(_comparison, result.comparisons), (*_HEAD, *_INTERVAL, *_DIFFERENCE))
    totals = [{"name": t.name, "node": t.node} | _interval(t.value) for t in result.totals]
    frames["totals"] = _frame(totals, (*Total.__struct_fields__[:2], *_INTERVAL))
    return frames


_HEAD = ("arm", "hospital", "tested_on", "metric")
_INTERVAL = Interval.__struct_fields__
_DIFFERENCE = tuple(f"minus_pooled_{name}" for name in _INTERVAL)


def _scalars(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name not in (*PER_REPETITION, "refusals"))


def _repetitions(result: StudyResult) -> list[dict[str, Any]]:
    names = _scalars(Repetition)
    return [{name: getattr(repetition, name) for name in names} for repetition in result.repetitions]


def _interval(value: Interval | None, prefix: str = "") -> dict[str, Any]:
    return {prefix + name: getattr(value, name, None) for name in _INTERVAL}


def _comparison(value: Comparison) -> dict[str, Any]:
    head = {name: getattr(value, name) for name in _HEAD}
    return head | _interval(value.value) | _interval(value.minus_pooled, "minus_pooled_")


def _frame(rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


def _widen(rounds: pd.DataFrame) -> pd.DataFrame:
    metrics = pd.DataFrame(list(rounds["metrics"]), index=rounds.index)
    return pd.concat([rounds.drop(columns="metrics"), metrics], axis=1)
