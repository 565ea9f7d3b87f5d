"""A certified sum from somebody else: for a member that could not add up itself, and for a hub that reads along.

The certificate says which history the sum must lead to, so any bytes that do are the sum. They are checked one at a
time; whoever sent false ones is not listened to again.
"""

from __future__ import annotations

from typing import Final

from protocols.core import Compute, Refused
from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.message import Payload
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Certified
from protocols.secagg.messages import Certificate
from protocols.secagg.signing import RoundId, next_history, verify_votes

SUM_BYTES_MAX: Final = 1 << 30
"""A sum whose length is not known beforehand may have so many bytes."""


class Intake:
    """Takes certified sums. size: the bytes that the sum has, once that is known."""

    def __init__(self, cohort: Cohort) -> None:
        self.size: int | None = None
        self._cohort = cohort
        self._checking: tuple[Certified, NodeId] | None = None
        self._liars: set[NodeId] = set()

    @property
    def busy(self) -> bool:
        """Whether a sum is being checked now."""
        return self._checking is not None

    def expects(self, place: RoundId, certificate: Certificate, size: int) -> bool:
        """Whether the sum would be taken. Raises `PeerError` for a certificate that is none."""
        if self.busy or not self._fits(size):
            return False
        verify_votes(self._cohort, certificate.votes, place.number, certificate.history)
        return True

    def _fits(self, size: int) -> bool:
        return 0 < size <= SUM_BYTES_MAX if self.size is None else size == self.size

    def take(
        self, place: RoundId, sender: NodeId, certificate: Certificate, payload: Payload, token: object
    ) -> list[Compute]:
        """Check a sum for a certificate that was verified; the digest comes back under `token`. Raises `PeerError`."""
        if sender in self._liars or not self._fits(payload.nbytes):
            raise PeerError("wrong_sum", "a sum of another size than the vectors, or by who sent a false one before")
        if self.busy:
            return []
        self._checking = Certified(certificate, payload), sender
        return [Compute(token, lambda: next_history(place.history, place.number, payload))]

    def checked(self, history: bytes) -> Certified | Refused | None:
        """The digest of the sum that was taken: the fact, or who sent a false one."""
        if self._checking is None:
            return None
        (fact, sender), self._checking = self._checking, None
        if fact.certificate.history == history:
            return fact
        self._liars.add(sender)
        return Refused(sender, "wrong_sum", "the sum does not lead to the certified history")
