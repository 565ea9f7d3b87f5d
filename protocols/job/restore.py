"""From durable facts to where each job stood: what a node reads after a restart, whatever they were kept in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from protocols.job.clock import Waited
from protocols.job.events import Joined
from protocols.job.kinds import Outcome
from protocols.secagg.effects import Certified, Entered, Signed
from protocols.secagg.messages import Certificate


@dataclass(frozen=True, slots=True)
class Restored:
    """The durable facts of a job after a restart.

    cohort: digest of the cohort record that was joined. rounds, history: certified so far. entered, signed: of the
    round after those. ended: how this hub said that it ended. waited_s: for a cohort, until then.
    """

    cohort: bytes | None = None
    rounds: int = 0
    history: bytes = b""
    entered: int = 0
    signed: Signed | None = None
    ended: Outcome | None = None
    waited_s: float = 0.0


def restore(facts: Iterable[object]) -> dict[bytes, Restored]:
    """Where each job stood. The order of the facts does not matter; what is no fact of a job is ignored.

    A certificate alone will do for `Certified`: the sums themselves need not be read at a start.
    """
    kept = list(facts)
    jobs: dict[bytes, Restored] = {}
    for fact in kept:
        if isinstance(fact, Joined):
            jobs[fact.job] = replace(jobs.get(fact.job, Restored()), cohort=fact.cohort)
        elif isinstance(fact, Waited):
            before = jobs.get(fact.job, Restored())
            jobs[fact.job] = replace(before, waited_s=max(before.waited_s, fact.waited_s))
        elif isinstance(fact, Certified | Certificate):
            certificate = fact.certificate if isinstance(fact, Certified) else fact
            before = jobs.get(certificate.job, Restored())
            if certificate.round > before.rounds:
                jobs[certificate.job] = replace(before, rounds=certificate.round, history=certificate.history)
    for fact in kept:
        if isinstance(fact, Entered):
            before = jobs.get(fact.job, Restored())
            if fact.round == before.rounds + 1:
                jobs[fact.job] = replace(before, entered=max(before.entered, fact.attempt))
        elif isinstance(fact, Signed):
            before = jobs.get(fact.vote.job, Restored())
            if fact.vote.round == before.rounds + 1:
                jobs[fact.vote.job] = replace(before, signed=fact)
    return jobs
