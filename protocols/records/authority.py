"""What a store of records needs to know about the people who write them: the interface between records and membership.

The store asks before it accepts and tells what it accepted; membership (`membership.roster`) answers from nothing but
the records it was told of. So what stands is a function of the set of records, whatever order they came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from protocols.identity import NodeId
from protocols.records.record import Record


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A record with what was worked out about it, once.

    record: as it came. body: decoded. digest: of what it says. key_digest: of its key. rank: its kind's place in the
    table of kinds; records of a low rank go first, because those of a higher one may depend on them.
    """

    record: Record
    body: Any
    digest: bytes
    key_digest: bytes
    rank: int


class Authority(Protocol):
    """Who is who in one federation, by the records learned so far."""

    @property
    def federation(self) -> bytes:
        """The federation's id: the digest of its charter."""

    @property
    def version(self) -> int:
        """Rises whenever another answer of this object may have changed."""

    def steward(self, node: NodeId) -> bool:
        """Whether the charter names the node as a steward."""

    def admitted(self, node: NodeId) -> bool:
        """Whether the node is a member or was one when it was revoked."""

    def allowed(self, node: NodeId) -> bool:
        """Whether the node is a member now: admitted, and not revoked."""

    def known(self, node: NodeId) -> bool:
        """Whether anybody spoke for the node: the charter, a member by a voucher, a steward by its vote."""

    def revoked(self, node: NodeId) -> bool:
        """Whether the node was revoked."""

    def cut(self, held: Held) -> bool:
        """Whether the author was revoked and the record is not among those that the revocation keeps."""

    def learn(self, held: Held) -> bool:
        """Take note of an accepted record. True if records accepted before may no longer stand."""

    def forget(self, held: Held) -> None:
        """Take back a record that was superseded or no longer stands."""
