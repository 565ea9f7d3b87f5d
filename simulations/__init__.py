"""Whole federations on one machine: the very objects of `protocols`, over a virtual network in virtual time.

For notebooks: ``from simulations import Scenario`` (see `simulations.study.scenario`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulations.study.result import StudyResult
    from simulations.study.scenario import Scenario

__all__ = ["Scenario", "StudyResult"]


def __getattr__(name: str) -> Any:
    """The world alone shall not cost what tasks and data sources need: these are imported when asked for."""
    if name == "Scenario":
        from simulations.study.scenario import Scenario  # noqa: PLC0415

        return Scenario
    if name == "StudyResult":
        from simulations.study.result import StudyResult  # noqa: PLC0415

        return StudyResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
