"""A whole hub, minus the world: records, roster, groups and jobs behind one core.

Theory of operation. The daemon drives one `Node` over TLS and SQLite, the simulator drives many over a virtual network;
both see one core. The node routes: messages of the records exchange to `Exchange`, messages of a sum to the job that
they name; accepted records to roster, groups and jobs; what a job wants to say to the exchange, so that it is durable
before anybody, the job itself included, hears of it. Every effect of a job that does not name its job is wrapped in
`InJob`; computations carry the job in their token.

No author's jobs can fill a hub: of one author it lives `OPEN_JOBS_PER_AUTHOR_MAX` at a time, and takes up the next, in
the order in which they came, when one has ended. Those that it answered or joined it takes up always.

What this cannot express: joining a federation. A node has a charter; how it came by it is `invitation`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from protocols.core import (
    Compute,
    Computed,
    Draw,
    Effect,
    Event,
    LinkUp,
    Persist,
    Progressed,
    Received,
    Refused,
    Send,
    Tick,
)
from protocols.errors import LocalError
from protocols.groups import GROUP, GroupBody, Groups, Standing
from protocols.identity import Identity, NodeId
from protocols.job.events import Advance, Fallen, Moved, Noted, Reconsider, Revoked, Say, Serve, Settled, StartWork
from protocols.job.job import Job
from protocols.job.kinds import CANCEL, COHORT, DECISION, JOB, OPEN_JOBS_PER_AUTHOR_MAX, OUTCOME, Answer, JobSpec
from protocols.job.life import ENDED
from protocols.job.restore import Restored
from protocols.job.site import Site
from protocols.job.succession import Heirs
from protocols.kinds import KINDS
from protocols.membership.kinds import REVOCATION
from protocols.membership.store import open_store
from protocols.message import Message
from protocols.records.authority import Held
from protocols.records.events import Learned, Publish
from protocols.records.exchange import Exchange
from protocols.records.messages import Listing, Pull, Records, Summary
from protocols.records.record import Record, sign_record
from protocols.secagg.effects import Certified

ABOUT_JOBS: Final = (COHORT, CANCEL, DECISION, OUTCOME)
"""Kinds whose subject is a job's id in hexadecimal, in the order in which a job is told what is known of it already:
that its collection was closed comes before the decisions, lest its submitter close it again."""


@dataclass(frozen=True, slots=True)
class ForJob(Event):
    """Hand an event to one job: what its data manager, policy or worker said."""

    job: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class StandAlone(Event):
    """The data manager chose that this hub is never summed as part of a group on a data set, but may be seen alone."""

    data: str


@dataclass(frozen=True, slots=True)
class Proposed(Effect):
    """A job was proposed, or what its answer waited for is settled: the policy should answer with `Decide`."""

    job: bytes


@dataclass(frozen=True, slots=True)
class InJob(Effect):
    """Something that happened within a job, for audit and people."""

    job: bytes
    effect: Effect


class Node:
    """One hub of one federation."""

    def __init__(
        self,
        identity: Identity,
        charter: Record,
        draw: Draw,
        records: Iterable[Record] = (),
        facts: Mapping[bytes, Restored] | None = None,
    ) -> None:
        """records, facts: what was durable before a restart; facts by job. Raises `PeerError` for a false charter."""
        self.identity = identity
        self.store, self.roster = open_store(charter, KINDS)
        self.store.restore(records)
        self.groups = Groups()
        self.jobs: dict[bytes, Job] = {}
        self._facts = dict(facts or {})
        self._open_jobs: Counter[NodeId] = Counter()
        self._crowded: dict[NodeId, dict[bytes, None]] = {}
        """By author, the jobs that are taken up when earlier ones have ended."""
        self._settled = False
        """Whether something that answers wait for was settled in this event."""
        self._exchange = Exchange(identity.node, self.store)
        min_cohort = self.roster.charter.min_cohort
        self._heirs = Heirs()
        self._heard: dict[NodeId, float] = {}
        federation, jobs, roster = self.roster.federation, self.jobs, self.roster
        about = (jobs, self._heirs, self._heard, lambda: len(roster.members()))
        self._site = Site(identity, federation, min_cohort, self.groups, draw, *about)
        for held in self.store.find(GROUP):
            self._learn_group(held)
        for held in self.store.find(JOB):
            self._learn_heir(held)

    # -- outside view --------------------------------------------------------------------------------------------

    @property
    def federation(self) -> bytes:
        """The federation's id."""
        return self.roster.federation

    @property
    def wake_at(self) -> float | None:
        """When anything here wants a `Tick`."""
        times = [self._exchange.wake_at, *(job.wake_at for job in self.jobs.values())]
        return min((t for t in times if t is not None), default=None)

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a bulk payload would be of use: asked before a byte of it is received."""
        job = self.jobs.get(getattr(message, "job", b""))
        return job is not None and self.roster.allowed(sender) and job.expects(sender, message, size)

    def sign(self, kind: str, subject: str, body: Message) -> Record:
        """This node's next record of that kind and subject; `Publish` makes it known. Raises `LocalError`."""
        sequence = self.store.next_sequence(kind, self.identity.node, subject)
        return sign_record(self.identity, self.federation, kind, subject, body, sequence=sequence)

    # -- events --------------------------------------------------------------------------------------------------

    def start(self, now: float) -> Sequence[Effect]:
        """Take up, after a restart, the jobs that the restored records tell of."""
        effects: list[Effect] = []
        for held in sorted(self.store.find(JOB), key=self._is_new):
            effects += self._open(held, now)
        self._settled = True
        return self._settle(effects, now)

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event. Raises `LocalError` only."""
        return self._settle(self._handle(event, now), now)

    def _settle(self, effects: Sequence[Effect], now: float) -> Sequence[Effect]:
        """Tell those who wait of what was settled, after the event and not within it: they may be any number."""
        while self._settled:
            self._settled = False
            effects = [*effects, *self._admit(now), *self._tell_waiting(now)]
        return effects

    def _tell_waiting(self, now: float) -> list[Effect]:
        """Who answers first has the pledge: those first whose authors let fewest pledges lapse, then as they came."""
        lapses: Counter[NodeId] = Counter()
        for job in self.jobs.values():
            lapses[job.author] += job.lapses
        waiting = [job for job in self.jobs.values() if job.state not in ENDED]
        waiting.sort(key=lambda job: lapses[job.author])
        return [e for job in waiting for e in self._tell(job.job, Settled(), now)]

    def _handle(self, event: Event, now: float) -> Sequence[Effect]:
        match event:
            case Received():
                return self._received(event, now)
            case ForJob():
                return self._tell(event.job, event.event, now)
            case Computed(token=(bytes() as job, token)):
                return self._tell(job, Computed(token, event.value), now)
            case Publish():
                return self._spread(self._exchange.handle(event, now), now)
            case StandAlone():
                return self._stand_alone(event.data, now)
            case LinkUp() | Tick():
                return self._spread(self._exchange.handle(event, now), now) + self._tell_all(event, now)
            case Progressed():
                return self._tell_all(event, now)
        return []

    def _received(self, event: Received, now: float) -> list[Effect]:
        if not self.roster.allowed(event.sender):
            return [Refused(event.sender, "not_a_member", f"{event.sender} is not a member of the federation")]
        self._heard[event.sender] = now
        if isinstance(event.message, Summary | Listing | Pull | Records):
            return self._spread(self._exchange.handle(event, now), now)
        job = getattr(event.message, "job", None)
        if job is None:
            return [Refused(event.sender, "unexpected", f"{type(event.message).__name__} between members")]
        return self._tell(job, event, now)

    def _tell_all(self, event: Event, now: float) -> list[Effect]:
        return [e for job in [*self.jobs] if self._concerns(job, event) for e in self._tell(job, event, now)]

    def _concerns(self, job: bytes, event: Event) -> bool:
        """Whether an event that names no job has anything to say to this one."""
        here = self.jobs[job]
        if here.state in ENDED or isinstance(event, LinkUp):
            return here.state not in ENDED
        if isinstance(event, Progressed):
            return here.body is not None and event.sender in here.body.members
        return here.wake_at is not None

    def _tell(self, job: bytes, event: Event, now: float) -> list[Effect]:
        """Give a job an event and see to its effects."""
        if job not in self.jobs:
            return []
        effects: list[Effect] = []
        for effect in self.jobs[job].handle(event, now):
            effects += self._from_job(job, effect, now)
        return effects

    def _from_job(self, job: bytes, effect: Effect, now: float) -> list[Effect]:
        match effect:
            case Say():
                return self._spread(self._exchange.handle(Publish((effect.record,)), now), now)
            case Compute():
                return [Compute((job, effect.token), effect.work)]
            case Moved() if effect.state in ENDED:
                self._open_jobs[self.jobs[job].author] -= 1
                self._settled = True
                return [effect]
            case Reconsider():
                return [Proposed(job)]
            case Moved() | Persist(fact=Certified()):
                named = self.jobs[job].spec.continues
                kin = [*self._heirs.open(job), *([named.job] if named is not None else [])]
                return [effect, *(e for relative in kin for e in self._tell(relative, Settled(), now))]
            case Send() | Persist() | Refused() | Advance() | StartWork() | Serve():
                return [effect]
        return [InJob(job, effect)]

    # -- records -------------------------------------------------------------------------------------------------

    def _spread(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        """Pass effects of the exchange on; what was learned goes to those whom it concerns."""
        result: list[Effect] = []
        for effect in effects:
            result.append(effect)
            if isinstance(effect, Learned):
                held = self.store.by_digest(effect.digest)
                result += self._learned(held, now) if held is not None else []
        return result

    def _learned(self, held: Held, now: float) -> list[Effect]:
        record = held.record
        if record.kind == JOB:
            return self._open(held, now)
        if record.kind == REVOCATION:
            return self._tell_each(Revoked(NodeId(record.subject)), now) + self._fallen(now)
        if record.kind == GROUP:
            self._settled |= record.author == self.identity.node
            self._learn_group(held)
            return self._tell_each(_noted(held), now)
        if record.kind in ABOUT_JOBS:
            self._settled |= record.kind == DECISION and record.author == self.identity.node
            return self._tell(_job_of(record), _noted(held), now)
        return []

    def _tell_each(self, event: Event, now: float) -> list[Effect]:
        return [e for job in [*self.jobs] if self.jobs[job].state not in ENDED for e in self._tell(job, event, now)]

    def _fallen(self, now: float) -> list[Effect]:
        """Somebody was revoked: jobs whose own record fell with its author cannot go on."""
        gone = [job for job in [*self.jobs] if job not in self.store and self.jobs[job].state not in ENDED]
        return [e for job in gone for e in self._tell(job, Fallen(), now)]

    def _learn_group(self, held: Held) -> None:
        body: GroupBody = held.body
        self.groups.learn(held.record.author, held.record.subject, body.members)

    def _learn_heir(self, held: Held) -> None:
        """Before any job begins again after a restart: what it was left for."""
        job, spec, subject = held.digest, held.body, held.digest.hex()
        if not isinstance(spec, JobSpec) or spec.continues is None:
            return
        own = self.store.get(DECISION, self.identity.node, subject)
        ended = self.store.get(OUTCOME, self.identity.node, subject) or self.store.get(
            CANCEL, held.record.author, subject
        )
        if self._facts.get(job, Restored()).cohort is not None:
            self._heirs.begin(spec.continues.job, job, spec.members)
        elif own is not None and own.body.answer is Answer.JOIN and ended is None:
            self._heirs.pledge(spec.continues.job, job)

    def _open(self, held: Held, now: float) -> list[Effect]:
        """A job record: begin to live that job, with all that is known of it."""
        spec: JobSpec = held.body
        job, record = held.digest, held.record
        if job in self.jobs:
            return []
        if self._open_jobs[record.author] >= OPEN_JOBS_PER_AUTHOR_MAX and self._is_new(held):
            self._crowded.setdefault(record.author, {})[job] = None
            detail = (
                f"{record.author} has {OPEN_JOBS_PER_AUTHOR_MAX} open jobs here: the next waits until one has ended"
            )
            return [Refused(record.author, "too_many_jobs", detail)]
        answerable = self._own_decision(job) is None and self.roster.allowed(record.author)
        facts = self._facts.pop(job, Restored())
        outcome = self.store.get(OUTCOME, self.identity.node, job.hex())
        facts = replace(facts, ended=outcome.body if outcome is not None else None)
        if spec.continues is not None:
            self._heirs.propose(spec.continues.job, job)
        self.jobs[job] = Job(job, record.author, spec, self._site, now, facts)
        self._open_jobs[record.author] += 1
        effects: list[Effect] = [Proposed(job)] if answerable else []
        for kind in ABOUT_JOBS:
            for known in self.store.find(kind, subject=job.hex()):
                effects += self._tell(job, _noted(known), now)
        for revoked in self.roster.revocations():
            effects += self._tell(job, Revoked(revoked.node), now)
        return effects

    def _own_decision(self, job: bytes) -> Held | None:
        return self.store.get(DECISION, self.identity.node, job.hex())

    def _is_new(self, held: Held) -> bool:
        """Whether a job record is another's, and this hub has nothing to do with that job so far."""
        mine = held.record.author == self.identity.node
        return not mine and held.digest not in self._facts and self._own_decision(held.digest) is None

    def _admit(self, now: float) -> list[Effect]:
        """Take up jobs whose authors had too many open ones, as far as there is room for them now."""
        effects: list[Effect] = []
        for author, waiting in [*self._crowded.items()]:
            while waiting and self._open_jobs[author] < OPEN_JOBS_PER_AUTHOR_MAX:
                job = next(iter(waiting))
                del waiting[job]
                held = self.store.by_digest(job)
                effects += self._open(held, now) if held is not None else []
            if not waiting:
                del self._crowded[author]
        return effects

    def _stand_alone(self, data: str, now: float) -> list[Effect]:
        if self.groups.standing(self.identity.node, data) is not Standing.FREE:
            raise LocalError(f"this node's standing towards {data!r} is settled already")
        pledged = self.groups.pledged(data)
        if pledged is not None:
            raise LocalError(
                f"this node would join job {pledged.hex()} on {data!r} as part of a group: refuse it first"
            )
        record = self.sign(GROUP, data, GroupBody((self.identity.node,)))
        return self._spread(self._exchange.handle(Publish((record,)), now), now)


def _noted(held: Held) -> Noted:
    return Noted(held.record, held.body, held.digest)


def _job_of(record: Record) -> bytes:
    """The job that a record is about; of a subject that is no job's, nothing."""
    try:
        return bytes.fromhex(record.subject)
    except ValueError:
        return b""
