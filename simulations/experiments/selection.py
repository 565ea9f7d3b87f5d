"""Random selection of members: after how many rounds do sums over k of N show one hospital alone, and what groups do.

Whoever has the sums over different sets can add and subtract them. A hospital whose numbers do not change is shown as
soon as some combination of the sets is that hospital by itself: a question of rank (`simulations.checkers.groups`).
With groups the hubs refuse: the first job's members are a group, and nothing without one of them is signed. That is
played with real hubs.
"""

from __future__ import annotations

import random
import statistics
from typing import Final

from protocols.job.kinds import DataRef, JobSpec
from protocols.job.life import State
from simulations.checkers.groups import GroupRank, isolated
from simulations.experiments.experiment import Experiment, Measured
from simulations.federation import Federation
from simulations.study.result import Attack
from simulations.trials.numbers import Numbers
from simulations.world import World

CASES: Final = ((5, 3), (7, 4), (10, 5))
"""Hospitals, and how many are in each round."""
DRAWS: Final = 101
"""Histories of which the median is taken in a repetition."""
ROUNDS_MAX: Final = 1000
JOBS: Final = 12
"""Jobs over random members that are proposed to real hubs: twice what shows somebody without groups."""
PLAYED: Final = (5, 3)
DATA: Final = DataRef("numbers", "1", bytes(32))


def play(seed: int) -> Measured:
    """Medians without groups, and what real hubs did of as many jobs and more."""
    chance = random.Random(f"selection {seed}")  # noqa: S311 - of the seed
    figures: dict[str, float | None] = {}
    attacks = []
    for n, k in CASES:
        median = statistics.median(until_isolated(n, k, chance) for _ in range(DRAWS))
        figures[f"rounds until one is shown alone, {k} of {n} at random"] = median
        text = "Combines sums over changing members; measured: the median of rounds until one hospital is shown alone."
        attacks.append(Attack(name=f"selection, {k} of {n}", node="", succeeded=True, text=text, value=median))
    done, shown, world = with_groups(seed, *PLAYED, chance)
    n, k = PLAYED
    figures[f"jobs done of {JOBS} with groups, {k} of {n} at random"] = done
    figures[f"hospitals shown alone with groups, {k} of {n}"] = shown
    text = f"The same against hubs with groups, {JOBS} jobs over changing members; measured: hospitals shown alone."
    name = f"selection, {k} of {n}, with groups"
    attacks.append(Attack(name=name, node="", succeeded=shown > 0, text=text, value=shown))
    return Measured(figures, tuple(attacks), virtual_s=world.now, events=world.trace.events)


def until_isolated(n: int, k: int, chance: random.Random) -> int:
    """After how many sums over k of n, drawn at random, some combination of them is one hospital alone."""
    rows: list[list[int]] = []
    while len(rows) < ROUNDS_MAX:
        chosen = chance.sample(range(n), k)
        rows.append([int(i in chosen) for i in range(n)])
        if isolated(rows):
            break
    return len(rows)


def with_groups(seed: int, n: int, k: int, chance: random.Random) -> tuple[int, int, World]:
    """Propose jobs over k of n hubs at random: how many were done, and how many hubs all released sums show alone."""
    world = World(seed, record=False)
    federation = Federation(world, [Numbers(seed, i, 3, 1) for i in range(n)])
    watch = GroupRank(federation)
    federation.boot()
    done = 0
    for _ in range(JOBS):
        chosen = sorted(chance.sample(range(n), k))
        members = tuple(federation.nodes[i] for i in chosen)
        job = federation.submit(
            chosen[0], JobSpec("numbers", b"{}", DATA, "an experiment", members, k, k, collect_s=30.0)
        )
        federation.run_until_over(job, chosen, 600.0)
        done += federation.states(job, chosen) == [State.DONE] * k
    rows = [[int(node in released) for node in federation.nodes] for released in watch.released[DATA.name]]
    return done, len(isolated(rows)), world


EXPERIMENT: Final = Experiment(
    "random-selection",
    "Random selection: sums over changing members show a hospital alone",
    "Without groups: rounds over k of N at random until a combination of the sums is one hospital. With groups: jobs "
    "over random members, proposed to real hubs, which refuse what would cut a group.",
    play,
)
