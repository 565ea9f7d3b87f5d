"""The store cut into 256 buckets, each with a digest: what two nodes compare to find where they differ.

A record lies in the bucket of the first byte of its key's digest. A bucket's digest is SHA-256 over the sorted digests
of its records, worked out when it is asked for and kept until the bucket changes; a sum or an exclusive-or would be
cheaper to keep up, but an author could choose records that cancel and so hide others from the comparison.
"""

from __future__ import annotations

from typing import Final

from protocols.digest import digest
from protocols.records.authority import Held

BUCKETS: Final = 256
"""With 10,000 records, 40 a bucket: one changed record costs a listing of 4 KiB."""

_EMPTY: Final = digest("bucket")


class Buckets:
    """The records held, by bucket."""

    def __init__(self) -> None:
        self._held: Final[list[dict[bytes, Held]]] = [{} for _ in range(BUCKETS)]
        self._digests: Final[list[bytes | None]] = [_EMPTY] * BUCKETS
        self._all: bytes | None = None

    def add(self, held: Held) -> None:
        """Put a record into its bucket."""
        number = held.key_digest[0]
        self._held[number][held.digest] = held
        self._digests[number] = self._all = None

    def remove(self, held: Held) -> None:
        """Take a record out of its bucket."""
        number = held.key_digest[0]
        del self._held[number][held.digest]
        self._digests[number] = self._all = None

    def digest(self, number: int) -> bytes:
        """The digest of one bucket."""
        known = self._digests[number]
        if known is None:
            known = digest("bucket", *sorted(self._held[number]))
            self._digests[number] = known
        return known

    def digests(self) -> bytes:
        """The digests of all buckets, one after the other: 8,192 bytes."""
        if self._all is None:
            self._all = b"".join(map(self.digest, range(BUCKETS)))
        return self._all

    def listing(self, number: int) -> list[Held]:
        """The records of one bucket, those of low rank first."""
        return sorted(self._held[number].values(), key=lambda held: (held.rank, held.digest))
