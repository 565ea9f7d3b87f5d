"""Faults that strike a federation at random, as its seed decides, and stop at a given time.

Each kind is a method: crashes before and after durable facts and any other effect, restarts, partitions, one-way and
clogged links, slow nodes, storms of loss, repetition and delay, full disks, an old backup brought back. Clocks are set
at the start: they begin anywhere and run up to 1 % fast or slow.

A backup brought back is a fault that no protocol can undo: such a node may contradict itself, so it counts as one of
the c that a job is safe against (`Federation.unsound`).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Final

from protocols.core import Effect, Persist
from protocols.identity import NodeId
from protocols.secagg.effects import Signed
from simulations.federation import Federation

CLOCK_OFFSET_S: Final = 1e6
CLOCK_DRIFT: Final = 0.01
DOWN_S: Final = (0.1, 300.0)
"""How long a crashed node stays down: from a restart by its service manager to a long reboot."""

KINDS: Final = ("crash", "crash_fact", "crash_vote", "partition", "one_way", "clog", "slow", "storm", "full_disk")


class Nemesis:
    """Strikes every so often until `until_s`, then mends everything.

    happened: time, number of the strike, node, what it did. over: whether it is done.
    """

    def __init__(
        self,
        federation: Federation,
        seed: int,
        *,
        until_s: float,
        every_s: float,
        kinds: Sequence[str] = KINDS,
        clocks: bool = True,
        skip: frozenset[int] = frozenset(),
    ) -> None:
        """every_s: mean time between two strikes. skip: numbers of strikes to leave out, to find those that matter."""
        self.strikes = 0
        self._skip = skip
        self.happened: list[tuple[float, int, str, str]] = []
        self.tell: Callable[[float, str, str], None] | None = None
        self.over = False
        self._federation, self._world = federation, federation.world
        self._seed, self._number = seed, 0
        self._chance = random.Random(f"nemesis {seed}")  # noqa: S311 - of the seed
        self._times = random.Random(f"times {seed}")  # noqa: S311 - of the seed
        self._until_s, self._every_s, self._kinds = until_s, every_s, tuple(kinds)
        self._calm = dataclasses.replace(self._world.network)
        if clocks:
            for host in self._world.hosts.values():
                host.offset_s = self._chance.uniform(0, CLOCK_OFFSET_S)
                host.rate = self._chance.uniform(1 - CLOCK_DRIFT, 1 + CLOCK_DRIFT)

    def begin(self) -> None:
        """Plan the first strike, and the end."""
        self._world.at(self._until_s, self.mend)
        if self._kinds:
            self._later(self._strike)

    def mend(self) -> None:
        """Everything is well again, for good."""
        self.over = True
        network = self._world.network
        network.loss, network.duplicate = self._calm.loss, self._calm.duplicate
        network.latency_s = self._calm.latency_s
        network.slow.clear()
        for host in self._world.hosts.values():
            host.disk.full = False
            host.crash_before = host.crash_after = None
        self._world.heal()
        down = self._world.down()
        self._world.boot(*down)
        self._tell("", "all is mended")

    def _later(self, action: Callable[[], None]) -> None:
        at = self._world.now + self._times.expovariate(1 / self._every_s)
        if at < self._until_s:
            self._world.at(at, action)

    def _strike(self) -> None:
        number, self.strikes = self.strikes, self.strikes + 1
        # Each strike has randomness of its own, so that leaving one out does not change the others.
        self._later(self._strike)
        self._chance = random.Random(f"strike {self._seed} {number}")  # noqa: S311 - of the seed
        kind = self._chance.choice(self._kinds)
        if number not in self._skip:
            self._number = number
            getattr(self, f"_{kind}")()

    def _tell(self, node: str, text: str) -> None:
        self.happened.append((self._world.now, self._number, node, text))
        if self.tell is not None:
            self.tell(self._world.now, node, f"#{self._number}: {text}")

    def _victim(self) -> NodeId:
        return self._chance.choice(self._federation.nodes)

    def _name(self, node: NodeId) -> str:
        return self._federation.names[self._federation.places[node]]

    # -- kinds ----------------------------------------------------------------------------------------------------

    def _crash(self) -> None:
        node = self._victim()
        if self._world.hosts[node].core is None:
            return
        self._world.crash(node)
        self._tell(self._name(node), "crashed")
        self._restart_later(node)

    def _restart_later(self, node: NodeId) -> None:
        def restart() -> None:
            if self._world.hosts[node].core is None:
                self._tell(self._name(node), "restarts")
                self._world.boot(node)

        self._world.at(self._world.now + self._chance.uniform(*DOWN_S), restart)

    def _crash_fact(self) -> None:
        """Die before or after one of the next effects, most likely at a durable fact."""
        node, chance = self._victim(), self._chance
        host = self._world.hosts[node]

        number = self._number

        def strikes(effect: Effect) -> bool:
            if chance.random() >= (0.5 if isinstance(effect, Persist) else 0.01):
                return False
            self._number = number
            self._tell(self._name(node), f"died at a {type(getattr(effect, 'fact', effect)).__name__}")
            self._restart_later(node)
            return True

        if chance.random() < 0.5:
            host.crash_before = strikes
        else:
            host.crash_after = strikes

    def _crash_vote(self) -> None:
        """Die just after a vote became durable: what it rests on must be, too."""
        node, number = self._victim(), self._number

        def strikes(effect: Effect) -> bool:
            if not (isinstance(effect, Persist) and isinstance(effect.fact, Signed)):
                return False
            self._number = number
            self._tell(self._name(node), "died having voted")
            self._restart_later(node)
            return True

        self._world.hosts[node].crash_after = strikes

    def _partition(self, *, one_way: bool = False) -> None:
        nodes = list(self._federation.nodes)
        self._chance.shuffle(nodes)
        split = self._chance.randint(1, len(nodes) - 1)
        self._world.network.partition(nodes[:split], nodes[split:], one_way=one_way)
        words = "one way" if one_way else "cut off"
        self._tell("", f"{words}: {', '.join(sorted(map(self._name, nodes[:split])))}")
        self._world.at(self._world.now + self._chance.expovariate(1 / self._every_s), self._heal)

    def _one_way(self) -> None:
        self._partition(one_way=True)

    def _heal(self) -> None:
        self._world.heal()
        self._tell("", "links mended")

    def _clog(self) -> None:
        one, other = self._chance.sample(self._federation.nodes, 2)
        until = self._world.now + self._chance.uniform(1.0, 60.0)
        self._world.network.clogged[one, other] = until
        self._tell(self._name(one), f"its link to {self._name(other)} is clogged")

    def _slow(self) -> None:
        """All that one node sends and receives takes long."""
        node = self._victim()
        network, delay = self._world.network, self._chance.uniform(0.5, 20.0)
        for other in self._federation.nodes:
            network.latencies[node, other] = network.latencies[other, node] = (delay / 2, delay)
        self._tell(self._name(node), f"slow: {delay:.1f} s")

        def recover() -> None:
            for other in self._federation.nodes:
                network.latencies.pop((node, other), None)
                network.latencies.pop((other, node), None)

        self._world.at(min(self._world.now + 60.0, self._until_s), recover)

    def _storm(self) -> None:
        network = self._world.network
        network.loss, network.duplicate = self._chance.uniform(0, 0.4), self._chance.uniform(0, 0.4)
        network.latency_s = (0.001, self._chance.uniform(0.05, 3.0))
        self._tell("", f"storm: loss {network.loss:.0%}, delays up to {network.latency_s[1]:.1f} s")

    def _full_disk(self) -> None:
        node = self._victim()
        host = self._world.hosts[node]
        host.disk.full = True
        self._tell(self._name(node), "its disk is full")

        def free() -> None:
            host.disk.full = False
            if host.core is None:
                self._world.boot(node)

        self._world.at(min(self._world.now + self._chance.uniform(1.0, 120.0), self._until_s), free)

    def old_backup(self, node: NodeId, after_s: float, back_s: float) -> None:
        """Back a node's disk up after so long, and bring that back later: it counts as malicious from then on."""
        host = self._world.hosts[node]
        kept: list[dict[object, object]] = []

        def bring_back() -> None:
            self._world.crash(node)
            self._federation.unsound.add(node)
            host.disk.restore(kept[0])
            self._tell(self._name(node), "an old backup was brought back")
            self._world.boot(node)

        self._world.at(after_s, lambda: kept.append(host.disk.snapshot()))
        self._world.at(after_s + back_s, bring_back)
