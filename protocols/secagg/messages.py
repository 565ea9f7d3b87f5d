"""The messages of the whole-set sum. What each signature covers is in `signing`; what must hold of them, in `SPEC.md`.

Every message names its job (digest of the job record), round and attempt, so that a node can place it without trial.
`Segment`, `SumWords` and `Certificate` travel with a bulk payload; all others are small.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from protocols.message import Count, Digest, Id, Key32, Message, Signature

MEMBERS_MAX: Final = 128
"""Members of a cohort at most: masks are pairwise, so work per node grows with the cohort."""
WORDS_MAX: Final = 2**30
"""Words of a vector at most (8 GiB of 64-bit words): far above the largest model a hospital trains here."""
PAYLOAD_BYTES_MAX: Final = 8 * WORDS_MAX

Index = Annotated[int, msgspec.Meta(ge=0, lt=MEMBERS_MAX)]
"""A member's place in the cohort, or a segment's number."""
Members = Annotated[tuple[Index, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
Pairs = Annotated[tuple[tuple[Index, Index], ...], msgspec.Meta(max_length=MEMBERS_MAX * MEMBERS_MAX)]


class Offer(Message, frozen=True):
    """A fresh X25519 key for one attempt, signed over context0: its author is ready, its vector is made."""

    job: Digest
    round: Count
    attempt: Count
    author: Id
    context0: Digest
    key: Key32
    signature: Signature


class Root(Message, frozen=True):
    """The author's commitment to its masked vector: the digest of each segment, signed over the context.

    words: length of the vector, the check words included. bound: largest absolute value of one site's coordinate.
    """

    job: Digest
    round: Count
    attempt: Count
    author: Id
    context: Digest
    words: Annotated[int, msgspec.Meta(ge=1, le=WORDS_MAX)]
    bound: Count
    digests: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    signature: Signature


class Segment(Message, frozen=True):
    """Payload: one segment of a masked vector. Unsigned: it matches its author's root or it is worth nothing."""

    job: Digest
    round: Count
    attempt: Count
    author: Id
    segment: Index


class Sum(Message, frozen=True):
    """A holder's word for the sum of one segment: the digest of the summed words. context: the rooted one."""

    job: Digest
    round: Count
    attempt: Count
    author: Id
    context: Digest
    segment: Index
    digest: Digest
    signature: Signature


class SumWords(Message, frozen=True):
    """Payload: the summed words of one segment. Unsigned: they match what the holders signed or are dropped."""

    job: Digest
    round: Count
    attempt: Count
    segment: Index


class Vote(Message, frozen=True):
    """A certificate signature: the author holds the sum that leads to this history. At most one per round, for ever.

    attempt: where the evidence lies (a hint, not signed, as the certificate has no attempt in it: it counts for
    something only when the author itself says it).
    """

    job: Digest
    round: Count
    attempt: Count
    author: Id
    history: Digest
    signature: Signature


class Certificate(Message, frozen=True):
    """At least t votes for one history of a round. Payload: the certified sum's words, if they were asked for."""

    job: Digest
    round: Count
    history: Digest
    votes: Annotated[tuple[Vote, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]


class Ask(Message, frozen=True):
    """What the sender lacks. Whoever has any of it sends it.

    offers, roots, votes: members whose message is missing. segments: (author, segment). sums: (holder, segment).
    words: segments whose summed words are missing. certificate: the whole round is wanted, with its sum.
    """

    job: Digest
    round: Count
    attempt: Count
    offers: Members = ()
    roots: Members = ()
    segments: Pairs = ()
    sums: Pairs = ()
    words: Members = ()
    votes: Members = ()
    certificate: bool = False
