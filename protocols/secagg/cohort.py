"""The fixed facts of a job that every sum of it rests on: who takes part, in which words, against how many liars.

With n members, c of them malicious in whatever roles: a certificate needs t = floor(2n/3) + 1 votes. Two certificates
share at least 2t - n voters, so c <= 2t - 1 - n keeps one honest voter in every overlap, and it votes once (G8). Each
segment has h = c + 1 holders, so one of them is honest (G3); h = 1 gives that up, in writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.digest import frame
from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.secagg.messages import MEMBERS_MAX

MEMBERS_MIN: Final = 3
"""A sum of two tells each the other's vector; no setting goes below this."""
WORD_BITS: Final = (32, 64)
SUITE_AES256_CTR: Final = 1
SUITE_CHACHA20: Final = 2
"""For machines without AES instructions."""
SUITES: Final = (SUITE_AES256_CTR, SUITE_CHACHA20)


def quorum(members: int) -> int:
    """t: how many votes make a certificate among `members` nodes."""
    return 2 * members // 3 + 1


def safe_against(members: int, colluders: int) -> bool:
    """Whether sums of so many members hold against so many malicious ones (G3, G8)."""
    return 1 <= colluders <= 2 * quorum(members) - 1 - members and members >= colluders + 2


@dataclass(frozen=True, slots=True)
class Cohort:
    """A job's members and parameters; the same on every member, bound into every context.

    job: digest of the signed job record. members: sorted by NodeId. word_bits: 32 or 64. colluders: c.
    holders: h, either c + 1 or 1. suite: how masks are derived.
    """

    job: bytes
    members: tuple[NodeId, ...]
    word_bits: int = 64
    colluders: int = 1
    holders: int = 2
    suite: int = SUITE_AES256_CTR

    def __post_init__(self) -> None:
        """Raises `LocalError` for parameters under which the guarantees would not hold."""
        n = len(self.members)
        if not MEMBERS_MIN <= n <= MEMBERS_MAX:
            raise LocalError(f"a cohort has {MEMBERS_MIN} to {MEMBERS_MAX} members, this one {n}")
        if list(self.members) != sorted(set(self.members)):
            raise LocalError("members of a cohort are sorted by node id and different from each other")
        if self.word_bits not in WORD_BITS or self.suite not in SUITES:
            raise LocalError(f"word_bits is one of {WORD_BITS} and suite one of {SUITES}")
        if not safe_against(n, self.colluders):
            raise LocalError(f"{n} members are not safe against {self.colluders} colluders")
        if self.holders not in (1, self.colluders + 1):
            raise LocalError("holders is colluders + 1, or 1 to give up the check of sums")

    @property
    def size(self) -> int:
        """n, the number of members."""
        return len(self.members)

    @property
    def quorum(self) -> int:
        """t, the votes that make a certificate."""
        return quorum(len(self.members))

    def index(self, node: NodeId) -> int | None:
        """The member's place, or None for a node that is not one."""
        try:
            return self.members.index(node)
        except ValueError:
            return None

    def encoded(self) -> bytes:
        """All of it as bytes, for digests."""
        numbers = (self.word_bits, self.colluders, self.holders, self.suite)
        return frame(
            "cohort", self.job, *(m.encode() for m in self.members), *(k.to_bytes(8, "little") for k in numbers)
        )
