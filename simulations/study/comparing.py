"""Two studies side by side: differences of their figures, paired by the number of the repetition."""

from __future__ import annotations

import msgspec

from simulations.study.intervals import interval
from simulations.study.result import EVERYWHERE, Interval, Repetition, StudyResult


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Second minus first. name: of a metric or a count. arm, hospital: whose metric; "" for a count."""

    name: str
    arm: str
    hospital: str
    value: Interval


Figures = dict[tuple[str, str, str], float]


def differences(one: StudyResult, other: StudyResult) -> list[Difference]:
    """Of all figures that both have, in the first's order; with the first's confidence."""
    pairs = [(_figures(a), _figures(b)) for a, b in zip(one.repetitions, other.repetitions, strict=False)]
    keys = dict.fromkeys(key for a, b in pairs for key in a if key in b)
    return [
        Difference(
            name=name,
            arm=arm,
            hospital=hospital,
            value=interval(
                (b[key] - a[key] for a, b in pairs if key in a and key in b),
                one.confidence,
            ),
        )
        for key in keys
        for name, arm, hospital in (key,)
    ]


def _figures(repetition: Repetition) -> Figures:
    """What can be compared of one repetition, where it is defined."""
    found: Figures = {
        (s.metric, s.arm, s.hospital): s.value
        for s in repetition.scores
        if s.tested_on == EVERYWHERE and s.value is not None
    }
    found["rounds", "", ""] = len(repetition.rounds)
    found["virtual_s", "", ""] = repetition.virtual_s
    found["sent_bytes", "", ""] = sum(node.sent_bytes for node in repetition.nodes)
    found["drop_outs", "", ""] = sum(node.drop_outs for node in repetition.nodes)
    found["retries", "", ""] = sum(r.attempts - 1 for r in repetition.rounds)
    found["refusals", "", ""] = sum(repetition.refusals.values())
    if repetition.rounds_to_target is not None:
        found["rounds_to_target", "", ""] = repetition.rounds_to_target
    return found
