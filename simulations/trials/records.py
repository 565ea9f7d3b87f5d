"""Records of many nodes under faults: whatever is lost or comes late, in the end all hold the same."""

from __future__ import annotations

from typing import Final

from protocols.catalogue import DATA_SET, DataSetBody
from protocols.records.events import Publish
from simulations.checkers.converge import check_converge
from simulations.network import Network
from simulations.trials.stage import Setting, Stage
from simulations.trials.trial import Trial

NODES: Final = 20
PUBLISH_S: Final = 20.0
"""Mean time between two records of one node: below what a node may supersede."""
NAMES: Final = 5
"""Data sets that each node describes again and again."""


def gossip(setting: Setting, nodes: int = NODES, until_s: float = 300.0) -> Stage:
    """Each node describes its data sets anew all the time, while faults of all kinds strike."""
    stage = Stage(setting, nodes, length=1, rounds=1, network=Network((0.001, 0.2), loss=0.01, duplicate=0.01))
    stage.faults(until_s=until_s, every_s=10.0)
    stage.federation.boot()
    for i in stage.everybody:
        _publish_later(stage, i, until_s)
    stage.finish()
    check_converge(stage.federation)
    return stage


def _publish_later(stage: Stage, i: int, until_s: float) -> None:
    def publish() -> None:
        node = stage.federation.hub(i).node
        body = DataSetBody(str(stage.chance.randrange(10**6)), bytes(32), "", 10)
        record = node.sign(DATA_SET, f"set-{stage.chance.randrange(NAMES)}", body)
        stage.federation.feed(i, Publish((record,)))
        _publish_later(stage, i, until_s)

    at = stage.world.now + stage.chance.expovariate(1 / PUBLISH_S)
    if at < until_s:
        stage.while_up(at, i, publish)


def newcomers(setting: Setting) -> Stage:
    """Nodes that know only the founder at first learn of everybody."""
    nodes = 10 + setting.seed % 40
    stage = Stage(setting, nodes, length=1, rounds=1, network=Network((0.001, 0.2), 0.02), introduced=False)
    stage.faults(until_s=60.0, every_s=stage.chance.choice([2.0, 20.0]))
    stage.federation.boot()
    stage.finish()
    check_converge(stage.federation)
    return stage


TRIALS: Final = (
    Trial("records", "twenty nodes describe their data sets again and again while faults strike", gossip),
    Trial("newcomers", "many nodes that know only the founder learn of each other while faults strike", newcomers),
)
