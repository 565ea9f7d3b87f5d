"""Submitters, members that lie about groups and records: what they did, what became of it."""

from __future__ import annotations

import pytest

from protocols.groups import Standing
from protocols.job.events import Joined
from protocols.job.kinds import Answer, CohortBody
from protocols.job.life import State
from protocols.records.messages import Records
from simulations.adversaries import groups, mutator, records, submitters
from simulations.adversaries.adversary import Behaviour
from simulations.adversaries.telling import body_of
from tests.adversaries import Trial

SEEDS = range(4)


def played(kind: type[Behaviour], seed: int, submits: bool = True, **changes: object) -> tuple[Trial, bytes]:
    trial = Trial([kind], seed, submits=submits)
    return trial, trial.play(**changes)  # type: ignore[arg-type]


def joined(trial: Trial, job: bytes) -> dict[int, list[bytes]]:
    """Which cohorts of a job the honest hubs joined."""
    disks = {i: trial.federation.world.hosts[trial.federation.nodes[i]].disk for i in trial.honest}
    return {i: [f.cohort for f in disk if isinstance(f, Joined) and f.job == job] for i, disk in disks.items()}


@pytest.mark.parametrize("kind", [submitters.GroupCut, submitters.FalseMembers, submitters.CohortEquivocation])
@pytest.mark.parametrize("listed", [True, False])
def test_cohort_equivocation_false_members_and_missing_ones_give_no_sum_that_isolates(
    kind: type[Behaviour], listed: bool
) -> None:
    for seed in SEEDS:
        trial = Trial([kind], seed, submits=True)
        job = trial.play(listed=listed)
        assert trial.deeds().total()
        assert all(len(cohorts) <= 1 for cohorts in joined(trial, job).values()), "one cohort per job, for ever"
        trial.assert_safe(job)
        trial.assert_said(job)


def test_group_cut_a_cohort_that_lacks_part_of_a_group_is_joined_by_nobody() -> None:
    for seed in SEEDS:
        trial = Trial([submitters.GroupCut], seed, submits=True)
        honest = trial.honest[0]
        first = trial.federation.submit(honest, range(trial.n))
        assert trial.federation.run_until_over(first, trial.honest)
        job = trial.play(listed=False)
        assert trial.deeds()["GroupCut"]
        assert trial.states(job) == [State.FAILED] * 4
        assert not any(joined(trial, job).values())
        named = [trial.federation.job(i, job).reason for i in trial.honest]
        assert any("of its group" in reason for reason in named)


@pytest.mark.parametrize("kind", [submitters.SecondJob, submitters.VersionBump])
def test_second_job_and_version_bump_that_cut_a_group_are_refused_at_the_decision(kind: type[Behaviour]) -> None:
    """GR1."""
    for seed in SEEDS:
        trial, job = played(kind, seed, submits=False)
        trial.federation.world.run(seconds=100)
        assert trial.states(job) == [State.DONE] * 4
        assert trial.deeds()["second job"] == 1
        (second,) = [j for j in trial.federation.hub(0).node.jobs.values() if j.spec.purpose == submitters.SECOND]
        refusals = [d.decision for node, d in second.decisions.items() if trial.federation.honest(node)]
        assert refusals and all(d.answer is Answer.REFUSE for d in refusals)
        assert all("show their values" in d.reason or "lists its members" in d.reason for d in refusals)
        assert not trial.sums(second.job)
        trial.assert_safe(job)


def test_two_cohorts_were_really_told() -> None:
    trial, job = played(submitters.CohortEquivocation, 1)
    told: dict[str, set[tuple[str, ...]]] = {}
    for _, sender, to, message in trial.federation.world.sent:
        if isinstance(message, Records) and not trial.federation.honest(sender):
            for record in message.records:
                if record.kind == "cohort" and record.author == sender:
                    told.setdefault(to, set()).add(body_of(record, CohortBody).decisions)
    assert len(set().union(*told.values())) == 2
    assert trial.federation.job(trial.honest[0], job).state is State.FAILED


def test_cancel_in_the_middle_ends_the_job_and_a_foreign_one_ends_nothing() -> None:
    for seed in SEEDS:
        trial, job = played(submitters.CancelInTheMiddle, seed, rounds_max=50)
        assert trial.deeds()["cancel of its own"] and State.CANCELLED in trial.states(job)
        trial.assert_safe(job)
        trial, job = played(submitters.ForeignCancel, seed, submits=False)
        assert trial.states(job) == [State.DONE] * 4
        trial.assert_safe(job)


def test_false_outcome_ends_a_job_at_most_and_names_its_author() -> None:
    failed = 0
    for seed in range(8):
        trial, job = played(submitters.FalseOutcome, seed, submits=False)
        trial.assert_safe(job)
        for i in trial.honest:
            here = trial.federation.job(i, job)
            failed += here.state is State.FAILED
            assert here.state is State.DONE or trial.federation.nodes[trial.liars[0]] in here.reason
    assert failed


@pytest.mark.parametrize("kind", [groups.OtherGroup, groups.NeverGroup, groups.LateGroup])
def test_no_root_leaves_before_the_whole_group_has_signed(kind: type[Behaviour]) -> None:
    for seed in SEEDS:
        trial, job = played(kind, seed, submits=False)
        assert trial.deeds().total()
        trial.assert_safe(job)
        trial.assert_said(job)
        done = State.DONE in trial.states(job)
        assert done == (kind is groups.LateGroup) or kind is groups.OtherGroup
        for i in trial.honest:
            standing = trial.federation.hub(i).node.groups.standing(trial.federation.nodes[i], "heart")
            assert standing is not Standing.ALONE


def test_forked_records_are_kept_as_evidence_at_all_and_stop_nothing() -> None:
    for seed in SEEDS:
        trial, job = played(records.ForkedRecords, seed, submits=False)
        trial.federation.world.run(seconds=120)
        assert trial.states(job) == [State.DONE] * 4
        assert trial.forked() == {trial.liars[0]}
        assert all(trial.federation.hub(i).node.store.forks() for i in trial.honest)
        digests = {trial.federation.hub(i).node.store.buckets.digests() for i in trial.honest}
        assert len(digests) == 1, "all end with the same records"
        trial.assert_safe(job)


def test_floods_of_records_are_slowed_and_stop_no_job_of_others() -> None:
    trial, job = played(records.RecordFlood, 2, submits=False)
    assert trial.states(job) == [State.DONE] * 4
    assert trial.deeds()["superseded"] > 100 and "too_often" in trial.refusals()
    accepted = [fact for fact in trial.federation.world.hosts[trial.federation.nodes[0]].disk if hasattr(fact, "kind")]
    assert len(accepted) < 60, "what is superseded is dropped"


@pytest.mark.parametrize("kind", [records.ForgedRecords, records.MalformedRecords, mutator.RecordMutator])
def test_records_in_others_names_and_bodies_that_are_none_are_refused(kind: type[Behaviour]) -> None:
    codes: set[str] = set()
    for seed in range(10):
        trial, job = played(kind, seed, submits=False)
        trial.federation.world.run(seconds=100)  # they are compared every half minute
        assert trial.states(job) == [State.DONE] * 4
        assert not trial.forked() - set(trial.liars)
        trial.assert_safe(job)
        codes |= trial.refusals()
    assert codes & {"bad_signature", "malformed", "not_a_steward", "unknown_kind"}
