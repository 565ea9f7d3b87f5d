"""Whole studies: what a federation finds is what the pooled rows say, whatever goes wrong on the way."""

from __future__ import annotations

import msgspec
import pytest

from secured_node.data.errors import DataError
from simulations.study.comparing import differences
from simulations.study.repetition import APART, FOUNDERS
from simulations.study.result import StudyResult
from simulations.study.site import RAISED
from tests.unit.study.kit import GLM, TRAIN, run, scenario, value

SUMMARY = {"name": "summary", "parameters": {"columns": ["radius", "malignant"]}}


@pytest.fixture(scope="module")
def plain() -> StudyResult:
    """Two repetitions without any fault."""
    return run(run={"repetitions": 2, "target": {"metric": "auc", "value": 0.9}})


def test_federated_is_pooled_and_alone_is_not(plain: StudyResult) -> None:
    error = value(plain, "federated", "coefficient_error")
    assert error is not None
    assert error < 1e-9
    assert value(plain, "federated", "auc") == value(plain, "pooled", "auc")
    assert {c.hospital for c in plain.comparisons if c.arm == "alone"} == {"h1", "h2", "h3", "h4"}
    alone = value(plain, "alone", "coefficient_error", "h1")
    assert alone is not None
    assert alone > 0.01


def test_every_hospital_is_scored_on_its_own_test_rows_and_on_all(plain: StudyResult) -> None:
    first = plain.repetitions[0]
    found = {s.tested_on: s.rows for s in first.scores if s.arm == "federated" and s.metric == "auc"}
    assert found == {node.name: node.test_rows for node in first.nodes} | {"all": sum(n.test_rows for n in first.nodes)}
    assert sum(node.rows for node in first.nodes) == 569
    assert all(node.state == "done" for node in first.nodes)


def test_bytes_rounds_and_times_are_told(plain: StudyResult) -> None:
    first = plain.repetitions[0]
    assert [r.number for r in first.rounds] == list(range(1, len(first.rounds) + 1))
    assert sum(r.sent_bytes for r in first.rounds) <= sum(node.sent_bytes for node in first.nodes)
    assert all(0 < r.started_s < r.certified_s <= (r.all_s or 0) <= first.virtual_s for r in first.rounds)
    assert all(node.sent_messages > 0 and node.received_bytes > 0 for node in first.nodes)
    assert first.rounds[0].metrics == {}
    reached = first.rounds_to_target
    assert reached is not None
    auc = first.rounds[reached - 1].metrics["auc"]
    assert auc is not None
    assert auc >= 0.9
    before = first.rounds[reached - 2].metrics.get("auc")
    assert before is None or before < 0.9


def test_one_round_is_kept_message_by_message(plain: StudyResult) -> None:
    first, second = plain.repetitions
    assert first.sequence_round == 2
    assert {m.type for m in first.messages} >= {"Offer", "Root", "Segment", "Vote"}
    assert all(not m.lost and m.received_s is not None and m.received_s > m.sent_s for m in first.messages)
    assert not second.messages


def test_the_same_seed_is_the_same_run_and_another_is_another(plain: StudyResult) -> None:
    again = run(run={"repetitions": 1})
    hashes = [r.trace_hash for r in plain.repetitions]
    assert again.repetitions[0].trace_hash == hashes[0] != hashes[1]
    assert again.repetitions[0].scores == plain.repetitions[0].scores != plain.repetitions[1].scores


def test_intervals_are_over_repetitions_and_differences_are_paired(plain: StudyResult) -> None:
    found = next(c for c in plain.comparisons if (c.arm, c.metric, c.tested_on) == ("federated", "auc", "all"))
    assert found.value.n == 2
    assert found.value.mean == pytest.approx(
        sum(s.value or 0 for r in plain.repetitions for s in r.scores if _is_auc(s)) / 2
    )
    assert found.minus_pooled is not None
    assert found.minus_pooled.mean == 0
    totals = {(t.name, t.node): t.value for t in plain.totals}
    assert totals["rounds", ""].mean == sum(len(r.rounds) for r in plain.repetitions) / 2
    assert totals["sent_bytes", "h1"].mean == sum(r.nodes[0].sent_bytes for r in plain.repetitions) / 2


def _is_auc(score: object) -> bool:
    keys = ("arm", "metric", "tested_on")
    return tuple(getattr(score, key) for key in keys) == ("federated", "auc", "all")


