"""Past rounds: what a hub gives of them, in which measure, and what it does when somebody contradicts them.

Rules. Whoever still works on a past round gets its certificate; whoever asks gets its sum, too, as far as its allowance
of bytes goes: a small question draws a large answer. A valid certificate for another history than the one here is
evidence against all who voted in both, and ends the job (G8).
"""

from __future__ import annotations

from typing import Final

from protocols.core import Effect, Refused, Send
from protocols.errors import PeerError
from protocols.identity import NodeId
from protocols.job.events import Serve
from protocols.message import Message
from protocols.records.allowance import Allowance
from protocols.secagg.ballot import contradiction
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Certified, Evidence
from protocols.secagg.messages import Ask, Certificate, Vote
from protocols.secagg.rations import Rations
from protocols.secagg.signing import verify_votes

SERVE_AGAIN_S: Final = 1.0
"""A peer gets the same past round at most this often."""
SERVE_BYTES_BURST: Final = 64 * 2**20
"""Bytes of past sums that a peer may draw at once: hundreds of rounds of a statistic, or one of a large model."""
SERVE_BYTES_PER_S: Final = 16 * 2**20
"""Bytes of past sums that a peer may draw each second after that: what a good line carries."""
SERVE_BYTES_MIN: Final = 64 * 1024
"""What any past round costs: it is read from disk."""
CERTIFICATES_KEPT: Final = 64
"""Certificates of past rounds kept in memory to compare others' with: of 128 members 30 KiB each."""


class Serving:
    """The past rounds of one job."""

    def __init__(self, job: bytes) -> None:
        self._job = job
        self._rations = Rations()
        self._allowances: dict[NodeId, Allowance] = {}
        self._certificates: dict[int, Certificate] = {}
        self._sum_bytes = 0

    def certified(self, fact: Certified) -> None:
        """A round became a past one."""
        self._sum_bytes = fact.total.nbytes
        self._certificates[fact.certificate.round] = fact.certificate
        for number in sorted(self._certificates)[:-CERTIFICATES_KEPT]:
            del self._certificates[number]

    def serve(self, sender: NodeId, message: Message, number: int, now: float) -> list[Effect]:
        """Somebody speaks of a past round."""
        if isinstance(message, Certificate | Vote) or number < 1:
            return []
        with_sum = isinstance(message, Ask) and message.certificate
        if not self._rations.allows(sender, (number, with_sum), now, SERVE_AGAIN_S):
            return []
        if with_sum and not self._pays(sender, now):
            return [Refused(sender, "too_fast", f"asks for more than {SERVE_BYTES_PER_S} bytes of sums a second")]
        return [Serve(sender, self._job, number, with_sum)]

    def _pays(self, sender: NodeId, now: float) -> bool:
        new = Allowance(SERVE_BYTES_BURST, SERVE_BYTES_PER_S, now)
        return self._allowances.setdefault(sender, new).take(max(self._sum_bytes, SERVE_BYTES_MIN), now)

    def ask_back(self, sender: NodeId, number: int, now: float) -> list[Effect]:
        """A member speaks of a round far ahead: this hub lacks the certificate of its own round, `number`."""
        if not self._rations.allows(sender, ("ahead", number), now, SERVE_AGAIN_S):
            return []
        return [Send(sender, Ask(self._job, number, 0, certificate=True))]

    def contradicts(self, certificate: Certificate, cohort: Cohort) -> list[Evidence]:
        """Evidence, if a certificate for a past round is valid and not the one that is here. Raises `PeerError`."""
        known = self._certificates.get(certificate.round)
        if known is None or known.history == certificate.history:
            return []
        verify_votes(cohort, certificate.votes, certificate.round, certificate.history)
        if certificate.job != known.job:
            raise PeerError("bad_certificate", "a certificate of another job")
        return contradiction(known, certificate)
