"""Once faults stop and enough nodes are well, every job ends, or waits and names for what.

Rules held: ``ends`` (with all members well, a job ends), ``names_missing`` (a hub whose job is paused names somebody,
and of the hubs of a job that waits at least one names a node that is down or dishonest). An adversary that shows each
hub something else can make a hub miss honest ones; what people need is that somebody sees it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from protocols.identity import NodeId
from protocols.job.job import Job
from protocols.job.life import ENDED, State
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation

PATIENCE_S: Final = 6 * 3600.0
"""Virtual time in which a job of well nodes must end: a collection, its lateness, and pauses of ten minutes."""


def check_ends(
    federation: Federation, jobs: Collection[bytes], excused: Collection[NodeId] = (), patience_s: float = PATIENCE_S
) -> None:
    """Run until all jobs are over at all hubs that are up; raise `ViolationError` for one that hangs for no reason.

    excused: nodes that may keep a job from ending: adversaries, nodes that are down. patience_s: virtual seconds that
    are waited.
    """
    federation.world.run(lambda: not _open(federation, jobs), patience_s)
    excuses = {*excused, *federation.world.down()}
    named: dict[bytes, set[NodeId]] = {}
    for i, job in _open(federation, jobs):
        name = federation.names[i]
        waits = set(job.waiting_for())
        if not excuses:
            raise ViolationError("ends", f"{name}: the job is {job.state} and waits for {len(waits)} well nodes")
        if job.state is State.PAUSED and not waits:
            raise ViolationError("names_missing", f"{name}: the job is paused and names nobody")
        named[job.job] = named.get(job.job, set()) | waits
    for waits in named.values():
        if waits and not waits & excuses:
            raise ViolationError("names_missing", f"a job waits, and all {len(waits)} who are named are well")


def _open(federation: Federation, jobs: Collection[bytes]) -> list[tuple[int, Job]]:
    found = []
    for i, node in enumerate(federation.nodes):
        if not federation.up(i) or not federation.honest(node):
            continue
        known = federation.hub(i).node.jobs
        found += [(i, known[job]) for job in jobs if job in known and known[job].state not in ENDED]
    return found
