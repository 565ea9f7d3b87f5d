"""Who a node is: an Ed25519 key, written as a did:key.

Rules. A node *is* its public key; names, certificates and addresses are hints. A `NodeId` is the did:key text of that
key (W3C CCG did:key method, section 3.1: multicodec 0xed01, base58btc). Every signature is over `frame(label, ...)`,
with a label of its own, so that a signature made for one purpose never serves another (`digest.frame`). Public keys
that are not canonical, not on the curve or of small order are refused before first use.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NewType

import nacl.bindings
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocols.errors import LocalError, PeerError

NodeId = NewType("NodeId", str)
"""``did:key:z6Mk...``: 56 characters. Members of a cohort are ordered by this text."""

SEED_BYTES: Final = 32
KEYS_CACHED_MAX: Final = 4096
"""Parsed public keys kept: more than the largest federation simulated (1,000)."""

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DID_PREFIX: Final = "did:key:z"
_MULTICODEC_ED25519: Final = b"\xed\x01"


def _base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return text


def _unbase58(text: str) -> bytes:
    number = 0
    for char in text:
        number = number * 58 + _ALPHABET.index(char)
    return number.to_bytes(len(_MULTICODEC_ED25519) + 32, "big")


def node_id(public_key: bytes) -> NodeId:
    """The id of the node that holds this Ed25519 public key (32 bytes)."""
    return NodeId(_DID_PREFIX + _base58(_MULTICODEC_ED25519 + public_key))


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _key_of(node: NodeId) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key_bytes(node))


@lru_cache(maxsize=KEYS_CACHED_MAX)
def public_key_bytes(node: NodeId) -> bytes:
    """The 32 bytes of a node's public key.

    Raises `PeerError` if the text is not the canonical did:key of a canonical Ed25519 point of full order.
    """
    try:
        raw = _unbase58(node.removeprefix(_DID_PREFIX))
    except (ValueError, OverflowError):
        raise PeerError("bad_node_id", "not a did:key of an Ed25519 key") from None
    key = raw[len(_MULTICODEC_ED25519) :]
    if node_id(key) != node:
        raise PeerError("bad_node_id", "not the canonical did:key of an Ed25519 key")
    if not nacl.bindings.crypto_core_ed25519_is_valid_point(key):
        raise PeerError("weak_key", "the public key is not canonical or has small order")
    return key


def fits(node: NodeId, signature: bytes, frame: bytes) -> bool:
    """Whether `node` signed `frame`: a pure function, whose results a simulator may remember. Raises `PeerError`."""
    try:
        _key_of(node).verify(signature, frame)
    except InvalidSignature:
        return False
    return True


def verify(node: NodeId, signature: bytes, frame: bytes) -> None:
    """Check that `node` signed `frame` (see `digest.frame`). Raises `PeerError` if it did not."""
    if not fits(node, signature, frame):
        raise PeerError("bad_signature", f"the signature is not by {node}")


class Identity:
    """A node's own key pair. The seed stays inside; only signatures come out."""

    def __init__(self, seed: bytes) -> None:
        """seed: the 32 secret bytes. Raises `LocalError` if there are more or fewer."""
        if len(seed) != SEED_BYTES:
            raise LocalError(f"an identity's seed has {SEED_BYTES} bytes, this one {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.node = node_id(self._key.public_key().public_bytes_raw())

    def sign(self, frame: bytes) -> bytes:
        """Sign a frame (see `digest.frame`): 64 bytes."""
        return self._key.sign(frame)

    def private_key(self) -> Ed25519PrivateKey:
        """The key itself, for the TLS certificate; nothing else may ask for it."""
        return self._key

    def __repr__(self) -> str:
        return f"Identity({self.node})"