def test_latency_and_slow_lines_cost_virtual_time_and_nothing_else() -> None:
    quick = run(task=TRAIN, network={"latency": "5 ms", "jitter": "0 ms"})
    slow = run(task=TRAIN, network={"latency": "500 ms", "jitter": "0 ms", "bandwidth": "64 kbit/s"})
    one, other = quick.repetitions[0], slow.repetitions[0]
    assert other.virtual_s > 20 * one.virtual_s
    assert value(quick, "pooled", "auc") == value(slow, "pooled", "auc")
    found = {d.name: d.value.mean for d in differences(quick, slow) if not d.arm}
    assert found["virtual_s"] == pytest.approx(other.virtual_s - one.virtual_s)
    assert found["rounds"] == 0


def test_a_slow_hospital_is_waited_for() -> None:
    result = run(task=TRAIN, nodes={"h2": {"work": "20 s", "slow": 10, "latency": "200 ms"}})
    assert result.repetitions[0].outcome == "done"
    assert result.repetitions[0].virtual_s > 5 * 20  # the first sum and four rounds


@pytest.mark.parametrize("kind", ["crash", "partition"])
def test_who_drops_out_comes_back_and_the_result_is_the_same(kind: str) -> None:
    fault = {"kind": kind, "nodes": ["h2"], "at": "500 ms", "lasts": "40 s"}
    result = run(fault=[fault])
    first = result.repetitions[0]
    assert first.outcome == "done"
    assert first.virtual_s > 40
    assert {node.name: node.drop_outs for node in first.nodes} == {"h1": 0, "h2": 1, "h3": 0, "h4": 0}
    assert [m.node for m in first.moments if m.kind == "fault"] == ["h2", "h2"]
    error = value(result, "federated", "coefficient_error")
    assert error is not None
    assert error < 1e-9
    assert value(result, "federated", "auc") == value(run(), "federated", "auc")


def test_a_partition_cuts_groups_and_loses_messages() -> None:
    result = run(fault=[{"kind": "partition", "nodes": ["h1", "h2"], "at": "300 ms", "lasts": "5 s"}])
    first = result.repetitions[0]
    lost = {(m.sender, m.to) for m in first.messages if m.lost}
    assert first.outcome == "done"
    assert lost
    assert not lost & {("h1", "h2"), ("h2", "h1"), ("h3", "h4"), ("h4", "h3")}


def test_who_never_comes_back_leaves_the_job_unfinished_and_named() -> None:
    fault = {"kind": "crash", "nodes": ["h3"], "at": "500 ms"}
    first = run(fault=[fault], job={"time_limit": "1 h"}).repetitions[0]
    assert first.outcome == "unfinished"
    assert {node.name: node.state for node in first.nodes}["h3"] == "down"
    assert any(m.kind == "pause" and "h3" in m.text for m in first.moments)
    assert not [s for s in first.scores if s.arm == "federated"]
    assert [s for s in first.scores if s.arm == "pooled"]


def test_loss_and_slowness_pass() -> None:
    faults = [
        {"kind": "loss", "share": 0.2, "at": "0 s", "lasts": "30 s"},
        {"kind": "slow", "nodes": ["h1"], "factor": 1000, "at": "100 ms", "lasts": "2 s"},
    ]
    first = run(fault=faults, network={"bandwidth": "10 Mbit/s"}).repetitions[0]
    assert first.outcome == "done"
    texts = [m.text for m in first.moments if m.kind == "fault"]
    assert "20% of messages are lost" in texts
    assert "its line is 1000 times slower" in texts
    assert "its line is as before" in texts


def test_a_task_that_raises_is_told_with_hospital_and_round() -> None:
    first = run(task=TRAIN, fault=[{"kind": "raise", "nodes": ["h3"], "round": 2}]).repetitions[0]
    assert first.outcome == "failed"
    assert [(f.node, f.round, f.error) for f in first.failures] == [("h3", 2, RAISED)]
    assert len(first.rounds) == 1
    assert {node.state for node in first.nodes} == {"failed"}
    assert "h3" in first.reason
    assert RAISED not in first.reason, "others read general words"


def test_a_hospital_with_too_few_rows_fails_the_job_as_in_the_real_federation() -> None:
    result = run(task=GLM, job={"min_rows": 90}, split={"by": "quantity", "alpha": 0.8, "nodes": 4})
    first = result.repetitions[0]
    assert first.outcome == "failed"
    assert first.failures
    assert all("fewer than 90 rows" in f.error and f.round == 1 for f in first.failures)
    assert {m.node for m in first.moments if m.kind == "alone"} >= {f.node for f in first.failures}


