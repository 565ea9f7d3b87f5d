"""Pairwise masks that cancel in the sum over the whole cohort (Bonawitz et al., CCS 2017, section 4; no recovery).

y_i = x_i + sum_{j > i} PRG(k_ij) - sum_{j < i} PRG(k_ij) mod 2^w, with k_ij = HKDF-SHA256(X25519 of two fresh keys,
salt = context, info = both ids). A key serves one vector of one attempt: the context never comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.digest import digest_words, frame
from protocols.errors import LocalError, PeerError
from protocols.identity import NodeId
from protocols.message import Payload
from protocols.secagg.cohort import SUITE_AES256_CTR, Cohort
from protocols.secagg.layout import Layout

BLOCK_BYTES: Final = 128 * 1024
"""Worked on at a time: vector, keystream and zeros of one block fit a core's L2 cache together."""
_ZEROS: Final = np.zeros(BLOCK_BYTES, np.uint8)
_PROBE_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Any private key: its shared secret with a low-order point is zero, whatever its value."""
_PRIME: Final = 2**255 - 19


@dataclass(frozen=True, slots=True, repr=False)
class PairMask:
    """The mask shared with one other member. key: of the keystream. add: whether this side adds it or subtracts."""

    key: bytes
    add: bool


def word_type(word_bits: int) -> np.dtype[Any]:
    """Words are unsigned and little-endian."""
    return np.dtype(f"<u{word_bits // 8}")


def check_public_key(key: bytes) -> None:
    """Refuse X25519 keys that are not canonical or of low order (RFC 7748, section 6.1). Raises `PeerError`."""
    if int.from_bytes(key, "little") >= _PRIME:
        raise PeerError("weak_key", "the X25519 key is not canonical")
    try:
        _PROBE_KEY.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        raise PeerError("weak_key", "the X25519 key has low order") from None


def pair_masks(
    cohort: Cohort, me: int, private: X25519PrivateKey, keys: Sequence[bytes], context: bytes
) -> list[PairMask]:
    """The masks that member `me` shares with each other member, whose fresh public keys are `keys`, in order."""
    masks = []
    for other, key in enumerate(keys):
        if other == me:
            continue
        low, high = sorted((me, other))
        shared = private.exchange(X25519PublicKey.from_public_bytes(key))
        masks.append(PairMask(_derive(shared, context, cohort.members[low], cohort.members[high]), add=me < other))
    return masks


def _derive(shared: bytes, context: bytes, low: NodeId, high: NodeId) -> bytes:
    info = frame("mask", low.encode(), high.encode())
    return HKDF(algorithm=SHA256(), length=32, salt=context, info=info).derive(shared)


def _keystream(key: bytes, suite: int) -> CipherContext:
    if suite == SUITE_AES256_CTR:
        return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()


def masked(vector: Payload, layout: Layout, masks: Sequence[PairMask], suite: int) -> tuple[Payload, list[bytes]]:
    """The masked vector, check words appended, and the digest of each segment.

    vector: the encoded integers, without check words. Takes (n - 1) keystreams of the vector's length; the GIL is
    free while a block is enciphered or added. Raises `LocalError` if the length does not fit the layout.
    """
    plain = layout.vector_bytes - layout.check_words * layout.word_bytes
    if vector.nbytes != plain:
        raise LocalError(f"the vector has {vector.nbytes} bytes, its layout {plain}")
    words = word_type(layout.word_bits)
    result = np.empty(layout.vector_bytes, np.uint8)
    streams = [(_keystream(mask.key, suite), mask.add) for mask in masks]
    keystream = np.empty(BLOCK_BYTES, np.uint8)
    for start in range(0, layout.vector_bytes, BLOCK_BYTES):
        block = result[start : start + BLOCK_BYTES]
        inside = max(0, min(block.nbytes, plain - start))
        block[:inside] = vector[start : start + inside]
        block[inside:] = 0
        _add_streams(block.view(words), streams, keystream[: block.nbytes])
    digests = [segment_digest(result[layout.span(s)]) for s in range(layout.segments)]
    return result, digests


def _add_streams(block: npt.NDArray[Any], streams: Sequence[tuple[CipherContext, bool]], keystream: Payload) -> None:
    stream_words = keystream.view(block.dtype)
    for cipher, add in streams:
        cipher.update_into(_ZEROS[: keystream.nbytes].data, keystream.data)
        operation = np.add if add else np.subtract
        operation(block, stream_words, out=block)


def segment_digest(segment: Payload) -> bytes:
    """The digest by which a root commits to a segment, and by which a holder signs a sum."""
    return digest_words("segment", segment)


def add_segments(inputs: Sequence[Payload], word_bits: int) -> Payload:
    """The sum of segments mod 2^w."""
    words = word_type(word_bits)
    total = inputs[0].view(words).copy()
    for segment in inputs[1:]:
        np.add(total, segment.view(words), out=total)
    return total.view(np.uint8)


def is_clean(total: Payload, layout: Layout, bound: int) -> bool:
    """Whether the masks cancelled (the check words are zero) and no coordinate exceeds n * bound in absolute value."""
    words = total.view(word_type(layout.word_bits))
    values = words[: -layout.check_words].view(f"<i{layout.word_bytes}")
    if words[-layout.check_words :].any():
        return False
    limit = layout.members * bound
    return not len(values) or (int(values.max()) <= limit and int(values.min()) >= -limit)
