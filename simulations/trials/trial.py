"""A trial: one way to try to break the protocols, played anew by each seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulations.trials.stage import Setting, Stage

Play = Callable[[Setting], Stage]
"""Plays a seed to its end. Raises `ViolationError` if a rule was broken."""


@dataclass(frozen=True, slots=True)
class Trial:
    """name: of the command line. about: one sentence."""

    name: str
    about: str
    play: Play
