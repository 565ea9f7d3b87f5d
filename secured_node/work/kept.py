"""The integers of vectors that were, or are about to be, handed over: on the worker's own disk until certified.

A vector is encoded once per (job, round): its rounding is random, so a second encoding would differ, and the difference
of two masked sums would tell of the site's own numbers. So the integers are durable before they leave the worker, and
every later question about the round is answered from the disk. Each job has a folder of its own, the only one that its
worker can write to; a lock in it lets no second worker at the same job.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import Final

from secured_node.work.failures import WorkerError

LOCK: Final = "lock"
LOCK_WAIT_S: Final = 10.0
"""How long a worker waits for the one before it to be gone: a process that ends lets go within milliseconds, unless
the disk is slow."""
_LOCK_AGAIN_S: Final = 0.02
_SUFFIX: Final = ".words"
_PART: Final = ".part"
_PRIVATE: Final = 0o600


class Kept:
    """One job's folder, locked for the life of this process."""

    def __init__(self, folder: Path) -> None:
        """Takes the lock and clears away what was never finished. Raises `WorkerError` (busy), `OSError`."""
        self._folder = folder
        self._lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        self._take_lock()
        for left_over in folder.glob(f"*{_PART}"):
            left_over.unlink()

    def _take_lock(self) -> None:
        until = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise WorkerError("busy", "another worker has this job", "end the other one first") from None
            time.sleep(_LOCK_AGAIN_S)

    def _path(self, number: int) -> Path:
        return self._folder / f"round-{number}{_SUFFIX}"

    def load(self, number: int, size: int) -> memoryview | None:
        """The words kept for a round, mapped; None if there are none. size: in bytes, from the layout.

        Raises `WorkerError` (lost) for a file of another size: what was handed over cannot be had again.
        """
        try:
            descriptor = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.fstat(descriptor).st_size != size:
                raise WorkerError(
                    "lost", f"the integers kept for round {number} are damaged", "the job must fail; submit it again"
                )
            return memoryview(mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
        finally:
            os.close(descriptor)

    def keep(self, number: int, words: memoryview) -> None:
        """Make a round's words durable, whole or not at all. Raises `OSError`."""
        path = self._path(number)
        part = path.with_suffix(_PART)
        with open(part, "xb", opener=_private) as file:
            file.write(words)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync_folder(self._folder)

    def drop(self, number: int) -> None:
        """The round is certified: its words are not needed again."""
        with contextlib.suppress(FileNotFoundError):
            self._path(number).unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _PRIVATE)
