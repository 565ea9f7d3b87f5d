"""A scenario's faults, put into a world: what happens when, and to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from protocols.identity import NodeId
from simulations.federation import Federation
from simulations.study.plan import Fault
from simulations.study.recorder import Recorder
from simulations.study.site import Site


class Faults:
    """Plans faults from now on. drop_outs: by hospital, how often it crashed or was cut off."""

    def __init__(self, federation: Federation, recorder: Recorder, sites: Sequence[Site]) -> None:
        self._federation, self._world, self._recorder = federation, federation.world, recorder
        self._sites = {site.name: site for site in sites}
        self.drop_outs: Counter[str] = Counter()

    def plan(self, fault: Fault) -> None:
        """Put a fault into the world, each time that it happens."""
        if fault.kind == "raise":
            for name in fault.nodes:
                self._sites[name].raises.add(fault.round)
            return
        begin, end = self._acts(fault)
        for time in range(fault.times):
            at = self._world.now + fault.at_s + time * fault.every_s
            self._world.at(at, begin)
            if fault.lasts_s is not None:
                self._world.at(at + fault.lasts_s, end)

    def _acts(self, fault: Fault) -> tuple[Callable[[], None], Callable[[], None]]:
        match fault.kind:
            case "crash":
                return lambda: self._crash(fault.nodes), lambda: self._restart(fault.nodes)
            case "partition":
                return lambda: self._cut(fault.nodes), lambda: self._mend(fault.nodes)
            case "slow":
                return lambda: self._slow(fault, fault.factor), lambda: self._slow(fault, 1 / fault.factor)
        before = self._world.network.loss
        return lambda: self._lose(fault.share), lambda: self._lose(before)

    def _ids(self, names: Sequence[str]) -> list[NodeId]:
        """Those of them that are in the federation by now."""
        federation = self._federation
        return [federation.nodes[federation.names.index(name)] for name in names if name in federation.names]

    def _note(self, names: Sequence[str], text: str) -> None:
        for name in names or ("",):
            self._recorder.note(name, "fault", text)

    def _crash(self, names: Sequence[str]) -> None:
        for name, node in zip(names, self._ids(names), strict=False):
            if self._world.hosts[node].core is not None:
                self._world.crash(node)
                self.drop_outs[name] += 1
        self._note(names, "crashes")

    def _restart(self, names: Sequence[str]) -> None:
        down = [node for node in self._ids(names) if self._world.hosts[node].core is None]
        if down:
            self._note(names, "is back")
            self._world.boot(*down)

    def _cut(self, names: Sequence[str]) -> None:
        inside = self._ids(names)
        outside = [node for node in self._federation.nodes if node not in inside]
        self._world.network.partition(inside, outside)
        self.drop_outs.update(names)
        self._note(names, "cut off")

    def _mend(self, names: Sequence[str]) -> None:
        inside, network = set(self._ids(names)), self._world.network
        mended = {pair for pair in network.cut if (pair[0] in inside) != (pair[1] in inside)}
        network.cut -= mended
        self._note(names, "connected again")
        for one, other in sorted({(min(pair), max(pair)) for pair in mended}):
            self._world.link_up(one, other)

    def _slow(self, fault: Fault, factor: float) -> None:
        slow = self._world.network.slow
        for node in self._ids(fault.nodes):
            slow[node] = slow.get(node, 1.0) * factor
        self._note(fault.nodes, f"its line is {fault.factor:g} times slower" if factor > 1 else "its line is as before")

    def _lose(self, share: float) -> None:
        self._world.network.loss = share
        self._note((), f"{share:.0%} of messages are lost")
