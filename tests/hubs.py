"""Whole hubs of one federation in one virtual world, for the tests of jobs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocols.job.events import Say
from protocols.job.kinds import DataRef
from protocols.message import Message
from protocols.secagg.effects import Certified
from simulations import kit
from simulations.network import Network
from tests.kit import identities

DATA = DataRef("heart", "1", bytes(32))


class Federation(kit.NumbersFederation):
    """The kit's, with the tests' identities and more to look at."""

    def __init__(
        self, n: int, seed: int = 0, network: Network | None = None, rounds: int = 3, length: int = 20
    ) -> None:
        super().__init__(n, seed, network, rounds, length, identities(n), DATA)

    def submit(self, i: int = 0, members: Sequence[int] | None = None, **changes: object) -> bytes:  # type: ignore[override]
        """Propose a job from hub i; its id."""
        return self.propose(i, members, **changes)

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
