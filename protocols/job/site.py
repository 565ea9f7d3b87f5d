"""The hub that a job runs on, as the job knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocols.core import Draw
from protocols.groups import Groups
from protocols.identity import Identity, NodeId
from protocols.job.succession import Earlier, Heirs


@dataclass(frozen=True, slots=True)
class Site:
    """What a job knows of the hub it runs on. groups: shared by all jobs, kept up to date by the driver. jobs: all jobs
    of the hub. heirs: which of them is whose successor. heard: when each peer last said anything, in monotonic
    seconds of this life. members: how many nodes the federation has now."""

    identity: Identity
    federation: bytes
    min_cohort: int
    groups: Groups
    draw: Draw
    jobs: Mapping[bytes, Earlier]
    heirs: Heirs
    heard: Mapping[NodeId, float]
    members: Callable[[], int]
