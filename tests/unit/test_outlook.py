"""An open job says what it waits for, and that nothing can come of it where nothing can."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.job.events import Decide
from protocols.job.kinds import Answer
from protocols.job.life import State
from secured_node.outlook import outlook
from tests.hubs import Federation

SECONDS = 10.0


def asked(refusing: Sequence[int], asking: Sequence[int] = (), **changes: object) -> tuple[Federation, bytes]:
    """Four hubs and an open job, so long after its proposal that all have answered."""
    federation = Federation(4)
    for hub in refusing:
        federation.policies[hub] = lambda _: Decide(Answer.REFUSE, "no")
    for hub in asking:
        federation.policies[hub] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(**{"collect_s": 3600.0, **changes})  # type: ignore[arg-type]
    federation.world.run(seconds=SECONDS)
    return federation, job


def says(federation: Federation, job: bytes, hub: int = 0) -> str:
    node = federation.hub(hub).node
    gone = len({one.node for one in node.roster.revocations()})
    return outlook(node.jobs[job], node.roster.members(), node.groups, 3, revoked=gone)


def test_an_open_job_says_how_many_answered_and_when_it_begins() -> None:
    federation, job = asked(refusing=(), asking=(3,))
    for hub in range(4):
        assert says(federation, job, hub) == (
            "Hubs: 3 joined, 1 asking their people. It begins when 128 can take part, "
            "or with 3 or more when its collection ends, 1 h after it came."
        )


def test_a_job_that_too_many_refused_says_so_everywhere_and_until_one_changes_its_mind() -> None:
    federation, job = asked(refusing=(1, 2))
    for hub in range(4):
        assert "cannot begin as things stand" in says(federation, job, hub)
        assert "3 hubs must take part, and of 4 members 2 refused." in says(federation, job, hub)
    assert set(federation.states(job)) == {State.COLLECTING}, "an answer may still change: it goes on"
    federation.decide(2, job, Answer.JOIN)
    federation.world.run(seconds=SECONDS)
    assert "Hubs: 3 joined, 1 refused." in says(federation, job)


def test_a_member_that_was_revoked_did_not_refuse() -> None:
    federation, job = asked(refusing=(2,))
    federation.revoke(3)
    federation.world.run(seconds=SECONDS)
    assert "of 3 members (1 more was revoked) 1 refused." in says(federation, job)
    federation, job = asked(refusing=(), min_nodes=4)
    federation.revoke(3)
    federation.world.run(seconds=SECONDS)
    assert "of 3 members (1 more was revoked) none refused. Unless a new hub joins" in says(federation, job)


def test_a_job_whose_members_would_lack_their_group_says_so() -> None:
    federation = Federation(4)
    federation.boot()
    first = federation.submit(members=range(4))
    assert federation.run_until(first, State.DONE)
    job = federation.submit(collect_s=3600.0)
    federation.world.run(seconds=SECONDS)
    federation.decide(3, job, Answer.REFUSE)
    federation.world.run(seconds=SECONDS)
    assert "may only be summed with one that refused" in says(federation, job)


def test_a_job_that_lists_its_members_says_how_many_have_joined() -> None:
    federation = Federation(4)
    federation.policies[2] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(members=range(4))
    federation.world.run(seconds=SECONDS)
    assert says(federation, job).startswith("3 of the 4 hubs")


def test_hubs_that_wait_for_another_job_are_counted_as_such() -> None:
    federation, _ = asked(refusing=())
    second = federation.submit(collect_s=3600.0)
    federation.world.run(seconds=SECONDS)
    assert says(federation, second).startswith("Hubs: 4 waiting for another job. It begins")


def test_a_closed_collection_has_no_outlook() -> None:
    federation = Federation(4)
    federation.boot()
    job = federation.submit(members=range(4))
    assert federation.run_until(job, State.DONE)
    assert says(federation, job) == ""
