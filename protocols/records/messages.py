"""The messages by which two nodes bring their records to the same state. How they are used: `exchange`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from protocols.message import DIGEST_BYTES, Count, Digest, Message
from protocols.records.buckets import BUCKETS
from protocols.records.record import KindName, Record

ENTRIES_MAX: Final = 2048
"""Entries of a listing: of about 105 bytes each, 210 KiB."""
BATCH_RECORDS_MAX: Final = 128
"""Records of one message: their signatures take 15 ms to verify, for which nothing else of the node runs."""
BATCH_BYTES_MAX: Final = 192 * 1024
"""Bytes of the records of one message: at least one of the largest (96.5 KiB) fits, with room to spare."""

SUMMARY_BYTES_MAX: Final = BUCKETS * DIGEST_BYTES + 64
LISTING_BYTES_MAX: Final = 64 + ENTRIES_MAX * 112
PULL_BYTES_MAX: Final = 64 + BATCH_RECORDS_MAX * (DIGEST_BYTES + 2)
RECORDS_BYTES_MAX: Final = 64 + BATCH_BYTES_MAX

BucketNumber = Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]


class Summary(Message, frozen=True):
    """What the sender holds, in 256 digests. The receiver lists its own records of the buckets that differ.

    buckets: the digests, one after the other. start: the first bucket that is to be listed.
    """

    buckets: Annotated[bytes, msgspec.Meta(min_length=BUCKETS * DIGEST_BYTES, max_length=BUCKETS * DIGEST_BYTES)]
    start: BucketNumber = 0


class Entry(Message, frozen=True):
    """One record that the sender holds, in so few words that the receiver knows whether it wants it.

    kind: of the record; one that the receiver does not know is not worth asking for. key: digest of the record's key.
    sequence: of the record. digest: of the record.
    """

    kind: KindName
    key: Digest
    sequence: Count
    digest: Digest


class Listing(Message, frozen=True):
    """The answer to a summary: all records of the buckets that differ, as far as they fit.

    entries: the records. following: the bucket at which a next summary should start, or None if all were listed.
    """

    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=ENTRIES_MAX)]
    following: BucketNumber | None = None


class Pull(Message, frozen=True):
    """Records that the sender wants, by digest, those it wants most first. Answered with one `Records`."""

    digests: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]


class Records(Message, frozen=True):
    """Records: the answer to a pull, or news that the sender has just learned."""

    records: Annotated[tuple[Record, ...], msgspec.Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]