def test_a_refusal_leaves_the_others_and_a_manager_is_waited_for() -> None:
    result = run(
        task=SUMMARY,
        job={"collect": "90 s"},
        nodes={"h2": {"answer": "refuse"}, "h4": {"answer": "ask", "after": "1 min"}},
    )
    first = result.repetitions[0]
    assert first.outcome == "done"
    states = {node.name: node.state for node in first.nodes}
    assert states == {"h1": "done", "h2": APART, "h3": "done", "h4": "done"}
    assert first.virtual_s > 60
    means = {(e.arm, e.hospital): e.value for e in first.estimates if e.term == "radius"}
    rows = {node.name: node.train_rows for node in first.nodes}
    three = ("h1", "h3", "h4")
    expected = sum(rows[h] * (means["alone", h] or 0) for h in three) / sum(rows[h] for h in three)
    assert means["federated", ""] == pytest.approx(expected)


def test_too_few_that_join_end_the_job() -> None:
    nodes = {name: {"answer": "refuse"} for name in ("h2", "h3")}
    first = run(task=SUMMARY, nodes=nodes, job={"collect": "10 s"}).repetitions[0]
    assert first.outcome in ("failed", "cancelled")
    assert first.reason
    assert not first.rounds


def test_a_federation_grows_and_all_fit_again() -> None:
    newcomers = {name: {"joins": "20 s"} for name in ("h5", "h6", "h7")}
    result = run(split={"by": "equal", "nodes": 7}, nodes=newcomers)
    first = result.repetitions[0]
    assert first.outcome == "done"
    assert {node.name: node.joined_s for node in first.nodes}["h5"] == pytest.approx(20.0)
    founders, everybody = (value(result, "federated", "coefficient_error", who) for who in (FOUNDERS, ""))
    assert founders is not None
    assert everybody is not None
    assert everybody < 1e-9 < founders


def test_a_hospital_of_one_class_has_no_model_of_its_own() -> None:
    """A line through the radius leaves a hospital whose patients are all healthy."""
    split = {"by": "feature", "column": "radius", "nodes": 5, "blur": 0}
    result = run(split=split, task=TRAIN)
    first = result.repetitions[0]
    assert first.outcome == "done"
    assert any("the same in all" in m.text for m in first.moments if m.kind == "alone")
    undefined = [s for s in first.scores if s.metric == "auc" and s.arm == "federated" and s.value is None]
    assert undefined, "the area under the curve is not defined on test rows of one class"
    assert value(result, "federated", "auc") is not None


def test_repetitions_have_seeds_of_their_own_and_tasks_take_them() -> None:
    hidden = {"name": "train", "parameters": TRAIN["parameters"] | {"hidden": 4}}
    result = run(task=hidden, run={"repetitions": 2, "seed": 7})
    assert [r.seed for r in result.repetitions] == [7, 8]
    first, second = (r.rounds[0].metrics["auc"] for r in result.repetitions)
    assert first != second


def test_a_result_is_plain_values(plain: StudyResult) -> None:
    assert StudyResult.from_json(plain.to_json()) == plain
    assert msgspec.to_builtins(plain)["format"] == 1


def test_noise_is_in_the_federation_and_in_nothing_else() -> None:
    task = {"name": "summary", "parameters": {"columns": ["smoothness"], "rows_max": 1000}}
    exact, noisy = run(task=task), run(task=task, privacy={"epsilon": 5.0})
    again = run(task=task, privacy={"epsilon": 5.0})
    means = [{(e.arm, e.hospital): e.value for e in r.repetitions[0].estimates} for r in (exact, noisy, again)]
    assert means[1] == means[2], "the noise is the seed's"
    federated = [found.pop(("federated", "")) for found in means]
    assert means[0] == means[1], "alone and pooled have none"
    assert federated[0] is not None
    assert federated[1] is not None
    assert federated[0] == pytest.approx(means[0]["pooled", ""])
    assert 1e-6 < abs(federated[1] / federated[0] - 1) < 0.5
    assert (exact.epsilon, noisy.epsilon, noisy.delta) == (None, 5.0, 1e-6)


def test_noise_for_a_task_that_takes_none_is_told_before_anything_runs() -> None:
    with pytest.raises(DataError, match=r"the scenario: privacy: task train: it cannot say how much one record"):
        scenario(task=TRAIN, privacy={"epsilon": 1.0}).check()
