"""Jobs that were cancelled, and cohort records of theirs that come before, after or meanwhile."""

from __future__ import annotations

import pytest

from protocols.core import Refused
from protocols.groups import GROUP, Standing
from protocols.job.events import Joined
from protocols.job.kinds import CANCEL, COHORT, DECISION, Answer, Cancel, CohortBody, Decision
from protocols.job.life import State
from protocols.node import InJob
from protocols.records.events import Publish
from protocols.records.record import Record
from protocols.secagg.effects import Evidence
from tests.hubs import DATA, Federation

HONEST = (0, 1, 2, 4)
MALICIOUS = 3
DAY_S = 86_400.0


def collected() -> tuple[Federation, bytes]:
    """Hubs 0 and 1 joined the job of hub 3, which can sign anything."""
    federation = Federation(5)
    federation.policies[MALICIOUS] = lambda _: None
    federation.boot()
    federation.world.run(seconds=5)
    job = federation.submit(MALICIOUS, members=[0, 1, MALICIOUS], collect_s=DAY_S)
    federation.world.run(seconds=30)
    return federation, job


def closing(federation: Federation, job: bytes) -> tuple[Record, Record]:
    """The malicious hub's decision, and the cohort record over it and those of hubs 0 and 1."""
    node = federation.hub(MALICIOUS).node
    own = node.sign(DECISION, job.hex(), Decision(Answer.JOIN, "", Standing.FREE))
    digests = {federation.nodes[MALICIOUS]: node.store.digest_of(own)}
    for i in (0, 1):
        digests[federation.nodes[i]] = federation.job(0, job).decisions[federation.nodes[i]].digest
    members = tuple(sorted(digests))
    return own, node.sign(COHORT, job.hex(), CohortBody(members, tuple(digests[m] for m in members)))


def calling_off(federation: Federation, job: bytes) -> Record:
    return federation.hub(MALICIOUS).node.sign(CANCEL, job.hex(), Cancel("another time"))


def standing(federation: Federation, at: int, of: int) -> Standing:
    return federation.hub(at).node.groups.standing(federation.nodes[of], DATA.name)


def convicted(federation: Federation) -> list[Evidence]:
    return [
        e.effect for _, _, e in federation.world.observed if isinstance(e, InJob) and isinstance(e.effect, Evidence)
    ]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_cohort_that_comes_after_its_cancel_binds_nobody(restarted: bool) -> None:
    """GR8. A day after the cancel it came: both signed, and were barred for good when its author was revoked."""
    federation, job = collected()
    own, cohort = closing(federation, job)
    federation.feed(MALICIOUS, Publish((calling_off(federation, job),)))
    federation.world.run(seconds=DAY_S)
    assert federation.states(job, (0, 1)) == [State.CANCELLED] * 2
    federation.feed(1, Publish((cohort, own)))
    federation.world.run(seconds=60)
    if restarted:
        for i in (0, 1):
            federation.world.crash(federation.nodes[i])
            federation.world.boot(federation.nodes[i])
    federation.world.run(seconds=300)
    assert [standing(federation, i, i) for i in (0, 1)] == [Standing.FREE] * 2
    store = federation.hub(0).node.store
    assert store.find(COHORT, subject=job.hex()) and store.find(CANCEL, subject=job.hex()), "both are kept"
    assert [e for _, _, e in federation.world.observed if isinstance(e, Refused) and e.code == "called_off"]
    assert not convicted(federation)
    federation.revoke(MALICIOUS)
    federation.world.run(seconds=60)
    honest = federation.submit(0, members=HONEST)
    assert federation.run_until(honest, State.DONE, HONEST)


@pytest.mark.parametrize("first", [0, 1])
def test_who_signed_before_the_cancel_came_is_bound_and_told_and_no_group_is_cut(first: int) -> None:
    """GR8. One member has the cohort first, the other the cancel; the submitter wants that."""
    federation, job = collected()
    own, cohort = closing(federation, job)
    second = 1 - first
    cancel = calling_off(federation, job)
    federation.world.network.partition([federation.nodes[first]], [federation.nodes[i] for i in range(5) if i != first])
    federation.feed(first, Publish((own, cohort)))
    federation.feed(second, Publish((cancel,)))
    federation.world.run(seconds=5)
    federation.world.network.mend()
    federation.world.run(seconds=300)
    assert set(federation.states(job, (0, 1))) == {State.CANCELLED}
    assert standing(federation, second, first) is Standing.GROUPED
    assert standing(federation, first, second) is Standing.FREE
    assert not convicted(federation)
    again = federation.submit(2, members=HONEST)
    assert federation.run_until(again, State.FAILED, HONEST) or set(federation.states(again, HONEST)) == {
        State.CANCELLED
    }
    assert federation.nodes[MALICIOUS] in federation.job(2, again).reason
    assert not [f for i in HONEST for f in federation.world.hosts[federation.nodes[i]].disk if isinstance(f, Joined)]


def test_a_hub_that_was_away_while_a_job_was_closed_and_cancelled_signs_the_group_of_the_others() -> None:
    """GR8. Its submitter is honest and thought better of it: the group of the others must become complete."""
    federation = Federation(4, rounds=500)
    federation.policies[3] = lambda _: None
    federation.boot()
    job = federation.submit(0, members=range(4), rounds_max=1000, collect_s=3000.0)
    federation.world.run(seconds=5)
    federation.world.crash(federation.nodes[2])
    federation.decide(3, job, Answer.JOIN)
    federation.world.run(seconds=5)
    cancel = federation.hub(0).node.sign(CANCEL, job.hex(), Cancel("not like this"))
    federation.feed(0, Publish((cancel,)))
    federation.world.run(seconds=5)
    assert federation.states(job, (0, 1, 3)) == [State.CANCELLED] * 3
    assert len(federation.hub(0).node.store.find(GROUP)) == 3
    federation.world.boot(federation.nodes[2])
    federation.world.run(seconds=120)
    assert len(federation.hub(0).node.store.find(GROUP)) == 4
