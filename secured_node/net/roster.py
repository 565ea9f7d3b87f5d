"""What the network layer needs to know of the federation: who is a member, under which certificate, and where.

A roster is a snapshot. Its owner makes a new one whenever membership or an endpoint changes, and tells `Links` and
`Server` to look again; the allow-list itself is asked on every message and needs no snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from protocols.identity import NodeId
from protocols.membership.endpoint import check_endpoint
from secured_node.net.certificate import certificate


@dataclass(frozen=True, slots=True)
class Contact:
    """How a member is reached and recognised.

    certificate: the signature of its certificate (`sign_certificate`), from its node record; empty if that has none.
    endpoints: ``host:port`` texts, hints only; none if the member only dials out.
    """

    certificate: bytes
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Roster:
    """Who may come in.

    members: everyone admitted and not revoked; this node may be among them. invited: one-time keys of open invitations
    with the signatures of their certificates. revoked: for telling people why somebody was refused.
    """

    members: Mapping[NodeId, Contact]
    invited: Mapping[NodeId, bytes] = field(default_factory=dict)
    revoked: frozenset[NodeId] = frozenset()

    def certificates(self, own: NodeId) -> Iterator[bytes]:
        """The certificates to trust: the members', without this node's own, and the one-time ones."""
        for node, contact in self.members.items():
            if node != own and contact.certificate:
                yield certificate(node, contact.certificate)
        for node, signature in self.invited.items():
            yield certificate(node, signature)

    def standing(self, node: NodeId | None) -> tuple[str, str]:
        """Why the trust store did not take this key's certificate: a code, and words for people."""
        if node in self.revoked:
            return "revoked", "this member has been revoked"
        member = self.members.get(node) if node is not None else None
        if member is not None and not member.certificate:
            return "certificate_missing", "a member whose node record does not tell its certificate"
        if member is not None or node in self.invited:
            return "other_certificate", "a known key in a certificate that is not the one its owner published"
        return "unknown_key", "no member and no open invitation has this key"


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Host, without brackets, and port of an endpoint. Raises `PeerError` if it is none (`check_endpoint`)."""
    check_endpoint(endpoint)
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)
