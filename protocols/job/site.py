"""The hub that a job runs on, as the job knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocols.core import Draw
from protocols.groups import Groups
from protocols.identity import Identity


@dataclass(frozen=True, slots=True)
class Site:
    """What a job knows of the hub it runs on. groups: shared by all jobs, kept up to date by the driver.

    members: how many nodes the federation has now.
    """

    identity: Identity
    federation: bytes
    min_cohort: int
    groups: Groups
    draw: Draw
    members: Callable[[], int]
