"""Every adversary of the catalogue over a few seeds: it does its evil, and achieves at most what the catalogue says."""

from __future__ import annotations

import pytest

from protocols.job.kinds import DataRef
from protocols.job.life import ENDED, State
from simulations.adversaries.adversary import Behaviour
from simulations.adversaries.catalogue import ADVERSARIES, AtMost
from tests.adversaries import Trial, assert_as_promised, trial_of
from tests.unit.test_spec import CASES

SEEDS = range(2)
PLAYED_ELSEWHERE = {
    *("key_substitution", "two_certificates", "signed_then_killed", "drop_edges", "cohort_of_one_or_two"),
    *("grown_federation", "departed_member", "aborted_job", "fixed_point_overflow", "nan_inf_update"),
    *("mask_reuse", "restart_in_attempt", "recomputed_vector", "straggler_timing", "partition_heal"),
    *("byzantine_scale", "free_rider", "quality_inference", "membership_on_sum"),
}
"""Cases of faults, of honest nodes, of the network, of the worker; and those that need noise."""
OTHER_NAMES = {"duplicate_ids": "repeated_key"}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_does_its_evil_and_achieves_at_most_what_the_catalogue_says(name: str) -> None:
    deeds = 0
    for seed in SEEDS:
        trial = trial_of(name, seed)
        job = trial.play()
        assert_as_promised(name, trial, job)
        deeds += trial.deeds().total()
    assert deeds, "an adversary that is honest by mistake is worth nothing"


@pytest.mark.parametrize("name", [name for name, entry in ADVERSARIES.items() if entry.at_most is AtMost.STALLS])
def test_once_it_is_revoked_all_jobs_end_and_the_others_compute(name: str) -> None:
    trial = trial_of(name, 4)
    job = trial.play(seconds=200.0)
    federation = trial.federation
    for place in trial.liars:
        federation.revoke(place, "convicted")
    federation.world.run(seconds=120.0)
    assert all(state in ENDED for state in trial.states(job))
    again = federation.submit(0, trial.honest, data=DataRef("lung", "1", bytes(32)))
    assert federation.run_until(again, State.DONE, trial.honest)
    trial.assert_safe(again)


def test_every_case_that_an_adversary_can_play_is_in_the_catalogue() -> None:
    played = {case for case in CASES if OTHER_NAMES.get(case, case) in ADVERSARIES}
    assert set(CASES) - played == PLAYED_ELSEWHERE


def test_the_same_seed_plays_the_same_evil() -> None:
    runs = []
    for _ in range(2):
        trial = trial_of("mutator", 5)
        trial.play()
        runs.append((trial.deeds(), trial.federation.world.trace.hash))
    assert runs[0] == runs[1]


def test_other_seeds_play_other_variants() -> None:
    chosen = set()
    for seed in range(6):
        trial = trial_of("small_order", seed)
        trial.play(seconds=20.0)
        chosen |= {str(sorted(value.hex() for value in trial.behaviour()._chosen.values() if isinstance(value, bytes)))}
    assert len(chosen) > 3


def test_an_adversary_that_changes_nothing_is_an_honest_hub() -> None:
    trial = Trial([Behaviour], 1)
    job = trial.play()
    trial.assert_safe(job)
    assert trial.states(job) == [State.DONE] * 4
    assert trial.watch.sums.sums == 2, "the checkers compared what it put in, too"
