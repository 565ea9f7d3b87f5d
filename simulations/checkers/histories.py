"""The history never forks (G8).

Rules held: ``one_history`` (two honest nodes hold one certified history for a round), ``quorum`` (a certificate has
the votes of at least t members, each once), ``one_vote`` (an honest node signs one history per round in all its lives).
"""

from __future__ import annotations

from protocols.core import Send
from protocols.identity import NodeId
from protocols.secagg.cohort import quorum
from protocols.secagg.effects import Certified, Signed
from protocols.secagg.messages import Vote
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation
from simulations.world import Host


class OneHistory:
    """Watches a federation."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._histories: dict[tuple[bytes, int], bytes] = {}
        self._votes: dict[tuple[NodeId, bytes, int], bytes] = {}
        federation.world.on_fact(Certified, self._saw_certificate)
        federation.world.on_fact(Signed, self._saw_signed)
        federation.world.on_effect(Send, self._saw_send)

    def _saw_certificate(self, host: Host, fact: Certified) -> None:
        if not self._federation.honest(host.node):
            return
        certificate = fact.certificate
        place = certificate.job, certificate.round
        if self._histories.setdefault(place, certificate.history) != certificate.history:
            raise ViolationError("one_history", f"round {certificate.round} of one job has two histories")
        body = self._federation.hub_of(host).node.jobs[certificate.job].body
        members = set(body.members) if body is not None else set()
        voters = {vote.author for vote in certificate.votes if vote.history == certificate.history} & members
        if len(voters) < quorum(len(members)):
            raise ViolationError("quorum", f"{host.node} took a certificate of {len(voters)} of {len(members)} members")

    def _saw_signed(self, host: Host, fact: Signed) -> None:
        self._vote(host.node, fact.vote)

    def _saw_send(self, host: Host, effect: Send) -> None:
        if isinstance(effect.message, Vote) and effect.message.author == host.node:
            self._vote(host.node, effect.message)

    def _vote(self, node: NodeId, vote: Vote) -> None:
        if not self._federation.honest(node):
            return
        place = node, vote.job, vote.round
        if self._votes.setdefault(place, vote.history) != vote.history:
            raise ViolationError("one_vote", f"{node} signed two histories for round {vote.round}")
