"""Members that lie in a round, by the names of the cases: what they did, what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from protocols.job.life import State
from protocols.secagg.effects import Evidence, Retried, RoundDone
from protocols.secagg.messages import Segment
from simulations.adversaries import (
    garbage,
    holders,
    inconsistency,
    jumping,
    offers,
    replaying,
    rushing,
    segments,
    silence,
    voting,
    withholding,
)
from simulations.adversaries.adversary import FOR_EVER, Behaviour
from tests.adversaries import LONG, SHORT, Trial

SEEDS = range(4)


def played(kind: type[Behaviour], seed: int, **how: object) -> tuple[Trial, bytes]:
    trial = Trial([kind], seed, **how)  # type: ignore[arg-type]
    return trial, trial.play()


def all_done(trial: Trial, job: bytes) -> bool:
    return trial.states(job) == [State.DONE] * len(trial.honest)


def masked_words_left(trial: Trial, attempts: Sequence[int]) -> bool:
    """Whether an honest member sent a segment of its own in one of these attempts."""
    federation = trial.federation
    return any(
        isinstance(message, Segment) and federation.honest(sender) and message.attempt in attempts
        for _, sender, _, message in federation.world.sent
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_offer_equivocation_convicts_its_author_and_lets_no_segment_leave(seed: int) -> None:
    trial, job = played(offers.OfferEquivocation, seed)
    spoilt = min(trial.behaviour().attempts_spoilt, 5)
    assert not masked_words_left(trial, range(1, spoilt + 1))
    assert trial.convicted() == {trial.liars[0]: {"two_offers"}}
    proofs = [e.proof for _, e in trial.told(Evidence) if isinstance(e, Evidence) and e.kind == "two_offers"]
    assert all(len(proof) == 2 for proof in proofs)
    trial.assert_safe(job)


def test_offer_equivocation_is_waited_for_by_name() -> None:
    """S39. Honest members lack each other's roots; they once named each other only."""
    for seed in range(30):
        trial = Trial([offers.OfferEquivocation], seed)
        job = trial.play(seconds=9.0)
        if trial.behaviour().attempts_spoilt == FOR_EVER:
            break
    liar = trial.federation.nodes[trial.liars[0]]
    assert any(liar in trial.federation.job(i, job).waiting_for() for i in trial.honest)


def test_repeated_and_small_order_keys_let_no_segment_leave() -> None:
    for kind, code in ((offers.RepeatedKey, "repeated_key"), (offers.WeakKey, "weak_key")):
        trial = Trial([kind], 3)
        trial.play(seconds=9.0)
        assert not masked_words_left(trial, [1])
        assert code in trial.refusals()


def test_model_inconsistency_gives_no_sum_in_the_attempts_that_show_it() -> None:
    kinds = set()
    for seed in SEEDS:
        trial, job = played(inconsistency.ModelInconsistency, seed)
        kinds |= {e.kind for _, e in trial.told(Evidence) if isinstance(e, Evidence)}
        assert not trial.convicted(), "who was told something else is not in the evidence"
        trial.assert_safe(job)
    assert "other_history" in kinds


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_vector_equivocation_never_gives_two_sums(length: int) -> None:
    for seed in SEEDS:
        trial, job = played(inconsistency.VectorEquivocation, seed, length=length)
        assert trial.deeds()["other vector"]
        trial.assert_safe(job)
        if State.FAILED in trial.states(job):
            reasons = [trial.federation.job(i, job).reason for i in trial.honest]
            assert all(trial.federation.nodes[trial.liars[0]] in reason for reason in reasons), "it is named"


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_rushing_member_sees_nothing_before_it_fixes_its_own(length: int) -> None:
    for seed in SEEDS:
        trial, job = played(rushing.RushingMember, seed, length=length)
        behaviour = trial.behaviour()
        assert isinstance(behaviour, rushing.RushingMember)
        assert behaviour.deeds["segments asked for"] and behaviour.deeds["root held back"]
        assert behaviour.seen_before == 0
        trial.assert_safe(job)


def test_wrong_segment_is_charged_to_its_sender_and_the_sum_is_exact() -> None:
    codes = set()
    for seed in SEEDS:
        trial, job = played(segments.WrongSegment, seed, length=LONG)
        assert all_done(trial, job) and trial.deeds()["wrong segment"]
        codes |= {(e.peer, e.code) for e in trial.refused() if e.code == "wrong_segment"}
        assert {peer for peer, _ in codes} <= {trial.federation.nodes[k] for k in range(5)}
        trial.assert_safe(job)
    assert codes


def test_holder_override_is_a_wrong_segment() -> None:
    trial, job = played(segments.HolderOverride, 5, length=LONG)
    assert trial.deeds()["segment replaced"]
    assert "wrong_segment" in trial.refusals()
    trial.assert_safe(job)


@pytest.mark.parametrize("seed", SEEDS)
def test_lying_holder_is_named_by_its_signature_and_every_sum_is_exact(seed: int) -> None:
    trial, job = played(holders.LyingHolder, seed, length=LONG)
    assert all_done(trial, job)
    assert trial.convicted() == {trial.liars[0]: {"false_sum"}}
    trial.assert_safe(job)


@pytest.mark.parametrize("kind", [holders.EquivocatingHolder, holders.SilentHolder, holders.WrongWords])
def test_equivocating_holder_silent_holder_and_wrong_words_keep_nobody_from_the_exact_sum(
    kind: type[Behaviour],
) -> None:
    for seed in SEEDS:
        trial, job = played(kind, seed, length=LONG)
        assert trial.deeds().total()
        assert all_done(trial, job)
        assert set(trial.convicted()) <= {trial.liars[0]}
        trial.assert_safe(job)


