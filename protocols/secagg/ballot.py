"""The votes of one round, and the certificate that enough of them make.

A member votes once in a round, for ever: the vote has no attempt in it. t votes for one history are the certificate.
"""

from __future__ import annotations

from collections import Counter

from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Evidence
from protocols.secagg.messages import Certificate, Vote
from protocols.secagg.signing import RoundId, verify_message, verify_votes


def contradiction(one: Certificate, other: Certificate) -> list[Evidence]:
    """Evidence against all who voted in both of two valid certificates that contradict each other (G8)."""
    doubles = {v.author for v in one.votes} & {v.author for v in other.votes}
    return [Evidence(author, "two_certificates", (one, other)) for author in sorted(doubles)]


class Ballot:
    """Votes by member, each checked before it enters."""

    def __init__(self, cohort: Cohort, place: RoundId) -> None:
        self.cohort = cohort
        self.place = place
        self.votes: dict[int, Vote] = {}
        self.certificate: Certificate | None = None

    def add(self, vote: Vote) -> list[Evidence]:
        """Take a vote in; evidence if its author voted otherwise before. Raises `PeerError`."""
        author = self.cohort.index(vote.author)
        if author is None:
            raise PeerError("not_a_member", f"{vote.author} is not in the cohort")
        known = self.votes.get(author)
        if known is not None and known.history == vote.history:
            return []
        verify_message(vote)
        if known is not None:
            return [Evidence(vote.author, "two_votes", (known, vote))]
        self.votes[author] = vote
        supporters = tuple(v for v in self.votes.values() if v.history == vote.history)
        if self.certificate is None and len(supporters) >= self.cohort.quorum:
            self.certificate = Certificate(self.cohort.job, self.place.number, vote.history, supporters)
        return []

    def adopt(self, certificate: Certificate) -> list[Evidence]:
        """Take in a whole certificate; evidence if it contradicts what is here (G8). Raises `PeerError`."""
        if self.certificate is not None and self.certificate.history == certificate.history:
            return []
        verify_votes(self.cohort, certificate.votes, self.place.number, certificate.history)
        evidence = []
        for vote in certificate.votes:
            author = self.cohort.members.index(vote.author)
            known = self.votes.setdefault(author, vote)
            if known.history != vote.history:
                evidence.append(Evidence(vote.author, "two_votes", (known, vote)))
        if self.certificate is None:
            self.certificate = certificate
        elif self.certificate.history != certificate.history:
            evidence += contradiction(self.certificate, certificate)
        return evidence

    def against(self, history: bytes) -> list[NodeId]:
        """Who voted for another history."""
        return [vote.author for vote in self.votes.values() if vote.history != history]

    @property
    def hopeless(self) -> bool:
        """Whether no history can reach t votes any more, of those that came here first."""
        return self.certificate is None and not self._within_reach(0)

    @property
    def open_elsewhere(self) -> bool:
        """Whether others may hold a certificate all the same: up to c members may have voted otherwise there."""
        return self._within_reach(self.cohort.colluders)

    def _within_reach(self, liars: int) -> bool:
        """Whether some history can have t votes, if so many votes for others count for it, too."""
        best = max(Counter(vote.history for vote in self.votes.values()).values(), default=0)
        return min(best + liars, len(self.votes)) + self.cohort.size - len(self.votes) >= self.cohort.quorum
