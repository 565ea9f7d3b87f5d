"""Within an attempt, keys are fresh and nothing masked leaves before all vectors are fixed (G2, G3).

Rules held: ``fresh_keys`` (an honest node never offers one key twice), ``roots_first`` (an honest node sends a segment
only when the roots of all members were there).
"""

from __future__ import annotations

from typing import Final

from protocols.core import Received, Send
from protocols.identity import NodeId
from protocols.secagg.effects import Signed
from protocols.secagg.messages import Offer, Root, Segment
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation
from simulations.world import Host

ATTEMPTS_KEPT: Final = 64
"""Attempts of one node whose roots are remembered: far more than run at a time."""

Attempt = tuple[bytes, int, int]


class CleanAttempts:
    """Watches a federation."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._keys: dict[bytes, tuple[NodeId, bytes]] = {}
        self._roots: dict[NodeId, dict[Attempt, set[NodeId]]] = {}
        federation.world.on_effect(Send, self._saw_send)
        federation.world.on_message(Root, self._saw_root)
        federation.world.on_fact(Signed, self._saw_signed)

    def _saw_send(self, host: Host, effect: Send) -> None:
        message = effect.message
        if not isinstance(message, Offer | Root | Segment) or message.author != host.node:
            return
        if not self._federation.honest(host.node):
            return
        if isinstance(message, Offer):
            self._offered(host.node, message)
        elif isinstance(message, Root):
            self._note(host, message)
        else:
            self._segment_left(host, message)

    def _offered(self, node: NodeId, offer: Offer) -> None:
        if self._keys.setdefault(offer.key, (node, offer.context0)) != (node, offer.context0):
            raise ViolationError("fresh_keys", f"{node} offers a key again in attempt {offer.attempt}")

    def _saw_root(self, host: Host, event: Received) -> None:
        if isinstance(event.message, Root):
            self._note(host, event.message)

    def _saw_signed(self, host: Host, fact: Signed) -> None:
        """The evidence of a vote, its roots with it, is served after a restart, too."""
        for root in fact.roots:
            self._note(host, root)

    def _note(self, host: Host, root: Root) -> None:
        attempts = self._roots.setdefault(host.node, {})
        if self._key(root) not in attempts and len(attempts) >= ATTEMPTS_KEPT:
            del attempts[next(iter(attempts))]
        attempts.setdefault(self._key(root), set()).add(root.author)

    def _segment_left(self, host: Host, segment: Segment) -> None:
        job = self._federation.hub_of(host).node.jobs[segment.job]
        members = set(job.body.members) if job.body is not None else set()
        there = self._roots.get(host.node, {}).get(self._key(segment), set())
        missing = members - there
        if missing:
            raise ViolationError("roots_first", f"{host.node} sent a segment without a root of {min(missing)}")

    def _key(self, message: Root | Segment) -> Attempt:
        return message.job, message.round, message.attempt
