"""One attempt at a round's sum: offer, root, segments, sums.

Rules.
- Every member *offers* a fresh key, signed over context0. With all n offers the context is fixed.
- Every member masks its vector and signs a *root* over the context. Nothing masked leaves before all n roots over this
  very context are there, so nobody can choose its vector after seeing anything of the others'.
- Each *segment* goes to its holders and is checked against its author's root. Holders sign their *sums*, over the
  context and all roots; the first of them sends the words. A segment is settled when all h holders signed the same
  digest, or when it was computed here from inputs that match the roots: that ends any dispute and names the liar by
  its own signature.
- Bulk bytes are unsigned, so whoever sent wrong ones is refused by its link, not by the author that they name; and
  wrong bytes by others never take the place of those that the author or holder sends itself.
- A *live* attempt has a key and a vector. Without them the same object is a *witness*: it checks what others pass on
  and reaches the same sum. That is how evidence is verified; there is no second code for it.

What it cannot express: time. Silence, retries and votes are `Round`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.core import Compute, Draw, Effect, Refused, Send
from protocols.errors import EarlyError, LocalError, PeerError
from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Evidence
from protocols.secagg.layout import CHECK_BITS
from protocols.secagg.mask import add_segments, is_clean, masked, pair_masks, segment_digest
from protocols.secagg.messages import WORDS_MAX, Offer, Root, Segment, Sum, SumWords
from protocols.secagg.signing import UNSIGNED, next_history, sign
from protocols.secagg.transcript import Transcript, Wanted

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Vector:
    """A site's contribution to a round, the same in every attempt.

    words: the encoded integers as bytes, without check words. bound: the largest absolute value of a coordinate.
    """

    words: Payload
    bound: int


def vector_words(cohort: Cohort, vector: Vector) -> int:
    """The words of a vector, check words included. Raises `LocalError` if it cannot be summed in this cohort."""
    if vector.bound < 0 or cohort.size * vector.bound >= 1 << (cohort.word_bits - 1):
        raise LocalError(f"{cohort.size} vectors within {vector.bound} overflow words of {cohort.word_bits} bits")
    words, rest = divmod(vector.words.nbytes * 8, cohort.word_bits)
    checked = words + CHECK_BITS // cohort.word_bits
    if rest or not words or checked > WORDS_MAX:
        raise LocalError(f"{vector.words.nbytes} bytes are no vector of words of {cohort.word_bits} bits")
    return checked


@dataclass(frozen=True, slots=True)
class Token:
    """Which computation of which attempt came back.

    life: of the object that asked for it: an attempt and a later witness of it have the same number, not the same
    payloads. key: what it is about.
    """

    round: int
    attempt: int
    life: int
    what: str
    key: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Bulk:
    """Bulk bytes that wait to be checked, or for what they are checked against. sender: the link they came over."""

    message: Segment | SumWords
    payload: Payload
    sender: NodeId
    digest: bytes = b""


@dataclass(frozen=True, slots=True, repr=False)
class _Part:
    """What makes an attempt live: who signs, the attempt's own key (memory only), the vector."""

    identity: Identity
    private: X25519PrivateKey
    vector: Vector


@dataclass(frozen=True, slots=True)
class Total:
    """The outcome of an attempt.

    words: of the sum, check words included. history: the H_r it leads to. clean: whether the masks cancelled and every
    coordinate is within n * bound.
    """

    words: Payload
    history: bytes
    clean: bool


