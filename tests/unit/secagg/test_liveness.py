"""No state without a way out: once faults stop, a message or a tick leads on, or the round says who is missing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from protocols.core import Compute, Computed
from protocols.errors import LocalError, PeerError
from protocols.identity import NodeId
from protocols.message import Message, Payload
from protocols.secagg.attempt import Vector
from protocols.secagg.deadlines import PAUSE_AFTER_S
from protocols.secagg.effects import Evidence, Paused, Resumed, RoundDone, RoundFailed
from protocols.secagg.messages import Certificate, Offer, Segment, SumWords, Vote
from protocols.secagg.signing import UNSIGNED, next_history, verify_votes
from tests.kit import JOB, Sums
from tests.unit.secagg.adversary import Sent, effects_of, lie, resigned, second_vector, tell


def test_a_member_left_behind_in_a_lower_attempt_is_shown_the_higher_one() -> None:
    """S30. Its asks about the lower attempt once went unheard, until all paused after ten minutes."""
    sums = Sums(4, 20, start=False)
    away, behind = sums.nodes[0], sums.nodes[3]

    def lose(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        offered = isinstance(message, Offer) and to == behind and (message.author == away or message.attempt > 1)
        return [] if offered and sums.world.now < 1 else [(message, payload)]

    sums.world.tamper = lose
    sums.world.boot(*sums.nodes)
    sums.world.at(0.1, lambda: sums.world.crash(away))
    sums.world.at(0.2, lambda: sums.world.boot(away))
    assert sums.run(30)
    sums.assert_exact()


@pytest.mark.parametrize("length", [20, 40_000])
@pytest.mark.parametrize("n", [3, 5])
def test_members_that_all_paused_without_a_word_wake_each_other(n: int, length: int) -> None:
    """S31. Everything is lost for an hour, and no link comes up afterwards: paused members once waited in silence."""
    sums = Sums(n, length, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if 0.02 < sums.world.now < 3600 else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=3600)
    assert len({node for _, node, e in sums.world.observed if isinstance(e, Paused)}) == n
    assert sums.run(300)
    sums.assert_exact()


def test_a_pause_always_names_somebody_and_is_told_once() -> None:
    """S31.

    Who has all votes and lacks the sum waits for those who voted; it once paused without a name, again and again.
    """
    sums = Sums(4, 20, start=False)
    poor = sums.nodes[3]

    def votes_only(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        lost = to == poor and isinstance(message, Segment | SumWords | Certificate)
        return [] if lost else [(message, payload)]

    sums.world.tamper = votes_only
    sums.world.boot(*sums.nodes)
    assert sums.world.run(lambda: len(sums.sums()) == 3, 60)
    for node in sums.nodes[:3]:
        sums.world.crash(node)
    sums.world.run(seconds=5 * PAUSE_AFTER_S)
    told = [e for _, node, e in sums.world.observed if node == poor and isinstance(e, Paused | Resumed)]
    assert len(told) == 1 and isinstance(told[0], Paused)
    assert told[0].missing == tuple(sums.nodes[:3])


def test_a_paused_round_that_ends_resumes_first() -> None:
    """S31. The certificate may come from one who was not missing; the job above must not stay paused."""
    sums = Sums(4, 20, start=False)
    lie(sums, 0, lambda to, m, p: [])
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=PAUSE_AFTER_S + 50)
    core = sums.round(3)
    assert core.missing == (sums.nodes[0],)
    total = np.zeros(21 * 8, np.uint8)
    told = certificate(sums, next_history(core.place.history, 1, total), (0, 1, 2))
    (compute,) = effects_of(tell(sums, 1, 3, told, total), Compute)
    assert isinstance(compute, Compute)
    after = [type(e) for e in core.handle(Computed(compute.token, compute.work()), sums.world.now)]
    assert after.index(Resumed) < after.index(RoundDone)


def test_who_voted_for_another_sum_still_takes_the_certified_one() -> None:
    """S32.

    Member 0 shows member 1 another vector; what the driver asks before it receives bulk once said no for ever.
    """
    sums = Sums(4, 20, start=False)
    other = second_vector(sums, 0, 5)
    lie(sums, 0, lambda to, m, p: other(m, p) if to == 1 else [(m, p)])
    doubled = sums.world.tamper
    assert doubled is not None

    def as_the_driver(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        core = sums.round(sums.nodes.index(to))
        pieces = doubled(sender, to, message, payload)
        return [(m, p) for m, p in pieces if p is None or core.expects(m, p.nbytes)]

    sums.world.tamper = as_the_driver
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    assert len({v.history for _, _, _, v in sums.world.sent if isinstance(v, Vote) and v.author != sums.nodes[0]}) == 2
    sums.assert_exact()


def certificate(sums: Sums, history: bytes, voters: tuple[int, ...]) -> Certificate:
    votes = [resigned(sums.identities[i], Vote(JOB, 1, 1, sums.nodes[i], history, UNSIGNED)) for i in voters]
    return Certificate(JOB, 1, history, tuple(votes))  # type: ignore[arg-type]


def test_two_certificates_that_contradict_each_other_end_the_round_and_convict_their_common_voters() -> None:
    """S17."""
    sums = Sums(4, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: []
    sums.world.boot(*sums.nodes)
    tell(sums, 0, 3, certificate(sums, bytes([1]) * 32, (0, 1, 2)))
    effects = tell(sums, 0, 3, certificate(sums, bytes([2]) * 32, (0, 1, 3)))
    proofs = [e for e in effects if isinstance(e, Evidence)]
    assert {(e.kind, e.author) for e in proofs if e.kind == "two_certificates"} == {
        ("two_certificates", sums.nodes[0]),
        ("two_certificates", sums.nodes[1]),
    }
    assert effects_of(effects, RoundFailed)


def test_a_certificate_with_a_vote_twice_is_none() -> None:
    """S16."""
    sums = Sums(4, 20, start=False)
    twice = certificate(sums, bytes(32), (0, 1, 1))
    with pytest.raises(PeerError, match="twice"):
        verify_votes(sums.cohort, twice.votes, 1, bytes(32))
    forged = msgspec.structs.replace(twice.votes[2], author=sums.nodes[2])
    with pytest.raises(PeerError, match="signature"):
        verify_votes(sums.cohort, (*twice.votes[:2], forged), 1, bytes(32))


@pytest.mark.parametrize("size", [0, 12, 7])
def test_a_vector_that_is_none_is_refused_before_anything_of_it_leaves(size: int) -> None:
    """S2."""
    sums = Sums(3, 20, start=False)
    core, _ = sums.make(0, [])
    with pytest.raises(LocalError, match="no vector"):
        core.supply(Vector(np.zeros(size, np.uint8), 5), 0.0)  # type: ignore[attr-defined]
