"""The committed vectors: made anew they are the same, and they hold against first principles."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols import wire
from protocols.errors import PeerError
from protocols.identity import node_id, public_key_bytes
from protocols.secagg.mask import check_public_key
from vectors import generate

VECTORS: dict[str, Any] = json.loads(generate.FILE.read_text())
SHORT = [r for r in VECTORS["rounds"] if r["length"] == generate.SHORT]


def test_making_them_anew_gives_the_same_file() -> None:
    assert generate.encoded() == generate.FILE.read_text()


def name(values: dict[str, Any]) -> str:
    return f"n{values['n']}-w{values['word_bits']}-s{values['suite']}"


def framed(label: str, *parts: bytes) -> bytes:
    pieces = [b"secured-node/1/" + label.encode(), *parts]
    return b"".join(len(p).to_bytes(8, "little") + p for p in pieces)


def keystream(key: bytes, suite: int, size: int) -> bytes:
    """Written out again, from the specification's words."""
    if suite == 1:
        return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(size))


@pytest.mark.parametrize("values", SHORT, ids=name)
def test_masks_follow_from_the_specifications_formula(values: dict[str, Any]) -> None:
    """y_i = x_i + sum over j > i of PRG - sum over j < i of PRG, with keys by X25519 and HKDF."""
    n, bits, modulus = values["n"], values["word_bits"], 1 << values["word_bits"]
    words = values["length"] + 64 // bits
    private = [X25519PrivateKey.from_private_bytes(bytes([0x40 + k]) * 32) for k in range(1, n + 1)]
    for i in range(n):
        expected = [(k - 1000 * (i + 1)) % modulus for k in range(values["length"])] + [0] * (64 // bits)
        for j in range(n):
            if i == j:
                continue
            shared = private[i].exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(values["keys"][j])))
            low, high = sorted((i, j))
            info = framed("mask", values["members"][low].encode(), values["members"][high].encode())
            salt = bytes.fromhex(values["context"])
            key = HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(shared)
            stream = np.frombuffer(keystream(key, values["suite"], words * bits // 8), f"<u{bits // 8}").tolist()
            sign = 1 if j > i else -1
            expected = [(e + sign * s) % modulus for e, s in zip(expected, stream, strict=True)]
        masked = np.frombuffer(bytes.fromhex(values["masked"][i]), f"<u{bits // 8}").tolist()
        assert masked == expected


@pytest.mark.parametrize("values", SHORT, ids=name)
def test_sums_are_those_of_the_plain_vectors_and_histories_chain(values: dict[str, Any]) -> None:
    n, bits = values["n"], values["word_bits"]
    plain = [sum(k - 1000 * (i + 1) for i in range(n)) for k in range(values["length"])]
    assert values["sum"] == plain + [0] * (64 // bits)
    words = np.array(values["sum"], f"<i{bits // 8}").tobytes()
    sum_digest = hashlib.sha256(framed("sum", len(words).to_bytes(8, "little")) + words).digest()
    parts = (bytes.fromhex(values["history_0"]), (1).to_bytes(8, "little"), sum_digest)
    assert hashlib.sha256(framed("history", *parts)).hexdigest() == values["history_1"]


@pytest.mark.parametrize("kind", VECTORS["messages"])
def test_messages_decode_and_encode_to_the_same_bytes(kind: str) -> None:
    data = bytes.fromhex(VECTORS["messages"][kind])
    decoded = wire.decode(data)
    assert type(decoded).__name__ == kind
    assert wire.encode(decoded) == data


@pytest.mark.parametrize("key", VECTORS["refused_x25519"])
def test_small_order_key_of_x25519_is_refused(key: str) -> None:
    with pytest.raises(PeerError, match="weak_key"):
        check_public_key(bytes.fromhex(key))


@pytest.mark.parametrize("key", VECTORS["refused_ed25519"])
def test_small_order_key_of_ed25519_is_no_identity(key: str) -> None:
    with pytest.raises(PeerError):
        public_key_bytes(node_id(bytes.fromhex(key)))
