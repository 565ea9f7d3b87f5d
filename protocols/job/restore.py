"""From durable facts to where each job stood: what a node reads after a restart, whatever they were kept in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from protocols.job.events import Joined
from protocols.job.job import Restored
from protocols.secagg.effects import Certified, Entered, Signed


def restore(facts: Iterable[object]) -> dict[bytes, Restored]:
    """The facts of each job, folded in the order in which they were made durable. Others are ignored."""
    jobs: dict[bytes, Restored] = {}
    for fact in facts:
        match fact:
            case Joined():
                jobs[fact.job] = replace(jobs.get(fact.job, Restored()), cohort=fact.cohort)
            case Entered():
                jobs[fact.job] = replace(jobs.get(fact.job, Restored()), entered=fact.attempt)
            case Signed():
                jobs[fact.vote.job] = replace(jobs.get(fact.vote.job, Restored()), signed=fact)
            case Certified():
                job, number = fact.certificate.job, fact.certificate.round
                history = fact.certificate.history
                before = jobs.get(job, Restored())
                jobs[job] = replace(before, rounds=number, history=history, entered=0, signed=None)
    return jobs
