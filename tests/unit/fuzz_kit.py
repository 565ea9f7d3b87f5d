"""Well-typed messages with arbitrary contents, for the fuzz tests: some of each field fits, some does not.

The adversary holds the keys of one member and of an outsider; of the others it can only repeat what they sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import strategies as st

from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.mask import segment_digest
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.signing import sign

SIZES = (0, 1, 8, 84, 160, 168, 176, 8000)
"""Bytes of payloads: of a vector of 20 words and its check 168."""
NUMBERS = (0, 1, 2, 3, 7, 1001, 1002, 2**62)
KEYS = tuple(X25519PrivateKey.from_private_bytes(bytes([k]) * 32).public_key().public_bytes_raw() for k in range(1, 4))
OUTSIDER = Identity(bytes([200]) * 32)


def words(size: int) -> Payload:
    """A payload of so many bytes."""
    return (np.arange(size) % 251).astype(np.uint8)


class Messages:
    """Strategies for the messages of one job and round."""

    def __init__(
        self, job: bytes, number: int, members: Sequence[NodeId], liar: Identity, known: Sequence[bytes]
    ) -> None:
        """liar: whose key the adversary holds. known: digests that mean something here."""
        self._keys = {liar.node: liar, OUTSIDER.node: OUTSIDER}
        self.job = st.sampled_from([job] * 9 + [bytes(32)])
        self.round = st.sampled_from([number] * 24 + [*NUMBERS])
        self.attempt = st.sampled_from([1] * 12 + [*NUMBERS])
        junk = NodeId("did:key:z6Mk" + "1" * 44)
        self.author = st.sampled_from([liar.node, liar.node, *members, OUTSIDER.node, junk])
        digests = [*known, bytes(32), b"\xff" * 32, *(segment_digest(words(size)) for size in SIZES)]
        self.digest = st.sampled_from(digests)
        self.key = st.sampled_from([*KEYS, bytes(32), b"\xff" * 32])
        self.small = st.integers(0, 5) | st.sampled_from([63, 127])
        self.some = st.lists(self.small, max_size=6).map(tuple)
        self.pairs = st.lists(st.tuples(self.small, self.small), max_size=6).map(tuple)

    def signed(self, message: Message) -> Message:
        """Signed, if the adversary has the author's key; else with a signature that fits nothing."""
        assert isinstance(message, Offer | Root | Sum | Vote)
        identity = self._keys.get(message.author)
        return sign(identity, message) if identity is not None else message

    def votes(self) -> st.SearchStrategy[Message]:
        """Votes."""
        return st.builds(Vote, self.job, self.round, self.attempt, self.author, self.digest, st.just(bytes(64))).map(
            self.signed
        )

    def any(self) -> st.SearchStrategy[Message]:
        """Any message of the sum."""
        place = (self.job, self.round, self.attempt, self.author)
        votes = st.lists(self.votes(), min_size=1, max_size=5).map(tuple)
        unsigned = st.just(bytes(64))
        shape = (
            st.sampled_from([1, 2, 20, 21, 22, 2**30]),
            st.sampled_from([0, 1, 1000, 2**62]),
            st.lists(self.digest, min_size=1, max_size=5).map(tuple),
        )
        return st.one_of(
            st.builds(Offer, *place, self.digest, self.key, unsigned).map(self.signed),
            st.builds(Root, *place, self.digest, *shape, unsigned).map(self.signed),
            st.builds(Segment, *place, self.small),
            st.builds(Sum, *place, self.digest, self.small, self.digest, unsigned).map(self.signed),
            st.builds(SumWords, self.job, self.round, self.attempt, self.small),
            self.votes(),
            st.builds(Certificate, self.job, self.round, self.digest, votes),
            st.builds(
                Ask,
                self.job,
                self.round,
                self.attempt,
                self.some,
                self.some,
                self.pairs,
                self.pairs,
                self.some,
                self.some,
                st.booleans(),
            ),
        )


def payloads() -> st.SearchStrategy[Payload | None]:
    """A payload, or none."""
    return st.none() | st.sampled_from(SIZES).map(words)


def fits_the_wire(message: Message) -> bool:
    """Whether the message is well typed: what came over the wire always is."""
    data = msgspec.msgpack.encode(message)
    try:
        return msgspec.msgpack.decode(data, type=type(message)) == message
    except msgspec.ValidationError:
        return False
