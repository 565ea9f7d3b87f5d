"""Several that act as one: two of seven with c = 2 and h = 3 gain nothing; more than c reach the stated limits."""

from __future__ import annotations

import pytest

from protocols.job.life import State
from protocols.secagg.effects import Certified
from simulations.adversaries.adversary import MakeBehaviour
from simulations.adversaries.catalogue import ADVERSARIES
from simulations.adversaries.colluders import Combined, LyingHolders, Plot, SplitVote, VoteForBoth
from simulations.adversaries.offers import OfferEquivocation
from simulations.adversaries.silence import SelectiveSilence
from tests.adversaries import Trial, trial_of

SEEDS = range(3)
LONG_OF_SEVEN = 30_000


def plotting(kind: type[LyingHolders | SplitVote | VoteForBoth], number: int) -> list[MakeBehaviour]:
    plot = Plot()
    return [lambda: kind(plot)] * number


@pytest.mark.parametrize("seed", SEEDS)
def test_two_lying_holders_of_three_are_both_named_and_the_sum_is_exact(seed: int) -> None:
    trial = Trial(plotting(LyingHolders, 2), seed, n=7, length=LONG_OF_SEVEN)
    job = trial.play()
    assert trial.states(job) == [State.DONE] * 5
    assert trial.convicted() == {liar: {"false_sum"} for liar in trial.liars}
    trial.assert_safe(job)
    assert trial.watch.sums.sums == 2


def test_all_holders_of_a_segment_lying_alike_is_the_stated_limit_and_gives_one_sum_to_all() -> None:
    """Two liars where the job is safe against one: the sum may be false, and never differs between members."""
    for seed in range(6):
        trial = Trial(plotting(LyingHolders, 2), seed, n=5, length=40_000)
        job = trial.federation.submit(trial.submitter, range(5), rounds_max=50)
        try:
            trial.federation.run_until_over(job, trial.honest, 300.0)
        except Exception as error:  # noqa: BLE001 - the checker of exact sums may object, and nothing else
            assert "exact_sum" in str(error)
        held: dict[int, set[bytes]] = {}
        for i in trial.honest:
            for fact in trial.federation.world.hosts[trial.federation.nodes[i]].disk:
                if isinstance(fact, Certified) and fact.certificate.job == job:
                    held.setdefault(fact.certificate.round, set()).add(fact.certificate.history)
        assert all(len(histories) == 1 for histories in held.values())


@pytest.mark.parametrize("length", [20, LONG_OF_SEVEN])
def test_whoever_voted_twice_gave_others_a_certificate_and_those_who_saw_the_other_vote_get_it(length: int) -> None:
    """S38. Half of the hubs failed a job that the other half had done."""
    for seed in SEEDS:
        trial = Trial(plotting(SplitVote, 2), seed, n=7, length=length)
        job = trial.play()
        assert trial.deeds()["other vector"]
        trial.assert_safe(job)
        assert len(set(trial.states(job))) == 1
        assert set(trial.convicted()) <= set(trial.liars) and trial.convicted()


def test_votes_for_both_histories_never_make_two_certificates() -> None:
    for seed in SEEDS:
        trial = Trial(plotting(VoteForBoth, 2), seed, n=7)
        job = trial.play()
        assert trial.states(job) == [State.DONE] * 5
        assert set(trial.convicted()) == set(trial.liars)
        trial.assert_safe(job)


def test_two_worlds_meet_in_evidence() -> None:
    trial = trial_of("two_worlds", 2)
    job = trial.play(seconds=60.0)
    assert trial.convicted() == {liar: {"two_offers"} for liar in trial.liars}
    assert not trial.sums(job)


def test_a_node_with_several_behaviours_does_the_evil_of_each() -> None:
    trial = Trial([lambda: Combined(OfferEquivocation(), SelectiveSilence())], 3)
    trial.play(seconds=60.0)
    assert trial.deeds()["OfferEquivocation"] and trial.deeds()["dropped"]


def test_a_plot_is_shared_by_one_cast_only() -> None:
    one, two = (ADVERSARIES["split_vote"].cast(2) for _ in range(2))
    assert one[0]().plot is one[1]().plot  # type: ignore[attr-defined]
    assert one[0]().plot is not two[0]().plot  # type: ignore[attr-defined]
