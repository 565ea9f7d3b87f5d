"""What an open collection of answers waits for, in words, and whether anything can still come of it.

Answers may change until a cohort is closed, and new hubs may join the federation: so a job that cannot begin as things
stand is not ended, only said to be so; its submitter may cancel it.
"""

from __future__ import annotations

from collections.abc import Collection

from protocols.groups import Groups
from protocols.identity import NodeId
from protocols.job.cohorting import reachable
from protocols.job.job import Job
from protocols.job.kinds import Answer


def outlook(job: Job, members: Collection[NodeId], groups: Groups, min_cohort: int, *, revoked: int = 0) -> str:
    """How an open collection stands; empty once it is closed. members: of the federation. revoked: how many it lost."""
    if not job.open:
        return ""
    spec = job.spec
    answers = [decided.decision.answer for decided in job.decisions.values()]
    joined = answers.count(Answer.JOIN)
    refused = sum(d.decision.answer is Answer.REFUSE for node, d in job.decisions.items() if node in members)
    if spec.members:
        return f"{joined} of the {len(spec.members)} hubs that it lists have joined; it begins when all have."
    until = f"its collection ends, {spec.collect_s / 3600:.3g} h after it came"
    if len(reachable(spec, job.decisions, members, groups, min_cohort)) < spec.min_nodes:
        lost = f" ({revoked} more {'was' if revoked == 1 else 'were'} revoked)" if revoked else ""
        why = f"{spec.min_nodes} hubs must take part, and of {len(members)} members{lost} {refused or 'none'} refused"
        if len(members) - refused >= spec.min_nodes:
            why += "; some of the others may only be summed with one that refused, or would be seen alone"
        return (
            f"It cannot begin as things stand: {why}. Unless {'one takes its refusal back, or ' if refused else ''}"
            f"a new hub joins, it comes to nothing when {until}; its submitter can cancel it now."
        )
    counts = {
        "joined": joined,
        "asking their people": answers.count(Answer.ASK),
        "waiting for another job": answers.count(Answer.WAIT),
        "refused": refused,
        "yet to answer": len(set(members) - set(job.decisions)),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    begins = f"It begins when {spec.max_nodes} can take part, or with {spec.min_nodes} or more when {until}."
    return f"Hubs: {said}. {begins}"
