"""The public part of one attempt: everything here may be shown to any member, for all vectors in it are masked.

A live attempt fills it; a member that sat the attempt out fills one from what others pass on, by the same checks; what
it holds in the end is the evidence for the sum. It checks what enters, knows what it lacks and what it can answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.errors import EarlyError, LocalError, PeerError
from protocols.message import Message, Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Evidence
from protocols.secagg.layout import Layout
from protocols.secagg.mask import check_public_key
from protocols.secagg.messages import Ask, Offer, Root, Segment, Sum, SumWords
from protocols.secagg.signing import RoundId, context, context0, signed_frame, verify_message


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
        self._layout: Layout | None = None
        self.bound = 0
        self.offers: dict[int, Offer] = {}
        self.roots: dict[int, Root] = {}
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
        return self.context is not None and len(self.roots) == self.cohort.size

    @property
    def fixed_context(self) -> bytes:
        """The context, once all offers are here. Raises `LocalError` before."""
        if self.context is None:
            raise LocalError("offers are missing")
        return self.context

    @property
    def layout(self) -> Layout:
        """The vector's cut: known with the first root, the same for all. Raises `LocalError` before it."""
        if self._layout is None:
            raise LocalError("no root is here yet")
        return self._layout

    # -- taking in -----------------------------------------------------------------------------------------------

    def add_offer(self, offer: Offer) -> list[Evidence]:
        """Take an offer in; evidence if its author signed another one too. Raises `PeerError`."""
        author = self._author(offer)
        known = self.offers.get(author)
        if known is not None and offer == known:
            return []
        verify_message(offer)
        if offer.context0 != self.context0:
            return [Evidence(offer.author, "other_history", (offer,))]
        if known is not None:
            return _conflict("two_offers", known, offer)
        check_public_key(offer.key)
        if any(offer.key == other.key for other in self.offers.values()):
            raise PeerError("repeated_key", f"{offer.author} offers a key that another member offered")
        self.offers[author] = offer
        if len(self.offers) == self.cohort.size:
            return self._fix_context()
        return []

    def _fix_context(self) -> list[Evidence]:
        """All offers are here. Roots that came early and are over another context go out, as evidence."""
        self.context = context(self.context0, [self.offers[i] for i in range(self.cohort.size)])
        others = [i for i, root in self.roots.items() if root.context != self.context]
        return [Evidence(self.roots[i].author, "other_context", (self.roots.pop(i),)) for i in others]

    def add_root(self, root: Root) -> list[Evidence]:
        """Take a root in. Raises `PeerError` if it is not signed or does not fit the other members' vectors."""
        author = self._author(root)
        known = self.roots.get(author)
        if known is not None and root == known:
            return []
        verify_message(root)
        if self.context is not None and root.context != self.context:
            return [Evidence(root.author, "other_context", (root,))]
        if known is not None:
            return _conflict("two_roots", known, root)
        self.fit(root.author, root.words, root.bound)
        if len(root.digests) != self.layout.segments:
            raise PeerError("vector_shape", f"{root.author}'s root has {len(root.digests)} segments")
        self.roots[author] = root
        return []

    def fit(self, author: str, words: int, bound: int) -> None:
        """All vectors of a round have one length and one bound. Raises `PeerError` naming who differs."""
        layout = Layout(self.cohort.size, self.cohort.holders, words, self.cohort.word_bits)
        if words <= layout.check_words or self.cohort.size * bound >= 1 << (self.cohort.word_bits - 1):
            raise PeerError("vector_shape", f"{author}: {words} words within {bound} leave no room for the sum")
        if not self.roots:
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
        if root is None or root.digests[segment] != digest:
            raise PeerError("wrong_segment", f"segment {segment} does not match {self.cohort.members[author]}'s root")
        self.inputs[author, segment] = payload

    def add_sum(self, message: Sum) -> list[Evidence]:
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
        if message.context != self.context:
            return [Evidence(message.author, "other_context", (message,))]
        if known is not None:
            return _conflict("two_sums", known, message)
        self.sums[holder, message.segment] = message
        if len(self._said(message.segment)) > 1:
            self.disputed.add(message.segment)
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

    def _said(self, segment: int) -> set[bytes]:
        return {message.digest for (_, s), message in self.sums.items() if s == segment}

    def agreed(self, segment: int) -> bytes | None:
        """The digest that all h holders of a segment signed; None while one is missing or they differ."""
        heard = sum((holder, segment) in self.sums for holder in self.layout.holders_of(segment))
        said = self._said(segment)
        return said.pop() if heard == len(self.layout.holders_of(segment)) and len(said) == 1 else None

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
            wanted.offers = everyone - set(self.offers)
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
        """What of the asked-for is here. A masked segment is shown only once all roots are in."""
        yield from ((self.offers[i], None) for i in ask.offers if i in self.offers)
        yield from ((self.roots[i], None) for i in ask.roots if i in self.roots)
        yield from ((self.sums[pair], None) for pair in ask.sums if pair in self.sums)
        if self.rooted:
            yield from ((self.segment(*pair), self.inputs[pair]) for pair in ask.segments if pair in self.inputs)
            yield from ((self.sum_words(s), self.words[s]) for s in ask.words if s in self.words)

    def segment(self, author: int, segment: int) -> Segment:
        """The message that carries an author's segment."""
        node = self.cohort.members[author]
        return Segment(self.cohort.job, self.place.number, self.number, node, segment)

    def sum_words(self, segment: int) -> SumWords:
        """The message that carries a segment's summed words."""
        return SumWords(self.cohort.job, self.place.number, self.number, segment)


def _by_key(item: tuple[tuple[int, int], Payload]) -> tuple[int, int]:
    return item[0]


def _conflict(kind: str, known: Offer | Root | Sum, other: Offer | Root | Sum) -> list[Evidence]:
    """Two signed messages where there may be one: evidence, unless they say the same."""
    return [] if signed_frame(known) == signed_frame(other) else [Evidence(known.author, kind, (known, other))]
