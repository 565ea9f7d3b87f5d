"""Going on without a member: a successor job that starts where another one stopped (`on_drop = "go_on"`).

Theory of operation. A cohort never changes, so a job that misses a member for good can only be followed by another
job. The hub that submitted the first one, if it takes part, proposes it by itself after the job has been paused for
long: the same job in all but its members, which are those who are there, and `continues`, which names the last
certified history. Readers are the first job's and those who are left out. It is decided, collected and closed like any
other job; its rounds count from one, and its H_0 binds the name of what it continues, as its record is hashed in it.

Rules.
- At least t of the first cohort's members go on (its quorum). Two successors of one job would share an honest member,
  and that one joins one of them; and those who are left out, with c liars, are too few to certify anything more of the
  first job. So a job has one future, and no round of it is run again once it was certified.
- A hub joins a successor only where the first job is paused here, too, exactly at the named round and history, and
  only if it has not voted for the round after it: that one may be certified already at somebody who is away.
- From its decision to join on, a hub takes no part in the first job; durably, as its decision is. If the successor ends
  before it began, the hub takes the first job up again. Where it begins, the first job ends as cancelled, in words.
- Groups stay whole: who would be summed without its group is left out as well, or nobody goes on.
- Masks, contexts and signatures are the successor's own, as its id is in each of them. What was booked for noise stays
  booked; a successor books its own rounds.

What this cannot express: a submitter's hub that is itself away, or has no part in the sums: its job waits. A job that
lost more than a third of its members waits, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from protocols.groups import Groups
from protocols.identity import NodeId
from protocols.job.cohorting import together
from protocols.job.kinds import CohortBody, Continues, JobSpec
from protocols.job.life import ENDED, State
from protocols.secagg.cohort import quorum, safe_against
from protocols.secagg.messages import MEMBERS_MAX

GO_ON_AFTER_S: Final = 1800.0
"""A job has been paused for so long when its successor is proposed: a restart, an update or a cut line is over by then.
Doubles with each proposal that came to nothing."""
GO_ON_AFTER_S_MAX: Final = 86_400.0
"""Up to here: somebody may change a policy, or come back, within a day."""
HEARD_S: Final = 600.0
"""Who said nothing at all for so long, not even about records, is away: hubs compare records far more often."""


def go_on_after_s(proposals: int) -> float:
    """How long a pause lasts before the next successor is proposed, after so many that came to nothing."""
    return min(GO_ON_AFTER_S * 2.0 ** min(proposals, 10), GO_ON_AFTER_S_MAX)


def away(silent: Iterable[NodeId], heard: Mapping[NodeId, float], now: float) -> list[NodeId]:
    """Who of those that are silent in a job said nothing at all for long. heard: when each last did."""
    return [node for node in silent if now - heard.get(node, float("-inf")) > HEARD_S]


class Earlier(Protocol):
    """What a successor has to know of the job before it, as it stands on this hub."""

    @property
    def job(self) -> bytes:
        """Its id."""

    @property
    def author(self) -> NodeId:
        """The submitter's hub."""

    @property
    def spec(self) -> JobSpec:
        """What its record says."""

    @property
    def body(self) -> CohortBody | None:
        """Its cohort, once it is known."""

    @property
    def state(self) -> State:
        """Where it is."""

    @property
    def rounds_done(self) -> int:
        """Rounds that are certified here."""

    @property
    def history(self) -> bytes:
        """H of the last of them."""

    @property
    def voted(self) -> bool:
        """Whether this hub has voted for the round after them."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a successor is not joined or followed, for people. passing: it may be, once more is known here."""

    reason: str
    passing: bool = False


class Heirs:
    """Which successors of which jobs are open here, which one this hub said that it would join, which one began."""

    def __init__(self) -> None:
        self._open: dict[bytes, set[bytes]] = {}
        self._pledged: dict[bytes, bytes] = {}
        self._begun: dict[bytes, tuple[bytes, tuple[NodeId, ...]]] = {}

    def propose(self, job: bytes, heir: bytes) -> None:
        """Somebody proposed a successor of a job."""
        self._open.setdefault(job, set()).add(heir)

    def open(self, job: bytes) -> tuple[bytes, ...]:
        """The successors of a job that have not ended here."""
        return tuple(sorted(self._open.get(job, ())))

    def pledge(self, job: bytes, heir: bytes) -> None:
        """This hub would join the successor, and leaves the job alone until that is settled."""
        self._pledged.setdefault(job, heir)

    def begin(self, job: bytes, heir: bytes, members: tuple[NodeId, ...]) -> None:
        """The successor has a cohort, `members`, that this hub joined or follows: the job's one future."""
        self._begun.setdefault(job, (heir, members))

    def close(self, job: bytes, heir: bytes) -> None:
        """The successor ended. One that began stays what became of the job."""
        self._open.get(job, set()).discard(heir)
        self.release(job, heir)

    def release(self, job: bytes, heir: bytes) -> None:
        """This hub would not join the successor any more."""
        if self._pledged.get(job) == heir:
            del self._pledged[job]

    def pledged(self, job: bytes) -> bytes | None:
        """The successor that this hub would join."""
        return self._pledged.get(job)

    def begun(self, job: bytes) -> tuple[bytes, tuple[NodeId, ...]] | None:
        """The successor that began, and its members."""
        return self._begun.get(job)


