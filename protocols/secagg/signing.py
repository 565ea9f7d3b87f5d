"""What is hashed and what is signed: the chain of histories, the contexts, and one frame per kind of signature.

H_0 binds the signed job and cohort records, H_r binds H_{r-1} and the certified integer sum. context0 binds the
history, the attempt and all parameters; context binds context0 and everybody's fresh key; the rooted context binds that
and everybody's root. Members that were shown anything different hold different contexts, and then nothing of theirs
fits together (G2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from protocols.digest import digest, digest_words, frame
from protocols.errors import PeerError
from protocols.identity import Identity, NodeId, verify
from protocols.message import Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.messages import Offer, Root, Sum, Vote

Signable = TypeVar("Signable", Offer, Root, Sum, Vote)
UNSIGNED: Final = bytes(64)
"""Stands in a message's signature field until `sign` fills it."""


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class RoundId:
    """A round in its place. number: from 1. history: H_{r-1}, the digest of all that came before."""

    number: int
    history: bytes


def first_history(job_record: bytes, cohort_record: bytes) -> bytes:
    """H_0 of a job, from its signed records."""
    return digest("history-0", job_record, cohort_record)


def next_history(history: bytes, number: int, total: Payload) -> bytes:
    """H_r from H_{r-1}, the round's number and its integer sum (check words included)."""
    return digest("history", history, _number(number), digest_words("sum", total))


def context0(cohort: Cohort, place: RoundId, attempt: int) -> bytes:
    """What an offer is signed over."""
    return digest("context0", place.history, _number(place.number), _number(attempt), cohort.encoded())


def context(before: bytes, offers: Sequence[Offer]) -> bytes:
    """What everything after the offers is signed over. offers: all n, in the order of members."""
    return digest("context", before, *(part for o in offers for part in (o.author.encode(), o.key)))


def rooted_context(before: bytes, roots: Sequence[Root]) -> bytes:
    """What holders' sums are signed over. before: the context. roots: all n, in the order of members.

    A holder's word is about these very inputs: whoever was shown another root of somebody cannot take it for a lie.
    """
    return digest("rooted", before, *(part for r in roots for part in (r.author.encode(), signed_frame(r))))


def vote_frame(job: bytes, number: int, history: bytes) -> bytes:
    """The bytes that a vote covers: no attempt in it, so that a round has one certificate whatever attempt gave it."""
    return frame("certificate", job, _number(number), history)


def verify_message(message: Offer | Root | Sum | Vote) -> None:
    """Check a message's signature over what it claims to be about. Raises `PeerError`.

    Whether its context is *ours* is the reader's to compare; a signature over another one is evidence.
    """
    verify(message.author, message.signature, signed_frame(message))


def signed_frame(message: Offer | Root | Sum | Vote) -> bytes:
    """The bytes that the message's signature covers: everything in it but its author and the signature itself.

    Job, round and attempt are signed beside the context, which binds them already: a message cannot be relabelled to
    make its honest author look like one who signed two things.
    """
    match message:
        case Offer():
            return frame("offer", *_place(message), message.context0, message.key)
        case Root():
            shape = (_number(message.words), _number(message.bound))
            return frame("root", *_place(message), message.context, *shape, *message.digests)
        case Sum():
            return frame("segment-sum", *_place(message), message.context, _number(message.segment), message.digest)
        case Vote():
            return vote_frame(message.job, message.round, message.history)


def _place(message: Offer | Root | Sum) -> tuple[bytes, bytes, bytes]:
    return message.job, _number(message.round), _number(message.attempt)


def sign(identity: Identity, message: Signable) -> Signable:
    """The same message with its author's signature."""
    return msgspec.structs.replace(message, signature=identity.sign(signed_frame(message)))


def verify_votes(cohort: Cohort, votes: Sequence[Vote], number: int, history: bytes) -> None:
    """Check that votes are a certificate: at least t members, each once, for one history. Raises `PeerError`.

    What costs nothing is judged first, and the first wrong signature ends it.
    """
    voters: set[NodeId] = set()
    for vote in votes:
        about = (vote.job, vote.round, vote.history)
        if vote.author not in cohort.members or about != (cohort.job, number, history):
            raise PeerError("bad_certificate", "a vote is not about this round, or not by a member")
        voters.add(vote.author)
    if len(voters) != len(votes):
        raise PeerError("bad_certificate", "a member's vote stands in it twice")
    if len(voters) < cohort.quorum:
        raise PeerError("bad_certificate", f"{len(voters)} members voted, {cohort.quorum} must")
    for vote in votes:
        verify_message(vote)
