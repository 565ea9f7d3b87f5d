"""Makes `secagg.json`: values of the whole-set sum with the parameters that gave them.

Run `python -m vectors.generate` to write the file; a test makes it anew and compares. Members' identities have the
seeds 01.., 02.. (32 times the byte); their fresh private keys are 41.., 42..; member k's vector counts up from -1000 k.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import wire
from protocols.digest import digest, digest_words, frame
from protocols.identity import Identity
from protocols.invitation.messages import JoinReply, JoinRequest, JoinState
from protocols.message import Message, Payload
from protocols.privacy.gaussian import DiscreteGaussian
from protocols.privacy.plan import Clipped, plan_noise
from protocols.records.buckets import BUCKETS
from protocols.records.messages import Entry, Listing, Pull, Records, Summary
from protocols.records.record import Record
from protocols.secagg.cohort import Cohort
from protocols.secagg.layout import Layout
from protocols.secagg.mask import add_segments, masked, pair_masks, segment_digest, word_type
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.signing import (
    UNSIGNED,
    RoundId,
    context,
    context0,
    first_history,
    next_history,
    rooted_context,
    sign,
)

FILE = Path(__file__).with_name("secagg.json")
JOB = hashlib.sha256(b"job").digest()
COHORT = hashlib.sha256(b"cohort").digest()
BOUND = 10**6
SHORT, LONG = 5, 40_000
"""Words without check words: everybody sums; holders sum. Of a long vector only digests are written down."""


_FF30, _ZERO30, _ZERO31 = "ff" * 30, "00" * 30, "00" * 31
REFUSED_X25519 = [
    "00" + _ZERO31,  # order 4
    "01" + _ZERO31,  # order 1
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",  # order 8
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",  # order 8
    "ec" + _FF30 + "7f",  # p - 1: order 2
    "ed" + _FF30 + "7f",  # p: not canonical, and from here on
    "ee" + _FF30 + "7f",  # p + 1
    "ef" + _FF30 + "7f",  # p + 2: of full order
    "f6" + _FF30 + "7f",  # p + 9: the base point
    "ff" + _FF30 + "7f",
    "d9" + _FF30 + "ff",  # 2 p - 1
    "da" + _FF30 + "ff",
    "db" + _FF30 + "ff",
    "00" + _ZERO30 + "80",  # the highest bit set
    "01" + _ZERO30 + "80",
    "09" + _ZERO30 + "80",
    "ff" + _FF30 + "ff",
]
"""Public keys of X25519 that are of low order or not canonical."""
REFUSED_ED25519 = [
    "01" + _ZERO31,  # order 1
    "ec" + _FF30 + "7f",  # order 2
    "00" + _ZERO31,  # order 4
    "00" + _ZERO30 + "80",  # order 4
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # order 8, and the next three
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "01" + _ZERO30 + "80",  # not canonical: the sign of zero
    "ec" + _FF30 + "ff",
    "ed" + _FF30 + "7f",  # y = p and above
    "ed" + _FF30 + "ff",
    "ee" + _FF30 + "7f",
    "ee" + _FF30 + "ff",
    "f0" + _FF30 + "7f",
    "ff" + _FF30 + "7f",
    "02" + _ZERO31,  # not on the curve
]
"""Public keys of Ed25519 that are of small order, not canonical, or no points."""


def identities(n: int) -> list[Identity]:
    """n members, in the order of their ids."""
    return sorted((Identity(bytes([k]) * 32) for k in range(1, n + 1)), key=lambda i: i.node)


def vector(member: int, length: int, word_bits: int) -> Payload:
    """A member's words."""
    values = np.arange(length) - 1000 * (member + 1)
    return values.astype(f"<i{word_bits // 8}").view(np.uint8)


def identity_values() -> dict[str, Any]:
    """From a seed to an id and a signature."""
    made = Identity(bytes(range(32)))
    framed = frame("example", b"one", b"")
    return {
        "seed": bytes(range(32)).hex(),
        "node": made.node,
        "frame": framed.hex(),
        "frame_digest": digest("example", b"one", b"").hex(),
        "words_digest": digest_words("example", np.arange(9, dtype=np.uint8)).hex(),
        "signature": made.sign(framed).hex(),
    }


