"""Members whose masked vector is no vector: masks that do not cancel, a coordinate beyond the bound.

Seen, not traced: the zero bits or the bound fail the attempt, the second time the job.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from protocols.core import Computed, Event
from protocols.message import Payload
from protocols.secagg.attempt import Token
from protocols.secagg.mask import segment_digest
from simulations.adversaries.adversary import Behaviour


class _Garbage(Behaviour, ABC):
    """Roots and sends other words than those that its hub masked."""

    honest_input: ClassVar[bool] = False

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """The masked vector comes back from the computation as something else."""
        token = event.token if isinstance(event, Computed) else None
        if not (isinstance(token, tuple) and len(token) == 2 and isinstance(token[1], Token)):
            return (event,)
        job, about = token
        seen = self.transcript(job)
        spoils = about.what == "mask" and about.attempt <= self.attempts_spoilt
        if not spoils or seen is None or not isinstance(event, Computed):
            return (event,)
        self.did("garbage")
        value: Any = event.value
        words = self.words(value[0], seen.bound * seen.cohort.size, seen.cohort.word_bits)
        digests = [segment_digest(words[seen.layout.span(s)]) for s in range(seen.layout.segments)]
        return (dataclasses.replace(event, value=(words, digests)),)

    @abstractmethod
    def words(self, masked: Payload, limit: int, bits: int) -> Payload:
        """What is sent instead. limit: the largest sum that is clean."""


class GarbageMasks(_Garbage):
    """Words of chance, or true ones whose last word is spoilt: the check words of the sum are not zero."""

    def words(self, masked: Payload, limit: int, bits: int) -> Payload:
        """Masks that do not cancel."""
        if self.once("way", lambda: self.chance.random() < 0.5):
            return np.frombuffer(self.draw(masked.nbytes), np.uint8)
        words = masked.copy()
        words[-1 - self.chance.randrange(8)] ^= np.uint8(1 << self.chance.randrange(8))
        return words


class BeyondBound(_Garbage):
    """One coordinate so large, or so small, that the sum exceeds n times the bound; the masks cancel."""

    def words(self, masked: Payload, limit: int, bits: int) -> Payload:
        """A coordinate out of bounds."""
        words = masked.copy()
        delta = (2 * limit + 1) * self.chance.choice((1, -1)) % (1 << bits)
        place = self.chance.randrange(len(words) * 8 // bits - 64 // bits)
        view = words.view(f"<u{bits // 8}")
        view[place : place + 1] += np.array([delta], view.dtype)
        return words
