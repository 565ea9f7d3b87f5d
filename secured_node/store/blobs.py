"""Vectors on disk, by the digest of their bytes: written once, complete or not at all, and checked when they are read.

A blob is written before the row that names it, and dropped after the row is gone: a crash between the two leaves a blob
that nothing names, never a row without its blob. `sweep` clears such leavings away.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
from collections.abc import Set
from pathlib import Path
from typing import Final

import numpy as np

from protocols.message import Payload
from secured_node.store.database import DatabaseError

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = ".part"


class Blobs:
    """A folder of files named by the SHA-256 of what they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, payload: Payload) -> str:
        """Make the bytes durable; their name. Nothing is written if they are here already, and whole.

        A file of that name that holds something else, after a failing disk, is written anew. Raises `OSError`.
        """
        name = hashlib.sha256(payload.data).hexdigest()
        path = self._folder / name
        if self._whole(name):
            return name
        part = path.with_suffix(_PART)
        with open(part, "wb", opener=_private) as file:
            file.write(payload.data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def _whole(self, name: str) -> bool:
        try:
            self.get(name)
        except DamagedBlob:
            return False
        return True

    def get(self, name: str) -> Payload:
        """The bytes, mapped read-only. Raises `DamagedBlob` if they are not here or not those of that name."""
        path = self._folder / name
        try:
            with path.open("rb") as file:
                empty = os.fstat(file.fileno()).st_size == 0
                mapped = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise DamagedBlob(path, "it is missing") from None
        if hashlib.sha256(mapped).hexdigest() != name:
            raise DamagedBlob(path, "its bytes are not those whose digest is its name")
        return np.frombuffer(mapped, np.uint8)

    def drop(self, name: str) -> None:
        """Forget the bytes."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()

    def sweep(self, needed: Set[str]) -> int:
        """Delete blobs that are not `needed`, and halves of blobs; how many. Other files are left alone.

        Only while nothing is being written: a blob is there before its row is. Raises `OSError`.
        """
        names = {path.name for path in self._folder.iterdir()}
        unused = {name for name in names if _NAME.fullmatch(name.removesuffix(_PART))} - needed
        for name in unused:
            self.drop(name)
        return len(unused)


class DamagedBlob(DatabaseError):  # noqa: N818 - says what happened
    """A file that a row names is not what was written. The text says which, and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is damaged: {why}. Check the disk and put the file back from your backup; if it is the sum of a "
            "round, every other member of that job has the same file under the same name."
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