def test_withheld_sum_learns_the_same_sum_again_and_again() -> None:
    learned = 0
    for seed in range(8):
        trial, job = played(withholding.WithheldSum, seed, rounds=1)
        behaviour = trial.behaviour()
        assert isinstance(behaviour, withholding.WithheldSum)
        trial.assert_safe(job)
        seen = [words.view("<i8")[:SHORT] for (number, _), words in behaviour.learned.items() if number == 1]
        for words in seen:
            np.testing.assert_array_equal(words, trial.federation.expected(1, range(trial.n)))
        learned += len(seen) > 1
        waited = {node for _, e in trial.told(Retried) for node in e.waited_for}  # type: ignore[attr-defined]
        assert waited <= {trial.federation.nodes[trial.liars[0]]}, "the one that withheld is seen as missing"
    assert learned, "in some runs it learned the sum of one round in several attempts"


def test_two_votes_convict_and_three_of_four_certify_all_the_same() -> None:
    convicted = 0
    for seed in SEEDS:
        trial, job = played(voting.TwoVotes, seed, n=4)
        assert all_done(trial, job) and trial.deeds()["false vote"]
        trial.assert_safe(job)
        convicted += "two_votes" in trial.convicted().get(trial.liars[0], set())
    assert convicted


def test_certificates_that_are_none_are_refused() -> None:
    codes = set()
    for seed in SEEDS:
        trial, job = played(voting.FalseCertificates, seed)
        assert all_done(trial, job) and trial.deeds()["false certificate"]
        trial.assert_safe(job)
        codes |= trial.refusals()
    assert codes >= {"bad_certificate", "bad_signature"}


def test_attempt_jump_above_the_limit_is_refused_and_costs_no_attempt() -> None:
    trial, job = played(jumping.AttemptJump, 1)
    assert all_done(trial, job)
    assert "attempt_jump" in trial.refusals()
    assert not trial.told(Retried)
    attempts = {m.attempt for _, s, _, m in trial.federation.world.sent if isinstance(m, Segment)}
    assert attempts == {1}


def test_members_that_a_jump_split_led_apart_during_a_partition_meet_again() -> None:
    """S18. One member is pulled up 3000 attempts while it is cut off: the others miss it, pause, and go to it."""
    behaviour = jumping.JumpSplit(5.0)
    trial = Trial([lambda: behaviour], 3, n=4, rounds=1)
    federation, cut = trial.federation, trial.honest[-1]
    behaviour.victim = federation.nodes[cut]
    job = federation.submit(trial.honest[0], range(4), rounds_max=5)
    federation.world.run(seconds=4)
    federation.world.network.partition([federation.nodes[cut]], [federation.nodes[i] for i in trial.honest if i != cut])
    federation.world.run(seconds=30)
    federation.world.heal()
    assert behaviour.deeds["leap"] == 8
    federation.run_until_over(job, trial.honest, 3600.0)
    assert not trial.convicted()
    assert all_done(trial, job)


def test_a_jump_flood_costs_attempts_and_no_exactness() -> None:
    for seed in range(6):
        trial, job = played(jumping.JumpFlood, seed)
        assert trial.deeds()["jump"]
        trial.assert_safe(job)
        trial.assert_said(job)


@pytest.mark.parametrize(
    "kind", [replaying.ReplayOld, replaying.ReplaySameRound, replaying.Reflection, replaying.Misdirection]
)
def test_replay_old_replay_same_round_reflection_and_misdirection_change_nothing(kind: type[Behaviour]) -> None:
    for seed in SEEDS:
        trial, job = played(kind, seed, length=LONG if seed % 2 else SHORT)
        assert trial.deeds().total() > 20
        assert all_done(trial, job)
        assert not trial.convicted(), "nobody is convicted by what somebody else repeats"
        trial.assert_safe(job)


def test_conflicting_duplicate_convicts_its_author() -> None:
    for seed in SEEDS:
        trial, job = played(replaying.ConflictingDuplicate, seed)
        assert trial.convicted()[trial.liars[0]] >= {"two_offers"}
        trial.assert_safe(job)


@pytest.mark.parametrize("kind", [garbage.GarbageMasks, garbage.BeyondBound])
def test_garbage_vector_fails_the_job_the_second_time_and_no_sum_is_taken(kind: type[Behaviour]) -> None:
    failed = 0
    for seed in range(6):
        trial, job = played(kind, seed)
        assert trial.deeds()["garbage"]
        once = trial.behaviour().attempts_spoilt == 1
        assert (State.DONE if once else State.FAILED) in trial.states(job)
        trial.assert_safe(job)
        failed += not once
        if not once:
            assert not trial.told(RoundDone)
            assert all("garbage" in trial.federation.job(i, job).reason for i in trial.honest)
    assert failed


@pytest.mark.parametrize("kind", [silence.SelectiveSilence, silence.Flapping])
def test_selective_silence_and_flapping_are_got_around(kind: type[Behaviour]) -> None:
    for seed in range(8):
        trial, job = played(kind, seed)
        assert trial.deeds().total()
        assert all_done(trial, job)
        trial.assert_safe(job)


def test_a_member_that_is_silent_from_some_step_on_is_waited_for_by_name() -> None:
    for seed in SEEDS:
        trial, job = played(silence.Mute, seed)
        liar = trial.federation.nodes[trial.liars[0]]
        waits = [trial.federation.job(i, job).waiting_for() for i in trial.honest]
        assert all(liar in waited for waited in waits)
        assert not trial.sums(job)
