"""Rounds of several members in one virtual world, for the tests of the secure sum."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from protocols.core import Core, Effect, Persist
from protocols.identity import Identity, NodeId
from protocols.secagg.attempt import Vector
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Certified, Entered, Evidence, RoundDone, Signed
from protocols.secagg.mask import word_type
from protocols.secagg.round import Round
from protocols.secagg.signing import RoundId, first_history
from simulations.disk import Disk
from simulations.network import Network
from simulations.world import World

JOB = bytes(range(32))
BOUND = 1000


@functools.cache
def identities(n: int) -> tuple[Identity, ...]:
    """n identities, sorted by node id."""
    made = [Identity(bytes([k]) * 32) for k in range(1, n + 1)]
    return tuple(sorted(made, key=lambda i: i.node))


def cohort(n: int, word_bits: int = 64, holders: int = 2, colluders: int = 1, suite: int = 1) -> Cohort:
    return Cohort(JOB, tuple(i.node for i in identities(n)), word_bits, colluders, holders, suite)


def vector(member: int, length: int, word_bits: int) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(member)
    return rng.integers(-BOUND, BOUND + 1, length).astype(f"i{word_bits // 8}")


def as_vector(values: npt.NDArray[np.int64], word_bits: int, bound: int = BOUND) -> Vector:
    return Vector(np.ascontiguousarray(values.astype(word_type(word_bits))).view(np.uint8), bound)


class Sums:
    """A cohort of rounds in a world: each member has its own vector."""

    def __init__(
        self,
        n: int,
        length: int = 20,
        seed: int = 0,
        network: Network | None = None,
        start: bool = True,
        history: Callable[[int], bytes] | None = None,
        **parameters: int,
    ) -> None:
        self.cohort = cohort(n, **parameters)
        self.length = length
        self.identities = identities(n)
        self.nodes: list[NodeId] = [i.node for i in self.identities]
        self.world = World(seed, network)
        self.history = history or (lambda _: first_history(b"job", b"cohort"))
        self.values = [vector(i, length, self.cohort.word_bits) for i in range(n)]
        self.supplied = [as_vector(v, self.cohort.word_bits) for v in self.values]
        for i in range(n):
            self.world.add(self.nodes[i], functools.partial(self.make, i), Disk(forgets=False))
        if start:
            self.world.boot(*self.nodes)

    def make(self, i: int, disk: list[object]) -> tuple[Core, Callable[[float], Sequence[Effect]]]:
        signed = [f for f in disk if isinstance(f, Signed)]
        entered = max((f.attempt for f in disk if isinstance(f, Entered)), default=0)
        place = RoundId(1, self.history(i))
        draw = self.world.draw(f"{i}/{len(disk)}/{self.world.hosts[self.nodes[i]].life}")
        made = Round(
            self.cohort, place, self.identities[i], draw, entered=entered, signed=signed[0] if signed else None
        )

        def begin(now: float) -> Sequence[Effect]:
            return [*made.start(now), *made.supply(self.supplied[i], now)]

        return made, begin

    def round(self, i: int) -> Round:
        core = self.world.hosts[self.nodes[i]].core
        assert isinstance(core, Round)
        return core

    def running(self) -> list[Round]:
        return [c for h in self.world.hosts.values() if isinstance(c := h.core, Round)]

    def run(self, seconds: float = 3600.0) -> bool:
        """Run until every running member is done."""
        return self.world.run(lambda: all(r.done for r in self.running()), seconds)

    def sums(self) -> dict[NodeId, npt.NDArray[np.int64]]:
        """The sum each member accepted, check words cut off."""
        found = {}
        for _, node, effect in self.world.observed:
            if isinstance(effect, RoundDone):
                words = effect.total.view(word_type(self.cohort.word_bits))
                found[node] = words[: self.length].view(f"<i{self.cohort.word_bits // 8}")
        return found

    def expected(self) -> npt.NDArray[np.int64]:
        return np.sum(self.values, axis=0).astype(f"i{self.cohort.word_bits // 8}")

    def evidence(self, kind: str | None = None) -> list[tuple[NodeId, Evidence]]:
        return [
            (node, e)
            for _, node, e in self.world.observed
            if isinstance(e, Evidence) and (kind is None or e.kind == kind)
        ]

    def codes(self) -> set[str]:
        return {e.code for _, _, e in self.world.observed if hasattr(e, "code")}

    def facts(self, kind: type) -> list[tuple[NodeId, object]]:
        return [
            (node, e.fact) for _, node, e in self.world.observed if isinstance(e, Persist) and isinstance(e.fact, kind)
        ]

    def assert_exact(self, members: int | None = None) -> None:
        """Every member that accepted a sum accepted the exact one; so many did; no round has two certificates."""
        sums = self.sums()
        assert len(sums) == (len(self.nodes) if members is None else members)
        for total in sums.values():
            np.testing.assert_array_equal(total, self.expected())
        histories = {f.certificate.history for _, f in self.facts(Certified) if isinstance(f, Certified)}
        assert len(histories) <= 1
        for node in self.nodes:
            assert len([f for owner, f in self.facts(Signed) if owner == node]) <= 1
