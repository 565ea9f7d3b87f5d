"""Going on without a member that is away: successor jobs between whole hubs."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from protocols.core import Effect, Persist
from protocols.job.events import Decide, Joined, Moved
from protocols.job.kinds import JOB, Answer, Continues, JobSpec
from protocols.job.life import State
from protocols.job.succession import GO_ON_AFTER_S, go_on_after_s, successor
from protocols.node import StandAlone
from protocols.records.events import Publish
from protocols.secagg.deadlines import PAUSE_AFTER_S
from protocols.secagg.effects import Certified, Entered, Signed
from simulations.network import Network
from tests.hubs import DATA, Federation

LONG_S = PAUSE_AFTER_S + GO_ON_AFTER_S + 300
THREE, FOUR = range(3), range(4)


def certifies(number: int) -> Callable[[Effect], bool]:
    return lambda e: isinstance(e, Persist) and isinstance(e.fact, Certified) and e.fact.certificate.round == number


def votes(number: int) -> Callable[[Effect], bool]:
    return lambda e: isinstance(e, Persist) and isinstance(e.fact, Signed) and e.fact.vote.round == number


def enters(number: int) -> Callable[[Effect], bool]:
    return lambda e: isinstance(e, Persist) and isinstance(e.fact, Entered) and e.fact.round == number


STEPS = {
    "before anything": enters(1),
    "entering round 2": enters(2),
    "voting in round 2": votes(2),
    "certifying round 2": certifies(2),
}


def begun(n: int = 4, at: str = "entering round 2", *, data: bool = False, seed: int = 0) -> tuple[Federation, bytes]:
    """A job of n hubs whose last one dies at a step, for good unless somebody boots it."""
    federation = Federation(n, seed)
    federation.boot()
    federation.world.hosts[federation.nodes[n - 1]].crash_before = STEPS[at]
    changes = {} if data else {"data": None}
    job = federation.submit(members=range(n), min_nodes=3, on_drop="go_on", collect_s=86_400.0, **changes)
    return federation, job


def heirs(federation: Federation, job: bytes, hub: int = 0) -> list[bytes]:
    jobs = federation.hub(hub).node.jobs
    return [k for k, other in jobs.items() if other.spec.continues is not None and other.spec.continues.job == job]


def wait_done(federation: Federation, job: bytes, who: range = THREE) -> bytes:
    """The successor, once it is done."""

    def over() -> bool:
        found = heirs(federation, job)
        return bool(found) and set(federation.states(found[-1], who)) == {State.DONE}

    assert federation.world.run(over, LONG_S)
    return heirs(federation, job)[-1]


def assert_line(federation: Federation, job: bytes, heir: bytes, who: range, left: range, stay: range) -> None:
    """Every sum of the line is exact: of all members up to the named round, of those who stayed from then on."""
    taken = federation.job(who[0], heir).spec.continues
    assert taken is not None
    for i in who:
        totals = federation.numbers[i].totals[heir]
        assert len(totals) == federation.numbers[i].rounds
        for number, total in enumerate(totals, 1):
            members = left if number <= taken.round else stay
            np.testing.assert_array_equal(total, federation.expected(number, members))
    assert_one_future(federation, job, heir)


def assert_one_future(federation: Federation, job: bytes, heir: bytes) -> None:
    taken = federation.job(0, heir).spec.continues
    assert taken is not None
    assert max((f.certificate.round for f in federation.certified(job)), default=0) == taken.round
    for one in (job, heir):
        found = {(f.certificate.round, f.certificate.history) for f in federation.certified(one)}
        assert len(found) == len({number for number, _ in found})


@pytest.mark.parametrize("step", STEPS)
def test_a_member_lost_at_any_step_is_left_behind_and_the_others_go_on_where_they_were(step: str) -> None:
    """J29."""
    federation, job = begun(at=step)
    heir = wait_done(federation, job)
    assert_line(federation, job, heir, THREE, FOUR, THREE)
    assert federation.states(job, THREE) == [State.CANCELLED] * 3
    assert heir.hex() in federation.job(1, job).reason
    assert federation.nodes[3] in federation.job(1, job).reason


def test_a_successor_that_loses_a_member_too_is_gone_on_with() -> None:
    federation, job = begun(5)
    federation.world.run(lambda: bool(heirs(federation, job)), LONG_S)
    (first,) = heirs(federation, job)
    federation.world.hosts[federation.nodes[3]].crash_before = certifies(1)
    second = wait_done(federation, first)
    assert [len(federation.job(0, one).spec.members) for one in (first, second)] == [4, 3]
    assert [(before.job, rounds) for before, rounds in federation.job(0, second).before] == [(job, 1), (first, 1)]
    sizes = [range(5), range(4), THREE]
    for number, total in enumerate(federation.numbers[1].totals[second], 1):
        np.testing.assert_array_equal(total, federation.expected(number, sizes[number - 1]))
    federation.world.boot(federation.nodes[3], federation.nodes[4])
    assert federation.run_until(second, State.DONE)


def test_who_comes_back_finds_the_successor_and_follows_it_to_the_result() -> None:
    """J30."""
    federation, job = begun(at="certifying round 2")
    heir = wait_done(federation, job)
    federation.world.boot(federation.nodes[3])
    assert federation.run_until(heir, State.DONE)
    assert federation.states(job) == [State.CANCELLED] * 4
    assert_line(federation, job, heir, FOUR, FOUR, THREE)


def test_who_comes_back_before_the_successor_goes_on_with_the_job_itself() -> None:
    """J29."""
    federation, job = begun()
    federation.world.run(seconds=PAUSE_AFTER_S + 300)
    assert federation.states(job, THREE) == [State.PAUSED] * 3
    federation.world.boot(federation.nodes[3])
    assert federation.run_until(job, State.DONE)
    federation.assert_result(job, FOUR)
    assert not heirs(federation, job)


def test_a_job_that_is_to_wait_waits() -> None:
    """J23."""
    federation = Federation(4)
    federation.boot()
    federation.world.hosts[federation.nodes[3]].crash_before = enters(2)
    job = federation.submit(members=FOUR, min_nodes=3, data=None)
    federation.world.run(seconds=3 * LONG_S)
    assert federation.states(job, THREE) == [State.PAUSED] * 3
    assert not heirs(federation, job)


def test_a_group_is_not_cut_and_the_job_says_why_it_stays_paused() -> None:
    """J28."""
    federation, job = begun(data=True)
    federation.world.run(seconds=LONG_S)
    assert federation.states(job, THREE) == [State.PAUSED] * 3
    assert "without their group" in federation.job(0, job).reason
    assert not heirs(federation, job)


def test_a_hub_that_stands_alone_may_be_left_behind() -> None:
    """J28."""
    federation = Federation(4)
    federation.boot()
    federation.feed(3, StandAlone("heart"))
    federation.world.run(seconds=10)
    federation.world.hosts[federation.nodes[3]].crash_before = enters(2)
    job = federation.submit(members=FOUR, min_nodes=3, on_drop="go_on")
    heir = wait_done(federation, job)
    assert_line(federation, job, heir, THREE, FOUR, THREE)


def test_fewer_than_a_certificate_takes_do_not_go_on() -> None:
    """J27."""
    federation = Federation(5)
    federation.boot()
    for gone in (3, 4):
        federation.world.hosts[federation.nodes[gone]].crash_before = enters(2)
    job = federation.submit(members=range(5), min_nodes=3, on_drop="go_on", data=None)
    federation.world.run(seconds=LONG_S)
    assert federation.states(job, THREE) == [State.PAUSED] * 3
    assert "3 hubs could, 4 must" in federation.job(0, job).reason
    assert not heirs(federation, job)


def test_a_site_that_refuses_the_successor_leaves_the_job_paused_and_takes_it_up_when_all_are_back() -> None:
    """J26."""
    federation, job = begun()
    federation.policies[1] = lambda j: Decide(Answer.REFUSE, "not again") if j.spec.continues else Decide(Answer.JOIN)
    federation.hub(1).policy = federation.policies[1]
    federation.world.run(lambda: bool(heirs(federation, job)), LONG_S)
    (heir,) = heirs(federation, job)
    assert federation.run_until(heir, State.CANCELLED, THREE)
    assert State.CANCELLED not in federation.states(job, THREE)
    federation.world.boot(federation.nodes[3])
    assert federation.run_until(job, State.DONE)
    federation.assert_result(job, FOUR)


def test_proposals_that_come_to_nothing_become_rare() -> None:
    """J29."""
    federation, job = begun()
    federation.hub(1).policy = lambda j: Decide(Answer.REFUSE, "no") if j.spec.continues else Decide(Answer.JOIN)
    federation.world.run(seconds=24 * 3600)
    assert 3 <= len(heirs(federation, job)) <= 8
    assert go_on_after_s(10**6) == go_on_after_s(20)


@pytest.mark.parametrize("member", [0, 1])
@pytest.mark.parametrize("point", ["joined", "entered", "certified", "moved"])
def test_kill_and_restart_while_the_job_is_handed_over_loses_nothing(member: int, point: str) -> None:
    """J31."""
    federation, job = begun()
    federation.world.run(lambda: bool(heirs(federation, job)), LONG_S)
    (heir,) = heirs(federation, job)
    strikes: dict[str, Callable[[Effect], bool]] = {
        "joined": lambda e: isinstance(e, Persist) and isinstance(e.fact, Joined),
        "entered": lambda e: isinstance(e, Persist) and isinstance(e.fact, Entered) and e.fact.job == heir,
        "certified": lambda e: isinstance(e, Persist) and isinstance(e.fact, Certified),
        "moved": lambda e: isinstance(e, Moved) and e.state is State.CANCELLED,
    }
    node = federation.nodes[member]
    federation.world.hosts[node].crash_before = strikes[point]
    federation.world.run(lambda: not federation.up(member), seconds=60)
    federation.world.hosts[node].crash_before = None
    federation.world.run(seconds=20)
    if not federation.up(member):
        federation.world.boot(node)
    assert federation.run_until(heir, State.DONE, THREE)
    assert_line(federation, job, heir, THREE, FOUR, THREE)
    assert federation.states(job, THREE) == [State.CANCELLED] * 3


def test_restart_of_all_after_the_successor_is_done_keeps_both_ends() -> None:
    """J30."""
    federation, job = begun()
    heir = wait_done(federation, job)
    for i in THREE:
        federation.world.crash(federation.nodes[i])
    federation.boot()
    assert federation.run_until(heir, State.DONE)
    assert federation.states(job) == [State.CANCELLED] * 4


# -- submitters that lie -----------------------------------------------------------------------------------------------


def paused() -> tuple[Federation, bytes, JobSpec]:
    """A job that misses hub 3, and the successor that an honest submitter would propose now."""
    federation, job = begun()
    federation.world.run(seconds=PAUSE_AFTER_S + 300)
    here = federation.job(0, job)
    assert here.rounds_done == 1 and here.body is not None
    named = Continues(job, here.rounds_done, here.history)
    return federation, job, successor(here.spec, here.body.members, [federation.nodes[i] for i in THREE], named)


def propose(federation: Federation, spec: JobSpec, author: int = 0) -> bytes:
    node = federation.hub(author).node
    record = node.sign(JOB, f"forged-{federation.world.now}", spec)
    federation.feed(author, Publish((record,)))
    federation.world.run(seconds=60)
    return node.store.digest_of(record)


def answer(federation: Federation, job: bytes, of: int) -> tuple[Answer, str]:
    decided = federation.job(of, job).decisions[federation.nodes[of]].decision
    return decided.answer, decided.reason


LIES: dict[str, tuple[Callable[[JobSpec], JobSpec], str]] = {
    "another history": (
        lambda s: msgspec.structs.replace(s, continues=msgspec.structs.replace(s.continues, history=bytes(32))),
        "not the one that is certified here",
    ),
    "a round run again": (
        lambda s: msgspec.structs.replace(s, continues=msgspec.structs.replace(s.continues, round=0)),
        "round 1 is certified here",
    ),
    "other parameters": (lambda s: msgspec.structs.replace(s, parameters=b'{"a":1}'), "not the job that it continues"),
    "another task": (lambda s: msgspec.structs.replace(s, task="other"), "not the job that it continues"),
    "more rounds": (lambda s: msgspec.structs.replace(s, rounds_max=5000), "not the job that it continues"),
    "smaller words": (lambda s: msgspec.structs.replace(s, word_bits=32), "not the job that it continues"),
    "data of its own": (lambda s: msgspec.structs.replace(s, data=DATA), "not the job that it continues"),
    "other readers": (lambda s: msgspec.structs.replace(s, readers=()), "not the job that it continues"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_submitters_successor_is_refused_in_words(lie: str) -> None:
    """J23, J24."""
    federation, job, spec = paused()
    change, words = LIES[lie]
    heir = propose(federation, change(spec))
    for i in (1, 2):
        given, reason = answer(federation, heir, i)
        assert given is Answer.REFUSE and words in reason
    federation.world.boot(federation.nodes[3])
    assert federation.run_until(job, State.DONE)
    federation.assert_result(job, FOUR)


def test_a_successor_with_everybody_or_with_somebody_else_is_refused() -> None:
    """J23."""
    federation, _, spec = paused()
    heir = propose(federation, msgspec.structs.replace(spec, members=tuple(federation.nodes), readers=()))
    assert answer(federation, heir, 1)[0] is Answer.REFUSE


def test_a_round_that_is_not_certified_here_is_waited_for() -> None:
    """J24."""
    federation, _, spec = paused()
    assert spec.continues is not None
    ahead = msgspec.structs.replace(spec, continues=msgspec.structs.replace(spec.continues, round=2))
    heir = propose(federation, ahead)
    given, reason = answer(federation, heir, 1)
    assert given is Answer.WAIT and "round 2 is not certified here" in reason


def test_only_the_hub_that_submitted_a_job_can_have_it_gone_on_with() -> None:
    """J23."""
    federation, _, spec = paused()
    heir = propose(federation, spec, author=1)
    given, reason = answer(federation, heir, 2)
    assert given is Answer.REFUSE and "only the hub that submitted" in reason


def test_nobody_is_left_behind_while_nobody_is_missing() -> None:
    """J25."""
    federation = Federation(4, rounds=3)
    federation.boot()
    federation.world.hosts[federation.nodes[3]].crash_before = enters(2)
    job = federation.submit(members=FOUR, min_nodes=3, on_drop="go_on", data=None)
    federation.world.run(seconds=60)
    here = federation.job(0, job)
    assert here.state is State.RUNNING and here.body is not None
    named = Continues(job, here.rounds_done, here.history)
    members = [federation.nodes[i] for i in THREE]
    heir = propose(federation, successor(here.spec, here.body.members, members, named))
    assert answer(federation, heir, 1)[0] is Answer.WAIT
    federation.world.boot(federation.nodes[3])
    assert federation.run_until(job, State.DONE)


def test_two_successors_of_one_job_never_both_begin() -> None:
    """J27."""
    federation, job, spec = paused()
    federation.hub(2).policy = lambda _: None
    first = propose(federation, spec)
    second = propose(federation, spec)
    assert answer(federation, first, 1)[0] is Answer.JOIN
    assert answer(federation, second, 1)[0] is Answer.WAIT
    federation.decide(2, second, Answer.JOIN)
    federation.world.run(seconds=10)
    federation.decide(2, first, Answer.JOIN)
    federation.world.run(seconds=3600)
    running = [h for h in (first, second) if any(federation.certified(h))]
    assert len(running) <= 1
    assert max(f.certificate.round for f in federation.certified(job)) == 1


def test_who_voted_for_the_next_round_does_not_join() -> None:
    """J25."""
    federation, job = begun(at="certifying round 2")
    federation.world.hosts[federation.nodes[3]].crash_before = votes(2)
    for i in (1, 2):
        federation.world.hosts[federation.nodes[i]].crash_before = votes(2)
    federation.world.run(seconds=60)
    here = federation.job(0, job)
    assert here.rounds_done == 1 and here.voted and here.body is not None
    for i in (1, 2):
        federation.world.hosts[federation.nodes[i]].crash_before = None
    named = Continues(job, 1, here.history)
    spec = successor(here.spec, here.body.members, [federation.nodes[i] for i in THREE], named)
    heir = propose(federation, spec)
    given, reason = answer(federation, heir, 0)
    assert given is Answer.REFUSE and "may be certified already" in reason


def test_who_said_that_it_goes_on_leaves_the_job_alone_also_after_a_restart_and_when_all_are_back() -> None:
    """J26."""
    federation, job = begun()
    federation.hub(1).policy = lambda j: None if j.spec.continues else Decide(Answer.JOIN)
    federation.world.run(lambda: bool(heirs(federation, job)), LONG_S)
    federation.world.run(seconds=30)
    (heir,) = heirs(federation, job)
    federation.world.crash(federation.nodes[2])
    federation.world.boot(federation.nodes[2], federation.nodes[3])
    federation.world.run(seconds=3000)
    assert max(f.certificate.round for f in federation.certified(job)) == 1
    assert f"about to go on as job {heir.hex()}" in federation.job(2, job).reason
    federation.decide(1, heir, Answer.REFUSE, "west is back")
    assert federation.run_until(job, State.DONE)
    federation.assert_result(job, FOUR)


def test_a_submitter_that_restarts_does_not_take_those_who_wait_for_those_who_are_away() -> None:
    """J29."""
    federation, job = begun()
    federation.world.run(seconds=PAUSE_AFTER_S + 60)
    federation.world.crash(federation.nodes[0])
    federation.world.boot(federation.nodes[0])
    heir = wait_done(federation, job)
    assert_line(federation, job, heir, THREE, FOUR, THREE)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_goes_a_job_has_one_future_and_exact_sums(seed: int) -> None:
    """J27. Two of five hubs fall and come back at drawn moments, over a network that loses and repeats."""
    rng = random.Random(seed)
    federation = Federation(5, seed, Network(loss=0.05, duplicate=0.05), rounds=20)
    federation.boot()
    job = federation.submit(members=range(5), min_nodes=3, on_drop="go_on", data=None, collect_s=86_400.0)
    for _ in range(5):
        fallen = rng.choice((1, 4))
        step = rng.choice((enters, votes, certifies))(rng.randrange(1, 6))
        federation.world.hosts[federation.nodes[fallen]].crash_before = step
        federation.world.run(seconds=rng.choice((5.0, 3000.0, 9000.0)) * (0.5 + rng.random()))
        federation.world.hosts[federation.nodes[fallen]].crash_before = None
        if not federation.up(fallen):
            federation.world.boot(federation.nodes[fallen])
    federation.world.run(seconds=4 * 3600)
    line = [job]
    while later := [h for h in heirs(federation, line[-1]) if federation.certified(h)]:
        (only,) = later
        line.append(only)
    members = {one: federation.job(0, one).body for one in line}
    count, ends = 0, [federation.job(0, one).spec.continues for one in line[1:]]
    for one, end in zip(line, [*ends, None], strict=True):
        rounds = sorted({f.certificate.round for f in federation.certified(one)})
        assert rounds == list(range(1, len(rounds) + 1)) and (end is None or len(rounds) == end.round)
        for number in rounds:
            sums = {f.total.tobytes() for f in federation.certified(one) if f.certificate.round == number}
            assert len(sums) == 1
            body, count = members[one], count + 1
            assert body is not None
            expected = federation.expected(count, [federation.places[m] for m in body.members])
            found = next(f.total for f in federation.certified(one) if f.certificate.round == number)
            np.testing.assert_array_equal(found.view("<i8")[: len(expected)], expected)
    assert set(federation.states(line[-1])) == {State.DONE}
