"""What an attempt fixes stays fixed: roots that come early, twice, or after the attempt was given up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from protocols.core import Compute, Computed, Refused, Tick
from protocols.message import Message, Payload
from protocols.secagg.dispute import DISPUTE_S
from protocols.secagg.effects import Evidence, Retried
from protocols.secagg.layout import Layout
from protocols.secagg.mask import segment_digest
from protocols.secagg.messages import Certificate, Offer, Root, Segment, Vote
from protocols.secagg.signing import UNSIGNED, next_history
from tests.kit import BOUND, JOB, Sums
from tests.unit.secagg.adversary import LONG, Sent, added, convicted, effects_of, lie, resigned, second_vector, tell


def early_root(sums: Sums, words: int, payload: Payload) -> tuple[Root, Segment]:
    """Member 0's root over no context of ours, before its offer; and the segment that fits it."""
    digests = (segment_digest(payload),)
    root = Root(JOB, 1, 1, sums.nodes[0], bytes(32), words, BOUND, digests, UNSIGNED)
    signed = resigned(sums.identities[0], root)
    assert isinstance(signed, Root)
    return signed, Segment(JOB, 1, 1, sums.nodes[0], 0)


@pytest.mark.parametrize("words", [21, 1000])
def test_a_root_that_came_before_the_context_vouches_for_no_words(words: int) -> None:
    """S10. Member 0 shows member 1 a root over another context, words that fit it, and only then its offer.

    Of another length, such words once broke the addition; of the same, they went into the sum in the true ones' place,
    and an honest holder signed a false sum for its own.
    """
    sums = Sums(3, 20, start=False)
    liar, victim = sums.nodes[:2]
    root, segment = early_root(sums, words, np.zeros(words * 8, np.uint8))

    def hold_back(to: int, message: Message, payload: Payload | None) -> Sent:
        if sums.world.now < 1 and isinstance(message, Offer | Root):
            after = 1.0 if isinstance(message, Offer) else 1.5
            sums.world.at(after, lambda: sums.world.deliver(liar, sums.nodes[to], message, None))
            return []
        return [(message, payload)]

    lie(sums, 0, hold_back)
    sums.world.at(0.1, lambda: sums.world.deliver(liar, victim, root, None))
    sums.world.at(0.2, lambda: sums.world.deliver(liar, victim, segment, np.zeros(words * 8, np.uint8)))
    sums.world.boot(*sums.nodes)
    sums.run(60)
    assert not any(isinstance(e, Retried) and "garbage" in e.reason for _, _, e in sums.world.observed)
    for total in sums.sums().values():
        np.testing.assert_array_equal(total, sums.expected())
    assert convicted(sums) <= {sums.nodes[0]}


def test_early_roots_are_judged_when_the_last_offer_comes_and_cost_no_time() -> None:
    """S10."""
    sums = Sums(4, 20, start=False)
    late = sums.nodes[3]

    def slow_offer(to: int, message: Message, payload: Payload | None) -> Sent:
        if to == 1 and isinstance(message, Offer):
            sums.world.at(sums.world.now + 0.3, lambda: sums.world.deliver(late, sums.nodes[1], message, None))
            return []
        return [(message, payload)]

    lie(sums, 3, slow_offer)
    sums.world.boot(*sums.nodes)
    assert sums.run(0.9), "nothing had to be asked for"
    sums.assert_exact()


