"""Any well-typed message, any record a member can sign, in any state of a hub: refused or noted, never an exception."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.core import Compute, Computed, Effect, Event, LinkUp, Persist, Progressed, Received, Tick
from protocols.errors import LocalError
from protocols.groups import GROUP, GroupBody, Standing
from protocols.invitation.messages import JoinReply, JoinRequest
from protocols.job.events import Decide, Joined, Moved, Updated, VectorReady, WorkFailed
from protocols.job.kinds import (
    CANCEL,
    COHORT,
    DECISION,
    JOB,
    OUTCOME,
    Answer,
    Cancel,
    CohortBody,
    DataRef,
    Decision,
    JobSpec,
    Outcome,
)
from protocols.job.life import TRANSITIONS, State
from protocols.job.restore import restore
from protocols.node import ForJob, Node, StandAlone
from protocols.records.events import Publish
from protocols.records.messages import Listing, Pull, Records, Summary
from protocols.records.record import Record, sign_record
from protocols.secagg.effects import Certified, Signed
from protocols.secagg.messages import Segment
from tests.hubs import DATA, Federation
from tests.unit.fuzz_kit import OUTSIDER, Messages, fits_the_wire, payloads, words

FIXED = settings(
    derandomize=True, database=None, deadline=None, max_examples=25, suppress_health_check=list(HealthCheck)
)
ME, LIAR, AWAY = 1, 2, 4
STAGES = ("proposed", "collecting", "running", "done")


@functools.cache
def federation_at(stage: str) -> tuple[Federation, bytes]:
    """Five hubs, a job of four that the liar submitted, stopped at a stage; nobody sums but where it is done."""
    federation = Federation(5, rounds=1)
    if stage not in ("running", "done"):
        federation.policies[0] = lambda _: Decide(Answer.ASK)
    if stage == "proposed":
        federation.policies[ME] = lambda _: None
    federation.boot()
    if stage != "done":
        federation.world.tamper = lambda s, t, m, p: [] if isinstance(m, Segment) else [(m, p)]
    job = federation.submit(LIAR, members=range(4), collect_s=3000.0)
    federation.world.run(seconds=3)
    expected = {
        "proposed": State.PROPOSED,
        "collecting": State.COLLECTING,
        "running": State.RUNNING,
        "done": State.DONE,
    }
    assert federation.job(ME, job).state is expected[stage]
    return federation, job


def restarted(federation: Federation, stage: str, job: bytes) -> Node:
    """The hub, come back from its disk: a fresh core in the same stage."""
    disk = federation.world.hosts[federation.nodes[ME]].disk
    records = [fact for fact in disk if isinstance(fact, Record)]
    node = Node(federation.identities[ME], federation.charter, federation.world.draw("me"), records, restore(disk))
    node.start(0.0)
    if stage == "running":
        node.handle(ForJob(job, Updated(0, done=False)), 0.0)
        node.handle(ForJob(job, VectorReady(1, words(160), 9)), 0.0)
    return node


class Inputs:
    """Strategies for what may come to a hub."""

    def __init__(self, federation: Federation, node: Node, job: bytes) -> None:
        self.federation, self.job, self.node = federation, job, node
        here = node.jobs[job]
        nodes = federation.nodes
        known = [here.history or bytes(32), *(d.digest for d in here.decisions.values())]
        self.digest = st.sampled_from([*known, bytes(32), b"\xff" * 32])
        self.messages = Messages(job, 1, nodes[:4], federation.identities[LIAR], known)
        self.sender = st.sampled_from([*nodes, nodes[LIAR], OUTSIDER.node])
        self.members = st.lists(st.sampled_from(nodes), min_size=1, max_size=5).map(lambda m: tuple(sorted(set(m))))
        self.text = st.text(max_size=8)

    def bodies(self) -> st.SearchStrategy[tuple[str, str, Any]]:
        """(kind, subject, body) of a record."""
        about, other = st.just(self.job.hex()), st.sampled_from(["", "00", "zz", "heart", "ab" * 32])
        subject = about | about | about | other
        data = st.sampled_from([DATA, None, DataRef("lung", "2", bytes(32))])
        spec = st.builds(
            JobSpec,
            st.just("numbers"),
            st.just(b"{}"),
            data,
            self.text,
            self.members | st.just(()),
            st.integers(3, 5),
            st.integers(3, 128),
            st.sampled_from([0.0, 5.0]),
            st.integers(1, 9),
            st.sampled_from([32, 64]),
            st.integers(1, 128),
            st.integers(1, 128),
            st.sampled_from([1, 2]),
            readers=self.members,
        )
        cohort = self.members.flatmap(
            lambda m: st.lists(self.digest, min_size=len(m), max_size=len(m)).map(lambda d: CohortBody(m, tuple(d)))
        )
        answer, standing = st.sampled_from(list(Answer)), st.sampled_from(list(Standing))
        outcome = st.builds(Outcome, st.booleans(), st.integers(0, 3), self.digest, self.text)
        return st.one_of(
            st.tuples(st.just(JOB), self.text.map(lambda t: t.encode().hex()), spec),
            st.tuples(st.just(DECISION), subject, st.builds(Decision, answer, self.text, standing)),
            st.tuples(st.just(COHORT), subject, cohort),
            st.tuples(st.just(CANCEL), subject, st.builds(Cancel, self.text)),
            st.tuples(st.just(OUTCOME), subject, outcome),
            st.tuples(st.just(GROUP), st.sampled_from(["heart", "lung", ""]), st.builds(GroupBody, self.members)),
        )

    def record(self) -> st.SearchStrategy[Record]:
        """A record signed by the liar, or by the hub that is away (which is malicious, too)."""
        federation = self.node.federation
        identities = [self.federation.identities[i] for i in (LIAR, LIAR, AWAY)]

        def made(about: tuple[str, str, Any], who: int, sequence: int) -> Record:
            kind, subject, body = about
            return sign_record(identities[who], federation, kind, subject, body, sequence=sequence)

        return st.builds(made, self.bodies(), st.integers(0, 2), st.sampled_from([1, 1, 1, 2, 9]))

    def received(self) -> st.SearchStrategy[Event]:
        """A message by anybody."""
        records = st.lists(self.record(), min_size=1, max_size=3).map(lambda r: Records(tuple(r)))
        exchange = st.one_of(
            records,
            records,
            st.just(Summary(bytes(256 * 32), 0)),
            st.just(Listing((), 3)),
            self.digest.map(lambda d: Pull((d,))),
        )
        joining = st.sampled_from([JoinRequest, JoinReply]).flatmap(st.from_type)
        secagg = self.messages.any().filter(fits_the_wire)
        return st.builds(Received, self.sender, st.one_of(secagg, secagg, exchange, joining), payloads())

    def local(self) -> st.SearchStrategy[Any]:
        """What the site's own parts say."""
        number = st.integers(0, 3)
        event = st.one_of(
            st.builds(Decide, st.sampled_from(list(Answer)), self.text),
            st.builds(VectorReady, number, st.sampled_from([0, 7, 160, 160]).map(words), st.sampled_from([9, 2**62])),
            st.builds(Updated, number, st.booleans()),
            st.builds(WorkFailed, self.text),
        )
        return st.one_of(
            event.map(lambda e: ForJob(self.job, e)),
            st.just(StandAlone("lung")),
            st.builds(LinkUp, self.sender),
            st.builds(Progressed, self.sender),
            st.just(Tick()),
            st.just("compute"),
            st.floats(0.1, 4000.0),
        )


