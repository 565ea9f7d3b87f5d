"""Every accepted sum is the sum of exactly one vector per member of the cohort, the same in every attempt (G3).

Rules held: ``exact_sum``, ``same_integers``. The checker knows each site's vector, since the worker makes it durable
before its hub hears of it. Where a member does not follow the protocol, what it put in is its own affair; that all
honest members accept one and the same sum is `histories`' to check.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from protocols.identity import NodeId
from protocols.job.job import Job
from protocols.message import Payload
from protocols.secagg.effects import Certified
from protocols.secagg.mask import word_type
from simulations.checkers.violation import ViolationError
from simulations.disk import Made
from simulations.federation import Federation
from simulations.world import Host

ROUNDS_KEPT: Final = 4
"""Rounds of a job whose vectors are remembered: a member that lags behind gets sums, and makes no vectors."""

Place = tuple[bytes, int]


class ExactSums:
    """Watches a federation."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._made: dict[Place, dict[NodeId, Payload]] = {}
        self._checked: dict[Place, bytes] = {}
        self.sums = 0
        """Accepted sums that were compared with the vectors."""
        federation.world.on_fact(Made, self._saw_vector)
        federation.world.on_fact(Certified, self._saw_sum)

    def _saw_vector(self, host: Host, fact: Made) -> None:
        if not self._federation.honest_input(host.node):
            return
        vectors = self._made.setdefault((fact.job, fact.round), {})
        before = vectors.setdefault(host.node, fact.words)
        if before is not fact.words and not np.array_equal(before, fact.words):
            raise ViolationError("same_integers", f"{host.node} made other integers for round {fact.round}")

    def _saw_sum(self, host: Host, fact: Certified) -> None:
        place = fact.certificate.job, fact.certificate.round
        federation = self._federation
        if not federation.honest(host.node) or self._checked.get(place) == fact.certificate.history:
            return
        job = federation.hub_of(host).node.jobs[place[0]]
        members = job.body.members if job.body is not None else ()
        if all(federation.honest_input(member) for member in members):
            self._compare(place, job, members, fact.total)
        self._checked[place] = fact.certificate.history
        self._made.pop((place[0], place[1] - ROUNDS_KEPT), None)

    def _compare(self, place: Place, job: Job, members: tuple[NodeId, ...], total: Payload) -> None:
        vectors = self._made.get(place, {})
        missing = [member for member in members if member not in vectors]
        if missing:
            raise ViolationError("exact_sum", f"round {place[1]} has a sum without a vector of {missing[0]}")
        words = word_type(job.spec.word_bits)
        expected = np.zeros(vectors[members[0]].nbytes // words.itemsize, words)
        for member in members:
            expected += vectors[member].view(words)
        if not np.array_equal(expected, total.view(words)[: len(expected)]):
            raise ViolationError("exact_sum", f"round {place[1]}: the sum is not that of the members' vectors")
        self.sums += 1
