"""What an invitation's secret derives: a one-time identity for the link, and a key that proves possession of the code.

Both come from HKDF-SHA256 over the secret with their own label, salted with everything that the invitation names; so
one never tells the other, and the inviter needs to keep neither the secret nor the one-time private key.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.digest import frame
from protocols.identity import SEED_BYTES, Identity, NodeId, public_key_bytes
from protocols.invitation.code import Invitation
from protocols.records.record import Record, record_digest

PROOF_KEY_BYTES: Final = 32


def one_time_identity(invitation: Invitation) -> Identity:
    """The key with whose certificate the holder of the code reaches the inviter, and nothing but `/join`."""
    return Identity(_derive(invitation, "one-time key", SEED_BYTES))


def proof_key(invitation: Invitation) -> bytes:
    """The key under which the holder of the code proves that it holds it: 32 bytes."""
    return _derive(invitation, "proof", PROOF_KEY_BYTES)


def prove(
    key: bytes, federation: bytes, invitation: bytes, *, inviter: NodeId, one_time: NodeId, record: Record
) -> bytes:
    """HMAC-SHA256 over everything that a request to join is about: 32 bytes.

    key: see `proof_key`. invitation: its id. one_time: the key of the link. record: the newcomer's node record; its
    author, its content and its signature are covered.
    """
    covered = frame(
        "join",
        federation,
        invitation,
        public_key_bytes(inviter),
        one_time.encode(),
        record.author.encode(),
        record_digest(federation, record),
        record.signature,
    )
    return hmac.new(key, covered, hashlib.sha256).digest()


def _derive(invitation: Invitation, label: str, length: int) -> bytes:
    salt = frame("invitation", invitation.federation, invitation.id, public_key_bytes(invitation.inviter))
    return HKDF(SHA256(), length, salt, frame(f"invitation {label}")).derive(invitation.secret)
