"""Answers that wait for another job: who is asked when it is settled, how often, and what it costs."""

from __future__ import annotations

import pytest

from protocols.groups import GROUP, GroupBody
from protocols.job.clock import PLEDGE_S_MAX
from protocols.job.events import Decide, StartWork
from protocols.job.job import Job
from protocols.job.kinds import CANCEL, Answer, Cancel
from protocols.job.life import State
from protocols.node import ForJob, Proposed
from protocols.records.events import Publish
from simulations.disk import Made
from simulations.hub import Policy
from tests.hubs import DATA, Federation

LONG_S = 20 * 3600.0


def answer(federation: Federation, hub: int, job: bytes) -> Answer:
    return federation.job(hub, job).decisions[federation.nodes[hub]].decision.answer


def say(federation: Federation, hub: int, kind: str, subject: str, body: Cancel | GroupBody) -> None:
    federation.feed(hub, Publish((federation.hub(hub).node.sign(kind, subject, body),)))


@pytest.mark.parametrize("restarted", [False, True])
def test_any_number_of_answers_that_wait_are_settled_one_after_the_other(restarted: bool) -> None:
    """GR6. Each answer was given within the one before it: about 170 waiting jobs were too deep for the interpreter."""
    federation = Federation(6)
    federation.policies = [join_as_told({}), *[lambda _: None] * 5]
    federation.boot()
    federation.world.run(seconds=5)
    hogs = {i: [federation.submit(i, members=[0, 1, i], collect_s=LONG_S) for _ in range(60)] for i in (3, 4, 5)}
    jobs = [job for many in hogs.values() for job in many]
    federation.world.run(seconds=60)
    pledged = federation.hub(0).node.groups.pledged(DATA.name)
    assert sorted(answer(federation, 0, job) for job in jobs) == [Answer.JOIN] + [Answer.WAIT] * 179
    assert pledged is not None
    for i in hogs:
        say(federation, i, GROUP, DATA.name, GroupBody((federation.nodes[i],)))
    federation.world.run(seconds=5)
    if restarted:
        federation.world.crash(federation.nodes[0])
        federation.world.boot(federation.nodes[0])
    author = next(i for i, many in hogs.items() if pledged in many)
    say(federation, author, CANCEL, pledged.hex(), Cancel("another time"))
    federation.world.run(seconds=60)
    assert [answer(federation, 0, job) for job in jobs if job != pledged] == [Answer.REFUSE] * 179


def join_as_told(told: dict[str, Decide | None]) -> Policy:
    """A policy that can be exchanged while the hub runs."""

    def policy(_: Job) -> Decide | None:
        return told.get("answer", Decide(Answer.JOIN))

    return policy


def waiting(told: dict[str, Decide | None]) -> tuple[Federation, bytes, bytes]:
    """A federation in which hubs 0, 1 and 2 joined one job of hub 3 and wait for it with another of hub 4."""
    federation = Federation(5)
    federation.policies = [*[join_as_told(told)] * 3, lambda _: None, lambda _: Decide(Answer.JOIN)]
    federation.boot()
    one = federation.submit(3, members=[0, 1, 2, 3], collect_s=LONG_S)
    federation.world.run(seconds=5)
    two = federation.submit(4, members=[0, 1, 2, 4], collect_s=LONG_S)
    federation.world.run(seconds=5)
    assert [answer(federation, i, two) for i in range(3)] == [Answer.WAIT] * 3
    return federation, one, two


def test_what_waited_is_put_to_the_policy_as_it_is_then() -> None:
    """GR6. It joined without a word although the site's policy refused such jobs by then."""
    told: dict[str, Decide | None] = {}
    federation, one, two = waiting(told)
    told["answer"] = Decide(Answer.REFUSE, "we want noise by now")
    say(federation, 3, CANCEL, one.hex(), Cancel("another time"))
    assert federation.run_until(two, State.CANCELLED)
    assert "we want noise by now" in federation.job(0, two).reason


@pytest.mark.parametrize("now", [None, Decide(Answer.ASK)])
def test_what_waited_by_a_persons_yes_joins_when_the_policy_still_leaves_it_to_people(now: Decide | None) -> None:
    """GR6."""
    told: dict[str, Decide | None] = {}
    federation, one, two = waiting(told)
    told["answer"] = now
    say(federation, 3, CANCEL, one.hex(), Cancel("another time"))
    assert federation.run_until(two, State.DONE, (0, 1, 2, 4))


