"""The table of a job's life: its diagram in the documentation, and that every state has a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.job.life import ENDED, TRANSITIONS, State, Step, diagram

PAGE = Path(__file__).resolve().parents[3] / "docs" / "jobs.md"


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text()


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained_and_all_but_the_last_three_have_a_way_out(state: State) -> None:
    assert f"| `{state}` |" in PAGE.read_text()
    ways = {to for (source, _), to in TRANSITIONS.items() if source is state} - {state}
    assert bool(ways) is (state not in ENDED)


def test_every_state_before_the_end_can_fail_and_be_cancelled_and_every_step_is_used() -> None:
    for state in set(State) - ENDED:
        assert TRANSITIONS[state, Step.FAILURE] is State.FAILED
        assert TRANSITIONS[state, Step.CANCEL] is State.CANCELLED
    assert {step for _, step in TRANSITIONS} == set(Step)
    assert set(TRANSITIONS.values()) | {State.PROPOSED} == set(State)
