"""What was spent of each data set's privacy budget, durably; nothing leaves before it is booked.

Rules. A site that decides to join a job with noise sets the job's whole cost aside until the job has ended; then what
its rounds really cost stays spent, and the rest is free again. A round is booked when its vector is about to be handed
to the protocol, before anything of it leaves, and once: a vector that is asked for again, after a restart too, is the
same one. Costs are exact fractions: sums of them neither drift nor depend on their order. A booking that would exceed
the budget fails, whatever was set aside: the configuration may have been lowered meanwhile.

All versions of a data set share one budget: they hold the same patients. A data set that is registered anew under
another name has a budget of its own, and nobody but the site's people can know that it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

import msgspec

from protocols.job.job import Job
from protocols.job.kinds import Answer
from protocols.job.life import ENDED
from protocols.privacy.accounting import epsilon_of, rho_of
from secured_node import policy
from secured_node.config import Privacy
from secured_node.store.store import SPENT, Row, Store
from secured_node.work.errors import JobFailed


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one job has cost. data: on which data set. rho: of all its rounds. rounds_max: so many share it. rounds: so
    many are booked."""

    data: str
    rho: float
    rounds_max: int
    rounds: int

    @property
    def cost(self) -> Fraction:
        """Of the rounds that are booked."""
        return Fraction(self.rho) * self.rounds / self.rounds_max


class Budgets:
    """The budgets of all data sets of this site."""

    def __init__(self, store: Store, spent: dict[bytes, Spent]) -> None:
        self._store, self._spent = store, spent

    @classmethod
    async def load(cls, store: Store) -> Budgets:
        """Read what was spent."""
        rows = await store.rows(SPENT)
        return cls(store, {job: msgspec.json.decode(data, type=Spent) for job, data in rows.items()})

    def spent(self, data: str) -> Fraction:
        """What the rounds that are booked have cost."""
        return sum((entry.cost for entry in self._spent.values() if entry.data == data), Fraction(0))

    def set_aside(self, data: str, jobs: Iterable[Job]) -> Fraction:
        """What the jobs may still cost beside what is booked of them."""
        aside = Fraction(0)
        for job in jobs:
            privacy = job.spec.privacy
            if privacy is not None and job.spec.data is not None and job.spec.data.name == data:
                booked = self._spent.get(job.job)
                aside += Fraction(privacy.rho) - (booked.cost if booked else 0)
        return aside

    def budget(self, data: str, options: Privacy, jobs: Iterable[Job]) -> policy.Budget:
        """What a data set has, and what is left of it beside what these jobs may still cost."""
        whole = Fraction(rho_of(options.epsilon_of(data), options.delta))
        return policy.Budget(whole, whole - self.spent(data) - self.set_aside(data, jobs))

    async def book(self, job: Job, number: int, options: Privacy) -> None:
        """Spend a round's part of a job's cost, durably; a second time is free. Raises `JobFailed` if it is not there.

        Jobs without noise or without data cost nothing that could be counted.
        """
        privacy, data = job.spec.privacy, job.spec.data
        if privacy is None or data is None:
            return
        booked = self._spent.get(job.job) or Spent(data.name, privacy.rho, job.spec.rounds_max, 0)
        if number <= booked.rounds:
            return
        next_ = msgspec.structs.replace(booked, rounds=number)
        whole = Fraction(rho_of(options.epsilon_of(data.name), options.delta))
        if self.spent(data.name) - booked.cost + next_.cost > whole:
            raise JobFailed(
                f"the privacy budget of {data.name!r} (epsilon {options.epsilon_of(data.name):g}, delta "
                f"{options.delta:g}) does not allow round {number}",
                "raise it in [privacy] of the configuration, if that is right for these patients",
                "budget",
            )
        self._spent[job.job] = next_  # first: two bookings at once see each other
        about = {"job": job.job.hex(), "data": data.name, "round": str(number), "rho": repr(float(next_.cost))}
        told = self._store.audit.entry(datetime.now(UTC).isoformat(timespec="milliseconds"), "spent", about)
        try:
            await self._store.commit((Row(SPENT, job.job, msgspec.json.encode(next_)),), (told,))
        except BaseException:  # also when cancelled: what may not be on disk must be booked again before it is spent
            if self._spent[job.job] == next_:
                self._spent.pop(job.job)
                if booked.rounds:
                    self._spent[job.job] = booked
            raise

    def shown(self, data: str, options: Privacy, jobs: Iterable[Job]) -> dict[str, float]:
        """Budget, spent and set aside, for people."""
        spent, aside = self.spent(data), self.set_aside(data, jobs)
        return {
            "epsilon_max": options.epsilon_of(data),
            "delta": options.delta,
            "epsilon_spent": epsilon_of(float(spent), options.delta),
            "rho_max": rho_of(options.epsilon_of(data), options.delta),
            "rho_spent": float(spent),
            "rho_set_aside": float(aside),
        }


def holds(job: Job, own: Answer | None) -> bool:
    """Whether a job may still cost this site something. own: what this site answered."""
    return job.state not in ENDED and own in (Answer.JOIN, Answer.WAIT)