def test_a_policy_that_has_yet_to_answer_anew_is_not_asked_again() -> None:
    """GR6. One question at a time, whatever is settled meanwhile; after the answer there may be another."""
    federation, one, two = waiting({})
    node = federation.hub(0).node
    now = federation.world.now
    cancel = federation.hub(3).node.sign(CANCEL, one.hex(), Cancel("another time"))
    first = node.handle(Publish((cancel,)), now)
    assert [e.job for e in first if isinstance(e, Proposed)] == [two]
    alone = node.sign(GROUP, "another-set", GroupBody((federation.nodes[0],)))
    assert not [e for e in node.handle(Publish((alone,)), now) if isinstance(e, Proposed)]
    node.handle(ForJob(two, Decide(Answer.JOIN)), now)
    assert answer(federation, 0, two) is Answer.JOIN


def test_what_goes_on_waiting_says_so_once() -> None:
    """GR6. Every hub would tell all its peers each time anything else is settled."""
    federation, _, two = waiting({})
    node, before = federation.hub(0).node, federation.job(0, two).decisions[federation.nodes[0]]
    node.handle(ForJob(two, Decide(Answer.JOIN)), federation.world.now)
    assert federation.job(0, two).decisions[federation.nodes[0]] == before


def test_a_policy_that_refuses_by_the_time_work_starts_ends_the_job_before_any_vector() -> None:
    """J33. A collection may take weeks: what the site joined then, it may refuse today."""
    told: dict[str, Decide | None] = {}
    federation = Federation(4)
    federation.policies[1] = join_as_told(told)
    federation.policies[2] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, members=range(4), collect_s=LONG_S)
    federation.world.run(seconds=60)
    told["answer"] = Decide(Answer.REFUSE, "we want noise by now")
    federation.decide(2, job, Answer.JOIN)
    assert federation.run_until(job, State.FAILED)
    assert "we want noise by now" in federation.job(0, job).reason
    assert [e for _, node, e in federation.world.observed if isinstance(e, StartWork) and node == federation.nodes[1]]
    assert not [f for f in federation.world.hosts[federation.nodes[1]].disk if isinstance(f, Made)]


# -- pledges -----------------------------------------------------------------------------------------------------


def hogged(restarts: int = 0) -> tuple[Federation, list[bytes], bytes]:
    """Two jobs of hub 3 that nobody ever closes, and an honest one behind them: after as many restarts as are given."""
    federation = Federation(4)
    federation.policies[3] = lambda _: None
    federation.boot()
    federation.world.run(seconds=5)
    hogs = [federation.submit(3, collect_s=30 * 86_400.0, min_nodes=4) for _ in range(2)]
    federation.world.run(seconds=60)
    job = federation.submit(0, members=[0, 1, 2], collect_s=10 * 86_400.0)
    for _ in range(restarts):
        federation.world.run(seconds=PLEDGE_S_MAX / restarts)
        for node in federation.nodes[:3]:
            federation.world.crash(node)
            federation.world.boot(node)
    return federation, hogs, job


def test_a_pledge_lapses_and_those_who_wait_go_first() -> None:
    """GR6. Two jobs that never close held the pledges of all for a month each, one after the other."""
    federation, hogs, job = hogged()
    federation.world.run(seconds=PLEDGE_S_MAX - 3600)
    assert answer(federation, 0, hogs[0]) is Answer.JOIN and answer(federation, 0, job) is Answer.WAIT
    assert federation.run_until(job, State.DONE, (0, 1, 2), seconds=2 * 3600)
    assert federation.job(0, hogs[0]).lapses == 1


def test_a_pledge_lapses_however_often_its_hub_restarts() -> None:
    """GR6."""
    federation, _, job = hogged(restarts=4)
    assert federation.run_until(job, State.DONE, (0, 1, 2), seconds=86_400.0 * 2)


def test_a_pledge_that_lapsed_while_nobody_waits_is_given_again() -> None:
    """GR6. A collection may take weeks."""
    federation = Federation(4)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, members=range(4), collect_s=30 * 86_400.0)
    federation.world.run(seconds=3.5 * PLEDGE_S_MAX)
    assert federation.job(1, job).lapses == 3 and answer(federation, 1, job) is Answer.JOIN
    federation.decide(3, job, Answer.JOIN)
    assert federation.run_until(job, State.DONE)


def test_a_job_that_wants_more_nodes_than_the_federation_has_is_refused_in_words() -> None:
    """J12. It can never close, and would be waited for."""
    federation = Federation(4)
    federation.boot()
    job = federation.submit(0, min_nodes=5, max_nodes=9)
    federation.world.run(seconds=5)
    assert answer(federation, 1, job) is Answer.REFUSE
    reason = federation.job(1, job).decisions[federation.nodes[1]].decision.reason
    assert "wants 5 nodes, the federation has 4" in reason
