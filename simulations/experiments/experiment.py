"""An experiment: what is measured anew with each seed, and all repetitions of it as a study's result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from secured_node import VERSION
from simulations.study.intervals import interval
from simulations.study.result import Attack, NetworkModel, Repetition, StudyResult, Total
from simulations.study.study import Progress, Watch
from simulations.verification import remembered

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """What one seed gave.

    figures: by name, None where one is not defined. attacks: what was tried. virtual_s, events: of worlds in it.
    """

    figures: dict[str, float | None]
    attacks: tuple[Attack, ...] = ()
    virtual_s: float = 0.0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Experiment:
    """name: of the command line. title: what it shows. about: what is done and measured. repetitions: unless said
    otherwise. play: measures; everything that chance decides in it follows from the seed."""

    name: str
    title: str
    about: str
    play: Callable[[int], Measured]
    repetitions: int = field(default=10)

    def study(
        self,
        repetitions: int | None = None,
        seed: int = 1,
        *,
        confidence: float = CONFIDENCE,
        watch: Watch | None = None,
    ) -> StudyResult:
        """All repetitions, the first with `seed`."""
        count, began = repetitions or self.repetitions, time.monotonic()
        found: list[tuple[int, Measured]] = []
        for i in range(count):
            if watch is not None:
                watch(Progress(i + 1, count, 0, i))
            with remembered():
                found.append((seed + i, self.play(seed + i)))
        if watch is not None:
            watch(Progress(count, count, 0, count))
        names = dict.fromkeys(name for _, measured in found for name in measured.figures)
        values = {name: [measured.figures.get(name) for _, measured in found] for name in names}
        return StudyResult(
            name=self.name,
            title=self.title,
            scenario=f"# secured-sim run {self.name}\n# {self.about}\n",
            version=VERSION,
            task="",
            metric="",
            higher_is_better=True,
            target=None,
            confidence=confidence,
            network=NetworkModel(latency_s=0.0, jitter_s=0.0, bandwidth_bit_s=None, loss=0.0),
            split="",
            executor="in process",
            wall_s=time.monotonic() - began,
            repetitions=tuple(_repetition(seed, measured) for seed, measured in found),
            totals=tuple(Total(name=name, node="", value=interval(v, confidence)) for name, v in values.items()),
            notes=(self.about,),
        )


def _repetition(seed: int, measured: Measured) -> Repetition:
    digest = hashlib.sha256(msgspec.json.encode((measured.figures, measured.attacks, measured.events), order="sorted"))
    return Repetition(
        seed=seed,
        trace_hash=digest.hexdigest(),
        virtual_s=measured.virtual_s,
        events=measured.events,
        outcome="done",
        attacks=measured.attacks,
    )
