"""A virtual network: how long a message takes between two nodes, and whether it comes at all.

Rules. A message leaves when the sender's uplink is free, takes `size / bandwidth` on it, then the latency of the pair,
then as long on the receiver's downlink. It may be lost or repeated; latencies are drawn anew for each message, so that
messages overtake each other unless `in_order` is set. A direction that is cut loses what is sent into it; one that is
clogged holds it back until it is free again. Nothing here knows what a message says.

What this cannot express: congestion between several pairs on one path in the middle of the network.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.identity import NodeId

Pair = tuple[NodeId, NodeId]
"""A direction: (from, to)."""
UNLIMITED: Final = float("inf")


@dataclass(slots=True)
class Network:
    """How good the network is now; whoever injects faults changes it as time passes.

    latency_s: lowest and highest one-way delay. loss, duplicate: chance for each message, from 0 to 1.
    bandwidth_bytes_s: of each node's uplink, and of its downlink. in_order: whether a pair's messages keep their order.
    latencies: one-way delays of single directions, in place of `latency_s`. slow: by what factor the bandwidth of a
    node is divided. cut: directions that carry nothing. clogged: until when a direction holds everything back.
    """

    latency_s: tuple[float, float] = (0.001, 0.02)
    loss: float = 0.0
    duplicate: float = 0.0
    bandwidth_bytes_s: float = UNLIMITED
    in_order: bool = False
    latencies: dict[Pair, tuple[float, float]] = field(default_factory=dict)
    slow: dict[NodeId, float] = field(default_factory=dict)
    cut: set[Pair] = field(default_factory=set)
    clogged: dict[Pair, float] = field(default_factory=dict)
    _uplink: dict[NodeId, float] = field(default_factory=dict)
    _downlink: dict[NodeId, float] = field(default_factory=dict)
    _last: dict[Pair, float] = field(default_factory=dict)

    def transit(self, sender: NodeId, to: NodeId, size: int, now: float, chance: random.Random) -> Sequence[float]:
        """When the copies of a message of `size` bytes arrive: none if it is lost."""
        pair = (sender, to)
        if pair in self.cut or (self.loss and chance.random() < self.loss):
            return ()
        first = self._arrival(pair, size, now, chance)
        if self.duplicate and chance.random() < self.duplicate:
            return (first, self._arrival(pair, size, now, chance))
        return (first,)

    def delay(self, sender: NodeId, to: NodeId, chance: random.Random) -> float:
        """A one-way delay of the direction, in seconds."""
        return chance.uniform(*self.latencies.get((sender, to), self.latency_s))

    def transfer_s(self, node: NodeId, size: int) -> float:
        """How long a node's link is busy with so many bytes."""
        return size * self.slow.get(node, 1.0) / self.bandwidth_bytes_s

    def _arrival(self, pair: Pair, size: int, now: float, chance: random.Random) -> float:
        sender, to = pair
        at = max(now, self.clogged.get(pair, now))
        if self.bandwidth_bytes_s != UNLIMITED:
            at = self._uplink[sender] = max(at, self._uplink.get(sender, at)) + self.transfer_s(sender, size)
        at += self.delay(sender, to, chance)
        if self.bandwidth_bytes_s != UNLIMITED:
            free = self._downlink.get(to, 0.0)
            # The first byte came while the uplink was still sending: an idle downlink is as far as the uplink.
            at = self._downlink[to] = max(at, free + self.transfer_s(to, size))
        if self.in_order:
            at = self._last[pair] = max(at, self._last.get(pair, at))
        return at

    # -- faults ---------------------------------------------------------------------------------------------------

    def partition(self, one: Iterable[NodeId], others: Iterable[NodeId], *, one_way: bool = False) -> None:
        """Cut all directions from one side to the other, and back unless it is one-way."""
        side = list(others)
        for here in one:
            for there in side:
                self.cut.add((here, there))
                if not one_way:
                    self.cut.add((there, here))

    def mend(self) -> set[Pair]:
        """Carry everything again; the directions that did not."""
        mended, self.cut = self.cut, set()
        self.clogged.clear()
        return mended
