"""What a worker is told of a job's noise, from the job record."""

from __future__ import annotations

from protocols.job.kinds import JobSpec
from secured_node.work.frames import Noise


def noise_of(spec: JobSpec) -> Noise | None:
    """The noise of a job; None for exact sums."""
    privacy = spec.privacy
    return None if privacy is None else Noise(privacy.unit, privacy.rho, privacy.delta, spec.colluders)
