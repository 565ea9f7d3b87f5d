"""Many jobs on one data set with changing members: no set of released sums ever shows less than a group."""

from __future__ import annotations

from typing import Final

from protocols.core import Tick
from protocols.errors import LocalError
from protocols.job.kinds import DataRef
from protocols.node import StandAlone
from simulations.federation import join_all
from simulations.trials.numbers import Numbers
from simulations.trials.stage import COLLECT_S, DATA, Setting, Stage
from simulations.trials.trial import Trial

JOBS: Final = 6


def many_jobs(setting: Setting) -> Stage:
    """Jobs over random subsets, listed or open, under versions of two data sets; some hubs choose to stand alone."""
    stage = Stage(setting, 5 + setting.seed % 5, length=5, rounds=1)
    chance = stage.chance
    if chance.random() < 0.5:
        stage.faults(until_s=2500.0, every_s=200.0)
    stage.federation.boot()
    for number in range(JOBS):
        at = 5.0 + 400.0 * number * chance.random()
        by = chance.randrange(len(stage.everybody))
        stage.while_up(at, by, lambda by=by: _propose(stage, by))  # type: ignore[misc]
        if chance.random() < 0.15:
            loner = chance.randrange(len(stage.everybody))
            stage.while_up(at, loner, lambda loner=loner: _stand_alone(stage, loner))  # type: ignore[misc]
    stage.world.run(seconds=3000.0)
    stage.finish()
    return stage


def _propose(stage: Stage, by: int) -> bool:
    chance = stage.chance
    data = DataRef(chance.choice(["numbers", "numbers", "others"]), chance.choice(["1", "2"]), bytes(32))
    members = sorted(chance.sample(stage.everybody, chance.choice([3, 4, len(stage.everybody)])))
    if chance.random() < 0.4:
        return stage.submit(by, (), data=data, max_nodes=len(stage.everybody), collect_s=60.0)
    return stage.submit(by, members, data=data)


def _stand_alone(stage: Stage, i: int) -> None:
    try:
        stage.federation.feed(i, StandAlone(DATA.name))
    except LocalError:
        stage.federation.feed(i, Tick())  # its standing is settled, or it is about to join: it may not


def growing(setting: Setting) -> Stage:
    """A federation that grows by two and that one leaves, with jobs on the way."""
    stage = Stage(setting, 4, length=5, rounds=2)
    federation, chance = stage.federation, stage.chance
    federation.boot()
    stage.submit(0, range(4))
    stage.world.run(seconds=chance.uniform(1, 60))
    federation.join(Numbers(setting.seed, 4, 5, 2), "late", join_all)
    stage.world.run(seconds=chance.uniform(1, 60))
    stage.submit(chance.randrange(4), range(5), collect_s=300.0)
    federation.join(Numbers(setting.seed, 5, 5, 2), "later", join_all)
    stage.world.run(seconds=chance.uniform(1, 600))
    stage.submit(chance.randrange(4), stage.everybody, collect_s=300.0)
    federation.revoke(chance.choice([1, 2, 3]))
    stage.world.run(seconds=chance.uniform(1, 600))
    stage.submit(0, range(6), collect_s=COLLECT_S / 10)
    stage.finish()
    return stage


TRIALS: Final = (
    Trial("groups", "many jobs on the same data with changing members, versions, hubs that stand alone", many_jobs),
    Trial("growing", "a federation that grows by two and that one member leaves, with jobs on the way", growing),
)