def round_values(n: int, word_bits: int, suite: int, length: int) -> dict[str, Any]:
    """One attempt of one round, from histories to the vote."""
    members = identities(n)
    cohort = Cohort(JOB, tuple(m.node for m in members), word_bits, 1, 2, suite)
    history = first_history(JOB, COHORT)
    place = RoundId(1, history)
    before = context0(cohort, place, 1)
    private = [X25519PrivateKey.from_private_bytes(bytes([0x40 + k]) * 32) for k in range(1, n + 1)]
    keys = [key.public_key().public_bytes_raw() for key in private]
    offers = [sign(m, Offer(JOB, 1, 1, m.node, before, k, UNSIGNED)) for m, k in zip(members, keys, strict=True)]
    after = context(before, offers)
    layout = Layout(n, 2, length + 64 // word_bits, word_bits)
    made = []
    for me in range(n):
        masks = pair_masks(cohort, me, private[me], keys, after)
        made.append(masked(vector(me, length, word_bits), layout, masks, suite))
    roots = [
        sign(m, Root(JOB, 1, 1, m.node, after, layout.words, BOUND, tuple(digests), UNSIGNED))
        for m, (_, digests) in zip(members, made, strict=True)
    ]
    rooted = rooted_context(after, roots)
    total = add_segments([words for words, _ in made], word_bits)
    reached = next_history(history, 1, total)
    votes = [sign(m, Vote(JOB, 1, 1, m.node, reached, UNSIGNED)) for m in members[: cohort.quorum]]
    sums = [segment_digest(total[layout.span(s)]) for s in range(layout.segments)]
    said = sign(members[0], Sum(JOB, 1, 1, members[0].node, rooted, 0, sums[0], UNSIGNED))
    values: dict[str, Any] = {
        "n": n,
        "word_bits": word_bits,
        "suite": suite,
        "length": length,
        "bound": BOUND,
        "members": list(cohort.members),
        "history_0": history.hex(),
        "parameters": cohort.encoded().hex(),
        "context0": before.hex(),
        "keys": [key.hex() for key in keys],
        "offer_signatures": [offer.signature.hex() for offer in offers],
        "context": after.hex(),
        "pair_keys_of_first": [m.key.hex() for m in pair_masks(cohort, 0, private[0], keys, after)],
        "segment_digests": [[d.hex() for d in digests] for _, digests in made],
        "root_signatures": [root.signature.hex() for root in roots],
        "rooted_context": rooted.hex(),
        "sum_digests": [d.hex() for d in sums],
        "sum_signature": said.signature.hex(),
        "sum_sha256": hashlib.sha256(total.data).hexdigest(),
        "history_1": reached.hex(),
        "vote_signature": votes[0].signature.hex(),
        "certificate": wire.encode(Certificate(JOB, 1, reached, tuple(votes))).hex(),
    }
    if length == SHORT:
        values["masked"] = [words.tobytes().hex() for words, _ in made]
        values["sum"] = total.view(word_type(word_bits)).view(f"<i{word_bits // 8}").tolist()
    return values


def noise_values() -> dict[str, Any]:
    """Samples of one key, and plans of noise."""
    key = bytes(range(32))
    shapes = [
        (1, 1.0, 1.0, 1, "0.5", 3, 1, 64),
        (10, 3.0, 0.25, 1000, "0.01", 5, 2, 64),
        (99, 1.0, 1.0, 1, "2", 10, 1, 32),
    ]
    plans = []
    for length, norm, share, records_max, rho, members, colluders, word_bits in shapes:
        clipped = Clipped("x", length, norm, share)
        made = plan_noise((clipped,), records_max, Fraction(rho), members, colluders, 64 if word_bits == 64 else 32)
        block = made.blocks[0].block
        facts = {"length": length, "norm": norm, "share": share, "records_max": records_max, "rho": rho}
        facts |= {"members": members, "colluders": colluders, "word_bits": word_bits}
        plans.append({**facts, "scale": block.scale, "sigma": made.blocks[0].sigma, "words_max": block.words_max})
    samples = {str(sigma): DiscreteGaussian(key).samples(sigma, 16).tolist() for sigma in (1, 10, 1000, 1 << 24)}
    return {"key": key.hex(), "samples": samples, "plans": plans}


def messages() -> dict[str, str]:
    """One encoded message of each type of the wire."""
    who, value, signature = identities(1)[0].node, bytes(range(32)), bytes(range(64))
    vote = Vote(JOB, 2, 3, who, value, signature)
    record = Record("job", who, "subject", 1, b"body", signature)
    examples: list[Message] = [
        Offer(JOB, 2, 3, who, value, value, signature),
        Root(JOB, 2, 3, who, value, 100, 7, (value, value), signature),
        Segment(JOB, 2, 3, who, 4),
        Sum(JOB, 2, 3, who, value, 4, value, signature),
        SumWords(JOB, 2, 3, 4),
        vote,
        Certificate(JOB, 2, value, (vote, vote)),
        Ask(JOB, 2, 3, (0, 1), (2,), ((0, 1), (1, 1)), ((2, 1),), (1,), (3,), True),
        Summary(bytes(BUCKETS * 32), 7),
        Listing((Entry("job", value, 1, value),), 9),
        Pull((value,)),
        Records((record,)),
        JoinRequest(bytes(8), record, value),
        JoinReply(JoinState.WAITING),
    ]
    return {type(example).__name__: wire.encode(example).hex() for example in examples}


def generate() -> dict[str, Any]:
    """All vectors."""
    shapes = [
        (3, 32, 1, SHORT),
        (3, 64, 2, SHORT),
        (4, 64, 1, SHORT),
        (4, 32, 2, SHORT),
        (4, 32, 1, LONG),
        (4, 64, 1, LONG),
    ]
    return {
        "job": JOB.hex(),
        "cohort_record": COHORT.hex(),
        "identity": identity_values(),
        "rounds": [round_values(*shape) for shape in shapes],
        "noise": noise_values(),
        "messages": messages(),
        "refused_x25519": REFUSED_X25519,
        "refused_ed25519": REFUSED_ED25519,
    }


def encoded() -> str:
    """The file's content."""
    return json.dumps(generate(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(encoded())