class Driven:
    """A hub's node under fuzz."""

    def __init__(self, node: Node, now: float) -> None:
        self.node, self.now = node, now
        self.computes: list[Compute] = []
        self.states = {job: here.state for job, here in node.jobs.items()}
        self.joined: list[bytes] = []

    def step(self, event: Any) -> None:
        if isinstance(event, float):
            self.now += event
        elif event == "compute":
            if self.computes:
                compute = self.computes.pop(0)
                self.take(self.node.handle(Computed(compute.token, compute.work()), self.now))
        elif isinstance(event, StandAlone):
            with contextlib.suppress(LocalError):
                self.take(self.node.handle(event, self.now))
        else:
            self.take(self.node.handle(event, self.now))

    def take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Compute):
                self.computes.append(effect)
            if isinstance(effect, Persist):
                assert not isinstance(effect.fact, Signed | Certified)
                if isinstance(effect.fact, Joined):
                    self.joined.append(effect.fact.job)
            if isinstance(effect, Moved):
                before = self.states.get(effect.job, State.PROPOSED)
                assert effect.state in {to for (source, _), to in TRANSITIONS.items() if source is before}
                self.states[effect.job] = effect.state

    def check(self) -> None:
        assert len(self.joined) == len(set(self.joined)), "one cohort a job"
        for here in self.node.jobs.values():
            assert len(here._early) <= 128 and len(here._records.cohorts) <= 2
        wake = self.node.wake_at
        assert wake is None or wake >= 0


@FIXED
@pytest.mark.parametrize("stage", STAGES)
@given(st.data())
def test_a_hub_takes_anything_in_any_state(stage: str, data: st.DataObject) -> None:
    """W5."""
    federation, job = federation_at(stage)
    node = restarted(federation, stage, job)
    inputs = Inputs(federation, node, job)
    driven = Driven(node, 0.0)
    anything = st.one_of(inputs.received(), inputs.received(), inputs.local())
    for event in data.draw(st.lists(anything, min_size=5, max_size=40)):
        driven.step(event)
        driven.check()


def test_a_record_of_ones_own_that_is_refused_is_told() -> None:
    """What this hub itself signs goes through the same judgement; a peer it is not."""
    federation, _ = federation_at("collecting")
    node = federation.hub(ME).node
    foreign = sign_record(federation.identities[ME], bytes(32), CANCEL, "00", Cancel("x"))
    effects = node.handle(Publish((foreign,)), 0.0)
    assert [getattr(e, "peer", "") for e in effects] == [None]
