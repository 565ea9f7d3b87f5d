"""What a hub knows of a job, and what can be seen of it from outside; what moves it is in `job`."""

from __future__ import annotations

from typing import Final

from protocols.core import Event, Received
from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.job.answering import Answering
from protocols.job.clock import CollectionClock
from protocols.job.cohorting import Decided
from protocols.job.collection import Collection
from protocols.job.follow import Follower
from protocols.job.kinds import CohortBody, JobSpec
from protocols.job.life import ENDED, State
from protocols.job.restore import Restored
from protocols.job.serving import Serving
from protocols.job.site import Site
from protocols.job.succession import Earlier, line
from protocols.message import Message
from protocols.secagg.messages import Certificate
from protocols.secagg.round import Round

DECISIONS_LATE_S: Final = 3600.0
"""So long after a cohort record the decisions that it names may come: they travel beside it, within minutes."""


class JobView:
    """One job on one hub: what is known of it, and what it waits for."""

    def __init__(
        self, job: bytes, author: NodeId, spec: JobSpec, site: Site, opened_at: float, restored: Restored | None = None
    ) -> None:
        """job: digest of the record. opened_at: when the record came or the hub started, in monotonic seconds."""
        self.job, self.author, self.spec = job, author, spec
        self.state = State.PROPOSED
        self.reason = ""
        self.body: CohortBody | None = None
        """The cohort that was joined, or that is followed."""
        self.rounds_done = 0
        self.lapses = 0
        """How often in this life this hub's pledge to the job lapsed."""
        self.round: Round | None = None
        self._site, self._me = site, site.identity.node
        self._restored = restored or Restored()
        self._clock = CollectionClock(job, opened_at, spec.collect_s, self._restored.waited_s)
        self._records = Collection(opened_at)
        self._answering = Answering(job, author, spec, site, self._records)
        self._sequence = 0
        self._closed = False
        self._said_group = self._called_off = False
        self._told = self._restored.ended is not None
        self._follower: Follower | None = None
        self._history = b""
        self._wants = 0
        self._serving = Serving(job)
        self._early: dict[NodeId, Received] = {}
        self._goes_on_at = float("inf")
        self._proposals = 0
        self._kept: list[Event] = []

    @property
    def subject(self) -> str:
        """The subject of the job's records."""
        return self.job.hex()

    @property
    def decisions(self) -> dict[NodeId, Decided]:
        """What each hub decided last."""
        return self._records.decisions

    @property
    def open(self) -> bool:
        """Whether the collection goes on, as far as is known here: answers still count."""
        return self.state not in ENDED and not self._records.cohorts

    @property
    def wake_at(self) -> float | None:
        """When the job wants a `Tick`."""
        if self.state in ENDED and self._follower is None:
            return None
        times = [self._clock.closes_at if self._collects else self._late_at]
        times += [self._clock.keep_at] if self._waits else []
        times += [self._clock.lapses_at] if self._is_pledged else []
        if self.round is not None and not self._is_left:
            times.append(self._goes_on_at)
        for part in (None if self._is_left else self.round, self._follower):
            if part is not None and part.wake_at is not None:
                times.append(part.wake_at)
        earliest = min(times)
        return earliest if earliest < float("inf") else None

    @property
    def _late_at(self) -> float:
        """When it is too late for what the job still waits for, before it runs."""
        if self.body is not None or self._closed:
            return float("inf")
        if not self._records.cohorts:
            return self._clock.late_at
        lost = self._restored.cohort is not None and self._restored.cohort not in self._records.cohorts
        return self._records.cohort_at + DECISIONS_LATE_S if lost or self._records.undecided() else float("inf")

    @property
    def history(self) -> bytes:
        """H_r of the last certified round, or H_0."""
        return self._history

    @property
    def voted(self) -> bool:
        """Whether this hub has voted for the round after the last certified one."""
        return self.round is not None and self.round.signed is not None

    @property
    def before(self) -> tuple[tuple[Earlier, int], ...]:
        """The jobs that this one continues, the first one first, each with the sums that it takes over."""
        return line(self._site.jobs, self.spec)

    @property
    def rounds_before(self) -> int:
        """The sums that this job takes over from those that it continues."""
        return sum(rounds for _, rounds in self.before)

    def waiting_for(self) -> tuple[NodeId, ...]:
        """Who is waited for now."""
        if self.round is not None:
            return self.round.missing or self.round.waiting_for()
        if self._records.cohorts and self.body is None and self.state not in ENDED:
            name = self.spec.data.name if self.spec.data else ""
            unsigned = self._site.groups.unsigned(name, self._site.groups.members(self._me, name))
            return self._records.undecided() or (unsigned if name else ())
        if self.state is State.COLLECTING and self.spec.members:
            return tuple(m for m in self.spec.members if not self._records.has_joined(m))
        return ()

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a bulk payload would be of use: asked before a byte of it is received."""
        if self.body is None or sender not in self.body.members:
            return False
        if self._follower is not None:
            return isinstance(message, Certificate) and self._follower_expects(message, size)
        number = getattr(message, "round", None)
        return self.round is not None and number == self.round.place.number and self.round.expects(message, size)

    def _follower_expects(self, certificate: Certificate, size: int) -> bool:
        try:
            return self._follower is not None and self._follower.expects(certificate, size)
        except PeerError:
            return False

    @property
    def _collects(self) -> bool:
        """Whether this is the submitter's hub and the collection is open."""
        return self.author == self._me and not self._closed and not self._records.cohorts and self.state not in ENDED

    @property
    def _waits(self) -> bool:
        """Whether the clock of the collection runs: no cohort is known."""
        return not (self.state in ENDED or self._closed or self._records.cohorts)

    @property
    def _is_pledged(self) -> bool:
        """Whether this hub is pledged to this job, and the collection goes on."""
        return self._answering.pledged and self._waits

    @property
    def _earlier(self) -> Earlier | None:
        """The job that this one continues."""
        return self._site.jobs.get(self.spec.continues.job) if self.spec.continues is not None else None

    @property
    def _may_go_on(self) -> bool:
        return self.spec.on_drop == "go_on" and self.author == self._me

    @property
    def _is_left(self) -> bool:
        """Whether a successor began, or this hub would join one."""
        heirs = self._site.heirs
        return heirs.begun(self.job) is not None or heirs.pledged(self.job) is not None
