"""What is hashed and what is signed: the chain of histories, the contexts, and one frame per kind of signature.

H_0 binds the signed job and cohort records, H_r binds H_{r-1} and the certified integer sum. context0 binds the
history, the attempt and all parameters; context binds context0 and everybody's fresh key. Members that were shown
anything different hold different contexts, and then nothing of theirs fits together (G2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.digest import digest, digest_words, frame
from protocols.errors import PeerError
from protocols.identity import NodeId, verify
from protocols.message import Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.messages import Offer, Root, Sum, Vote


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


def offer_frame(context0: bytes, key: bytes) -> bytes:
    """The bytes that an offer's signature covers."""
    return frame("offer", context0, key)


def root_frame(context: bytes, words: int, bound: int, digests: Sequence[bytes]) -> bytes:
    """The bytes that a root's signature covers."""
    return frame("root", context, _number(words), _number(bound), *digests)


def sum_frame(context: bytes, segment: int, words_digest: bytes) -> bytes:
    """The bytes that a holder's signature covers."""
    return frame("segment-sum", context, _number(segment), words_digest)


def vote_frame(job: bytes, number: int, history: bytes) -> bytes:
    """The bytes that a vote covers: no attempt in it, so that a round has one certificate whatever attempt gave it."""
    return frame("certificate", job, _number(number), history)


def verify_message(message: Offer | Root | Sum | Vote) -> None:
    """Check a message's signature over what it claims to be about. Raises `PeerError`.

    Whether its context is *ours* is the reader's to compare; a signature over another one is evidence.
    """
    verify(message.author, message.signature, signed_frame(message))


def signed_frame(message: Offer | Root | Sum | Vote) -> bytes:
    """The bytes that the message's signature covers."""
    match message:
        case Offer():
            return offer_frame(message.context0, message.key)
        case Root():
            return root_frame(message.context, message.words, message.bound, message.digests)
        case Sum():
            return sum_frame(message.context, message.segment, message.digest)
        case Vote():
            return vote_frame(message.job, message.round, message.history)


def verify_votes(cohort: Cohort, votes: Sequence[Vote], number: int, history: bytes) -> None:
    """Check that votes are a certificate: at least t members, each once, for one history. Raises `PeerError`."""
    voters: set[NodeId] = set()
    for vote in votes:
        about = (vote.job, vote.round, vote.history)
        if vote.author not in cohort.members or about != (cohort.job, number, history):
            raise PeerError("bad_certificate", "a vote is not about this round, or not by a member")
        verify_message(vote)
        voters.add(vote.author)
    if len(voters) < cohort.quorum:
        raise PeerError("bad_certificate", f"{len(voters)} members voted, {cohort.quorum} must")
