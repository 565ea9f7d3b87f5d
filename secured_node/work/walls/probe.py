"""Probes: forbidden things, really tried, and needed things, really done.

A probe is a named attempt on a `Bench`. It succeeds, or it raises `OSError`; the errno says which wall it met: EPERM
from seccomp, EACCES from Landlock, ENOENT or ENETUNREACH in a namespace. Every forbidden thing is tried before the
walls as well: one that already failed there is *unproven*, whatever happens to it behind them. No attempt changes
anything when it succeeds: a program that is started is no program, an opened file is closed, a made one removed.

The catalogue is in `attempts`; `run` is the way to use it, for `raise_walls`, for tests and for `doctor`.
"""

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .bench import Bench
from .report import Attempt, Layer

#: Stands for a failure that has no errno.
_NO_ERRNO: Final = errno.EIO


@dataclass(frozen=True)
class Probe:
    """One thing to try."""

    name: str
    """What is tried, in words; unique."""
    attempt: Callable[[Bench], None]
    """Tries it. Raises `OSError` when it is refused, and nothing when it worked."""
    stopped_by: frozenset[Layer] = frozenset()
    """Each of these layers, alone, stops it on every kernel that has the layer."""


def try_out(probe: Probe, bench: Bench) -> int:
    """Try one probe: 0 if it worked, else the errno."""
    try:
        probe.attempt(bench)
    except OSError as error:
        return error.errno or _NO_ERRNO
    return 0


def run(probes: Iterable[Probe], bench: Bench) -> dict[str, int]:
    """Try each probe once, in order: its name, and 0 or an errno."""
    return {probe.name: try_out(probe, bench) for probe in probes}


def compare(before: Mapping[str, int], behind: Mapping[str, int]) -> tuple[Attempt, ...]:
    """The two rounds side by side."""
    return tuple(Attempt(name, before[name], errno_) for name, errno_ in behind.items())
