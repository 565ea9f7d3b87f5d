"""Every kind of record that this version knows, in the order in which records travel.

A feature defines its kinds beside its code and adds them here: one row, not a channel.
"""

from __future__ import annotations

from typing import Final

from protocols.catalogue import DATA_SET_KIND
from protocols.groups import GROUP_KIND
from protocols.job.kinds import JOB_KINDS
from protocols.membership.kinds import MEMBERSHIP
from protocols.records.kind import Kinds

KINDS: Final = Kinds((*MEMBERSHIP, DATA_SET_KIND, GROUP_KIND, *JOB_KINDS))
"""The table for a daemon and for a simulated node alike."""
