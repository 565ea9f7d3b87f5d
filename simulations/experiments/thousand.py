"""A thousand nodes: each knows the founder alone at first, and in the end all hold the same records."""

from __future__ import annotations

from typing import Final

from protocols.catalogue import DATA_SET, DataSetBody
from protocols.records.events import Publish
from simulations.checkers.converge import check_converge
from simulations.checkers.watch import Watch
from simulations.experiments.experiment import Experiment, Measured
from simulations.federation import Federation
from simulations.network import Network
from simulations.trials.numbers import Numbers
from simulations.world import World

NODES: Final = 1000
DESCRIBED: Final = 20
"""Nodes that describe a data set once all know each other."""


def play(seed: int, nodes: int = NODES) -> Measured:
    """Virtual times until all hold the same, first of the members, then of the new records. Raises `ViolationError`."""
    world = World(seed, Network((0.001, 0.2)), record=False)
    federation = Federation(world, [Numbers(seed, k, 1, 1) for k in range(nodes)], introduced=False)
    Watch(federation)
    federation.boot()
    members_s = check_converge(federation)
    for i in range(0, nodes, max(1, nodes // DESCRIBED)):
        node = federation.hub(i).node
        federation.feed(i, Publish((node.sign(DATA_SET, f"set-{i}", DataSetBody("1", bytes(32), "", 10)),)))
    records_s = check_converge(federation)
    last = federation.hub(nodes - 1).node
    figures: dict[str, float | None] = {
        "members known to the last node": len(last.roster.members()),
        "data sets known to the last node": sum(held.record.kind == DATA_SET for held in last.store.find()),
        "virtual seconds until all knew all members": members_s,
        "virtual seconds until all had the new records": records_s,
        "bytes sent by a node, the most": max(host.sent_bytes for host in world.hosts.values()),
    }
    return Measured(figures, virtual_s=world.now, events=world.trace.events)


EXPERIMENT: Final = Experiment(
    "thousand",
    "A thousand nodes learn of each other, and of each other's records",
    "Each node knows the founder alone at first; then twenty describe a data set. Measured: when all hold the same. It "
    "takes minutes.",
    play,
    repetitions=1,
)
