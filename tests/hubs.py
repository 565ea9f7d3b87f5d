"""Whole hubs of one federation in one virtual world, for the tests of jobs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.core import Core, Effect
from protocols.identity import NodeId
from protocols.job.events import Decide, Moved, Say
from protocols.job.job import Job
from protocols.job.kinds import JOB, Answer, DataRef, JobSpec
from protocols.job.life import State
from protocols.kinds import KINDS
from protocols.membership.acts import admit, describe
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.charter import Charter, Steward, found
from protocols.membership.store import open_store
from protocols.message import Message, Payload
from protocols.node import ForJob
from protocols.records.events import Publish
from protocols.secagg.effects import Certified
from simulations.hub import Hub
from simulations.world import Faults, World
from tests.kit import BOUND, as_vector, identities

DATA = DataRef("heart", "1", bytes(32))


class Numbers:
    """A worker with one fixed vector per round; a job is done after `rounds` sums."""

    def __init__(self, member: int, rounds: int = 3, length: int = 20) -> None:
        self.member, self.rounds, self.length = member, rounds, length
        self.totals: dict[bytes, list[npt.NDArray[np.int64]]] = {}
        self.fails = ""

    def values(self, number: int) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng([self.member, number])
        return rng.integers(-BOUND, BOUND + 1, self.length).astype("i8")

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        if number == 0:
            self.totals[job.job] = []
        elif total is not None:
            self.totals[job.job].append(total.view("<i8")[: self.length].copy())
        return number >= self.rounds

    def vector(self, job: Job, number: int) -> tuple[Payload, int]:
        if self.fails:
            raise ValueError(self.fails)
        made = as_vector(self.values(number), 64)
        return made.words, made.bound


def join(_: Job) -> Decide | None:
    return Decide(Answer.JOIN)


class Federation:
    """n hubs; the first is the founder and only steward."""

    def __init__(self, n: int, seed: int = 0, faults: Faults | None = None, rounds: int = 3, length: int = 20) -> None:
        self.identities = identities(n)
        self.nodes: list[NodeId] = [i.node for i in self.identities]
        self.world = World(seed, faults)
        steward = (Steward(self.nodes[0], "H0"),)
        self.charter = found(self.identities[0], Charter("test", steward, 1, 3, 1))
        self.members = self._members()
        self.workers = [Numbers(i, rounds, length) for i in range(n)]
        self.policies: list[Callable[[Job], Decide | None]] = [join] * n
        for i, node in enumerate(self.nodes):
            host = self.world.add(node, functools.partial(self._make, i))
            host.disk.extend(self.members)

    def _members(self) -> list[object]:
        store, roster = open_store(self.charter, KINDS)
        records = []
        for i, identity in enumerate(self.identities):
            about = describe(identity, roster.federation, NodeBody(f"h{i}", f"H{i}", (f"h{i}.example:1",), "1"))
            records.append(about)
            if i:
                records.append(admit(self.identities[0], roster, store, about))
        return list(records)

    def _make(self, i: int, disk: list[object]) -> tuple[Core, Callable[[float], Sequence[Effect]]]:
        draw = self.world.draw(f"{i}/{self.world.hosts[self.nodes[i]].life}")
        worker = self.workers[i]
        hub = Hub(self.identities[i], self.charter, draw, worker, self.policies[i], disk)
        return hub, hub.start

    def boot(self) -> None:
        self.world.boot(*self.nodes)

    def hub(self, i: int) -> Hub:
        core = self.world.hosts[self.nodes[i]].core
        assert isinstance(core, Hub)
        return core

    def submit(self, i: int = 0, members: Sequence[int] | None = None, **changes: object) -> bytes:
        """Propose a job from hub i; its id."""
        spec = JobSpec("numbers", b"{}", DATA, "a test", collect_s=30.0)
        if members is not None:
            listed = tuple(self.nodes[m] for m in members)
            changes = {"members": listed, "max_nodes": max(3, len(listed)), "min_nodes": max(3, len(listed)), **changes}
        spec = msgspec.structs.replace(spec, **changes)
        node = self.hub(i).node
        record = node.sign(JOB, f"job-{self.world.now}-{len(node.jobs)}", spec)
        self.feed(i, Publish((record,)))
        return node.store.digest_of(record)

    def feed(self, i: int, event: object) -> None:
        self.world.feed(self.nodes[i], event)  # type: ignore[arg-type]

    def decide(self, i: int, job: bytes, answer: Answer, reason: str = "") -> None:
        self.feed(i, ForJob(job, Decide(answer, reason)))

    def job(self, i: int, job: bytes) -> Job:
        return self.hub(i).node.jobs[job]

    def states(self, job: bytes, which: Sequence[int] | None = None) -> list[State | None]:
        return [
            self.hub(i).node.jobs[job].state if job in self.hub(i).node.jobs else None
            for i in (range(len(self.nodes)) if which is None else which)
        ]

    def run_until(self, job: bytes, state: State, which: Sequence[int] | None = None, seconds: float = 600) -> bool:
        return self.world.run(lambda: set(self.states(job, which)) == {state}, seconds)

    def expected(self, number: int, members: Sequence[int]) -> npt.NDArray[np.int64]:
        return np.sum([self.workers[m].values(number) for m in members], axis=0)

    def assert_result(self, job: bytes, members: Sequence[int], who: Sequence[int] | None = None) -> None:
        for i in members if who is None else who:
            totals = self.workers[i].totals[job]
            assert len(totals) == self.workers[i].rounds
            for number, total in enumerate(totals, 1):
                np.testing.assert_array_equal(total, self.expected(number, members))
        for number in {f.certificate.round for f in self.certified(job)}:
            assert len({f.certificate.history for f in self.certified(job) if f.certificate.round == number}) == 1

    def certified(self, job: bytes) -> list[Certified]:
        facts = (getattr(e, "fact", None) for _, _, e in self.world.observed)
        return [f for f in facts if isinstance(f, Certified) and f.certificate.job == job]

    def moves(self, i: int, job: bytes) -> list[tuple[State, str]]:
        return [
            (e.state, e.reason)
            for _, node, e in self.world.observed
            if isinstance(e, Moved) and node == self.nodes[i] and e.job == job
        ]

    def said(self, kind: str) -> list[Message]:
        return [e.record for _, _, e in self.world.observed if isinstance(e, Say) and e.record.kind == kind]
