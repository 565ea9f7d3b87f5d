"""Nobody honest is ever convicted: evidence that no honest author leaves behind names adversaries only.

Rule held: ``just_blame``.
"""

from __future__ import annotations

from protocols.identity import NodeId
from protocols.node import InJob
from protocols.records.events import Forked
from protocols.secagg.effects import Evidence
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation
from simulations.world import Host


class JustBlame:
    """Watches a federation. named: the adversaries that evidence convicted, by kind of evidence."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.named: set[tuple[NodeId, str]] = set()
        federation.world.on_effect(InJob, self._saw)
        federation.world.on_effect(Forked, self._saw_fork)

    def _saw(self, host: Host, effect: InJob) -> None:
        if isinstance(effect.effect, Evidence) and effect.effect.convicts:
            self._convict(host, effect.effect.author, effect.effect.kind)

    def _saw_fork(self, host: Host, effect: Forked) -> None:
        self._convict(host, effect.fork.first.author, "forked_record")

    def _convict(self, host: Host, author: NodeId, kind: str) -> None:
        if not self._federation.honest(host.node):
            return
        if self._federation.honest(author):
            raise ViolationError("just_blame", f"{host.node} convicts {author}, which is honest, of {kind}")
        self.named.add((author, kind))
