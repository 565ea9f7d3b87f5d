"""Whole hubs of one federation in one virtual world, for the tests of jobs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.job.events import Say
from protocols.job.job import Job
from protocols.job.kinds import DataRef, JobSpec
from protocols.job.life import State
from protocols.message import Message, Payload
from protocols.secagg.effects import Certified
from simulations import federation as simulated
from simulations.network import Network
from simulations.world import World
from tests.kit import BOUND, as_vector, identities

DATA = DataRef("heart", "1", bytes(32))


class Numbers:
    """A worker with one fixed vector per round; a job is done after `rounds` sums."""

    def __init__(self, member: int, rounds: int = 3, length: int = 20):
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

    def vector(self, job: Job, number: int) -> Callable[[], tuple[Payload, int]]:
        if self.fails:
            raise ValueError(self.fails)
        return functools.partial(_made, self.values(number))


def _made(values: npt.NDArray[np.int64]) -> tuple[Payload, int]:
    made = as_vector(values, 64)
    return made.words, made.bound


class Federation(simulated.Federation):
    """n hubs with numbers; the first is the founder and only steward."""

    def __init__(
        self, n: int, seed: int = 0, network: Network | None = None, rounds: int = 3, length: int = 20
    ) -> None:
        self.numbers = [Numbers(i, rounds, length) for i in range(n)]
        super().__init__(World(seed, network), self.numbers, keys=identities(n))

    def submit(self, i: int = 0, members: Sequence[int] | None = None, **changes: object) -> bytes:  # type: ignore[override]
        """Propose a job from hub i; its id."""
        spec = JobSpec("numbers", b"{}", DATA, "a test", collect_s=30.0)
        if members is not None:
            listed = tuple(self.nodes[m] for m in members)
            changes = {"members": listed, "max_nodes": max(3, len(listed)), "min_nodes": max(3, len(listed)), **changes}
        return super().submit(i, msgspec.structs.replace(spec, **changes))

    def run_until(self, job: bytes, state: State, which: Sequence[int] | None = None, seconds: float = 600) -> bool:
        return self.world.run(lambda: set(self.states(job, which)) == {state}, seconds)

    def expected(self, number: int, members: Sequence[int]) -> npt.NDArray[np.int64]:
        return np.sum([self.numbers[m].values(number) for m in members], axis=0)

    def assert_result(self, job: bytes, members: Sequence[int], who: Sequence[int] | None = None) -> None:
        for i in members if who is None else who:
            totals = self.numbers[i].totals[job]
            assert len(totals) == self.numbers[i].rounds
            for number, total in enumerate(totals, 1):
                np.testing.assert_array_equal(total, self.expected(number, members))
        for number in {f.certificate.round for f in self.certified(job)}:
            assert len({f.certificate.history for f in self.certified(job) if f.certificate.round == number}) == 1

    def certified(self, job: bytes) -> list[Certified]:
        facts = (getattr(e, "fact", None) for _, _, e in self.world.observed)
        return [f for f in facts if isinstance(f, Certified) and f.certificate.job == job]

    def said(self, kind: str) -> list[Message]:
        return [e.record for _, _, e in self.world.observed if isinstance(e, Say) and e.record.kind == kind]
