"""How much of a hub one author can take up with its jobs."""

from __future__ import annotations

import pytest

from protocols import node as node_module
from protocols.core import Refused
from protocols.job.kinds import CANCEL, DECISION, JOB, OUTCOME, Answer, Cancel
from protocols.job.life import ENDED, State
from protocols.kinds import KINDS
from protocols.membership.bodies import Revocation
from protocols.membership.kinds import REVOCATION
from protocols.records.events import Publish
from protocols.secagg.messages import MEMBERS_MAX
from simulations.federation import join_all
from tests.hubs import Federation

FEW = 3
HONEST = (0, 1, 2)


@pytest.fixture
def flooded(monkeypatch: pytest.MonkeyPatch) -> tuple[Federation, list[bytes]]:
    """Hub 3 proposes six jobs and answers none of them; a hub lives three of one author."""
    monkeypatch.setattr(node_module, "OPEN_JOBS_PER_AUTHOR_MAX", FEW)
    federation = Federation(4)
    federation.policies = [join_all] * 3 + [lambda _: None]
    federation.boot()
    federation.world.run(seconds=5)
    jobs = [federation.submit(3, members=range(4), collect_s=3000.0, data=None) for _ in range(2 * FEW)]
    federation.world.run(seconds=5)
    return federation, jobs


def answered(federation: Federation, hub: int) -> int:
    return len(federation.hub(hub).node.store.find(DECISION, author=federation.nodes[hub]))


def cancel(federation: Federation, job: bytes) -> None:
    record = federation.hub(3).node.sign(CANCEL, job.hex(), Cancel("another time"))
    federation.feed(3, Publish((record,)))
    federation.world.run(seconds=5)


def test_there_is_room_for_an_answer_and_an_outcome_to_every_members_every_job() -> None:
    """J34. It was that of one author's jobs: 10,000 junk jobs left no hub room for another answer, for good."""
    for kind in (DECISION, OUTCOME):
        assert KINDS[kind].per_author_max >= KINDS[JOB].per_author_max * MEMBERS_MAX


def test_of_one_authors_open_jobs_a_hub_lives_a_few_and_takes_up_the_next_when_one_ended(
    flooded: tuple[Federation, list[bytes]],
) -> None:
    """J34."""
    federation, jobs = flooded
    assert [answered(federation, i) for i in HONEST] == [FEW] * 3
    refused = [e for _, node, e in federation.world.observed if isinstance(e, Refused) and e.code == "too_many_jobs"]
    assert len(refused) == 3 * FEW and {e.peer for e in refused} == {federation.nodes[3]}
    honest = federation.submit(0, members=HONEST)
    assert federation.run_until(honest, State.DONE, HONEST)
    cancel(federation, next(iter(federation.hub(0).node.jobs)))
    assert answered(federation, 0) == FEW + 2
    for job in jobs:
        cancel(federation, job)
    assert set(federation.states(jobs[-1], HONEST)) <= ENDED
    assert set(federation.hub(0).node.jobs) == {*jobs, honest}


def test_jobs_that_a_hub_answered_are_taken_up_first_after_a_restart(
    flooded: tuple[Federation, list[bytes]],
) -> None:
    """J34. Else every restart answers a few more."""
    federation, _ = flooded
    before = set(federation.hub(0).node.jobs)
    for _ in range(3):
        federation.world.crash(federation.nodes[0])
        federation.world.boot(federation.nodes[0])
        federation.world.run(seconds=5)
        assert set(federation.hub(0).node.jobs) == before and answered(federation, 0) == FEW


@pytest.mark.parametrize("kept", [True, False])
def test_who_was_revoked_gets_no_answers(flooded: tuple[Federation, list[bytes]], kept: bool) -> None:
    """J34. Whether the revocation keeps its jobs or not; a data manager's answer is none either."""
    federation, jobs = flooded
    keeps = tuple(sorted(jobs)) if kept else ()
    node = federation.hub(0).node
    revocation = node.sign(REVOCATION, federation.nodes[3], Revocation("it left", keeps))
    federation.feed(0, Publish((revocation,)))
    federation.world.run(seconds=5)
    assert [answered(federation, i) for i in HONEST] == [FEW] * 3
    if kept:
        federation.world.crash(federation.nodes[1])
        federation.world.boot(federation.nodes[1])
        federation.world.run(seconds=4000)
    for job in [job for job in jobs if job in node.jobs]:
        federation.decide(0, job, Answer.JOIN)
    assert [answered(federation, i) for i in HONEST] == [FEW] * 3
    job = federation.submit(1, members=HONEST)
    assert federation.run_until(job, State.DONE, HONEST)
