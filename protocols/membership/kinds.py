"""The kinds of record of membership, and who may write them.

In the order in which they travel: votes before revocations (a node may revoke itself only once it is known), these
before vouchers (of which there can be most), and last what nodes say about themselves.
"""

from __future__ import annotations

from typing import Any, Final

from protocols.membership import bodies
from protocols.membership.charter import STEWARDS_MAX, Charter, check_charter, federation_of
from protocols.records.authority import Authority
from protocols.records.kind import Kind
from protocols.records.record import CHARTER, Record

ADMISSION: Final = "admission"
REVOCATION: Final = "revocation"
VOUCHER: Final = "voucher"
NODE: Final = "node"

ADMISSIONS_MAX: Final = 2048
"""Admissions by one steward: twice the largest federation simulated (1,000 nodes)."""
REVOCATIONS_MAX: Final = 2048
"""Revocations by one steward: as many as it may have admitted."""
VOUCHERS_MAX: Final = 64
"""Vouchers by one member: so many candidates it can bring, each of which may then burden every node with a description
and a farewell: 5 MiB in all."""


def _founding(record: Record, _body: Any, authority: Authority) -> str | None:
    return None if federation_of(record) == authority.federation else "other_federation"


def _may_admit(record: Record, _body: Any, authority: Authority) -> str | None:
    if not authority.steward(record.author):
        return "not_a_steward"
    return "own_admission" if record.author == record.subject else None


def _may_revoke(record: Record, _body: Any, authority: Authority) -> str | None:
    if authority.steward(record.author):
        return None
    if record.author != record.subject:
        return "not_a_steward"
    return None if authority.known(record.author) or authority.revoked(record.author) else "not_known"


def _may_vouch(record: Record, _body: Any, _authority: Authority) -> str | None:
    return "own_voucher" if record.author == record.subject else None


def _may_describe(record: Record, _body: Any, authority: Authority) -> str | None:
    return None if authority.known(record.author) else "not_known"


MEMBERSHIP: Final = (
    Kind(CHARTER, Charter, STEWARDS_MAX * 512, 1, _founding, check_charter, final=True, outsiders=True),
    Kind(ADMISSION, bodies.Admission, 1024, ADMISSIONS_MAX, _may_admit, bodies.check_admission, urgent=True),
    Kind(
        REVOCATION,
        bodies.Revocation,
        72 * 1024,
        REVOCATIONS_MAX,
        _may_revoke,
        bodies.check_revocation,
        final=True,
        urgent=True,
        outsiders=True,
    ),
    Kind(VOUCHER, bodies.Voucher, 64, VOUCHERS_MAX, _may_vouch, bodies.check_subject),
    Kind(NODE, bodies.Node, 2048, 1, _may_describe, bodies.check_node, outsiders=True),
)
"""The rows that membership adds to a table of kinds; they come first in it."""
