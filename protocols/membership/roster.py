"""Who is a member: worked out from the charter and the records that stand, and from nothing else.

Theory of operation. A node is *known* once anybody spoke for it, *admitted* when `admit_quorum` distinct stewards
voted for it (or the charter names it), *revoked* when a steward or the node itself said so, and *allowed* while it is
admitted and not revoked. Only stewards of the charter vote, each has one vote, none for itself; so no number of
invented members admits anybody. All of it hangs on public keys: a certificate is no more than a way to show one.

What a revocation does to the past. The records of a revoked node that the revocation keeps still stand (the votes of a
steward that left, say); no other does, and it does not matter when one claims to have been written. If several
revoke a node, only what all of them keep stands. Two exceptions, so that stewards who revoke each other at the same
time leave the same roster everywhere: a revocation of a steward, and a revocation of oneself, stand whatever happens to
their author.

What this cannot express: that a revocation was a mistake. A revoked key stays revoked; a node comes back with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.identity import NodeId
from protocols.membership.bodies import Admission, Node
from protocols.membership.charter import Charter, federation_of, read_charter, steward_nodes
from protocols.membership.kinds import ADMISSION, NODE, REVOCATION, VOUCHER
from protocols.records.authority import Held
from protocols.records.record import CHARTER, Record


@dataclass(frozen=True, slots=True)
class Member:
    """A node as people see it.

    node: its id. name, organisation: as admitted (a steward's organisation as in the charter); empty while unknown.
    endpoints, version, certificate: as it last said itself. steward: whether the charter names it. votes: stewards
    that admitted it. vouchers: members that compared the words with it.
    """

    node: NodeId
    name: str
    organisation: str
    endpoints: tuple[str, ...]
    version: str
    certificate: bytes
    steward: bool
    votes: tuple[NodeId, ...]
    vouchers: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """That a node was revoked. node: which. by: by whom. reason: in the words of who did it."""

    node: NodeId
    by: NodeId
    reason: str


class Roster:
    """The members of one federation: an `Authority` for the store of its records."""

    def __init__(self, charter: Record) -> None:
        """charter: the founding record. Raises `PeerError` if it is none."""
        self.charter: Final[Charter] = read_charter(charter)
        self._federation: Final = federation_of(charter)
        self.stewards: Final[tuple[NodeId, ...]] = steward_nodes(self.charter)
        self._about: Final[dict[tuple[str, str], dict[bytes, Held]]] = {}
        self._keeps: Final[dict[bytes, frozenset[bytes]]] = {}
        self._allowed: Final[set[NodeId]] = set(self.stewards)
        self._version = 0

    # --- As authority of the store --------------------------------------------------------------------------------

    @property
    def federation(self) -> bytes:
        """The federation's id."""
        return self._federation

    @property
    def version(self) -> int:
        """Rises whenever somebody came to be known, admitted or revoked, or ceased to be."""
        return self._version

    def steward(self, node: NodeId) -> bool:
        """Whether the charter names the node as a steward."""
        return node in self.stewards

    def admitted(self, node: NodeId) -> bool:
        """Whether the node is a member or was one when it was revoked."""
        return node in self.stewards or len(self.votes(node)) >= self.charter.admit_quorum

    def revoked(self, node: NodeId) -> bool:
        """Whether the node was revoked."""
        return (REVOCATION, node) in self._about

    def allowed(self, node: NodeId) -> bool:
        """Whether the node is a member now: the allow-list of every link and every message."""
        return node in self._allowed

    def known(self, node: NodeId) -> bool:
        """Whether anybody spoke for the node: the charter, a member, a steward."""
        return self.steward(node) or (ADMISSION, node) in self._about or (VOUCHER, node) in self._about

    def cut(self, held: Held) -> bool:
        """Whether the author was revoked and the record is not among those that stand nevertheless."""
        record = held.record
        revocations = self._about.get((REVOCATION, record.author))
        if not revocations or record.kind == CHARTER:
            return False
        if record.kind == REVOCATION and (record.subject == record.author or record.subject in self.stewards):
            return False
        return any(held.digest not in self._keeps[digest] for digest in revocations)

    def learn(self, held: Held) -> bool:
        """Take note of a record. True if it is a revocation: what was accepted before may no longer stand."""
        record = held.record
        if record.kind not in (ADMISSION, VOUCHER, REVOCATION, NODE):
            return False
        self._about.setdefault((record.kind, record.subject), {})[held.digest] = held
        if record.kind == REVOCATION:
            self._keeps[held.digest] = frozenset(held.body.keeps)
        self._settle(record)
        return record.kind == REVOCATION

    def forget(self, held: Held) -> None:
        """Take back a record."""
        record = held.record
        place = (record.kind, record.subject)
        if place not in self._about:
            return
        del self._about[place][held.digest]
        if not self._about[place]:
            del self._about[place]
        self._keeps.pop(held.digest, None)
        self._settle(record)

    def _settle(self, record: Record) -> None:
        if record.kind == NODE:
            return
        node = NodeId(record.subject)
        self._version += 1
        if self.admitted(node) and not self.revoked(node):
            self._allowed.add(node)
        else:
            self._allowed.discard(node)

    # --- For people and for links ---------------------------------------------------------------------------------

    def members(self) -> tuple[NodeId, ...]:
        """The nodes allowed now, in order."""
        return tuple(sorted(self._allowed))

    def acting_stewards(self) -> tuple[NodeId, ...]:
        """The stewards of the charter that are not revoked, in order: those who can still admit and revoke."""
        return tuple(node for node in self.stewards if self.allowed(node))

    def candidates(self) -> tuple[NodeId, ...]:
        """The nodes that somebody spoke for and that are neither admitted nor revoked, in order."""
        spoken_for = {NodeId(subject) for kind, subject in self._about if kind in (ADMISSION, VOUCHER)}
        return tuple(sorted(node for node in spoken_for if not self.admitted(node) and not self.revoked(node)))

    def votes(self, node: NodeId) -> tuple[NodeId, ...]:
        """The stewards whose admission of the node stands, in order."""
        return self._authors(ADMISSION, node)

    def revocations(self) -> tuple[Revoked, ...]:
        """Who was revoked, by whom and why, in order."""
        found = [
            Revoked(NodeId(subject), held.record.author, held.body.reason)
            for (kind, subject), about in self._about.items()
            if kind == REVOCATION
            for held in about.values()
        ]
        return tuple(sorted(found, key=lambda one: (one.node, one.by, one.reason)))

    def member(self, node: NodeId) -> Member:
        """What is known of a node, member or not."""
        said = self._first(NODE, node)
        about = said.body if said is not None else None
        name, organisation = self._names(node, about)
        return Member(
            node,
            name,
            organisation,
            about.endpoints if about is not None else (),
            about.version if about is not None else "",
            about.certificate if about is not None else b"",
            self.steward(node),
            self.votes(node),
            self._authors(VOUCHER, node),
        )

    def _names(self, node: NodeId, said: Node | None) -> tuple[str, str]:
        for steward in self.charter.stewards:
            if steward.node == node:
                return (said.name if said is not None else ""), steward.organisation
        votes = self._about.get((ADMISSION, node), {}).values()
        vote = min(votes, key=lambda held: (self.stewards.index(held.record.author), held.digest), default=None)
        source: Admission | Node | None = vote.body if vote is not None else said
        return (source.name, source.organisation) if source is not None else ("", "")

    def _authors(self, kind: str, node: NodeId) -> tuple[NodeId, ...]:
        about = self._about.get((kind, node))
        return tuple(sorted({held.record.author for held in about.values()})) if about else ()

    def _first(self, kind: str, node: NodeId) -> Held | None:
        about = self._about.get((kind, node))
        return about[min(about)] if about else None