def test_an_attempt_that_was_given_up_still_binds_its_roots() -> None:
    """S26. Member 0 takes all segments, gives none, and learns the sum; the others go on to the next attempt.

    Then it votes for a sum with another vector of its own in the old attempt, and serves that as evidence. Once, all
    others accepted it as witnesses: the vector was chosen after the sum was known.
    """
    sums = Sums(4, 20, start=False)
    other = second_vector(sums, 0, 5)
    words = np.concatenate([sums.expected().astype("<i8"), [0]]).view(np.uint8)
    chosen = next_history(sums.history(0), 1, added(words, 5))

    def rush(to: int, message: Message, payload: Payload | None) -> Sent:
        if isinstance(message, Vote):
            return [(resigned(sums.identities[0], message, history=chosen), None)] if sums.world.now > 12 else []
        if getattr(message, "attempt", 0) == 1 and sums.world.now > 12:
            return other(message, payload)
        return [] if isinstance(message, Segment) else [(message, payload)]

    lie(sums, 0, rush)
    sums.world.boot(*sums.nodes)
    sums.run(400)
    assert all(np.array_equal(total, sums.expected()) for node, total in sums.sums().items() if node != sums.nodes[0])
    assert not [
        m for _, s, _, m in sums.world.sent if isinstance(m, Vote) and m.history == chosen and s != sums.nodes[0]
    ]
    refused = [e for _, node, e in sums.world.observed if isinstance(e, Refused) and node != sums.nodes[0]]
    assert ("wrong_segment", sums.nodes[0]) in {(e.code, e.peer) for e in refused}


@pytest.mark.parametrize("victim", [1, 2, 3, 4])
def test_a_holder_that_was_shown_another_root_is_not_taken_for_a_liar(victim: int) -> None:
    """S12. Member 0 signs two roots, one for `victim` alone, whose sums are honest and differ from the others'."""
    sums = Sums(5, LONG, start=False)
    other = second_vector(sums, 0, 5)
    lie(sums, 0, lambda to, m, p: other(m, p) if to == victim else [(m, p)])
    sums.world.boot(*sums.nodes)
    sums.run(60)
    assert not sums.evidence("false_sum")
    assert convicted(sums) == {sums.nodes[0]}, "by its two roots"


def test_two_roots_shown_to_different_members_of_a_short_sum_convict_their_author() -> None:
    """S29. The vote for another sum of the same attempt makes the others ask what its author was shown."""
    sums = Sums(4, 20, start=False)
    other = second_vector(sums, 0, 5)

    def two_faced(to: int, message: Message, payload: Payload | None) -> Sent:
        if isinstance(message, Vote) and sums.world.now < 5:
            return []
        return other(message, payload) if to == 1 else [(message, payload)]

    lie(sums, 0, two_faced)
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    assert convicted(sums) == {sums.nodes[0]}
    assert len({total.tobytes() for total in sums.sums().values()}) == 1, "one certificate, one sum"


def test_a_round_that_no_history_can_win_finds_out_by_whose_doing_before_it_ends() -> None:
    """S38. Votes two to two: the round ended at once, before anybody had asked what the others were shown."""
    sums = Sums(4, 20, start=False)
    other = second_vector(sums, 0, 5)
    lie(sums, 0, lambda to, m, p: other(m, p) if to in (1, 2) else [(m, p)])
    sums.world.boot(*sums.nodes)
    sums.world.run(lambda: all(sums.round(i).failed for i in range(4)), 60)
    assert not sums.sums()
    assert convicted(sums) == {sums.nodes[0]}
    reasons = [sums.round(i).failed or "" for i in (1, 2, 3)]
    assert any(sums.nodes[0] in reason for reason in reasons)
    assert not any(sums.nodes[i] in reason for reason in reasons for i in (1, 2, 3))


def test_a_round_that_no_history_can_win_ends_also_where_nobody_is_convicted() -> None:
    """S38. Sums of different attempts contradict each other and prove nothing."""
    sums = Sums(4, 20, start=False)

    def false_vote(sender: str, to: str, message: Message, payload: Payload | None) -> Sent:
        member = sums.nodes.index(sender)  # type: ignore[arg-type]
        if member < 2 and isinstance(message, Vote):
            return [(resigned(sums.identities[member], message, history=bytes([member]) * 32, attempt=9), payload)]
        return [(message, payload)] if member >= 2 or not isinstance(message, Certificate) else []

    sums.world.tamper = false_vote  # type: ignore[assignment]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=DISPUTE_S - 1)
    assert not sums.round(2).over and sums.round(2).wake_at is not None
    sums.world.run(seconds=2)
    assert "different sums" in (sums.round(2).failed or "")
    assert not convicted(sums)


