"""One federation with adversaries in it, played once, and what must be true of it whatever they did."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from protocols.core import Refused
from protocols.job.life import ENDED, State
from protocols.node import InJob
from protocols.records.events import Forked
from protocols.secagg.effects import Certified, Evidence
from simulations.adversaries.adversary import Adversary, Behaviour, MakeBehaviour
from simulations.adversaries.catalogue import ADVERSARIES, AtMost
from simulations.checkers.watch import Watch
from simulations.network import Network
from tests.hubs import Federation

LONG = 40_000
"""Words: of five members above the limit under which everybody sums everything."""
SHORT = 20
PATIENCE_S = 900.0
"""Longer than a round waits before it pauses, with its back-offs."""


class Trial:
    """n hubs, some of them adversaries (never the founder, who is a steward), and one job."""

    def __init__(
        self,
        casts: Sequence[MakeBehaviour],
        seed: int = 0,
        *,
        n: int = 5,
        length: int = SHORT,
        rounds: int = 2,
        submits: bool = False,
        network: Network | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.federation = Federation(n, seed, network, rounds, length)
        self.n, self.seed, self.casts = n, seed, list(casts)
        self.liars = self.chance.sample(range(1, n), len(casts))
        for place, make in zip(self.liars, casts, strict=True):
            self.federation.corrupt[place] = make
        self.honest = [i for i in range(n) if i not in self.liars]
        self.submitter = self.liars[0] if submits else self.chance.choice(self.honest)
        self.watch = Watch(self.federation)
        self.federation.boot()

    def play(self, seconds: float = PATIENCE_S, *, listed: bool = True, **changes: object) -> bytes:
        """One job of all (listed, or open to all), until it has ended at all honest hubs or time is up."""
        c = max(1, len(self.liars))
        changes = {"colluders": c, "holders": c + 1, "rounds_max": 50, **changes}
        if not listed:
            changes = {"min_nodes": 3, "max_nodes": self.n, **changes}
        job = self.federation.submit(self.submitter, range(self.n) if listed else None, **changes)
        self.federation.run_until_over(job, self.honest, seconds)
        return job

    # -- looking --------------------------------------------------------------------------------------------------

    def behaviour(self, liar: int = 0) -> Behaviour:
        core = self.federation.world.hosts[self.federation.nodes[self.liars[liar]]].core
        assert isinstance(core, Adversary)
        return core.behaviour

    def deeds(self) -> Counter[str]:
        return sum((self.behaviour(k).deeds for k in range(len(self.liars))), Counter())

    def states(self, job: bytes) -> list[State | None]:
        return self.federation.states(job, self.honest)

    def told(self, kind: type) -> list[tuple[int, object]]:
        """Effects of a kind at honest hubs, also those within jobs."""
        found = []
        for _, node, effect in self.federation.world.observed:
            bare = effect.effect if isinstance(effect, InJob) else effect
            if isinstance(bare, kind) and self.federation.honest(node):
                found.append((self.federation.nodes.index(node), bare))
        return found

    def convicted(self) -> dict[int, set[str]]:
        """Whom evidence at honest hubs convicts, and of what."""
        result: dict[int, set[str]] = {}
        for _, evidence in self.told(Evidence):
            assert isinstance(evidence, Evidence)
            if evidence.convicts:
                result.setdefault(self.federation.nodes.index(evidence.author), set()).add(evidence.kind)
        return result

    def refused(self) -> list[Refused]:
        return [effect for _, effect in self.told(Refused) if isinstance(effect, Refused)]

    def refusals(self) -> set[str]:
        return {effect.code for effect in self.refused()}

    def forked(self) -> set[int]:
        return {self.federation.nodes.index(e.fork.first.author) for _, e in self.told(Forked)}  # type: ignore[attr-defined]

    def sums(self, job: bytes) -> dict[int, list[npt.NDArray[np.int64]]]:
        """By round, what honest hubs hold a certificate for."""
        length = self.federation.numbers[0].length
        found: dict[int, list[npt.NDArray[np.int64]]] = {}
        for host in (self.federation.world.hosts[self.federation.nodes[i]] for i in self.honest):
            for fact in host.disk:
                if isinstance(fact, Certified) and fact.certificate.job == job:
                    found.setdefault(fact.certificate.round, []).append(fact.total.view("<i8")[:length])
        return found

    # -- what must hold -------------------------------------------------------------------------------------------

    def assert_safe(self, job: bytes) -> None:
        """Sums are exact, histories do not fork, nobody honest is convicted."""
        for number, totals in self.sums(job).items():
            for total in totals:
                np.testing.assert_array_equal(total, totals[0])
            body = next(j.body for j in (self.federation.job(i, job) for i in self.honest) if j.body is not None)
            members = [self.federation.nodes.index(node) for node in body.members]
            if all(self.federation.honest_input(node) for node in body.members):
                np.testing.assert_array_equal(totals[0], self.federation.expected(number, members))
        for number in self.sums(job):
            histories = {f.certificate.history for f in self._certified(job) if f.certificate.round == number}
            assert len(histories) == 1
        assert set(self.convicted()) <= set(self.liars)
        assert self.forked() <= set(self.liars)

    def _certified(self, job: bytes) -> list[Certified]:
        disks = (self.federation.world.hosts[self.federation.nodes[i]].disk for i in self.honest)
        return [f for disk in disks for f in disk if isinstance(f, Certified) and f.certificate.job == job]

    def assert_said(self, job: bytes) -> None:
        """Wherever the job did not end well, it ended in words or says who is waited for."""
        for i in self.honest:
            here = self.federation.job(i, job)
            assert here.state in ENDED or here.waiting_for(), f"hub {i}: {here.state} waits for nobody"
            assert here.state in (State.DONE, State.CANCELLED) or here.reason or here.waiting_for()


def trial_of(name: str, seed: int, length: int | None = None, rounds: int = 2) -> Trial:
    """The trial that an entry of the catalogue asks for."""
    entry = ADVERSARIES[name]
    length = length or (LONG if entry.long or seed % 3 == 2 else SHORT)
    n = 7 if entry.colluders > 1 else 4 + seed % 2
    length = length if length == SHORT else LONG * 5 // n
    return Trial(entry.cast(entry.colluders), seed, n=n, length=length, rounds=rounds, submits=entry.submits)


def assert_as_promised(name: str, trial: Trial, job: bytes) -> None:
    """What the catalogue says of this adversary is true of this trial."""
    entry = ADVERSARIES[name]
    trial.assert_safe(job)
    trial.assert_said(job)
    if entry.at_most is AtMost.HARMLESS:
        assert trial.states(job) == [State.DONE] * len(trial.honest)
    for place in trial.liars:
        assert not entry.convicted or trial.convicted().get(place, set()) & entry.convicted