class Attempt:
    """A member's part in one attempt, or a witness's view of it. `total` is set when the sum is known."""

    def __init__(self, me: int, transcript: Transcript, life: int = 0) -> None:
        """me: this node's place. transcript: empty, or what this node knows of the attempt. life: see `Token`."""
        self.cohort = transcript.cohort
        self.me = me
        self.transcript = transcript
        self.total: Total | None = None
        self._life = life
        self._part: _Part | None = None
        self._started: set[Token] = set()
        self._checking: dict[Token, _Bulk] = {}
        self._early_segments: dict[tuple[int, ...], _Bulk] = {}
        """(author, segment, whether another than the author sent it)"""
        self._early_words: dict[tuple[int, ...], _Bulk] = {}
        """(segment, which of its holders sent it)"""
        self._blamed: list[Sum] = []
        self._sent = False

    @property
    def number(self) -> int:
        """The attempt's number within its round."""
        return self.transcript.number

    @property
    def live(self) -> bool:
        """Whether this node takes part, rather than watches."""
        return self._part is not None

    def open(self, identity: Identity, draw: Draw, vector: Vector) -> list[Effect]:
        """Take part: make the attempt's key and offer it to all. Raises `LocalError`: see `vector_words`."""
        seen, cohort = self.transcript, self.cohort
        seen.expect(vector_words(cohort, vector), vector.bound)
        private = X25519PrivateKey.from_private_bytes(draw(KEY_BYTES))
        self._part = _Part(identity, private, vector)
        public = private.public_key().public_bytes_raw()
        place = (cohort.job, seen.place.number, self.number)
        offer = sign(identity, Offer(*place, identity.node, seen.context0, public, UNSIGNED))
        return [*self._to_all(offer), *seen.add_offer(offer), *self._advance()]

    def take(self, message: Message, payload: Payload | None, sender: NodeId) -> list[Effect]:
        """Check a message of this attempt and do what follows. Raises `PeerError` if it is refused."""
        effects: list[Effect] = []
        match message:
            case Offer():
                effects += self.transcript.add_offer(message)
            case Root():
                effects += self.transcript.add_root(message)
            case Sum():
                effects += self.transcript.add_sum(message)
            case Segment() if payload is not None:
                effects += self._take_segment(_Bulk(message, payload, sender), message)
            case SumWords() if payload is not None:
                effects += self._take_words(_Bulk(message, payload, sender), message)
            case _:
                raise PeerError("malformed", "a bulk message without its payload")
        return effects + self._advance()

    def _take_segment(self, bulk: _Bulk, message: Segment) -> list[Effect]:
        seen, author = self.transcript, self.cohort.index(message.author)
        if author is None:
            raise PeerError("not_a_member", f"{message.author} is not in the cohort")
        key = (author, message.segment, int(bulk.sender != message.author))
        if author not in seen.roots:
            return self._keep_early(key, bulk, message)
        seen.check_size(message, bulk.payload.nbytes)
        known = (author, message.segment) in seen.inputs
        return [] if known else self._check("input", key, bulk)

    def _keep_early(self, key: tuple[int, ...], bulk: _Bulk, message: Segment) -> list[Effect]:
        """A segment may overtake its root, as they travel on different streams: what this node holds anyway waits."""
        if not self._fits_own(message, bulk.payload.nbytes):
            raise EarlyError(f"no root of {message.author} is here")
        self._early_segments.setdefault(key, bulk)
        return []

    def _fits_own(self, message: Segment, size: int) -> bool:
        """Whether a segment is one that this node will hold, if the others' vectors have the length of its own."""
        if not self.live:
            return False
        layout = self.transcript.layout
        held = message.segment < layout.segments and self.me in layout.holders_of(message.segment)
        return held and size == layout.segment_bytes(message.segment)

    def _take_early(self) -> list[Effect]:
        """Segments whose root has come meanwhile."""
        effects: list[Effect] = []
        for key in [k for k in self._early_segments if k[0] in self.transcript.roots]:
            bulk = self._early_segments.pop(key)
            if key[:2] not in self.transcript.inputs:
                effects += self._check("input", key, bulk)
        return effects

    def _take_words(self, bulk: _Bulk, message: SumWords) -> list[Effect]:
        seen = self.transcript
        seen.check_size(message, bulk.payload.nbytes)
        holders = [self.cohort.members[i] for i in seen.layout.holders_of(message.segment)]
        rank = holders.index(bulk.sender) if bulk.sender in holders else len(holders)
        key = (message.segment, rank)
        known = message.segment in seen.words or key in self._early_words
        return [] if known else self._check("words", key, bulk)

    def _check(self, what: str, key: tuple[int, ...], bulk: _Bulk) -> list[Effect]:
        token = self._token(what, key)
        if token in self._checking:
            return []
        self._checking[token] = bulk
        payload = bulk.payload
        return [Compute(token, lambda: segment_digest(payload))]

    def computed(self, token: Token, value: Any) -> list[Effect]:
        """A computation came back; if it shows that a payload was wrong, its sender is refused."""
        effects: list[Effect] = []
        match token.what:
            case "mask":
                effects += self._say_root(*value)
            case "input":
                effects += self._checked_input(token.key[0], token.key[1], self._checking.pop(token), value)
            case "words":
                self._early_words[token.key] = replace(self._checking.pop(token), digest=value)
            case "sum":
                effects += self._summed(token.key[0], *value)
            case _:
                self.total = value
        return effects + self._advance()

    def _checked_input(self, author: int, segment: int, bulk: _Bulk, digest: bytes) -> list[Effect]:
        try:
            self.transcript.add_input(author, segment, bulk.payload, digest)
        except PeerError as error:
            return [Refused(bulk.sender, error.code, error.detail)]
        return []

    def started(self, token: Token) -> bool:
        """Whether this very attempt asked for the computation."""
        return token in self._started or token in self._checking

    def expects_segment(self, message: Segment, size: int) -> bool:
        """Whether a masked segment is of use here. Raises `PeerError` if it does not fit the vector."""
        seen, author = self.transcript, self.cohort.index(message.author)
        if author is None or (author, message.segment) in seen.inputs:
            return False
        if author not in seen.roots:
            return (author, message.segment, 0) not in self._early_segments and self._fits_own(message, size)
        seen.check_size(message, size)
        held = self.live and message.segment in seen.layout.held_by(self.me)
        return seen.layout.short or held or message.segment in seen.disputed

    def lose_patience(self) -> list[Effect]:
        """Holders were asked in vain: what they have not all signed is settled from its inputs instead."""
        seen = self.transcript
        if seen.rooted and not seen.layout.short:
            seen.disputed |= {s for s in range(seen.layout.segments) if seen.agreed(s) is None}
        return self._advance()

    def wanted(self) -> Wanted:
        """What is lacking for the sum."""
        return self.transcript.wanted(self._held())

    def _held(self) -> frozenset[int]:
        rooted = self.live and self.transcript.rooted
        return frozenset(self.transcript.layout.held_by(self.me)) if rooted else frozenset()

    def _mine(self) -> _Part:
        if self._part is None:
            raise LocalError("a witness has no part in its attempt")
        return self._part

    # -- moving on -----------------------------------------------------------------------------------------------

    def _advance(self) -> list[Effect]:
        """Do whatever the transcript now allows."""
        seen = self.transcript
        effects: list[Effect] = self._take_early()
        if self.live and seen.context is not None:
            effects += self._once("mask", (), self._mask_work)
        if seen.rooted:
            if self.live and not self._sent:
                self._sent = True
                effects += self._send_segments()
            effects += self._settle_words()
            effects += self._sum_segments()
            effects += self._finish()
        return effects

    def _once(self, what: str, key: tuple[int, ...], prepare: Callable[[], Callable[[], Any]]) -> list[Effect]:
        token = self._token(what, key)
        if token in self._started:
            return []
        self._started.add(token)
        return [Compute(token, prepare())]

    def _token(self, what: str, key: tuple[int, ...]) -> Token:
        return Token(self.transcript.place.number, self.number, self._life, what, key)

    def _to_all(self, message: Message) -> list[Effect]:
        return [Send(node, message) for i, node in enumerate(self.cohort.members) if i != self.me]

    def _mask_work(self) -> Callable[[], Any]:
        cohort, seen, part = self.cohort, self.transcript, self._mine()
        vector, layout = part.vector.words, seen.layout
        keys = [seen.offers[i].key for i in range(cohort.size)]
        masks = pair_masks(cohort, self.me, part.private, keys, seen.fixed_context)
        return lambda: masked(vector, layout, masks, cohort.suite)

    def _say_root(self, result: Payload, digests: list[bytes]) -> list[Effect]:
        """Commit to the masked vector."""
        seen, part = self.transcript, self._mine()
        place = (self.cohort.job, seen.place.number, self.number)
        shape = (seen.layout.words, part.vector.bound, tuple(digests))
        root = sign(part.identity, Root(*place, part.identity.node, seen.fixed_context, *shape, UNSIGNED))
        effects = seen.add_root(root)
        for segment in range(seen.layout.segments):
            seen.inputs[self.me, segment] = result[seen.layout.span(segment)]
        return [*effects, *self._to_all(root)]

    def _send_segments(self) -> list[Effect]:
        """All roots are in: each segment goes to its holders."""
        seen = self.transcript
        return [
            Send(self.cohort.members[holder], seen.segment(self.me, segment), seen.inputs[self.me, segment])
            for segment in range(seen.layout.segments)
            for holder in seen.layout.holders_of(segment)
            if holder != self.me
        ]

    def _settle_words(self) -> list[Effect]:
        """Summed words that arrived count once all holders of the segment have signed their digest."""
        seen = self.transcript
        effects: list[Effect] = []
        for key, bulk in list(self._early_words.items()):
            segment = key[0]
            agreed = seen.agreed(segment)
            if agreed is None and segment not in seen.words:
                continue
            del self._early_words[key]
            if agreed == bulk.digest:
                seen.words.setdefault(segment, bulk.payload)
            elif agreed is not None:
                detail = f"the words of segment {segment} are not what its holders signed"
                effects.append(Refused(bulk.sender, "wrong_words", detail))
        return effects

    def _sum_segments(self) -> list[Effect]:
        seen = self.transcript
        effects: list[Effect] = []
        mine = range(seen.layout.segments) if seen.layout.short else sorted(self._held() | seen.disputed)
        for segment in mine:
            if not seen.authors_missing(segment):
                effects += self._once("sum", (segment,), partial(self._sum_work, segment))
        return effects

    def _sum_work(self, segment: int) -> Callable[[], Any]:
        inputs = [self.transcript.inputs[a, segment] for a in range(self.cohort.size)]
        bits = self.cohort.word_bits

        def work() -> tuple[Payload, bytes]:
            total = add_segments(inputs, bits)
            return total, segment_digest(total)

        return work

    def _summed(self, segment: int, words: Payload, digest: bytes) -> list[Effect]:
        """A segment's true sum is known here; it is ours to say if we hold the segment."""
        seen = self.transcript
        seen.words[segment] = words
        seen.true_sums[segment] = digest
        if seen.layout.short or segment not in self._held():
            return []
        identity = self._mine().identity
        place = (self.cohort.job, seen.place.number, self.number)
        message = sign(identity, Sum(*place, identity.node, seen.fixed_roots, segment, digest, UNSIGNED))
        effects = [*seen.add_sum(message), *self._to_all(message)]
        holders = seen.layout.holders_of(segment)
        if holders[0] == self.me:
            others = sorted(set(range(self.cohort.size)) - set(holders))
            effects += [Send(self.cohort.members[i], seen.sum_words(segment), words) for i in others]
        return effects

    def _finish(self) -> list[Effect]:
        seen = self.transcript
        effects: list[Effect] = self._blame()
        if all(seen.settled(s) for s in range(seen.layout.segments)):
            effects += self._once("total", (), self._total_work)
        return effects

    def _total_work(self) -> Callable[[], Any]:
        layout, bound, place = self.transcript.layout, self.transcript.bound, self.transcript.place
        pieces = [self.transcript.words[s] for s in range(layout.segments)]

        def work() -> Total:
            words = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            history = next_history(place.history, place.number, words)
            return Total(words, history, is_clean(words, layout, bound))

        return work

    def _blame(self) -> list[Effect]:
        """Name each holder that signed another digest than the inputs give."""
        effects: list[Effect] = []
        for (_, segment), message in self.transcript.sums.items():
            truth = self.transcript.true_sums.get(segment)
            if truth is not None and message.digest != truth and message not in self._blamed:
                self._blamed.append(message)
                effects.append(Evidence(message.author, "false_sum", (message,)))
        return effects
