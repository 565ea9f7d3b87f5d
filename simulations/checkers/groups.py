"""Whatever sums of a data set are released, no node comes out but with its group (G6).

Rule held: ``group_rank``. The checker sees all sums ever released, over all jobs. Take the matrix with a row for each
released sum and a column for each node, 1 where the node is in the sum. Nodes with the same column can never be told
apart by any combination of the rows. So each class of equal columns must have at least `min_cohort` nodes, unless the
nodes in it chose to stand alone. `isolated` tells, by the rank, who can really be computed alone: what random selection
of members leads to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from protocols.groups import Standing
from protocols.identity import NodeId
from protocols.secagg.effects import Certified
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation
from simulations.world import Host

_PRIME: Final = 2**61 - 1
"""The rank modulo a prime is at most the true rank; for 0/1 matrices of this size they differ with no known example."""


class GroupRank:
    """Watches a federation."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._seen: set[tuple[bytes, int]] = set()
        self.released: defaultdict[str, set[frozenset[NodeId]]] = defaultdict(set)
        """By data set: over whom sums were released."""
        federation.world.on_fact(Certified, self._saw_sum)

    def _saw_sum(self, host: Host, fact: Certified) -> None:
        place = fact.certificate.job, fact.certificate.round
        if place in self._seen or not self._federation.honest(host.node):
            return
        self._seen.add(place)
        job = self._federation.hub_of(host).node.jobs[place[0]]
        if job.spec.data is None or job.body is None:
            return
        released = self.released[job.spec.data.name]
        cohort = frozenset(job.body.members)
        if cohort not in released:
            released.add(cohort)
            self._check(job.spec.data.name)

    def _check(self, data: str) -> None:
        for together in classes(self.released[data]):
            honest = [node for node in together if self._federation.honest(node)]
            if not honest or len(together) >= self._federation.min_cohort:
                continue
            cut = [node for node in honest if not self._alone(node, data)]
            if cut:
                raise ViolationError(
                    "group_rank", f"sums over {data!r} show {len(together)} nodes, among them {cut[0]}"
                )

    def _alone(self, node: NodeId, data: str) -> bool:
        federation = self._federation
        own = federation.world.hosts[node]
        if own.core is None:
            return any(self._standing_at(other, node, data) for other in federation.world.hosts.values() if other.core)
        return self._standing_at(own, node, data)

    def _standing_at(self, host: Host, node: NodeId, data: str) -> bool:
        return self._federation.hub_of(host).node.groups.standing(node, data) is Standing.ALONE


def classes(sums: Iterable[frozenset[NodeId]]) -> list[list[NodeId]]:
    """The nodes that no combination of these sums tells apart, class by class."""
    rows = list(sums)
    columns: defaultdict[tuple[bool, ...], list[NodeId]] = defaultdict(list)
    for node in sorted(frozenset[NodeId]().union(*rows)):
        columns[tuple(node in row for row in rows)].append(node)
    return list(columns.values())


def isolated(rows: Sequence[Sequence[int]]) -> list[int]:
    """The columns that some combination of the rows shows alone: taking such a column out lowers the rank."""
    whole = rank(rows)
    width = len(rows[0]) if rows else 0
    return [k for k in range(width) if rank([[*row[:k], *row[k + 1 :]] for row in rows]) < whole]


def rank(rows: Iterable[Sequence[int]]) -> int:
    """The rank of an integer matrix, by elimination modulo a large prime."""
    left = [[value % _PRIME for value in row] for row in rows]
    found = 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((k for k in range(found, len(left)) if left[k][column]), None)
        if pivot is None:
            continue
        left[found], left[pivot] = left[pivot], left[found]
        inverse = pow(left[found][column], -1, _PRIME)
        for k in range(found + 1, len(left)):
            factor = left[k][column] * inverse % _PRIME
            if factor:
                left[k] = [(a - factor * b) % _PRIME for a, b in zip(left[k], left[found], strict=True)]
        found += 1
    return found
