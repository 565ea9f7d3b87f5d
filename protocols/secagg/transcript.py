"""The public part of one attempt: everything here may be shown to any member, for all vectors in it are masked.

A live attempt fills it; a member that sat the attempt out fills one from what others pass on, by the same checks; what
it holds in the end is the evidence for the sum. It checks what enters, knows what it lacks and what it can answer.

A root counts only over the context that all offers together give: one that comes before the last offer waits, and
nothing is judged by it meanwhile. So whatever was taken in by a root stays true of that root.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from protocols.core import Effect, Refused
from protocols.errors import EarlyError, LocalError, PeerError
from protocols.message import Message, Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Evidence
from protocols.secagg.layout import Layout
from protocols.secagg.mask import check_public_key
from protocols.secagg.messages import Ask, Offer, Root, Segment, Sum, SumWords
from protocols.secagg.signing import RoundId, context, context0, rooted_context, signed_frame, verify_message

T = TypeVar("T")


@dataclass(slots=True)
class Wanted:
    """What an attempt still lacks; the fields are those of `Ask`."""

    offers: set[int] = field(default_factory=set)
    roots: set[int] = field(default_factory=set)
    segments: set[tuple[int, int]] = field(default_factory=set)
    sums: set[tuple[int, int]] = field(default_factory=set)
    words: set[tuple[int, int]] = field(default_factory=set)
    """(the holder that sends them, segment)"""

    def members(self) -> set[int]:
        """Whose messages are missing."""
        return self.offers | self.roots | {member for member, _ in self.segments | self.sums | self.words}


class Transcript:
    """Offers, roots, masked segments, holders' sums and summed words of one attempt, all checked before they enter."""

    def __init__(self, cohort: Cohort, place: RoundId, number: int) -> None:
        self.cohort = cohort
        self.place = place
        self.number = number
        self.context0 = context0(cohort, place, number)
        self.context: bytes | None = None
        self.rooted_context: bytes | None = None
        self._layout: Layout | None = None
        self._expected = False
        self.bound = 0
        self.offers: dict[int, Offer] = {}
        self.roots: dict[int, Root] = {}
        self._early_roots: dict[int, Root] = {}
        """Signed roots that came before the last offer: whether they are over our context is not known yet."""
        self.inputs: dict[tuple[int, int], Payload] = {}
        """(author, segment) -> masked words that match the author's root."""
        self.sums: dict[tuple[int, int], Sum] = {}
        """(holder, segment) -> what the holder signed."""
        self.words: dict[int, Payload] = {}
        """segment -> its summed words, settled."""
        self.true_sums: dict[int, bytes] = {}
        """segment -> digest of its sum, computed here from its inputs."""
        self.disputed: set[int] = set()
        """Segments that holders' signatures do not settle: their inputs do."""

    @property
    def rooted(self) -> bool:
        """Whether all roots over this context are here: only now may a masked word leave its author (G3)."""
        return self.rooted_context is not None

    @property
    def offered(self) -> bool:
        """Whether an offer of every member is here: from now on the attempt must move."""
        return len(self.offers) == self.cohort.size

    @property
    def fixed_context(self) -> bytes:
        """The context, once all offers are here. Raises `LocalError` before."""
        if self.context is None:
            raise LocalError("offers are missing")
        return self.context

    @property
    def fixed_roots(self) -> bytes:
        """The rooted context, once all roots are here. Raises `LocalError` before."""
        if self.rooted_context is None:
            raise LocalError("roots are missing")
        return self.rooted_context

    @property
    def layout(self) -> Layout:
        """The vector's cut: this node's own vector says it, or the first root. Raises `LocalError` before them."""
        if self._layout is None:
            raise LocalError("no root is here yet")
        return self._layout

    # -- taking in -----------------------------------------------------------------------------------------------

    def expect(self, words: int, bound: int) -> None:
        """This node's own vector says what shape all have; what another shape let in before is dropped."""
        layout = Layout(self.cohort.size, self.cohort.holders, words, self.cohort.word_bits)
        if self.roots and (layout, bound) != (self.layout, self.bound):
            self.rooted_context = None
            self.roots.clear()
            self.sums.clear()
            self.forget_words()
        self._layout, self.bound, self._expected = layout, bound, True

    def forget_words(self) -> None:
        """The attempt was given up: what was signed in it still binds its authors, the masked words may go."""
        self.disputed.clear()
        self.inputs.clear()
        self.words.clear()
        self.true_sums.clear()

    def add_offer(self, offer: Offer) -> list[Effect]:
        """Take an offer in; evidence if its author signed another one too. Raises `PeerError`."""
        author = self._author(offer)
        known = self.offers.get(author)
        if known is not None and offer == known:
            return []
        verify_message(offer)
        if known is not None:
            return _conflict("two_offers", known, offer)
        if offer.context0 != self.context0:
            return [Evidence(offer.author, "other_history", (offer,))]
        check_public_key(offer.key)
        self.offers[author] = offer
        twins = self.twins
        if len(twins) > 1 and author in twins:
            names = " and ".join(self.cohort.members[i] for i in sorted(twins))
            raise PeerError("repeated_key", f"{names} offer one key: who copied it cannot be told")
        return self._fix_context() if self.offered and not twins else []

    @property
    def twins(self) -> set[int]:
        """Members whose key another member offers, too: with them the attempt goes no further."""
        counts = Counter(offer.key for offer in self.offers.values())
        return {author for author, offer in self.offers.items() if counts[offer.key] > 1}

    def _fix_context(self) -> list[Effect]:
        """All offers are here: roots that came early can be judged."""
        self.context = context(self.context0, [self.offers[i] for i in range(self.cohort.size)])
        effects: list[Effect] = []
        early, self._early_roots = self._early_roots, {}
        for root in early.values():
            try:
                effects += self._judge_root(root)
            except PeerError as error:
                effects.append(Refused(root.author, error.code, error.detail))
        return effects

    def add_root(self, root: Root) -> list[Effect]:
        """Take a root in. Raises `PeerError` if it is not signed or does not fit the other members' vectors."""
        author = self._author(root)
        known = self.roots.get(author) or self._early_roots.get(author)
        if known is not None and root == known:
            return []
        verify_message(root)
        if known is not None:
            return _conflict("two_roots", known, root)
        if self.context is None:
            self._early_roots[author] = root
            return []
        return self._judge_root(root)

    def _judge_root(self, root: Root) -> list[Effect]:
        """Take in a signed root, now that the context is known."""
        if root.context != self.context:
            return [Evidence(root.author, "other_context", (root,))]
        self.fit(root.author, root.words, root.bound)
        if len(root.digests) != self.layout.segments:
            raise PeerError("vector_shape", f"{root.author}'s root has {len(root.digests)} segments")
        self.roots[self._author(root)] = root
        if len(self.roots) == self.cohort.size:
            self._fix_roots()
        return []

    def _fix_roots(self) -> None:
        roots = [self.roots[i] for i in range(self.cohort.size)]
        self.rooted_context = rooted_context(self.fixed_context, roots)

    def fit(self, author: str, words: int, bound: int) -> None:
        """All vectors of a round have one length and one bound. Raises `PeerError` naming who differs."""
        layout = Layout(self.cohort.size, self.cohort.holders, words, self.cohort.word_bits)
        if words <= layout.check_words or self.cohort.size * bound >= 1 << (self.cohort.word_bits - 1):
            raise PeerError("vector_shape", f"{author}: {words} words within {bound} leave no room for the sum")
        if not self.roots and not self._expected:
            self._layout, self.bound = layout, bound
        elif (words, bound) != (self.layout.words, self.bound):
            others = f"others {self.layout.words} within {self.bound}"
            raise PeerError("vector_shape", f"{author} has {words} words within {bound}, {others}")

    def check_size(self, message: Segment | SumWords, size: int) -> None:
        """Refuse a bulk payload by the size it announces. Raises `PeerError`."""
        if not self.roots:
            raise EarlyError("no root is here yet")
        if message.segment >= self.layout.segments or size != self.layout.segment_bytes(message.segment):
            raise PeerError("wrong_size", f"segment {message.segment} of {size} bytes does not fit the vector")

    def add_input(self, author: int, segment: int, payload: Payload, digest: bytes) -> None:
        """Take a masked segment in. Raises `PeerError` if its digest is not what the author's root says."""
        root = self.roots.get(author)
        if root is None or segment >= len(root.digests) or root.digests[segment] != digest:
            raise PeerError("wrong_segment", f"segment {segment} does not match {self.cohort.members[author]}'s root")
        self.inputs[author, segment] = payload

    def add_sum(self, message: Sum) -> list[Effect]:
        """Take a holder's sum in. Raises `PeerError` if it is not the author's to say."""
        holder = self._author(message)
        if not self.rooted:
            raise EarlyError("roots are missing")
        if message.segment >= self.layout.segments or self.layout.short:
            raise PeerError("unexpected_sum", f"nobody holds segment {message.segment}")
        if holder not in self.layout.holders_of(message.segment):
            raise PeerError("not_a_holder", f"{message.author} does not hold segment {message.segment}")
        known = self.sums.get((holder, message.segment))
        if known is not None and message == known:
            return []
        verify_message(message)
        if known is not None:
            return _conflict("two_sums", known, message)
        if message.context != self.rooted_context:
            return [Evidence(message.author, "other_roots", (message,))]
        self.sums[holder, message.segment] = message
        if len(self._said(message.segment)) > 1:
            self.disputed.add(message.segment)
        elif self.agreed(message.segment) is not None and message.segment not in self.true_sums:
            self.disputed.discard(message.segment)
        return []

    def _author(self, message: Offer | Root | Sum) -> int:
        index = self.cohort.index(message.author)
        if index is None:
            raise PeerError("not_a_member", f"{message.author} is not in the cohort")
        return index

    def restore(
        self,
        offers: tuple[Offer, ...],
        roots: tuple[Root, ...],
        sums: tuple[Sum, ...],
        inputs: tuple[tuple[int, int, Payload], ...],
        total: Payload,
    ) -> None:
        """Take in what this node itself kept as evidence, all checked before it was kept."""
        self.offers = dict(enumerate(offers))
        self._fix_context()
        self.fit(roots[0].author, roots[0].words, roots[0].bound)
        self.roots = dict(enumerate(roots))
        self._fix_roots()
        for message in sums:
            self.sums[self._author(message), message.segment] = message
        self.inputs = {(author, segment): words for author, segment, words in inputs}
        self.disputed = {segment for _, segment, _ in inputs} if not self.layout.short else set()
        self.words = {s: total[self.layout.span(s)] for s in range(self.layout.segments)}

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many pieces are here: the measure of progress."""
        return len(self.offers) + len(self.roots) + len(self.inputs) + len(self.sums) + len(self.words)

    def _said(self, segment: int) -> list[bytes]:
        """The different digests that holders of a segment signed."""
        heard = (self.sums.get((holder, segment)) for holder in self.layout.holders_of(segment))
        return list(dict.fromkeys(message.digest for message in heard if message is not None))

    def agreed(self, segment: int) -> bytes | None:
        """The digest that all h holders of a segment signed; None while one is missing or they differ."""
        said = self._said(segment)
        all_heard = all((holder, segment) in self.sums for holder in self.layout.holders_of(segment))
        return said[0] if all_heard and len(said) == 1 else None

    def authors_missing(self, segment: int) -> set[int]:
        """Authors whose input to the segment is not here."""
        return {a for a in range(self.cohort.size) if (a, segment) not in self.inputs}

    def settled(self, segment: int) -> bool:
        """Whether the segment's sum is known and others can be convinced of it: by holders, or by the inputs."""
        if self.layout.short or segment in self.disputed:
            return segment in self.true_sums
        return segment in self.words and self.agreed(segment) is not None

    def wanted(self, held: frozenset[int]) -> Wanted:
        """What is lacking. held: the segments that this node sums itself (beside the disputed ones)."""
        wanted = Wanted()
        everyone = set(range(self.cohort.size))
        if self.context is None:
            wanted.offers = (everyone - set(self.offers)) or self.twins
        elif not self.rooted:
            wanted.roots = everyone - set(self.roots)
        else:
            for segment in range(self.layout.segments):
                if not self.settled(segment):
                    self._want(wanted, segment, segment in held or segment in self.disputed)
        return wanted

    def _want(self, wanted: Wanted, segment: int, summed_here: bool) -> None:
        if summed_here or self.layout.short:
            wanted.segments |= {(author, segment) for author in self.authors_missing(segment)}
        if self.layout.short or segment in self.disputed:
            return
        holders = self.layout.holders_of(segment)
        wanted.sums |= {(holder, segment) for holder in holders if (holder, segment) not in self.sums}
        if not summed_here and segment not in self.words:
            wanted.words.add((holders[0], segment))

    def evidence_inputs(self) -> tuple[tuple[int, int, Payload], ...]:
        """(author, segment, words) that must be kept with the sum: where holders' signatures do not settle it."""
        kept = {s for s in range(self.layout.segments) if self.layout.short or s in self.disputed}
        return tuple((a, s, words) for (a, s), words in sorted(self.inputs.items(), key=_by_key) if s in kept)

    def answers(self, ask: Ask) -> Iterator[tuple[Message, Payload | None]]:
        """What of the asked-for is here, each item once. A masked segment is shown only once all roots are in."""
        yield from ((self.offers[i], None) for i in _each(ask.offers) if i in self.offers)
        yield from ((self.roots[i], None) for i in _each(ask.roots) if i in self.roots)
        yield from ((self.sums[pair], None) for pair in _each(ask.sums) if pair in self.sums)
        if self.rooted:
            pairs = [pair for pair in _each(ask.segments) if pair in self.inputs]
            yield from ((self.segment(*pair), self.inputs[pair]) for pair in pairs)
            yield from ((self.sum_words(s), self.words[s]) for s in _each(ask.words) if s in self.words)

    def segment(self, author: int, segment: int) -> Segment:
        """The message that carries an author's segment."""
        node = self.cohort.members[author]
        return Segment(self.cohort.job, self.place.number, self.number, node, segment)

    def sum_words(self, segment: int) -> SumWords:
        """The message that carries a segment's summed words."""
        return SumWords(self.cohort.job, self.place.number, self.number, segment)


def _each(asked: Iterable[T]) -> Iterable[T]:
    """What is asked for, without repetitions, in its order."""
    return dict.fromkeys(asked)


def _by_key(item: tuple[tuple[int, int], Payload]) -> tuple[int, int]:
    return item[0]


def _conflict(kind: str, known: Offer | Root | Sum, other: Offer | Root | Sum) -> list[Effect]:
    """Two signed messages of one place where there may be one: evidence, unless they say the same.

    An honest member enters an attempt once, in one history: it signs one offer, one root and one sum of a segment.
    """
    return [] if signed_frame(known) == signed_frame(other) else [Evidence(known.author, kind, (known, other))]
