"""Each kind of adversary among honest hubs: nothing false is accepted, and it achieves at most what its entry says."""

from __future__ import annotations

import functools
from typing import Final

from simulations.adversaries.catalogue import ADVERSARIES, AtMost
from simulations.checkers.liveness import PATIENCE_S
from simulations.trials.stage import LONG, Setting, Stage
from simulations.trials.trial import Trial

MINORITY: Final = {1: (4, 5, 6), 2: (7,)}
"""How many hubs there are with so many adversaries: c + 2 at least, and c <= 2t - 1 - n."""
STALLED_S: Final = 12_000.0
"""Virtual seconds for a job that may wait for ever: its collection, the hour after it, a pause."""
QUIET: Final = ("crash", "crash_fact", "partition", "storm")


def play(name: str, setting: Setting) -> Stage:
    """A job or two with adversaries of one kind; in a third of the seeds, faults strike as well."""
    entry = ADVERSARIES[name]
    sizes = MINORITY[entry.colluders]
    length = LONG if entry.long else None
    stage = Stage(setting, sizes[setting.seed % len(sizes)], length=length, rounds=2)
    federation, chance = stage.federation, stage.chance
    evil = chance.sample(stage.everybody[1:], entry.colluders)  # hub 0 is the steward: what it revokes is revoked
    federation.corrupt = dict(zip(evil, entry.cast(entry.colluders), strict=True))
    faults = setting.seed % 3 == 0
    if faults:
        stage.faults(until_s=200.0, every_s=20.0, kinds=QUIET)
    federation.boot()
    by = evil[0] if entry.submits else chance.randrange(len(stage.everybody))
    sums = {"colluders": entry.colluders, "holders": entry.colluders + 1}
    stage.while_up(1.0, by, lambda: stage.submit(by, stage.everybody, **sums))
    stage.world.run(seconds=300.0)
    harmless = entry.at_most is AtMost.HARMLESS and not faults
    excused = [federation.nodes[i] for i in evil]
    stage.finish(excused=() if harmless else excused, patience_s=PATIENCE_S if harmless else STALLED_S)
    if harmless:
        stage.all_done()
    return stage


TRIALS: Final = tuple(
    Trial(f"adversary-{name.replace('_', '-')}", entry.does, functools.partial(play, name))
    for name, entry in ADVERSARIES.items()
)
