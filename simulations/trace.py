"""What happened in a run, as one hash, and on request as text: the same seed gives the same trace, byte for byte."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Final

_HEAD: Final = struct.Struct("<dII")


class Trace:
    """A running hash over everything that nodes were told. listen: is given each entry as a line of text, too."""

    def __init__(self, listen: Callable[[str], None] | None = None) -> None:
        self.events = 0
        self.listen = listen
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, now: float, node: int, kind: str, data: bytes = b"") -> None:
        """An event. node: the host's number. kind: a fixed word. data: what was said, encoded."""
        self.events += 1
        self._hash.update(_HEAD.pack(now, node, len(data)))
        self._hash.update(kind.encode())
        self._hash.update(data)
        if self.listen is not None:
            self.listen(f"{now:12.6f}  node {node:<4} {kind}  {hashlib.blake2b(data, digest_size=4).hexdigest()}")

    @property
    def hash(self) -> str:
        """The hash of all entries so far: 32 hexadecimal digits."""
        return self._hash.hexdigest()
