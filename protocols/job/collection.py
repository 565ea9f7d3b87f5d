"""What the records of one job say so far: who decided what, which cohorts were signed, how it ended for whom."""

from __future__ import annotations

from typing import Final

from protocols.identity import NodeId
from protocols.job.cohorting import Decided
from protocols.job.kinds import Answer, CohortBody, Decision, Outcome
from protocols.records.store import HEADS_MAX

DECISIONS_KEPT: Final = 4
"""Of one hub's decisions on a job, the latest: a cohort record names one that was young when it was made."""


class Collection:
    """Records by what they mean. decisions: each hub's latest. cohort_at: when the first cohort record came."""

    def __init__(self, now: float) -> None:
        self.decisions: dict[NodeId, Decided] = {}
        self.by_digest: dict[bytes, tuple[NodeId, Decision]] = {}
        self.cohorts: dict[bytes, CohortBody] = {}
        self.outcomes: dict[NodeId, Outcome] = {}
        self._revoked: set[NodeId] = set()
        self.cohort_at = now

    def decided(self, author: NodeId, body: Decision, digest: bytes) -> None:
        """A hub decided, or decided anew."""
        self.by_digest[digest] = (author, body)
        self.decisions[author] = Decided(body, digest)
        for old in [d for d, (a, _) in self.by_digest.items() if a == author][:-DECISIONS_KEPT]:
            del self.by_digest[old]

    def closed(self, body: CohortBody, digest: bytes, now: float) -> None:
        """The submitter's hub signed a cohort; a second one is kept as what it is, more are not."""
        if not self.cohorts:
            self.cohort_at = now
        if len(self.cohorts) < HEADS_MAX:
            self.cohorts.setdefault(digest, body)

    def revoked(self, node: NodeId) -> None:
        """Somebody is no member of the federation any more: what it decided counts for nothing."""
        self._revoked.add(node)
        self.decisions.pop(node, None)

    def is_revoked(self, node: NodeId) -> bool:
        """Whether the node is no member of the federation any more."""
        return node in self._revoked

    def has_joined(self, node: NodeId) -> bool:
        """Whether the hub's latest decision is to join."""
        return node in self.decisions and self.decisions[node].decision.answer is Answer.JOIN

    def named(self, node: NodeId) -> bool:
        """Whether a cohort record names the node as a member."""
        return any(node in body.members for body in self.cohorts.values())

    def undecided(self) -> tuple[NodeId, ...]:
        """Whose decisions the cohort names and this hub lacks."""
        body = next(iter(self.cohorts.values()), None)
        named = zip(body.members, body.decisions, strict=True) if body is not None else ()
        return tuple(member for member, digest in named if digest not in self.by_digest)

    def failure(self, rounds_done: int, working_on: int) -> str:
        """Whether a member of the cohort was revoked, failed, or is done although this hub works on a next round."""
        for node in sorted(self._revoked):
            if self.named(node):
                return f"{node} was revoked"
        for author, outcome in self.outcomes.items():
            if not self.named(author):
                continue
            if not outcome.done:
                return f"{author}: {outcome.reason}"
            if outcome.rounds == rounds_done == working_on - 1:
                return f"{author} has its result after {outcome.rounds} rounds, here the task goes on: it is not exact"
        return ""