def test_a_dispute_that_a_certificate_settled_wakes_nobody_any_more() -> None:
    """S38. Its end lay in the past: the round asked to be woken at once, for ever (found by split_vote, seed 22)."""
    sums = Sums(4, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Vote) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=1)
    vote = Vote(JOB, 1, 1, sums.nodes[0], bytes(32), UNSIGNED)
    votes = [resigned(sums.identities[i], vote, author=sums.nodes[i]) for i in range(4)]
    other = resigned(sums.identities[0], vote, history=b"1" * 32)
    for sender, message in ((0, other), (1, votes[1])):
        tell(sums, sender, 2, message)
    now = sums.world.now + DISPUTE_S + 1
    assert sums.round(2)._ballot.hopeless and sums.round(2).wake_at < now  # type: ignore[operator]
    tell(sums, 3, 2, Certificate(JOB, 1, bytes(32), (votes[0], votes[1], votes[3])))  # type: ignore[arg-type]
    sums.round(2).handle(Tick(), now)
    assert not sums.round(2).over and sums.round(2).wake_at > now  # type: ignore[operator]


def test_a_second_root_convicts_whatever_context_it_names() -> None:
    """S20."""
    sums = Sums(4, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Segment | Vote) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=2)
    root = sums.round(1)._attempt.transcript.roots[0]
    twin = resigned(sums.identities[0], root, context=bytes(32))
    (evidence,) = effects_of(tell(sums, 0, 1, twin), Evidence)
    assert isinstance(evidence, Evidence) and evidence.kind == "two_roots" and evidence.convicts


def test_the_own_vector_says_the_shape_and_a_root_of_another_one_keeps_no_honest_root_out() -> None:
    """S33. Member 0's root of a wrong length comes first: the honest ones once were refused by their names."""
    sums = Sums(4, 20, start=False)
    lie(sums, 0, lambda to, m, p: [(resigned(sums.identities[0], m, words=30), p)] if isinstance(m, Root) else [(m, p)])
    sums.world.boot(*sums.nodes)
    sums.run(9)
    refused = [e for _, _, e in sums.world.observed if isinstance(e, Refused)]
    assert {e.code for e in refused} == {"vector_shape"}
    assert {e.peer for e in refused} == {sums.nodes[0]}
    assert all(set(sums.round(i)._attempt.transcript.roots) == {1, 2, 3} for i in (1, 2, 3))


def test_a_digest_that_comes_back_to_a_later_life_of_its_attempt_proves_nothing() -> None:
    """S34. The token names the object that asked: a payload is never judged by the digest of another one."""
    sums = Sums(3, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Segment | Vote) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=1)
    true = sums.round(0)._attempt.transcript.inputs[0, 0]
    segment = Segment(JOB, 1, 1, sums.nodes[0], 0)
    (compute,) = effects_of(tell(sums, 0, 1, segment, true), Compute)
    assert isinstance(compute, Compute)
    core = sums.round(1)
    core._retry("gone on", 2.0)
    vote = resigned(sums.identities[0], Vote(JOB, 1, 1, sums.nodes[0], bytes(32), UNSIGNED))
    tell(sums, 0, 1, vote, now=2.0)
    tell(sums, 0, 1, segment, np.zeros_like(true), now=2.0)
    core.handle(Computed(compute.token, compute.work()), 2.0)
    witness = core._find(1)
    assert witness is not None and (0, 0) not in witness.transcript.inputs


def test_bounds_of_segments_fit_whatever_the_layout() -> None:
    for members, words, bits in ((3, 50_000, 32), (128, 1000, 64), (7, 1 << 20, 64)):
        layout = Layout(members, 2, words, bits)
        spans = [layout.span(s) for s in range(layout.segments)]
        assert spans[0].start == 0 and spans[-1].stop == layout.vector_bytes
        assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
