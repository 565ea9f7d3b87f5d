"""The life of a job as a table; the diagram in the documentation is generated from it, and a test compares them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a job is, as one hub sees it."""

    PROPOSED = "proposed"
    COLLECTING = "collecting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What moves a job on."""

    DECIDED = "decision published"
    COHORT = "cohort record, all checks passed"
    SILENT = "a member silent for long"
    HEARD = "all heard again"
    RESULT = "task done, last sum certified"
    FAILURE = "failure here or at a member"
    CANCEL = "cancel record, or a successor begins"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.PROPOSED, Step.DECIDED): State.COLLECTING,
    (State.PROPOSED, Step.FAILURE): State.FAILED,
    (State.PROPOSED, Step.CANCEL): State.CANCELLED,
    (State.COLLECTING, Step.DECIDED): State.COLLECTING,
    (State.COLLECTING, Step.COHORT): State.RUNNING,
    (State.COLLECTING, Step.FAILURE): State.FAILED,
    (State.COLLECTING, Step.CANCEL): State.CANCELLED,
    (State.PROPOSED, Step.COHORT): State.RUNNING,
    (State.RUNNING, Step.SILENT): State.PAUSED,
    (State.RUNNING, Step.RESULT): State.DONE,
    (State.RUNNING, Step.FAILURE): State.FAILED,
    (State.RUNNING, Step.CANCEL): State.CANCELLED,
    (State.PAUSED, Step.HEARD): State.RUNNING,
    (State.PAUSED, Step.RESULT): State.DONE,
    (State.PAUSED, Step.FAILURE): State.FAILED,
    (State.PAUSED, Step.CANCEL): State.CANCELLED,
}
"""Every state but the last three has a way out; nothing leads out of those."""

ENDED: Final = frozenset({State.DONE, State.FAILED, State.CANCELLED})


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> proposed"]
    lines += [f"    {state} --> {to}: {step}" for (state, step), to in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state in ENDED]
    return "\n".join(lines)
