"""A worker whose vectors are random and never come out the same twice: like training that is not deterministic."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np

from protocols.job.job import Job
from protocols.message import Payload
from protocols.secagg.mask import word_type
from simulations.hub import Result

BOUND: Final = 1000


class Numbers:
    """The data of one site. length: of its vectors. rounds: after which the task is done."""

    def __init__(self, seed: int, site: int, length: int, rounds: int, work_s: float = 0.01) -> None:
        self.length, self.rounds, self.work_s = length, rounds, work_s
        self._seed, self._site = seed, site
        self._times: Counter[tuple[bytes, int]] = Counter()

    def advance(self, job: Job, number: int, total: Payload | None) -> bool:
        """Whether the job has had all its rounds."""
        return number >= self.rounds

    def vector(self, job: Job, number: int) -> Callable[[], Result]:
        """Other numbers each time that it is called."""
        self._times[job.job, number] += 1
        entropy = (self._seed, self._site, number, self._times[job.job, number], *job.job[:4])
        return functools.partial(made, entropy, self.length, job.spec.word_bits)


def made(entropy: tuple[int, ...], length: int, word_bits: int) -> Result:
    """A vector drawn from the entropy, every word within the bound."""
    values = np.random.default_rng(entropy).integers(-BOUND, BOUND + 1, length)
    return values.astype(word_type(word_bits)).view(np.uint8), BOUND
