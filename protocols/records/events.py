"""What the exchange of records is told, and what it wants done, beside the events and effects of every core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.core import Effect, Event
from protocols.identity import NodeId
from protocols.records.record import Record
from protocols.records.store import Fork


@dataclass(frozen=True, slots=True)
class Publish(Event):
    """This node made or was handed records that the federation shall know.

    records: in the order in which they are to be accepted; one that is not comes back as `Refused` with no peer.
    """

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Learned(Effect):
    """A record was accepted: whoever it concerns should hear of it.

    record: what was accepted. body: its body, decoded. digest: its digest. source: the peer it came from, None if it
    was made here.
    """

    record: Record
    body: Any
    digest: bytes
    source: NodeId | None


@dataclass(frozen=True, slots=True)
class Dropped(Effect):
    """A record stands no longer: it may be deleted from disk, and whoever it concerns should hear of it.

    record: what was held. digest: its digest. reason: ``superseded`` or ``revoked``.
    """

    record: Record
    digest: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Forked(Effect):
    """An author signed two different things under one key and sequence: evidence for the audit.

    fork: both records. That their author signed both is proven; why is not: perhaps it only restored an old backup.
    """

    fork: Fork
