"""Silence, crashes, partitions, stragglers and old messages. Names are those of the cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest

from protocols.core import Effect, Persist, Received, Send
from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.message import Message, Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.deadlines import PAUSE_AFTER_S
from protocols.secagg.effects import Certified, Entered, Paused, Resumed, RoundDone, Signed
from protocols.secagg.jumps import ATTEMPT_JUMP_MAX
from protocols.secagg.messages import Ask, Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.round import Round
from protocols.secagg.signing import signed_frame
from simulations.network import Network
from tests.kit import JOB, Sums, as_vector, identities

LONG = 40_000
STEPS: list[type[Message]] = [Offer, Root, Segment, Sum, SumWords, Vote]


@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("restart", [False, True])
def test_drop_edges_every_single_drop_at_every_step_still_gives_the_exact_sum(
    n: int, kind: type[Message], restart: bool
) -> None:
    """S19.

    The first message of the kind from each member to each other is lost; the sender may die and come back too.
    """
    for sender in range(n):
        for to in range(n):
            if sender != to and not (kind in (Sum, SumWords) and sender > 1):
                drop_one(n, kind, sender, to, restart)


def drop_one(n: int, kind: type[Message], sender: int, to: int, restart: bool) -> None:
    sums = Sums(n, LONG if kind in (Sum, SumWords) or to == 0 else 30, seed=n + to, start=False)
    dropped: list[Message] = []

    def drop(source: NodeId, target: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        edge = (sums.nodes.index(source), sums.nodes.index(target))
        if not dropped and isinstance(message, kind) and edge == (sender, to):
            dropped.append(message)
            if restart:
                sums.world.at(sums.world.now, lambda: sums.world.crash(source))
                sums.world.at(sums.world.now + 0.5, lambda: sums.world.boot(source))
            return []
        return [(message, payload)]

    sums.world.tamper = drop
    sums.world.boot(*sums.nodes)
    sums.world.run(lambda: bool(dropped), 30)
    assert sums.world.run(lambda: len(sums.sums()) == n, 900), (kind, sender, to)
    sums.assert_exact()


@pytest.mark.parametrize("fact", [Entered, Signed, Certified])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("member", range(4))
def test_crash_everywhere_kill_at_each_commit_point_certifies_once(fact: type, when: str, member: int) -> None:
    """S5, S14."""
    assert any(crash_at(fact, when, member, seed) for seed in range(5)), "no seed got to the commit point"


def crash_at(fact: type, when: str, member: int, seed: int) -> bool:
    """Kill the member around the commit; whether it got there (a slow one may be overtaken by the certificate)."""
    sums = Sums(4, 30, seed=seed, start=False)
    node = sums.nodes[member]
    armed = {"on": False}

    def strike(effect: Effect) -> bool:
        hit = isinstance(effect, Persist) and isinstance(effect.fact, fact)
        if when == "before":
            return hit
        if armed["on"]:
            return True
        armed["on"] = hit
        return False

    sums.world.hosts[node].crash_before = strike
    sums.world.boot(*sums.nodes)
    struck = sums.world.run(lambda: sums.world.hosts[node].core is None, 30)
    sums.world.hosts[node].crash_before = None
    sums.world.run(seconds=5)
    if struck:
        sums.world.boot(node)
    assert sums.world.run(lambda: len(sums.running()) == 4 and all(r.done for r in sums.running()), 900)
    sums.assert_exact(len(sums.sums()))
    assert len(sums.sums()) >= 3
    assert_no_second_vote(sums)
    return struck


def assert_no_second_vote(sums: Sums) -> None:
    said: dict[NodeId, set[bytes]] = {}
    for _, _, _, message in sums.world.sent:
        if isinstance(message, Vote):
            said.setdefault(message.author, set()).add(message.history)
    assert all(len(histories) == 1 for histories in said.values())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length", [30, LONG])
def test_signed_then_killed_serves_its_sum_and_evidence_after_its_restart(seed: int, length: int) -> None:
    """S14, S15.

    One member signs, its vote is lost and it dies; all others go on to other attempts, until it is back.
    """
    sums = Sums(4, length, seed=seed, start=False)
    first = sums.nodes[seed % 4]

    def strike(effect: Effect) -> bool:
        return isinstance(effect, Send) and isinstance(effect.message, Vote)

    def others_stay_behind(sender: NodeId, to: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        hold = to != first and isinstance(message, Segment | SumWords) and sums.world.hosts[first].life == 1
        return [] if hold else [(message, payload)]

    sums.world.tamper = others_stay_behind
    sums.world.hosts[first].crash_before = strike
    sums.world.boot(*sums.nodes)
    if not sums.world.run(lambda: sums.world.hosts[first].core is None, 60):
        pytest.skip("with this cut nobody could sign first")
    sums.world.run(seconds=30)
    assert not sums.sums()
    attempts = {r._attempt.number for r in sums.running()}
    assert min(attempts) > 1, "the others went on"
    sums.world.boot(first)
    assert sums.run(300)
    sums.assert_exact()
    assert_no_second_vote(sums)


def test_two_certificates_never_a_member_cut_off_after_signing_gets_the_same_one() -> None:
    """S14."""
    sums = Sums(5, 30, start=False)
    loner = sums.nodes[4]

    def cut(sender: NodeId, to: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        lost = isinstance(message, Vote) and loner in (sender, to) and sums.world.now < 100
        return [] if lost else [(message, payload)]

    sums.world.tamper = cut
    sums.world.boot(*sums.nodes)
    assert sums.run(300)
    sums.assert_exact()
    assert_no_second_vote(sums)


def test_attempt_jump_beyond_the_limit_is_ignored_and_up_to_it_followed() -> None:
    """S18."""
    for above, followed in ((ATTEMPT_JUMP_MAX, True), (ATTEMPT_JUMP_MAX + 1, False)):
        sums = Sums(3, 10, start=False)
        sums.world.tamper = lambda s, t, m, p: []
        sums.world.boot(*sums.nodes)
        ahead = Sums(3, 10, start=False)
        ahead.world.hosts[ahead.nodes[0]].disk.append(Entered(JOB, 1, above))
        ahead.world.boot(*ahead.nodes)
        offer = next(m for _, _, _, m in ahead.world.sent if isinstance(m, Offer) and m.attempt == above + 1)
        sums.round(1).handle(Received(sums.nodes[0], offer), 0.0)
        assert (sums.round(1)._attempt.number == above + 1) is followed


def collect(
    sums: Sums, kinds: tuple[type, ...], deliver: bool = True
) -> list[tuple[NodeId, NodeId, Message, Payload | None]]:
    kept: list[tuple[NodeId, NodeId, Message, Payload | None]] = []

    def keep(sender: NodeId, to: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        if isinstance(message, kinds):
            kept.append((sender, to, message, payload))
        return [(message, payload)] if deliver else []

    sums.world.tamper = keep
    return kept


def test_replay_old_messages_of_another_round_or_job_are_refused() -> None:
    """S6."""
    sums = Sums(3, 10, start=False)
    kept = collect(sums, tuple(STEPS))
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    other = Sums(3, 10, start=False, history=lambda _: b"another history of thirty-two by"[:32])
    other.world.tamper = lambda s, t, m, p: []
    other.world.boot(*other.nodes)
    for sender, to, message, payload in kept:
        core = other.world.hosts[to].core
        assert isinstance(core, Round)
        effects = core.handle(Received(sender, message, payload), 1.0)
        assert set(core._attempt.transcript.offers) == {other.nodes.index(to)}, "no foreign offer enters"
        assert core.done is None
        assert not [e for e in effects if isinstance(e, Persist | RoundDone)]


@pytest.mark.parametrize("length", [10, LONG])
def test_replay_same_round_everything_twice_is_idempotent(length: int) -> None:
    """S19."""
    once, twice = Sums(4, length), Sums(4, length, network=Network(duplicate=1.0))
    assert once.run(60) and twice.run(60)
    twice.assert_exact()
    assert not twice.evidence()
    assert len(twice.facts(Signed)) == len(once.facts(Signed)) == 4


def test_conflicting_duplicate_is_refused_with_evidence() -> None:
    """S20."""
    sums = Sums(3, 10, start=False)
    kept = collect(sums, (Offer,), deliver=False)
    sums.world.boot(*sums.nodes)
    offers = [m for _, _, m, _ in kept if isinstance(m, Offer) and m.author == sums.nodes[0]]
    target = sums.round(1)
    assert not target.handle(Received(sums.nodes[0], offers[0]), 0.0)
    other = msgspec.structs.replace(offers[0], key=bytes([9]) + bytes(31))
    other = msgspec.structs.replace(other, signature=sums.identities[0].sign(signed_frame(other)))
    effects = target.handle(Received(sums.nodes[2], other), 0.0)
    assert [(e.kind, e.author) for e in effects if hasattr(e, "kind")] == [("two_offers", sums.nodes[0])]
    assert target._attempt.transcript.offers[0] == offers[0]


def test_reflection_of_ones_own_messages_changes_nothing() -> None:
    """S19."""
    sums = Sums(3, 10, start=False)

    def reflect(sender: NodeId, to: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        sums.world.deliver(to, sender, message, payload)
        return [(message, payload)]

    sums.world.tamper = reflect
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()
    assert not sums.evidence()


def test_a_message_for_one_member_replayed_to_another_is_harmless() -> None:
    """S19."""
    sums = Sums(4, LONG, start=False)

    def copy_to_all(sender: NodeId, to: NodeId, message: Message, payload: Payload | None):  # type: ignore[no-untyped-def]
        for node in sums.nodes:
            if node not in (sender, to):
                sums.world.deliver(sender, node, message, payload)
        return [(message, payload)]

    sums.world.tamper = copy_to_all
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()
    assert not sums.evidence()


@pytest.mark.parametrize("size", [1, 2])
def test_cohort_of_one_or_two_is_refused(size: int) -> None:
    """S1."""
    with pytest.raises(LocalError, match="a cohort has 3 to 128 members"):
        Cohort(JOB, tuple(i.node for i in identities(size)))


def test_cohort_that_is_not_safe_against_its_colluders_is_refused() -> None:
    """S1."""
    members = tuple(i.node for i in identities(4))
    with pytest.raises(LocalError, match="not safe"):
        Cohort(JOB, members, colluders=2, holders=3)
    with pytest.raises(LocalError, match="sorted"):
        Cohort(JOB, members[::-1])


def test_vectors_whose_sum_could_overflow_are_refused_before_they_are_masked() -> None:
    """S2."""
    sums = Sums(3, 10, start=False)
    sums.supplied = [as_vector(v, 64, bound=2**62) for v in sums.values]
    with pytest.raises(LocalError, match="overflow"):
        sums.world.boot(*sums.nodes)


def test_mask_reuse_is_impossible_every_attempt_has_fresh_keys_and_contexts() -> None:
    """S4."""
    sums = Sums(4, 30, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Root) and sums.world.now < 50 else [(m, p)]
    sums.world.boot(*sums.nodes)
    assert sums.run(300)
    offers = {m for _, _, _, m in sums.world.sent if isinstance(m, Offer)}
    attempts = {m.attempt for m in offers}
    assert len(attempts) > 2
    assert len({m.key for m in offers}) == len(offers)
    assert len({m.context0 for m in offers}) == len(attempts)
    sums.assert_exact()


def test_restart_in_attempt_the_node_sits_it_out_and_enters_a_higher_one() -> None:
    """S5."""
    sums = Sums(4, 30, start=False)
    node = sums.nodes[1]

    def strike(effect: Effect) -> bool:
        return isinstance(effect, Send) and isinstance(effect.message, Root)

    sums.world.hosts[node].crash_before = strike
    sums.world.boot(*sums.nodes)
    assert sums.world.run(lambda: sums.world.hosts[node].core is None, 10)
    sums.world.boot(node)
    assert sums.run(60)
    sums.assert_exact()
    entered = [f.attempt for owner, f in sums.facts(Entered) if owner == node and isinstance(f, Entered)]
    assert entered == sorted(set(entered)) and len(entered) >= 2


def test_straggler_whose_vector_takes_minutes_costs_no_attempt() -> None:
    """S23."""
    sums = Sums(4, 30, start=False)
    late = sums.nodes[2]
    held = sums.supplied[2]
    factory = sums.world.hosts[late].factory

    def slow(disk: list[object]):  # type: ignore[no-untyped-def]
        core, _ = factory(disk)
        assert isinstance(core, Round)
        sums.world.at(300.0, lambda: sums.world.apply(late, core.supply(held, sums.world.now)))
        return core, core.start

    sums.world.hosts[late].factory = slow
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=290)
    assert all(sums.nodes[2] in sums.round(i).waiting_for() for i in (0, 1, 3))
    assert sums.run(30)
    sums.assert_exact()
    assert max(f.attempt for _, f in sums.facts(Entered) if isinstance(f, Entered)) == 1


def test_missing_member_pauses_the_round_by_name_and_it_resumes_by_itself() -> None:
    """S22."""
    sums = Sums(4, 30, start=False)
    away = sums.nodes[3]
    sums.world.boot(*sums.nodes[:3])
    sums.world.run(seconds=PAUSE_AFTER_S + 100)
    pauses = [e for _, _, e in sums.world.observed if isinstance(e, Paused)]
    assert len(pauses) == 3 and all(p.missing == (away,) for p in pauses)
    offers = sum(isinstance(m, Offer) for _, _, _, m in sums.world.sent)
    sums.world.run(seconds=3600)
    assert sum(isinstance(m, Offer) for _, _, _, m in sums.world.sent) == offers, "no attempt runs while paused"
    sums.world.boot(away)
    assert sums.run(120)
    sums.assert_exact()
    assert any(isinstance(e, Resumed) for _, _, e in sums.world.observed)


@pytest.mark.parametrize("seed", range(6))
def test_partition_heal_a_minority_certifies_nothing_and_all_agree_afterwards(seed: int) -> None:
    """S16."""
    sums = Sums(5, 30, seed=seed, start=False)
    left, right = sums.nodes[:3], sums.nodes[3:]
    sums.world.boot(*sums.nodes)
    sums.world.at(0.01 * seed, lambda: sums.world.network.partition(left, right))
    sums.world.run(seconds=200)
    crossed = any(isinstance(m, Vote) and t < 0.01 * seed for t, _, _, m in sums.world.sent)
    assert crossed or not sums.sums(), "neither side has t members"
    sums.world.heal()
    assert sums.run(200)
    sums.assert_exact()


def test_a_member_back_after_the_end_gets_the_certificate_and_the_sum() -> None:
    """S32."""
    sums = Sums(4, LONG, start=False)
    away = sums.nodes[0]

    def strike(effect: Effect) -> bool:
        return isinstance(effect, Persist) and isinstance(effect.fact, Signed)

    sums.world.hosts[away].crash_before = strike
    sums.world.boot(*sums.nodes)
    assert sums.world.run(lambda: len(sums.sums()) == 3, 60)
    sums.world.boot(away)
    assert sums.run(60)
    sums.assert_exact()


def test_answers_are_rationed_so_that_asking_is_no_amplifier() -> None:
    """S21."""
    sums = Sums(4, LONG, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Vote) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=2)
    core = sums.round(0)
    ask = Ask(JOB, 1, 1, segments=tuple((a, 0) for a in range(4)), words=(0, 1, 2, 3))
    first = core.handle(Received(sums.nodes[1], ask), sums.world.now)
    again = core.handle(Received(sums.nodes[1], ask), sums.world.now + 0.01)
    assert [e for e in first if isinstance(e, Send) and e.payload is not None]
    assert not [e for e in again if isinstance(e, Send)]


def test_bulk_is_expected_only_in_the_size_and_place_it_can_be_used() -> None:
    """W3."""
    sums = Sums(4, LONG, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if isinstance(m, Segment) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=2)
    core = sums.round(0)
    layout = core._attempt.transcript.layout
    author = sums.nodes[1]
    held, other = layout.held_by(0)[0], next(s for s in range(4) if s not in layout.held_by(0))
    size = layout.segment_bytes(held)
    assert core.expects(Segment(JOB, 1, 1, author, held), size)
    assert not core.expects(Segment(JOB, 1, 1, author, held), size + 8)
    assert not core.expects(Segment(JOB, 1, 1, author, other), layout.segment_bytes(other))
    assert not core.expects(Segment(JOB, 1, 7, author, held), size)
    assert not core.expects(SumWords(JOB, 1, 1, 100), size)


def test_same_seed_same_run() -> None:
    def trace(seed: int) -> list[str]:
        sums = Sums(4, 30, seed, Network(loss=0.1, duplicate=0.1))
        assert sums.run(600)
        return [f"{t:.9f} {s} {to} {type(m).__name__}" for t, s, to, m in sums.world.sent]

    assert trace(5) == trace(5)
    assert trace(5) != trace(6)


Check = Callable[[Sequence[Effect]], bool]


def test_no_masked_word_touches_a_disk_before_the_sum_is_known() -> None:
    """S4."""
    sums = Sums(4, LONG)
    assert sums.run(60)
    for _, fact in sums.facts(Entered):
        assert not any(isinstance(getattr(fact, name), np.ndarray) for name in fact.__slots__)  # type: ignore[attr-defined]
    for _, fact in sums.facts(Signed):
        assert isinstance(fact, Signed)
        assert fact.inputs == (), "holders' signatures settle every segment: no masked vector is kept"
