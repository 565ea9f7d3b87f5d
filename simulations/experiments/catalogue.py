"""All experiments, by name."""

from __future__ import annotations

from typing import Final

from simulations.experiments import canary, quality, selection, thousand
from simulations.experiments.experiment import Experiment

EXPERIMENTS: Final[dict[str, Experiment]] = {
    experiment.name: experiment
    for experiment in (quality.EXPERIMENT, selection.EXPERIMENT, canary.EXPERIMENT, thousand.EXPERIMENT)
}
