"""All rules at once, on one federation."""

from __future__ import annotations

from simulations.checkers.attempts import CleanAttempts
from simulations.checkers.blame import JustBlame
from simulations.checkers.groups import GroupRank
from simulations.checkers.histories import OneHistory
from simulations.checkers.sums import ExactSums
from simulations.federation import Federation


class Watch:
    """The checkers of a run; each raises `ViolationError` at the event that breaks its rule."""

    def __init__(self, federation: Federation) -> None:
        self.sums = ExactSums(federation)
        self.histories = OneHistory(federation)
        self.attempts = CleanAttempts(federation)
        self.groups = GroupRank(federation)
        self.blame = JustBlame(federation)
