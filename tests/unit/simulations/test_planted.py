"""Defects that are planted on purpose are caught by the checkers, each within so many seeds as is named here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from protocols.groups import Groups
from protocols.identity import NodeId
from protocols.job.events import StartWork
from protocols.secagg.attempt import Attempt
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Signed
from protocols.secagg.messages import Vote
from protocols.secagg.round import Round
from protocols.secagg.signing import sign
from protocols.secagg.transcript import Transcript
from simulations.hub import Hub
from simulations.trials.sweep import play_seed
from simulations.world import World

SEEDS_MAX = 500


def segments_leave_before_all_roots(patch: pytest.MonkeyPatch) -> None:
    say_root = Attempt._say_root

    def hasty(self: Attempt, result: Any) -> Any:
        effects = say_root(self, *result) if isinstance(result, tuple) else result
        self._sent = True
        return [*effects, *self._send_segments()]

    patch.setattr(Attempt, "_say_root", lambda self, *result: hasty(self, result))


def a_node_does_not_check_its_group(patch: pytest.MonkeyPatch) -> None:
    refusal = Groups.refusal

    def checked(self: Groups, node: NodeId, data: str, cohort: Collection[NodeId], min_cohort: int) -> Any:
        """One node of each job, the first of its cohort, lets everything pass."""
        return None if node == min(cohort) else refusal(self, node, data, cohort, min_cohort)

    patch.setattr(Groups, "refusal", checked)


def a_mask_key_comes_again_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    draw = World.draw
    patch.setattr(World, "draw", lambda self, name: draw(self, name.partition("/")[0]))


def one_signature_less_is_accepted(patch: pytest.MonkeyPatch) -> None:
    quorum = Cohort.quorum.fget  # type: ignore[attr-defined]
    patch.setattr(Cohort, "quorum", property(lambda self: quorum(self) - 1))
    patch.setattr(Cohort, "__post_init__", lambda self: None)  # it would refuse so few


def a_vector_is_computed_again_on_a_retry(patch: pytest.MonkeyPatch) -> None:
    work = Hub._work

    def forgetful(self: Hub, wish: StartWork, now: float) -> Any:
        self._made.clear()
        return work(self, replace(wish, again=False), now)

    patch.setattr(Hub, "_work", forgetful)


def a_node_signs_two_certificates_for_a_round(patch: pytest.MonkeyPatch) -> None:
    take_vote = Round._take_vote

    def pliant(self: Round, sender: NodeId, vote: Vote, now: float) -> Any:
        effects = take_vote(self, sender, vote, now)
        mine = self.signed
        if mine is None or vote.history == mine.vote.history:
            return effects
        other = msgspec.structs.replace(mine.vote, history=vote.history)
        return [*effects, *self._to_all(sign(self._identity, other))]

    patch.setattr(Round, "_take_vote", pliant)


def one_holders_word_is_taken_without_the_others(patch: pytest.MonkeyPatch) -> None:
    def trusting(self: Transcript, segment: int) -> bytes | None:
        first = self.sums.get((self.layout.holders_of(segment)[0], segment))
        return first.digest if first is not None else None

    patch.setattr(Transcript, "agreed", trusting)


def the_sum_is_not_stored_with_the_signature(patch: pytest.MonkeyPatch) -> None:
    def bare(self: Round, signed: Signed) -> None:
        self.signed = signed
        self._ballot.add(signed.vote)

    patch.setattr(Round, "_restore", bare)


@pytest.mark.parametrize(
    ("plant", "trial", "rule"),
    [
        (segments_leave_before_all_roots, "faults", "roots_first"),
        (a_node_does_not_check_its_group, "groups", "group_rank"),
        (a_mask_key_comes_again_after_a_restart, "faults-crash", "fresh_keys"),
        (one_signature_less_is_accepted, "faults-storm", "quorum"),
        (a_vector_is_computed_again_on_a_retry, "faults-crash-fact", "same_integers"),
        (a_node_signs_two_certificates_for_a_round, "adversary-two-votes", "one_vote"),
        (one_holders_word_is_taken_without_the_others, "adversary-lying-holder", "exact_sum ends"),
        (the_sum_is_not_stored_with_the_signature, "votes-and-storms", "ends"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_planted_defect_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], trial: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        _, failure = play_seed(trial, seed)
        if failure is not None:
            print(f"seed {seed}: {failure.rule}: {failure.detail}")
            assert failure.rule in rule.split()
            return
    pytest.fail(f"not caught within {SEEDS_MAX} seeds")
