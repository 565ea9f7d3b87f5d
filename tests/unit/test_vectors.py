"""The committed vectors: made anew they are the same, and they hold against first principles."""

from __future__ import annotations

import hashlib
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import wire
from protocols.errors import PeerError
from protocols.identity import node_id, public_key_bytes, verify
from protocols.privacy.gaussian import DiscreteGaussian
from protocols.secagg.cohort import Cohort
from protocols.secagg.layout import Layout
from protocols.secagg.mask import check_public_key
from protocols.secagg.messages import Certificate
from protocols.secagg.signing import verify_votes
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
    """S37. y_i = x_i + sum over j > i of PRG - sum over j < i of PRG, with keys by X25519 and HKDF."""
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


def named(values: dict[str, Any]) -> str:
    return f"{name(values)}-d{values['length']}"


@pytest.mark.parametrize("values", VECTORS["rounds"], ids=named)
def test_contexts_and_histories_are_digests_of_their_parts(values: dict[str, Any]) -> None:
    """S37."""
    n, job, number = values["n"], bytes.fromhex(VECTORS["job"]), (1).to_bytes(8, "little")
    who, text = [m.encode() for m in values["members"]], bytes.fromhex
    sizes = (values["word_bits"], 1, 2, values["suite"])
    parameters = framed("cohort", job, *who, *(k.to_bytes(8, "little") for k in sizes))
    assert parameters == text(values["parameters"])
    first = hashlib.sha256(framed("history-0", job, text(VECTORS["cohort_record"]))).digest()
    assert first == text(values["history_0"])
    before = hashlib.sha256(framed("context0", first, number, number, parameters)).digest()
    assert before == text(values["context0"])
    keys = [part for member, key in zip(who, values["keys"], strict=True) for part in (member, text(key))]
    after = hashlib.sha256(framed("context", before, *keys)).digest()
    assert after == text(values["context"])
    shape = [k.to_bytes(8, "little") for k in (values["length"] + 64 // values["word_bits"], values["bound"])]
    place = (job, number, number)
    roots = [framed("root", *place, after, *shape, *map(text, values["segment_digests"][i])) for i in range(n)]
    rooted = hashlib.sha256(framed("rooted", after, *(p for pair in zip(who, roots, strict=True) for p in pair)))
    assert rooted.hexdigest() == values["rooted_context"]
    for i, member in enumerate(values["members"]):
        offer = framed("offer", *place, before, text(values["keys"][i]))
        verify(member, text(values["offer_signatures"][i]), offer)
        verify(member, text(values["root_signatures"][i]), roots[i])
    said = framed("segment-sum", *place, rooted.digest(), bytes(8), text(values["sum_digests"][0]))
    verify(values["members"][0], text(values["sum_signature"]), said)
    verify(
        values["members"][0],
        text(values["vote_signature"]),
        framed("certificate", job, number, text(values["history_1"])),
    )


@pytest.mark.parametrize("values", VECTORS["rounds"], ids=named)
def test_a_certificate_of_the_vectors_holds_with_its_quorum_and_not_with_less(values: dict[str, Any]) -> None:
    made = wire.decode(bytes.fromhex(values["certificate"]))
    assert isinstance(made, Certificate)
    cohort = Cohort(bytes.fromhex(VECTORS["job"]), tuple(values["members"]), values["word_bits"], suite=values["suite"])
    assert len(made.votes) == cohort.quorum
    verify_votes(cohort, made.votes, 1, bytes.fromhex(values["history_1"]))
    with pytest.raises(PeerError, match="must"):
        verify_votes(cohort, made.votes[1:], 1, bytes.fromhex(values["history_1"]))


@pytest.mark.parametrize(("members", "words", "bits"), [(3, 7, 32), (4, 40_001, 32), (4, 40_001, 64), (128, 5000, 64)])
def test_segments_have_the_written_bounds_and_holders(members: int, words: int, bits: int) -> None:
    """S37."""
    layout = Layout(members, 2, words, bits)
    assert layout.short is (members * words * bits // 8 <= 1 << 20)
    for s in range(layout.segments):
        first, last = s * words // layout.segments, (s + 1) * words // layout.segments
        assert layout.span(s) == slice(first * bits // 8, last * bits // 8)
        written = range(members) if layout.short else [(s + k) % members for k in range(2)]
        assert layout.holders_of(s) == tuple(written)


@pytest.mark.parametrize("values", SHORT, ids=name)
def test_sums_are_those_of_the_plain_vectors_and_histories_chain(values: dict[str, Any]) -> None:
    """S37."""
    n, bits = values["n"], values["word_bits"]
    plain = [sum(k - 1000 * (i + 1) for i in range(n)) for k in range(values["length"])]
    assert values["sum"] == plain + [0] * (64 // bits)
    words = np.array(values["sum"], f"<i{bits // 8}").tobytes()
    sum_digest = hashlib.sha256(framed("sum", len(words).to_bytes(8, "little")) + words).digest()
    parts = (bytes.fromhex(values["history_0"]), (1).to_bytes(8, "little"), sum_digest)
    assert hashlib.sha256(framed("history", *parts)).hexdigest() == values["history_1"]


@pytest.mark.parametrize("kind", VECTORS["messages"])
def test_messages_decode_and_encode_to_the_same_bytes(kind: str) -> None:
    """W2."""
    data = bytes.fromhex(VECTORS["messages"][kind])
    decoded = wire.decode(data)
    assert type(decoded).__name__ == kind
    assert wire.encode(decoded) == data


@settings(derandomize=True, database=None, max_examples=300, deadline=None)
@given(st.sampled_from(sorted(VECTORS["messages"])), st.data())
def test_mutations_of_the_committed_messages_are_refused_by_a_typed_error(kind: str, data: st.DataObject) -> None:
    """W1. Bytes changed, cut out, doubled, or another message's put in."""
    seed = bytearray.fromhex(VECTORS["messages"][kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(seed)))
        other = bytes.fromhex(VECTORS["messages"][data.draw(st.sampled_from(sorted(VECTORS["messages"])))])
        piece = data.draw(st.binary(max_size=3) | st.just(other[2:40]) | st.just(bytes(seed[at : at + 9])))
        seed[at : at + data.draw(st.integers(0, 3))] = piece
    try:
        decoded = wire.decode(bytes(seed))
    except PeerError as error:
        assert error.code in ("malformed", "bad_version", "unknown_type", "oversize")
        return
    assert wire.decode(wire.encode(decoded)) == decoded


def test_a_message_of_every_type_of_the_wire_is_committed() -> None:
    assert set(VECTORS["messages"]) == {row.kind.__name__ for row in wire._TYPES}


@pytest.mark.parametrize("key", VECTORS["refused_x25519"])
def test_small_order_key_of_x25519_is_refused(key: str) -> None:
    """S7."""
    with pytest.raises(PeerError, match="weak_key"):
        check_public_key(bytes.fromhex(key))


@pytest.mark.parametrize("key", VECTORS["refused_ed25519"])
def test_small_order_key_of_ed25519_is_no_identity(key: str) -> None:
    """S7."""
    with pytest.raises(PeerError):
        public_key_bytes(node_id(bytes.fromhex(key)))


@pytest.mark.parametrize("values", VECTORS["noise"]["plans"], ids=lambda v: f"d{v['length']}-w{v['word_bits']}")
def test_plans_and_samples_follow_from_the_written_formulas(values: dict[str, Any]) -> None:
    """J18. Scale and sigma from the specification's words, in rational numbers; samples from the key alone."""
    honest, allowed = values["members"] - values["colluders"], Fraction(values["rho"]) * Fraction(values["share"])

    def sigma_at(scale: Fraction) -> int:
        root = math.isqrt(values["length"] - 1) + 1
        reach = math.ceil(Fraction(values["norm"]) * scale * (1 + Fraction(1, 2**20))) + -(-root // 2)
        square = Fraction(reach**2) / (2 * honest * allowed * (1 - Fraction(1, 2**20)))
        return math.isqrt(math.ceil(square) - 1) + 1

    scale, room = Fraction(values["scale"]), 2 ** (values["word_bits"] - 1)
    assert sigma_at(scale) == values["sigma"] <= 2**24
    assert values["members"] * values["words_max"] < room
    bound = values["words_max"] - math.ceil(Fraction(67, 5) * values["sigma"])
    assert bound >= values["records_max"] * Fraction(values["norm"]) * scale
    finer = sigma_at(2 * scale)
    assert finer > 2**24 or values["members"] * (2 * bound + math.ceil(Fraction(67, 5) * finer)) >= room
    for sigma, samples in VECTORS["noise"]["samples"].items():
        made = DiscreteGaussian(bytes.fromhex(VECTORS["noise"]["key"])).samples(int(sigma), 16)
        assert made.tolist() == samples
