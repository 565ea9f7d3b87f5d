"""What a trial plays on: a federation with random numbers as data, checkers, faults, jobs that come to an end."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.identity import NodeId
from protocols.job.kinds import DataRef, JobSpec
from protocols.job.life import State
from simulations.checkers.liveness import PATIENCE_S, check_ends
from simulations.checkers.violation import ViolationError
from simulations.checkers.watch import Watch
from simulations.federation import Federation
from simulations.nemesis import KINDS, Nemesis
from simulations.network import Network
from simulations.trace import Trace
from simulations.trials.numbers import Numbers
from simulations.trials.telling import Tell, Telling
from simulations.world import World

COLLECT_S: Final = 7200.0
"""Longer than any faults last: a job of which nobody refuses must then be done."""
DATA: Final = DataRef("numbers", "1", bytes(32))
LONG: Final = 40_000
"""Words of a vector of which each member holds its own segments only; below, everybody adds up everything."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a trial is played with. trace: takes note of events. skip: strikes of the nemesis to leave out.

    tell: is told what happens, in words.
    """

    seed: int
    trace: Trace = field(default_factory=Trace)
    skip: frozenset[int] = frozenset()
    tell: Tell | None = None


class Stage:
    """One seed's federation.

    chance: what the trial decides by. jobs: those submitted, each with its members.
    """

    def __init__(
        self,
        setting: Setting,
        n: int,
        *,
        length: int | None = None,
        rounds: int | None = None,
        network: Network | None = None,
        introduced: bool = True,
    ) -> None:
        self.setting = setting
        self.seed = seed = setting.seed
        self.chance = random.Random(f"stage {seed}")  # noqa: S311 - of the seed
        chance = self.chance
        network = network or Network((0.001, chance.choice([0.02, 0.2, 1.0])), chance.choice([0.0, 0.0, 0.05]), 0.02)
        self.world = World(seed, network, trace=setting.trace, batch=chance.random() < 0.5, record=False)
        self.length = length or chance.choice([1, 7, 60, 60, LONG])
        self.rounds = rounds or chance.choice([1, 2, 3, 6])
        slow = chance.choice([0.02, 2.0, 20.0])
        workers = [Numbers(seed, k, self.length, self.rounds, chance.uniform(0, slow)) for k in range(n)]
        self.federation = Federation(self.world, workers, introduced=introduced)
        if setting.tell is not None:
            Telling(self.federation, setting.tell)
        self.watch = Watch(self.federation)
        self.nemesis: Nemesis | None = None
        self.jobs: dict[bytes, tuple[int, ...]] = {}

    @property
    def everybody(self) -> range:
        """The places of all hubs."""
        return range(len(self.federation.nodes))

    def faults(self, until_s: float = 900.0, every_s: float = 60.0, kinds: Sequence[str] = KINDS) -> Nemesis:
        """Let faults strike until a time."""
        skip = self.setting.skip
        self.nemesis = Nemesis(self.federation, self.seed, until_s=until_s, every_s=every_s, kinds=kinds, skip=skip)
        self.nemesis.tell = self.setting.tell
        self.nemesis.begin()
        return self.nemesis

    def submit(self, by: int, members: Sequence[int], **changes: object) -> bool:
        """Propose a job for exactly these members, or for whoever joins; False if the hub died of it."""
        left = self._left_behind(by)
        if left is not None:
            self.jobs[left] = tuple(members)
            return True
        chance, listed = self.chance, tuple(sorted(self.federation.nodes[m] for m in members))
        fields: dict[str, object] = {
            "task": "numbers",
            "parameters": b"{}",
            "data": DATA,
            "purpose": "a trial",
            "members": listed,
            "min_nodes": max(3, len(listed)),
            "max_nodes": max(3, len(listed)),
            "collect_s": COLLECT_S,
            "word_bits": chance.choice([32, 64]),
            "holders": chance.choice([2, 2, 1]),
        }
        job = self.federation.submit(by, JobSpec(**{**fields, **changes}))  # type: ignore[arg-type]
        if not self.federation.up(by):
            return False
        self.jobs[job] = tuple(members)
        return True

    def _left_behind(self, by: int) -> bytes | None:
        """The job that the hub submitted just before it died."""
        known = self.federation.hub(by).node.jobs.values()
        mine = (job.job for job in known if job.author == self.federation.nodes[by])
        return next((job for job in mine if job not in self.jobs), None)

    def finish(self, excused: Collection[NodeId] = (), patience_s: float = PATIENCE_S) -> None:
        """Run to the end of all faults and jobs, and check that the jobs ended as they may.

        Raises `ViolationError`. excused, patience_s: see `check_ends`.
        """
        if self.nemesis is not None:
            self.world.run(lambda: self.nemesis is None or self.nemesis.over)
        check_ends(self.federation, self.jobs, excused, patience_s)

    def all_done(self) -> None:
        """Every job is done at each honest member. Raises `ViolationError`."""
        for job, members in self.jobs.items():
            for i in members:
                if not self.federation.honest(self.federation.nodes[i]):
                    continue
                known = self.federation.hub(i).node.jobs.get(job)
                if known is None or known.state is not State.DONE:
                    how = "unknown" if known is None else f"{known.state} ({known.reason})"
                    raise ViolationError("completes", f"the job is {how} at {self.federation.names[i]}")

    def while_up(self, at_s: float, i: int, action: Callable[[], bool | None]) -> None:
        """Do something at hub i at a time, or as soon as it is up afterwards; again later if it gives False."""

        def tried() -> None:
            if not self.federation.up(i) or action() is False:
                self.while_up(self.world.now + 5.0, i, action)

        self.world.at(at_s, tried)
