"""Honest federations on bad machines and networks: all jobs are done once the faults stop."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from simulations.nemesis import KINDS
from simulations.trials.stage import Setting, Stage
from simulations.trials.trial import Trial


def play(kinds: Sequence[str], setting: Setting) -> Stage:
    """One job of all hubs while faults of these kinds strike."""
    stage = Stage(setting, 3 + setting.seed % 5)
    every_s = stage.chance.choice([1.0, 4.0, 20.0, 100.0])
    stage.faults(until_s=stage.chance.choice([60.0, 900.0]), every_s=every_s, kinds=kinds)
    stage.federation.boot()
    by = stage.chance.randrange(len(stage.everybody))
    stage.while_up(stage.chance.uniform(0, 3 * every_s), by, lambda: stage.submit(by, stage.everybody))
    stage.finish()
    stage.all_done()
    return stage


def backup(setting: Setting) -> Stage:
    """A node's old backup is brought back: it may contradict itself, and nobody else comes to harm."""
    stage = Stage(setting, 4 + setting.seed % 4)
    nemesis = stage.faults(kinds=("crash",), every_s=20.0)
    node = stage.chance.choice(stage.federation.nodes)
    nemesis.old_backup(node, stage.chance.uniform(0, 30), stage.chance.uniform(0.1, 60))
    stage.federation.boot()
    stage.submit(stage.chance.randrange(len(stage.everybody)), stage.everybody)
    stage.finish(excused=[node])
    return stage


TRIALS: Final = (
    Trial("faults", "one job while all kinds of faults strike at random", functools.partial(play, KINDS)),
    *(
        Trial(
            f"faults-{kind.replace('_', '-')}",
            f"one job while faults of one kind strike: {kind.replace('_', ' ')}",
            functools.partial(play, (kind,)),
        )
        for kind in KINDS
    ),
    Trial(
        "votes-and-storms",
        "nodes die having voted, before others heard enough, on a network that loses much",
        functools.partial(play, ("crash_vote", "crash_vote", "storm")),
    ),
    Trial("old-backup", "a node's old backup is brought back in the middle of a job", backup),
)
