"""Vectors on disk, by the digest of their bytes: written once, complete or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from pathlib import Path

import numpy as np

from protocols.message import Payload


class Blobs:
    """A folder of files named by the SHA-256 of what they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in folder.glob("*.part"):
            left_over.unlink()

    def put(self, payload: Payload) -> str:
        """Make the bytes durable; their name. Nothing is written if they are here already. Raises `OSError`."""
        name = hashlib.sha256(payload.data).hexdigest()
        path = self._folder / name
        if path.exists():
            return name
        part = path.with_suffix(".part")
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

    def get(self, name: str) -> Payload:
        """The bytes, mapped read-only. Raises `OSError` if they are not here."""
        with (self._folder / name).open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return np.empty(0, np.uint8)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

    def drop(self, name: str) -> None:
        """Forget the bytes."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