def successor(spec: JobSpec, cohort: Iterable[NodeId], members: Iterable[NodeId], continues: Continues) -> JobSpec:
    """The one job record that a successor of such a job with these members may have."""
    going_on = tuple(sorted(members))
    left_out = set(cohort) - set(going_on)
    readers = tuple(sorted({*spec.readers, *left_out} - set(going_on)))[:MEMBERS_MAX]
    return msgspec.structs.replace(spec, members=going_on, readers=readers, continues=continues)


def next_spec(earlier: Earlier, missing: Iterable[NodeId], groups: Groups, min_cohort: int) -> JobSpec | str:
    """The successor that the submitter's hub proposes for those who are there, or why it cannot, in words."""
    spec, body = earlier.spec, earlier.body
    cohort = body.members if body is not None else ()
    there = set(cohort) - set(missing)
    able = together(spec, there, groups, min_cohort)
    needed = max(quorum(len(cohort)), spec.min_nodes, min_cohort)
    if earlier.voted:
        return f"round {earlier.rounds_done + 1} may be certified already at somebody who is away"
    if len(able) < needed:
        cut = sorted(there - set(able))
        why = f"; {', '.join(cut)} would be summed without their group" if cut else ""
        return f"it cannot go on without them: {len(able)} hubs could, {needed} must{why}"
    if not safe_against(len(able), spec.colluders):
        return f"it cannot go on without them: {len(able)} hubs are not safe against {spec.colluders} colluders"
    return successor(spec, cohort, able, Continues(earlier.job, earlier.rounds_done, earlier.history))


def against_following(spec: JobSpec, author: NodeId, earlier: Earlier | None) -> Objection | None:
    """What is wrong with a successor, for whoever has the job before it; members and readers ask alike."""
    named = spec.continues
    if named is None:
        return None
    if earlier is None:
        return Objection(f"job {named.job.hex()}, which it continues, is not known here", passing=True)
    if earlier.author != author:
        return Objection("only the hub that submitted a job may propose how it goes on")
    if earlier.spec.on_drop != "go_on":
        return Objection("the job that it continues is to wait for whoever is missing")
    if earlier.body is None:
        return Objection("the cohort of the job that it continues is not known here", earlier.state not in ENDED)
    cohort = earlier.body.members
    if not set(spec.members) < set(cohort) or spec != successor(earlier.spec, cohort, spec.members, named):
        return Objection("it is not the job that it continues with fewer members")
    if len(spec.members) < quorum(len(cohort)):
        return Objection(f"{len(spec.members)} of {len(cohort)} members go on; {quorum(len(cohort))} must")
    return _misplaced(named, earlier)


def _misplaced(named: Continues, earlier: Earlier) -> Objection | None:
    done = earlier.rounds_done
    if done > named.round:
        return Objection(f"round {done} is certified here, and the job would go on from round {named.round}")
    if done < named.round:
        return Objection(f"round {named.round} is not certified here, {done} are", earlier.state not in ENDED)
    if earlier.history != named.history:
        return Objection(f"the history that it names for round {named.round} is not the one that is certified here")
    return None


def against_joining(
    spec: JobSpec, job: bytes, author: NodeId, earlier: Earlier | None, heirs: Heirs
) -> Objection | None:
    """Why this hub, which the successor lists, does not join it. job: the successor's id."""
    objection = against_following(spec, author, earlier)
    if objection is not None or earlier is None:
        return objection
    if heirs.begun(earlier.job) is not None:
        return Objection("the job that it continues goes on as another one already")
    if heirs.pledged(earlier.job) not in (None, job):
        return Objection("this hub is about to go on with it in another job", passing=True)
    if earlier.state in ENDED:
        return Objection(f"the job that it continues is {earlier.state} here")
    if earlier.voted:
        return Objection(
            f"this hub has voted for round {earlier.rounds_done + 1} of it, which may be certified already"
        )
    if earlier.state is not State.PAUSED and heirs.pledged(earlier.job) is None:
        return Objection("nobody has been missing here for long", passing=True)
    return None


def line(jobs: Mapping[bytes, Earlier], spec: JobSpec) -> tuple[tuple[Earlier, int], ...]:
    """The jobs that a job continues, the first one first, each with the sums that are taken over."""
    before: list[tuple[Earlier, int]] = []
    while spec.continues is not None and spec.continues.job in jobs:
        earlier = jobs[spec.continues.job]
        before.append((earlier, spec.continues.round))
        spec = earlier.spec
    return tuple(reversed(before))
