"""Bulk beside a frame: a memfd that its sender can no longer change, checked and then mapped by its receiver.

Without the seals a sender could change a vector while the receiver works on it, or shrink it under the mapping, which
kills the receiver with SIGBUS. The receiver therefore believes nothing: it asks the kernel for the seals and the size.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable
from typing import Final

from secured_node.work.frames import FrameError

SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
"""Nothing may ever change: not the length, not the content, not the seals."""

Part = bytes | memoryview


def seal(name: str, parts: Iterable[Part]) -> tuple[int, int]:
    """A sealed memfd that holds the parts one after the other: its descriptor, owned by the caller, and its size.

    name: for people who look into /proc. Raises `OSError` without memory.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        size = sum(_write(descriptor, memoryview(part).cast("B")) for part in parts)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, size


def _write(descriptor: int, part: memoryview) -> int:
    """Write all of it: the kernel takes 2 GiB at a time at most."""
    written = 0
    while written < len(part):
        written += os.write(descriptor, part[written:])
    return written


def map_sealed(descriptor: int, size: int) -> mmap.mmap:
    """The content of a received descriptor, mapped read-only and not copied. The descriptor is closed in any case.

    Raises `FrameError`: ``seals`` if it is not a memfd with all seals, ``size`` if it does not have exactly `size`
    bytes.
    """
    try:
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        except OSError:
            raise FrameError("seals", "the descriptor is not a memfd") from None
        if seals & SEALS != SEALS:
            raise FrameError("seals", "the memfd can still be changed")
        real = os.fstat(descriptor).st_size
        if real != size:
            raise FrameError("size", f"the memfd has {real} bytes and {size} were announced")
        # Private and read-only: kernels before 6.7 refuse a shared mapping of a sealed memfd. No page is copied.
        return mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
