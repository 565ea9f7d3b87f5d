"""The base of every message, and the field types they share.

Kept apart from `wire`, which knows all messages, so that the modules that define messages import nothing above them.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from protocols.identity import NodeId

Payload: TypeAlias = npt.NDArray[np.uint8]
"""Bulk bytes beside a message: one-dimensional, contiguous, words little-endian. Never copied on the way."""


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message between peers: a strict msgpack array; unknown, missing or mistyped fields are refused."""


DIGEST_BYTES = 32
SIGNATURE_BYTES = 64

Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
"""A SHA-256 digest."""
Signature: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
"""An Ed25519 signature."""
Key32: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""A public key of 32 bytes (Ed25519 or X25519)."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A number that only rises: sequences, rounds, attempts, sizes."""
Id: TypeAlias = Annotated[NodeId, msgspec.Meta(min_length=56, max_length=56)]
"""A node id; its form is checked where its key is first used."""
