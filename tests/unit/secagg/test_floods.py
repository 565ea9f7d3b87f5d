"""One peer against this node's memory, time and disk: floods of messages that are well formed, and some well signed."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.core import Compute, Computed, LinkUp, Persist, Progressed, Received, Refused, Send, Tick
from protocols.message import Message, Payload
from protocols.secagg.deadlines import PAUSE_AFTER_S, SLOW_LINK_BYTES_PER_S, WORK_BYTES_PER_S, Deadlines
from protocols.secagg.effects import Evidence, Paused
from protocols.secagg.jumps import JUMPS_BURST
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, SumWords, Vote
from protocols.secagg.rations import ITEMS_PER_PEER_MAX, Rations
from protocols.secagg.signing import UNSIGNED
from protocols.secagg.watches import PAST_MAX
from tests.kit import JOB, Sums
from tests.unit.secagg.adversary import LONG, Sent, effects_of, resigned, tell


def quiet(n: int, length: int = 20, seconds: float = 1.0, kinds: tuple[type, ...] = (Segment, Vote)) -> Sums:
    """A round in which messages of some kinds are lost, after some time."""
    sums = Sums(n, length, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, kinds) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=seconds)
    return sums


def vote(sums: Sums, author: int, attempt: int, history: bytes = bytes(32)) -> Vote:
    signed = resigned(sums.identities[author], Vote(JOB, 1, attempt, sums.nodes[author], history, UNSIGNED))
    assert isinstance(signed, Vote)
    return signed


def test_one_vote_with_a_thousand_attempts_makes_a_node_watch_one() -> None:
    """S28. The attempt of a vote is not signed: whoever passed a vote on once could make a witness of each number."""
    sums = quiet(4)
    core = sums.round(1)
    core._retry("gone on", 1.0)
    sent = 0
    for attempt in range(1, 1001):
        sent += len(effects_of(tell(sums, 0, 1, vote(sums, 0, attempt)), Send))
        sent += len(effects_of(tell(sums, 0, 1, vote(sums, 2, attempt)), Send))
    assert [a.number for a in core._attempts()] == [2, 1]
    assert sent <= 2 * len(sums.nodes)


def test_an_attempt_that_this_node_never_entered_gave_no_sum_and_is_not_watched() -> None:
    """S28. Watching the next attempt once kept a node from following the others into it."""
    sums = quiet(4)
    tell(sums, 0, 1, vote(sums, 0, 2))
    assert [a.number for a in sums.round(1)._attempts()] == [1]
    sums.round(2)._retry("gone on", 1.0)
    offer = sums.round(2)._attempt.transcript.offers[2]
    tell(sums, 2, 1, offer)
    assert sums.round(1)._attempt.number == 2 and sums.round(1)._attempt.live


def offer_of(sums: Sums, author: int, attempt: int, number: int = 0) -> Offer:
    key = X25519PrivateKey.from_private_bytes(bytes([9, number]) + bytes(30)).public_key().public_bytes_raw()
    context = sums.round(author)._new_attempt(attempt).transcript.context0
    signed = resigned(sums.identities[author], Offer(JOB, 1, attempt, sums.nodes[author], context, key, UNSIGNED))
    assert isinstance(signed, Offer)
    return signed


def test_a_storm_of_attempts_by_one_member_costs_a_few_commits() -> None:
    """S18."""
    sums = quiet(4)
    commits = 0
    for attempt in range(2, 200):
        commits += len(effects_of(tell(sums, 0, 1, offer_of(sums, 0, attempt)), Persist))
    assert 1 <= commits <= JUMPS_BURST + 1
    later = tell(sums, 0, 1, offer_of(sums, 0, 300), now=sums.world.now + 10)
    assert len(effects_of(later, Persist)) == 1, "and honest restarts are followed"


def test_evidence_of_one_kind_against_one_author_is_told_once() -> None:
    """S29."""
    sums = quiet(4)
    told = [e for k in range(50) for e in effects_of(tell(sums, 2, 1, offer_of(sums, 0, 1, k)), Evidence)]
    assert len(told) == 1


def test_given_up_attempts_are_remembered_within_a_bound() -> None:
    """S24."""
    sums = quiet(4)
    core = sums.round(1)
    for _ in range(3 * PAST_MAX):
        for i in (0, 2, 3):
            tell(sums, i, 1, offer_of(sums, i, core._attempt.number, i))
        core._retry("gone on", 1.0)
    assert 1 < len(core._watches._past) <= PAST_MAX


def test_what_was_answered_is_forgotten_after_a_while_and_bounded_for_each_peer() -> None:
    """S24."""
    rations = Rations()
    assert sum(rations.allows("m", k, 0.0, 0.5) for k in range(3 * ITEMS_PER_PEER_MAX)) == ITEMS_PER_PEER_MAX  # type: ignore[arg-type]
    assert rations.allows("h", 0, 0.0, 0.5), "nobody fills the list for others"  # type: ignore[arg-type]
    assert not rations.allows("m", 0, 0.4, 0.5)  # type: ignore[arg-type]
    assert rations.allows("m", 0, 5.0, 0.5) and len(rations) == 1  # type: ignore[arg-type]
    sums = quiet(4)
    core = sums.round(1)
    for hour in range(200):
        core.handle(Received(sums.nodes[0], Ask(JOB, 1, 1, offers=(0, 1, 2, 3), roots=(0, 1, 2, 3))), 60.0 * hour)
    assert len(core._rations) < 50


def test_an_ask_that_names_an_item_a_thousand_times_draws_it_once() -> None:
    """S21."""
    sums = quiet(4, LONG, 2, (Vote,))
    pairs = tuple((a, s) for a in range(4) for s in range(4)) * 1000
    ask = Ask(JOB, 1, 1, offers=(0,) * 128, roots=(1,) * 128, segments=pairs[:16384], words=(0, 1) * 64)
    sums.round(0)._rations.forget(sums.nodes[1])
    sent = effects_of(tell(sums, 1, 0, ask), Send)
    assert 2 < len(sent) == len({e.message for e in sent if isinstance(e, Send)}) <= 2 + 16 + 2


def test_bulk_of_a_certificate_is_expected_only_with_its_votes_and_in_the_size_of_the_vector() -> None:
    """W3."""
    sums = quiet(4)
    core = sums.round(1)
    size = 21 * 8
    good = tuple(vote(sums, i, 1) for i in (0, 2, 3))
    assert core.expects(Certificate(JOB, 1, bytes(32), good), size)
    assert not core.expects(Certificate(JOB, 1, bytes(32), good), 1 << 30)
    assert not core.expects(Certificate(JOB, 1, bytes(32), good[:2]), size)
    assert not core.expects(Certificate(JOB, 1, bytes(32), (good[0],) * 3), size)
    forged = resigned(sums.identities[0], good[1])
    assert not core.expects(Certificate(JOB, 1, bytes(32), (good[0], forged, good[2])), size)  # type: ignore[arg-type]


def test_a_false_sum_is_refused_by_its_sender_who_cannot_keep_the_true_one_out() -> None:
    """S32."""
    sums = quiet(4)
    good = Certificate(JOB, 1, bytes(32), tuple(vote(sums, i, 1) for i in (0, 2, 3)))
    core = sums.round(1)
    (compute,) = effects_of(tell(sums, 0, 1, good, np.zeros(168, np.uint8)), Compute)
    assert isinstance(compute, Compute)
    (refused,) = effects_of(core.handle(Computed(compute.token, compute.work()), 1.0), Refused)  # type: ignore[arg-type]
    assert isinstance(refused, Refused) and (refused.code, refused.peer) == ("wrong_sum", sums.nodes[0])
    assert not effects_of(tell(sums, 0, 1, good, np.zeros(168, np.uint8)), Compute), "not listened to again"
    assert effects_of(tell(sums, 2, 1, good, np.zeros(168, np.uint8)), Compute)


def test_wrong_words_are_charged_to_whoever_sent_them_and_keep_nothing_out() -> None:
    """S27.

    Bulk is unsigned: in the name of an honest author another could have it refused, and its own words dropped.
    """
    sums = Sums(4, 20, start=False)
    author, victim = sums.nodes[0], sums.nodes[1]

    def spoil(sender: str, to: str, message: Message, payload: Payload | None) -> Sent:
        if isinstance(message, Segment) and sender == author and to == victim and payload is not None:
            spoiled = payload.copy()
            spoiled[0] ^= 1
            sums.world.deliver(sums.nodes[2], victim, message, spoiled)
        return [(message, payload)]

    sums.world.tamper = spoil  # type: ignore[assignment]
    sums.world.boot(*sums.nodes)
    assert sums.run(0.9), "the true words were not asked for again"
    refused = [e for _, _, e in sums.world.observed if isinstance(e, Refused)]
    assert all((e.code, e.peer) == ("wrong_segment", sums.nodes[2]) for e in refused)


def test_a_copied_key_names_both_and_the_attempt_ends() -> None:
    """S7. Member 2 offers the key of member 0 as its own, and is faster: the honest one alone once was refused."""
    sums = Sums(4, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: []
    sums.world.boot(*sums.nodes)
    true = sums.round(0)._attempt.transcript.offers[0]
    copy = resigned(sums.identities[2], sums.round(2)._attempt.transcript.offers[2], key=true.key)
    tell(sums, 2, 1, copy)
    tell(sums, 3, 1, sums.round(3)._attempt.transcript.offers[3])
    (refused,) = effects_of(tell(sums, 0, 1, true), Refused)
    assert isinstance(refused, Refused) and refused.code == "repeated_key"
    assert all(sums.nodes[i] in refused.detail for i in (0, 2))
    assert sums.round(1).waiting_for() == (sums.nodes[0], sums.nodes[2])
    before = sums.round(1)._attempt.number
    sums.world.run(seconds=60)
    assert sums.round(1)._attempt.number > before


def test_a_trickle_of_bulk_does_not_put_the_pause_off_for_ever() -> None:
    """S22, S35."""
    sums = quiet(4)
    core = sums.round(1)
    paused = False
    for second in range(1, 1000, 2):
        core.handle(Progressed(sums.nodes[0]), float(second))
        wake = core.wake_at
        if wake is not None and wake <= second + 2:
            paused |= bool(effects_of(list(core.handle(Tick(), float(second + 2))), Paused))
    assert paused


def test_deadlines_leave_time_for_the_work_on_the_largest_vectors() -> None:
    """S35."""
    times = Deadlines()
    times.rest(0.0)
    times.advanced(0.0)
    short = times.stalls_at
    times.size(8 << 30, 128, 2)
    assert times.stalls_at - short == (8 << 30) * 128 / WORK_BYTES_PER_S
    assert times.pauses_at > PAUSE_AFTER_S + (8 << 30) * 128 / WORK_BYTES_PER_S - 1
    times.trickled(3 * (8 << 30) / SLOW_LINK_BYTES_PER_S - 1)
    assert times.pauses_at > 3 * (8 << 30) / SLOW_LINK_BYTES_PER_S


def test_messages_of_another_job_or_round_count_for_nothing() -> None:
    """S25."""
    sums = quiet(4)
    other = resigned(sums.identities[0], vote(sums, 0, 1), round=2)
    (refused,) = effects_of(tell(sums, 0, 1, other), Refused)
    assert isinstance(refused, Refused) and refused.code == "other_round"
    assert not sums.round(1)._ballot.votes


def test_asks_of_a_flapping_link_go_to_the_others_once_a_second() -> None:
    """S21."""
    sums = quiet(4)
    core, asks = sums.round(1), 0
    for k in range(500):
        now = 2.0 + k / 100
        core.handle(LinkUp(sums.nodes[0]), now)
        wake = core.wake_at
        if wake is not None and wake <= now:
            asks += len([e for e in core.handle(Tick(), now) if isinstance(e, Send) and isinstance(e.message, Ask)])
    assert asks <= 3 * 7


def test_words_by_others_than_holders_take_nobodys_place() -> None:
    """S27."""
    sums = quiet(5, LONG, 2, (SumWords, Vote))
    core = sums.round(0)
    layout = core._attempt.transcript.layout
    segment = next(s for s in range(5) if 0 not in layout.holders_of(s))
    stranger = next(i for i in range(1, 5) if i not in layout.holders_of(segment))
    junk = np.zeros(layout.segment_bytes(segment), np.uint8)
    holder = layout.holders_of(segment)[0]
    true = sums.round(holder)._evidence or sums.round(holder)._attempt.transcript
    message = SumWords(JOB, 1, 1, segment)
    first = effects_of(tell(sums, stranger, 0, message, junk), Compute)
    second = effects_of(tell(sums, holder, 0, message, true.words[segment]), Compute)
    assert len(first) == len(second) == 1
    effects = [e for c in (first[0], second[0]) for e in core.handle(Computed(c.token, c.work()), 2.0)]  # type: ignore[attr-defined]
    refused = effects_of(effects, Refused)
    assert [(e.code, e.peer) for e in refused] == [("wrong_words", sums.nodes[stranger])]  # type: ignore[attr-defined]
    assert segment in core._attempt.transcript.words


def test_a_root_is_compared_with_what_was_signed_after_the_vote_too() -> None:
    """S29."""
    sums = quiet(4, kinds=(Vote,), seconds=2)
    core = sums.round(1)
    assert core.signed is not None and core._evidence is not None
    twin = resigned(sums.identities[0], core._evidence.roots[0], digests=(bytes(32),))
    assert isinstance(twin, Root)
    kinds = [e.kind for e in effects_of(tell(sums, 2, 1, twin), Evidence)]  # type: ignore[attr-defined]
    assert kinds == ["two_roots"]
