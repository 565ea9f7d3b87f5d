"""Submitters' hubs that lie about their jobs: cohorts, second jobs, cancels; and members that lie about how one ended.

Each member checks a cohort record by itself, so a false one ends the job at most. A job on the same data is refused at
the decision when it cuts a group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import msgspec

from protocols.core import Effect, Event, Send
from protocols.identity import NodeId
from protocols.job.job import Job
from protocols.job.kinds import CANCEL, COHORT, JOB, OUTCOME, Cancel, CohortBody, JobSpec, Outcome
from protocols.job.life import State
from protocols.records.events import Publish
from protocols.records.record import Record
from simulations.adversaries.telling import Teller, body_of

SECOND, RIVAL = "second", "rival"
"""Purposes of the jobs that adversaries propose, by which they know them again."""


class _Cohorts(Teller, ABC):
    """Tells of another cohort than its hub closed."""

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """The other cohort."""
        if record.kind != COHORT or not self.deceives(to, record):
            return (record,)
        body = self.once(record.subject, lambda: self.other(body_of(record, CohortBody), record.subject))
        self.did(type(self).__name__)
        return (self.record(COHORT, record.subject, body),)

    def deceives(self, to: NodeId, record: Record) -> bool:
        """Whether this peer is told of the other one."""
        return True

    @abstractmethod
    def other(self, body: CohortBody, job: str) -> CohortBody:
        """The other one."""

    def without_one(self, body: CohortBody) -> CohortBody:
        """The cohort less one of the others (of three, with one invented)."""
        if len(body.members) <= 3:
            return self.with_stranger(body)
        out = self.chance.choice([k for k, node in enumerate(body.members) if node != self.me])
        return CohortBody(_less(body.members, out), _less(body.decisions, out))

    def with_stranger(self, body: CohortBody) -> CohortBody:
        """The cohort in which somebody's decision is one that nobody made; or with somebody more who made none."""
        digests = dict(zip(body.members, body.decisions, strict=True))
        strangers = [node for node in self.others() if node not in digests]
        digests[self.chance.choice(strangers or [n for n in body.members if n != self.me])] = self.draw(32)
        members = tuple(sorted(digests))
        return CohortBody(members, tuple(digests[node] for node in members))


def _less(of: tuple[str, ...] | tuple[bytes, ...], place: int) -> tuple:  # type: ignore[type-arg]
    return of[:place] + of[place + 1 :]


class GroupCut(_Cohorts):
    """Closes the collection without one who joined: who belongs to a group that this cuts takes no part."""

    def other(self, body: CohortBody, job: str) -> CohortBody:
        """Less one."""
        return self.without_one(body)


class FalseMembers(_Cohorts):
    """Closes the collection with a decision that nobody made."""

    def other(self, body: CohortBody, job: str) -> CohortBody:
        """With a stranger."""
        return self.with_stranger(body)


class CohortEquivocation(_Cohorts):
    """Tells some hubs of one cohort and the rest of another."""

    def deceives(self, to: NodeId, record: Record) -> bool:
        """Some."""
        return to in self.once((record.subject, "whom"), lambda: self.some(self.others()))

    def other(self, body: CohortBody, job: str) -> CohortBody:
        """Less one, or with a stranger."""
        return self.chance.choice((self.without_one, self.with_stranger))(body)


