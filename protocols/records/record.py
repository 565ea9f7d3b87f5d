"""A signed record: the one form in which a federation knows anything.

Rules. A record says: in this federation, `author` says `body` of kind `kind` about `subject`, for the `sequence`-th
time. The signature is over `frame("record", federation, kind, author, subject, sequence, body)`; the record's digest is
SHA-256 of that same frame, so the digest names what was said and not how often it was signed (an author can make many
valid signatures of one content; they are one record). `body` is the msgpack encoding of the kind's strict struct.

The charter is the record that founds a federation, and the federation's id is the charter's digest. As no id can stand
in what it is the digest of, a charter is bound to `NO_FEDERATION` in its place.

What this cannot express: when something was said. Order exists only within one key (kind, author, subject), by
sequence; a body may hold a date, but that is the author's word.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec

from protocols.digest import digest, frame
from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId, verify
from protocols.message import Id, Message, Signature

SUBJECT_CHARS_MAX: Final = 128
"""Characters of a subject: a node id has 56, a digest in hexadecimal 64; twice that leaves room for names."""
BODY_BYTES_MAX: Final = 96 * 1024
"""Bytes of a body, whatever its kind: the largest is a revocation that keeps 2,048 records of 34 bytes (68 KiB)."""
RECORD_BYTES_MAX: Final = BODY_BYTES_MAX + 512
"""Bytes of an encoded record: the body, and at most 300 bytes of everything else."""

CHARTER: Final = "charter"
"""The kind of the record that founds a federation."""
NO_FEDERATION: Final = bytes(32)
"""What a charter is bound to, in place of the federation that it founds."""
FIRST: Final = 1
"""The sequence of what is said for the first time; of a final kind, the only one."""

KindName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z_]{0,23}\Z")]
"""The name of a kind: lower-case letters and underscores."""
Subject = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{0,128}\Z")]
"""What a record is about: printable ASCII without spaces; empty where the author says all."""


class Record(Message, frozen=True):
    """A signed statement. Whether the signature fits is for `check_signature` to say.

    kind: what sort of statement. author: who signed it. subject: what it is about. sequence: rises with each new
    version of the same (kind, author, subject). body: msgpack of the kind's struct. signature: see above.
    """

    kind: KindName
    author: Id
    subject: Subject
    sequence: Annotated[int, msgspec.Meta(ge=FIRST, le=2**62)]
    body: Annotated[bytes, msgspec.Meta(max_length=BODY_BYTES_MAX)]
    signature: Signature


class Key(NamedTuple):
    """What a record speaks of: a later sequence under the same key takes its place."""

    kind: str
    author: NodeId
    subject: str


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


def _parts(federation: bytes, record: Record) -> tuple[bytes, ...]:
    return (
        NO_FEDERATION if record.kind == CHARTER else federation,
        record.kind.encode(),
        record.author.encode(),
        record.subject.encode(),
        record.sequence.to_bytes(8, "little"),
        record.body,
    )


def record_digest(federation: bytes, record: Record) -> bytes:
    """The digest of what a record says in a federation, without its signature: 32 bytes."""
    return digest("record", *_parts(federation, record))


def key_digest(federation: bytes, key: Key) -> bytes:
    """The digest of a record's key: its place in the store and its bucket in an exchange. 32 bytes."""
    return digest("record key", federation, key.kind.encode(), key.author.encode(), key.subject.encode())


def key_of(record: Record) -> Key:
    """The key under which a record stands."""
    return Key(record.kind, record.author, record.subject)


def sign_record(
    identity: Identity, federation: bytes, kind: str, subject: str, body: Message, *, sequence: int = FIRST
) -> Record:
    """A record by `identity`; of a later version, `RecordStore.next_sequence` gives the sequence.

    Raises `LocalError` if a field is outside of what `Record` allows.
    """
    unsigned = Record(kind, identity.node, subject, sequence, _ENCODER.encode(body), bytes(64))
    try:
        decode_record(encode_record(unsigned))
    except PeerError as error:
        raise LocalError(f"no record of kind {kind!r} about {subject!r} can be made: {error}") from None
    signature = identity.sign(frame("record", *_parts(federation, unsigned)))
    return msgspec.structs.replace(unsigned, signature=signature)


def check_signature(federation: bytes, record: Record) -> None:
    """Check that the author signed the record in this federation.

    Raises `PeerError`: ``bad_signature``, ``bad_node_id``, ``weak_key``.
    """
    verify(record.author, record.signature, frame("record", *_parts(federation, record)))


def encode_record(record: Record) -> bytes:
    """The bytes of a record, as they are kept on disk."""
    return _ENCODER.encode(record)


def decode_record(data: bytes | memoryview) -> Record:
    """The record in `data`, its signature not yet checked.

    Raises `PeerError`: ``oversize`` (judged before decoding), ``malformed``.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise PeerError("oversize", f"a record of {len(data)} bytes; at most {RECORD_BYTES_MAX}")
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise PeerError("malformed", "not a record") from None
