"""One way to hash and to frame: every digest and every signature has its own label, and no two inputs share a frame.

`frame(label, a, b)` is injective: each part is preceded by its length as 8 little-endian bytes, the label first.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import Final

from protocols.message import Payload

PREFIX = "secured-node/1/"
"""Precedes each label, so that our signatures mean nothing to any other program."""

_length: Final = struct.Struct("<Q").pack


def frame(label: str, *parts: bytes) -> bytes:
    """The unambiguous concatenation of a label and its parts."""
    pieces = [_labelled(label)]
    for part in parts:
        pieces.append(_length(len(part)))
        pieces.append(part)
    return b"".join(pieces)


@lru_cache(maxsize=64)
def _labelled(label: str) -> bytes:
    """The beginning of a frame; there are some twenty labels."""
    text = (PREFIX + label).encode()
    return _length(len(text)) + text


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 of `frame(label, *parts)`: 32 bytes."""
    return hashlib.sha256(frame(label, *parts)).digest()


def digest_words(label: str, words: Payload) -> bytes:
    """SHA-256 of a bulk buffer under a label, without copying it: 32 bytes."""
    state = hashlib.sha256(frame(label, len(words).to_bytes(8, "little")))
    state.update(words.data)
    return state.digest()
