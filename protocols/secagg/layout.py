"""Which words of a vector form which segment, and who holds it.

Long vectors are cut into n contiguous segments; segment s is held by members s .. s+h-1 (mod n), fixed, because
anything drawn from fresh keys could be ground. A short vector is one segment that everybody holds: everyone adds up
for itself, which saves a message delay and the signatures of holders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CHECK_BITS: Final = 64
"""Zero bits at the end of each vector: masks that do not cancel leave them zero with odds of 2**-64."""
SHORT_BYTES_MAX: Final = 1 << 20
"""Up to n vectors of this many bytes together everybody sums for itself. Measured: above about 1 MiB the (n - 1)
full copies that each member sends cost more than the additional message delay of holders."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The cut of a vector. words: its length, check words included."""

    members: int
    holders: int
    words: int
    word_bits: int

    @property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return self.word_bits // 8

    @property
    def vector_bytes(self) -> int:
        """Bytes of a whole vector."""
        return self.words * self.word_bytes

    @property
    def check_words(self) -> int:
        """How many words at the end are the check."""
        return CHECK_BITS // self.word_bits

    @property
    def short(self) -> bool:
        """Whether everybody holds everything."""
        return self.members * self.vector_bytes <= SHORT_BYTES_MAX

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return 1 if self.short else self.members

    def span(self, segment: int) -> slice:
        """The bytes of a segment within a vector."""
        first = segment * self.words // self.segments
        last = (segment + 1) * self.words // self.segments
        return slice(first * self.word_bytes, last * self.word_bytes)

    def segment_bytes(self, segment: int) -> int:
        """Bytes of a segment."""
        span = self.span(segment)
        return int(span.stop) - int(span.start)

    def holders_of(self, segment: int) -> tuple[int, ...]:
        """The members that sum a segment; for long vectors the first of them sends the words."""
        if self.short:
            return tuple(range(self.members))
        return tuple((segment + k) % self.members for k in range(self.holders))

    def held_by(self, member: int) -> tuple[int, ...]:
        """The segments that a member sums."""
        if self.short:
            return (0,)
        return tuple(sorted((member - k) % self.members for k in range(self.holders)))
