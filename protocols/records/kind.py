"""Kinds of record: what each holds, how large and how many it may be, and who may write it.

A feature adds a row, never a channel. Rows are handed to the store in one table, in the order in which their records
should travel: a kind stands below those on which its acceptance depends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.errors import LocalError, PeerError
from protocols.message import Message
from protocols.records.authority import Authority, Held
from protocols.records.record import BODY_BYTES_MAX, FIRST, Record, key_digest, key_of, record_digest

MayWrite = Callable[[Record, Any, Authority], str | None]
"""From a record, its decoded body and the roster: None if its author may write it, else the reason as a code."""
Check = Callable[[Record, Any], str | None]
"""From a record and its decoded body: None if it is well formed, else a sentence that says what is not."""


def anyone(_record: Record, _body: Any, _authority: Authority) -> None:
    """Any member may write it."""


def anything(_record: Record, _body: Any) -> None:
    """Whatever decodes is well formed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    name: as in the record. body: the strict struct of its body. bytes_max: of its body. per_author_max: keys that one
    author may hold. may_write: refuses an author. check: refuses a body that decodes and still makes no sense.
    final: said once and never superseded. urgent: told to every peer at once, however many there are.
    outsiders: authors that are no members may write it if `may_write` lets them; all others need to be members.
    """

    name: str
    body: type[Message]
    bytes_max: int
    per_author_max: int
    may_write: MayWrite = anyone
    check: Check = anything
    final: bool = False
    urgent: bool = False
    outsiders: bool = False


class Kinds:
    """The table of kinds of one node."""

    def __init__(self, rows: Iterable[Kind]) -> None:
        """rows: in the order in which their records travel.

        Raises `LocalError` for two rows of one name, or one that allows more than a record can hold.
        """
        self._rows: Final[dict[str, Kind]] = {}
        self._ranks: Final[dict[str, int]] = {}
        for rank, row in enumerate(rows):
            if row.name in self._rows:
                raise LocalError(f"two kinds of record are named {row.name!r}")
            if row.bytes_max > BODY_BYTES_MAX:
                raise LocalError(
                    f"kind {row.name!r} may have {row.bytes_max} bytes; no record has over {BODY_BYTES_MAX}"
                )
            self._rows[row.name] = row
            self._ranks[row.name] = rank
        self._decoders: Final = {name: msgspec.msgpack.Decoder(row.body) for name, row in self._rows.items()}

    def get(self, name: str) -> Kind | None:
        """The row of that name, or None."""
        return self._rows.get(name)

    def __getitem__(self, name: str) -> Kind:
        """The row of that name. Raises `LocalError` if there is none."""
        try:
            return self._rows[name]
        except KeyError:
            raise LocalError(f"{name!r} is no kind of record") from None

    def rank(self, name: str) -> int:
        """The place of a kind in the table."""
        return self._ranks[name]

    def hold(self, federation: bytes, record: Record) -> Held:
        """The record with its decoded body, judged by all that needs neither a key nor a roster.

        Raises `PeerError`: ``unknown_kind``, ``oversize``, ``malformed``, ``final``.
        """
        kind = self._rows.get(record.kind)
        if kind is None:
            raise PeerError("unknown_kind", f"records of kind {record.kind!r} are not known here")
        if len(record.body) > kind.bytes_max:
            raise PeerError("oversize", f"a {kind.name} of {len(record.body)} bytes; at most {kind.bytes_max}")
        body = self._decode(kind, record.body)
        if kind.final and record.sequence != FIRST:
            raise PeerError("final", f"a {kind.name} is said once; sequence {record.sequence} is not {FIRST}")
        fault = kind.check(record, body)
        if fault is not None:
            raise PeerError("malformed", fault)
        digests = record_digest(federation, record), key_digest(federation, key_of(record))
        return Held(record, body, *digests, self._ranks[kind.name])

    def _decode(self, kind: Kind, data: bytes) -> Any:
        try:
            body = self._decoders[kind.name].decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise PeerError("malformed", f"not the body of a {kind.name}") from None
        if msgspec.msgpack.encode(body) != data:
            raise PeerError("malformed", f"the body of a {kind.name} is not in its one encoding")
        return body
