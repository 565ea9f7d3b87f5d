"""All trials, by name."""

from __future__ import annotations

from typing import Final

from simulations.trials import adversaries, faults, groups, records
from simulations.trials.trial import Trial

TRIALS: Final[dict[str, Trial]] = {
    trial.name: trial for trial in (*faults.TRIALS, *groups.TRIALS, *records.TRIALS, *adversaries.TRIALS)
}
