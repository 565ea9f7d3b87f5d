"""What was verified once is not verified again: verifying a signature is a pure function, and nodes are many."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from protocols import identity

RESULTS_MAX: Final = 1 << 16
"""Results remembered: some hundred rounds of twenty nodes."""


@contextmanager
def remembered() -> Iterator[None]:
    """Within, results of verifications are remembered, over all nodes of this process."""
    plain = identity.fits
    identity.fits = functools.lru_cache(RESULTS_MAX)(plain)
    try:
        yield
    finally:
        identity.fits = plain
