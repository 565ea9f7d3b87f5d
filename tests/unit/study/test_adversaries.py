"""Adversaries in a scenario: where they may be, what they cost, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from secured_node.data.errors import DataError
from simulations.study.poison import KINDS
from simulations.study.result import Attack
from simulations.study.scenario import Scenario
from tests.unit.study.kit import GLM, TRAIN, run, scenario

FIVE = {"by": "equal", "nodes": 5}


def attack(kind: str, *, node: str = "h4", task: dict[str, Any] = GLM, **tables: Any) -> Attack:
    """The outcome of one adversary among five hospitals."""
    adversary = {"kind": kind, "nodes": [node], **tables.pop("with_", {})}
    job = {"time_limit": "10 min"} | tables.pop("job", {})
    result = run(split=FIVE, task=task, adversary=[adversary], job=job, **tables)
    (found,) = result.repetitions[0].attacks
    assert (found.name, found.node) == (kind, node)
    return found


def train(**parameters: Any) -> dict[str, Any]:
    return {"name": "train", "parameters": TRAIN["parameters"] | {"weighting": "equal", "rounds": 20} | parameters}


def refusal(adversary: dict[str, Any], **tables: Any) -> str:
    with pytest.raises(DataError) as caught:
        scenario(adversary=[adversary], **tables).check()
    return str(caught.value)


def test_an_adversary_that_the_others_get_along_with_has_no_success_and_costs_nothing() -> None:
    found = attack("two_votes")
    assert not found.succeeded
    assert found.value == 0.0
    assert "every sum that was accepted was exact" in found.text
    assert "Evidence names it: two_votes" in found.text


def test_an_adversary_that_keeps_the_job_from_being_done_succeeds() -> None:
    found = attack("mute")
    assert found.succeeded
    assert found.value is None
    assert "The job was not done; no false sum was accepted." in found.text


def test_one_that_had_no_occasion_is_said_to_have_had_none() -> None:
    assert "no occasion" in attack("lying_holder").text  # its vectors are too short to have holders


def test_a_submitter_that_signs_two_cohorts_is_found_out() -> None:
    found = attack("cohort_equivocation", job={"submitter": "h4"})
    assert found.succeeded
    assert found.value is None


def test_a_small_bound_on_changes_holds_a_poisoner_that_a_large_one_does_not() -> None:
    free = attack("byzantine_sign", node="h5", task=train(clip_norm=10.0))
    held = attack("byzantine_sign", node="h5", task=train(clip_norm=0.05))
    assert free.succeeded
    assert free.value is not None and free.value < -0.5
    assert not held.succeeded
    assert held.value is not None and held.value > -0.05


def test_a_backdoor_opens_for_rows_with_the_trigger() -> None:
    found = attack("byzantine_backdoor", node="h5", task=train(hidden=8))
    assert found.succeeded
    assert found.value is not None and found.value > 0.5


@pytest.mark.parametrize("kind", ["free_rider_zero", "free_rider_stale"])
def test_a_free_rider_has_the_model(kind: str) -> None:
    found = attack(kind, task=train())
    assert found.succeeded
    assert "has the model" in found.text


def test_a_free_rider_of_stale_changes_puts_in_something_else_than_an_honest_site() -> None:
    hashes = set()
    for adversary in (
        [],
        [{"kind": "free_rider_stale", "nodes": ["h4"]}],
        [{"kind": "free_rider_zero", "nodes": ["h4"]}],
    ):
        result = run(task=train(), adversary=adversary)
        hashes.add(tuple(e.value for e in result.repetitions[0].estimates if e.arm == "federated"))
    assert len(hashes) == 3


def test_flipped_labels_are_worse_than_true_ones() -> None:
    result = run(task=train(), adversary=[{"kind": "byzantine_labels", "nodes": ["h2", "h3"], "bound": 0.0}])
    assert [a.node for a in result.repetitions[0].attacks] == ["h2", "h3"]
    losses = [s.value for s in result.repetitions[0].scores if s.metric == "log_loss" and s.tested_on == "all"]
    clean = [
        s.value for s in run(task=train()).repetitions[0].scores if s.metric == "log_loss" and s.tested_on == "all"
    ]
    assert losses[-1] is not None and clean[-1] is not None
    assert losses[-1] > 1.2 * clean[-1]


def test_where_an_adversary_cannot_be_is_refused_in_words() -> None:
    assert "founded the federation" in refusal({"kind": "two_votes", "nodes": ["h1"]})
    assert "joins later" in refusal({"kind": "two_votes", "nodes": ["h4"]}, nodes={"h4": {"joins": "5 s"}})
    assert "no such hospital" in refusal({"kind": "two_votes", "nodes": ["h9"]})
    assert "takes at least 2" in refusal({"kind": "split_vote", "nodes": ["h2"]})
    assert "set job.submitter = 'h2'" in refusal({"kind": "group_cut", "nodes": ["h2"]})
    assert "perhaps two_votes" in refusal({"kind": "two_vote", "nodes": ["h2"]})
    assert "already" in refusal({"kind": "two_votes", "nodes": ["h2", "h2"]})
    assert "the task glm has none" in refusal({"kind": "byzantine_scale", "nodes": ["h2"]})
    summary = {"name": "summary", "parameters": {"columns": ["radius"]}}
    assert "an outcome that is a class" in refusal({"kind": "byzantine_labels", "nodes": ["h2"]}, task=summary)
    wrong = {"kind": "byzantine_backdoor", "nodes": ["h2"], "column": "area"}
    assert "adversary.column = 'area'" in refusal(wrong, task=TRAIN)


def test_a_hospital_that_leaves_ends_the_job_and_the_rest_are_refused() -> None:
    (repetition,) = Scenario.load("leaving").with_run(repetitions=1).study().repetitions
    assert repetition.outcome == "cancelled"
    assert "sums with and without them show their values" in repetition.reason
    assert {node.name: node.state for node in repetition.nodes}["h6"] == "left the federation"
    assert any("h6 was revoked" in moment.text for moment in repetition.moments)


def test_the_founder_and_the_submitter_cannot_leave() -> None:
    for name in ("h1", "h2"):
        with pytest.raises(DataError, match=rf"nodes\.{name}\.leaves"):
            scenario(nodes={name: {"leaves": "1 s"}}, job={"submitter": "h2"}).check()


def test_every_kind_says_what_it_does() -> None:
    assert all(does[0].islower() and not does.endswith(".") for does in KINDS.values())