class SecondJob(Teller):
    """Proposes a job on the data of one that runs, under this version or another, that lacks one of its members.

    at: after how many certified rounds. A sum of both jobs' difference would show who was left out.
    """

    at = 1

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """After the event, a second job for each that is far enough."""
        ripe = [job for job in self.hub.node.jobs.values() if self._ripe(job)]
        return (event, *(Publish((self._second(job),)) for job in ripe))

    def _ripe(self, job: Job) -> bool:
        fresh = ("second", job.job) not in self._chosen and job.spec.purpose != SECOND
        return fresh and job.spec.data is not None and job.body is not None and job.rounds_done >= self.at

    def _second(self, job: Job) -> Record:
        self._chosen["second", job.job] = True
        members = job.body.members if job.body is not None else ()
        out = self.chance.choice([node for node in members if node != self.me])
        self.did("second job")
        spec = msgspec.structs.replace(job.spec, purpose=SECOND, members=(), min_nodes=3, max_nodes=len(members))
        if len(members) > 3:
            listed = tuple(node for node in members if node != out)
            spec = msgspec.structs.replace(spec, members=listed, max_nodes=len(listed))
        return self.record(JOB, f"second-{job.subject[:16]}", self.variant(spec))

    def variant(self, spec: JobSpec) -> JobSpec:
        """The second job's last details."""
        return spec


class VersionBump(SecondJob):
    """Proposes it under another version of the data set."""

    def variant(self, spec: JobSpec) -> JobSpec:
        """The next version."""
        data = spec.data
        return spec if data is None else msgspec.structs.replace(spec, data=msgspec.structs.replace(data, version="2"))


class RivalJob(Teller):
    """Proposes another first job on the same data once it hears of one: free hubs can pledge themselves to one."""

    def hear(self, event: Event, now: float) -> Iterable[Event]:
        """After the event, the rival."""
        news = [job for job in self.hub.node.jobs.values() if self._fresh(job)]
        rivals = []
        for job in news:
            self._chosen["rival", job.job] = True
            self.did("rival job")
            spec = msgspec.structs.replace(job.spec, purpose=RIVAL, members=(), min_nodes=3)
            rivals.append(Publish((self.record(JOB, f"rival-{job.subject[:16]}", spec),)))
        return (*rivals, event)

    def _fresh(self, job: Job) -> bool:
        return ("rival", job.job) not in self._chosen and job.spec.purpose != RIVAL


class CancelInTheMiddle(Teller):
    """Cancels its own jobs once they run, telling some or all; tries to cancel and to close those of others, too."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """A cancel for each job that runs."""
        sends: list[Send] = []
        for job in self.hub.node.jobs.values():
            after = self.once((job.job, "rounds"), lambda: self.chance.randint(0, 1))
            if job.state is State.RUNNING and job.rounds_done >= after and (job.job, "cancelled") not in self._chosen:
                self._chosen[job.job, "cancelled"] = True
                self.did("cancel of its own" if job.author == self.me else "cancel of another's")
                sends += self.to_all(*self._end_of(job))
        return sends

    def _end_of(self, job: Job) -> list[Record]:
        records = [self.record(CANCEL, job.subject, Cancel("no more"))]
        if job.body is not None and job.author != self.me:
            records.append(self.record(COHORT, job.subject, job.body))
        return records


class ForeignCancel(CancelInTheMiddle):
    """Tries to cancel and to close others' jobs, and leaves its own alone."""

    def _end_of(self, job: Job) -> list[Record]:
        return super()._end_of(job) if job.author != self.me else []

    def to_all(self, *records: Record) -> list[Send]:
        """Nothing to tell of its own."""
        return super().to_all(*records) if records else []


class FalseOutcome(Teller):
    """Says of a job that runs that it has failed, or is done with another number of rounds or another history."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """An outcome for each job that runs."""
        sends: list[Send] = []
        for job in self.hub.node.jobs.values():
            after = self.once((job.job, "rounds"), lambda: self.chance.randint(0, 1))
            if job.state is State.RUNNING and job.rounds_done >= after and (job.job, "said") not in self._chosen:
                self._chosen[job.job, "said"] = True
                self.did("false outcome")
                rounds = self.chance.choice((job.rounds_done, job.rounds_done + 1, 100_000))
                body = Outcome(self.chance.random() < 0.5, rounds, self.draw(32), "the disk is full")
                sends += self.to_all(self.record(OUTCOME, job.subject, body))
        return sends
