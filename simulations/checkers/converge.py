"""Once links are well, all honest nodes hold the same records.

Rule held: ``converge``.
"""

from __future__ import annotations

from typing import Final

from simulations.checkers.violation import ViolationError
from simulations.federation import Federation

CONVERGE_S: Final = 3600.0
"""Virtual seconds in which what was missed must be found: a comparison with three peers each half minute."""


def check_converge(federation: Federation, within_s: float = CONVERGE_S) -> float:
    """Run until all honest nodes that are up hold the same; how long that took. Raises `ViolationError`."""
    world, began = federation.world, federation.world.now
    while world.now < began + within_s:
        held = holdings(federation)
        if len(set(held)) <= 1:
            return world.now - began
        world.run(seconds=5.0)
    different = len(set(holdings(federation)))
    raise ViolationError("converge", f"after {within_s:g} s the nodes hold {different} different sets of records")


def holdings(federation: Federation) -> list[bytes]:
    """What each honest node that is up holds, as the digests that it would show a peer."""
    places = [i for i, node in enumerate(federation.nodes) if federation.up(i) and federation.honest(node)]
    return [federation.hub(i).node.store.buckets.digests() for i in places]
