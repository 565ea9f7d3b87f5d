"""What the network layer needs to know of the federation: who is a member, under which certificate, and where.

A roster is a snapshot. Its owner makes a new one whenever membership or an endpoint changes, and tells `Links` and
`Server` to look again; the allow-list itself is asked on every message and needs no snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from protocols.errors import PeerError
from protocols.identity import NodeId
from secured_node.net.certificate import certificate


@dataclass(frozen=True, slots=True)
class Contact:
    """How a member is reached and recognised.

    certificate: the signature of its certificate (`sign_certificate`), from its node record.
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
            if node != own:
                yield certificate(node, contact.certificate)
        for node, signature in self.invited.items():
            yield certificate(node, signature)

    def standing(self, node: NodeId | None) -> tuple[str, str]:
        """Why the trust store did not take this key's certificate: a code, and words for people."""
        if node in self.revoked:
            return "revoked", "this member has been revoked"
        if node in self.members or node in self.invited:
            return "other_certificate", "a known key in a certificate that is not the one its owner published"
        return "unknown_key", "no member and no open invitation has this key"


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``. Raises `PeerError` for anything else."""
    try:
        parts = urlsplit(f"//{endpoint}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.netloc != endpoint or "@" in endpoint:
        raise PeerError("bad_endpoint", "an endpoint is host:port or [v6]:port")
    return host, port
