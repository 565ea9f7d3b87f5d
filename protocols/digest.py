"""One way to hash and to frame: every digest and every signature has its own label, and no two inputs share a frame.

`frame(label, a, b)` is injective: each part is preceded by its length as 8 little-endian bytes, the label first.
"""

from __future__ import annotations

import hashlib

from protocols.message import Payload

PREFIX = "secured-node/1/"
"""Precedes each label, so that our signatures mean nothing to any other program."""


def frame(label: str, *parts: bytes) -> bytes:
    """The unambiguous concatenation of a label and its parts."""
    pieces = [(PREFIX + label).encode(), *parts]
    return b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 of `frame(label, *parts)`: 32 bytes."""
    return hashlib.sha256(frame(label, *parts)).digest()


def digest_words(label: str, words: Payload) -> bytes:
    """SHA-256 of a bulk buffer under a label, without copying it: 32 bytes."""
    state = hashlib.sha256(frame(label, len(words).to_bytes(8, "little")))
    state.update(words.data)
    return state.digest()
