"""Any well-typed message, from anyone, in any state of a round: dropped and counted, never an exception or a vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.core import Compute, Computed, Effect, Event, LinkUp, Persist, Progressed, Received, Refused, Tick
from protocols.message import Message
from protocols.secagg.effects import Certified, Entered, RoundDone, Signed
from protocols.secagg.messages import Certificate, Offer, Root, Segment, Vote
from protocols.secagg.round import Round
from tests.kit import JOB, Sums, identities
from tests.unit.fuzz_kit import OUTSIDER, Messages, fits_the_wire, payloads

FIXED = settings(
    derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
N, ME, LIAR = 4, 1, 0
STAGES = ("silent", "offers", "roots")


def world(stage: str, length: int = 20) -> tuple[Sums, list[tuple[int, Message]]]:
    """A round stopped after a stage, and what its members sent until then."""
    kept = {"silent": (), "offers": (Offer,), "roots": (Offer, Root)}[stage]
    sums = Sums(N, length, start=False)
    sums.world.tamper = lambda s, t, m, p: [(m, p)] if isinstance(m, kept) else []
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=0.5)
    said = [(sums.nodes.index(s), m) for _, s, t, m in sums.world.sent if t == sums.nodes[ME]]
    return sums, said


def strategy(sums: Sums, said: list[tuple[int, Message]]) -> st.SearchStrategy[list[Any]]:
    seen = sums.round(ME)._attempt.transcript
    known = [seen.context0, seen.context or bytes(32), seen.rooted_context or bytes(32), bytes([7]) * 32]
    messages = Messages(JOB, 1, sums.nodes, identities(N)[LIAR], known).any().filter(fits_the_wire)
    senders = st.sampled_from([*sums.nodes, OUTSIDER.node])
    arbitrary = st.builds(Received, senders, messages, payloads())
    honest = st.sampled_from([m for _, m in said] or [None]).flatmap(
        lambda m: st.builds(Received, senders, st.just(m), payloads()) if m is not None else arbitrary
    )
    place = (st.just(JOB), st.just(1), st.just(1), st.sampled_from(sums.nodes), st.just(0))
    segments = st.builds(Received, senders, st.builds(Segment, *place), payloads())
    other = st.one_of(
        st.builds(LinkUp, senders),
        st.builds(Progressed, senders),
        st.just(Tick()),
        st.sampled_from(["compute", "later", "junk"]),
        st.floats(0.1, 700.0),
    )
    return st.lists(st.one_of(arbitrary, arbitrary, honest, segments, other), min_size=5, max_size=60)


class Driven:
    """A round under fuzz: carries out computations when it is told to."""

    def __init__(self, core: Round, now: float) -> None:
        self.core, self.now = core, now
        self.computes: list[Compute] = []
        self.facts: list[object] = []

    def step(self, event: Any) -> None:
        if isinstance(event, float):
            self.now += event
        elif event == "compute" and self.computes:
            compute = self.computes.pop(0)
            self.take(self.core.handle(Computed(compute.token, compute.work()), self.now))
        elif event == "later" and self.computes:
            self.computes.append(self.computes.pop(0))
        elif event == "junk":
            self.take(self.core.handle(Computed(("what", 3), None), self.now))
        elif isinstance(event, Event):
            self.take(self.core.handle(event, self.now))

    def take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            assert not isinstance(effect, RoundDone)
            if isinstance(effect, Compute):
                self.computes.append(effect)
            if isinstance(effect, Persist):
                self.facts.append(effect.fact)
            if isinstance(effect, Refused):
                assert effect.code and " " not in effect.code

    def check(self) -> None:
        core = self.core
        assert not [f for f in self.facts if isinstance(f, Signed | Certified)], "nobody can make it vote"
        entered = [f.attempt for f in self.facts if isinstance(f, Entered)]
        assert entered == sorted(set(entered))
        assert len(core._attempts()) <= N + 1
        assert len(core._named) <= 9 * N
        assert len(core._watches._past) <= 16
        for attempt in core._attempts():
            assert len(attempt._checking) <= 3 * N * N and len(attempt._early_segments) <= 2 * N
        wake = core.wake_at
        assert wake is None or wake >= 0


def run(stage: str, data: st.DataObject) -> None:
    sums, said = world(stage)
    driven = Driven(sums.round(ME), sums.world.now)
    for event in data.draw(strategy(sums, said)):
        driven.step(event)
        driven.check()
    for _ in range(len(driven.computes)):
        driven.step("compute")
    driven.check()


@FIXED
@given(st.data())
def test_a_round_that_heard_nothing_yet(data: st.DataObject) -> None:
    """W5."""
    run("silent", data)


@FIXED
@given(st.data())
def test_a_round_with_its_context_fixed(data: st.DataObject) -> None:
    """W5."""
    run("offers", data)


@FIXED
@given(st.data())
def test_a_round_with_all_roots(data: st.DataObject) -> None:
    """W5."""
    run("roots", data)


@FIXED
@given(st.data(), st.sampled_from(["voted", "done"]))
def test_a_round_that_voted_or_is_done_takes_nothing_back(data: st.DataObject, stage: str) -> None:
    """W5."""
    sums = Sums(N, 20, start=False)
    sums.world.tamper = lambda s, t, m, p: [] if stage == "voted" and isinstance(m, Vote | Certificate) else [(m, p)]
    sums.world.boot(*sums.nodes)
    sums.world.run(seconds=0.5)
    core = sums.round(ME)
    signed, done = core.signed, core.done
    said = [(sums.nodes.index(s), m) for _, s, t, m in sums.world.sent if t == sums.nodes[ME]]
    said = [(s, m) for s, m in said if not isinstance(m, Vote | Certificate)]
    driven = Driven(core, sums.world.now)
    for event in data.draw(strategy(sums, said)):
        driven.step(event)
        driven.check()
    assert core.signed == signed and core.done == done
