"""What one hub answers to one job, and whether it is pledged to it.

Rules. A join that would isolate anyone, or that can come to nothing, becomes a refusal that says so. A free hub is
pledged to one job on a data set at a time (`groups`): its answer to another waits. What waits is asked about again when
that is settled, one question at a time: the policy that let it wait may be another by then.
"""

from __future__ import annotations

from protocols.groups import Standing
from protocols.identity import NodeId
from protocols.job.cohorting import objection
from protocols.job.collection import Collection
from protocols.job.events import Decide
from protocols.job.kinds import TEXT_CHARS_MAX, Answer, Decision, JobSpec
from protocols.job.site import Site
from protocols.job.succession import Objection, against_joining


class Answering:
    """The answer of the hub `site` to a job. records: what is known of the job, kept up to date by it."""

    def __init__(self, job: bytes, author: NodeId, spec: JobSpec, site: Site, records: Collection) -> None:
        self._author = author
        self._job, self._spec, self._site, self._records = job, spec, site, records
        self._me = site.identity.node
        self._data = spec.data.name if spec.data else None
        self._asked = False

    @property
    def pledged(self) -> bool:
        """Whether this hub, free, is pledged to this job."""
        return self._data is not None and self._site.groups.pledged(self._data) == self._job

    def decide(self, event: Decide) -> Decision | None:
        """What to publish for what the policy or a person said; None for what waits and goes on waiting."""
        self._asked = False
        site, answer, reason = self._site, event.answer, event.reason
        standing = site.groups.standing(self._me, self._data) if self._data is not None else Standing.FREE
        against = objection(self._spec, self._me, site.groups, site.min_cohort, site.members())
        if answer is Answer.JOIN and against is not None:
            answer, reason = Answer.REFUSE, against.reason
        elif answer is Answer.JOIN and (heir := self._heir()) is not None:
            answer, reason = Answer.WAIT if heir.passing else Answer.REFUSE, heir.reason
        elif answer is Answer.JOIN and standing is Standing.FREE and self._elsewhere():
            answer = Answer.WAIT
            reason = f"this hub is about to form a group for {self._data!r} in another job; it waits for that"
        if answer is Answer.WAIT and self._waits():
            return None
        return Decision(answer, reason[:TEXT_CHARS_MAX], standing)

    def reconsider(self) -> bool:
        """Whether to have the policy asked again: once, until it has answered."""
        heir = self._heir()
        if self._asked or not self._waits() or self._elsewhere() or (heir is not None and heir.passing):
            return False
        self._asked = True
        return True

    def noted(self, body: Decision) -> None:
        """This hub's own decision is durable."""
        if body.answer is Answer.JOIN and body.standing is Standing.FREE and self._data is not None:
            self._site.groups.pledge(self._data, self._job)
        else:
            self.release()
        if body.answer is Answer.JOIN and self._spec.continues is not None:
            self._site.heirs.pledge(self._spec.continues.job, self._job)

    def release(self) -> None:
        """The job needs this hub's pledge no more."""
        if self._data is not None:
            self._site.groups.release(self._data, self._job)
        if self._spec.continues is not None:
            self._site.heirs.release(self._spec.continues.job, self._job)

    def _heir(self) -> Objection | None:
        """What speaks against joining a successor, for now or for good."""
        continues = self._spec.continues
        if continues is None:
            return None
        earlier = self._site.jobs.get(continues.job)
        return against_joining(self._spec, self._job, self._author, earlier, self._site.heirs)

    def _elsewhere(self) -> bool:
        """Whether this hub, free, pledged itself to another job on the data set."""
        return self._data is not None and self._site.groups.pledged(self._data) not in (None, self._job)

    def _waits(self) -> bool:
        """Whether this hub's standing answer is to wait. It is in its own record, and outlives a restart."""
        mine = self._records.decisions.get(self._me)
        return mine is not None and mine.decision.answer is Answer.WAIT
