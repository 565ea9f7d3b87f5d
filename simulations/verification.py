"""What was worked out once is not worked out again: signatures, digests, decoded records.

All of it is pure, and a world has many nodes that are told the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from protocols import identity
from protocols.records.authority import Held
from protocols.records.kind import Kinds
from protocols.records.record import Record, record_digest
from protocols.records.store import RecordStore

RESULTS_MAX: Final = 1 << 16
"""Signatures remembered: some hundred rounds of twenty nodes."""
RECORDS_MAX: Final = 1 << 13
"""Records remembered: four of each of two thousand nodes."""


@contextmanager
def remembered() -> Iterator[None]:
    """Within, the results of pure functions are remembered, over all nodes of this process."""
    fits, hold, digest_of = identity.fits, Kinds.hold, RecordStore.digest_of
    digest = functools.lru_cache(RECORDS_MAX)(record_digest)

    @functools.lru_cache(RECORDS_MAX)
    def held(kinds: Kinds, federation: bytes, record: Record) -> Held:
        return hold(kinds, federation, record)

    identity.fits = functools.lru_cache(RESULTS_MAX)(fits)
    Kinds.hold = held  # type: ignore[method-assign]
    RecordStore.digest_of = lambda self, record: digest(self.authority.federation, record)  # type: ignore[method-assign]
    try:
        yield
    finally:
        identity.fits = fits
        Kinds.hold = hold  # type: ignore[method-assign]
        RecordStore.digest_of = digest_of  # type: ignore[method-assign]
