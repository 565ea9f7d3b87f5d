"""The fewest strikes of the nemesis that still break the same rule: what is left to read of a failing seed.

Delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28 (2002),
section 3.2, with complements only.
"""

from __future__ import annotations

from collections.abc import Callable

from simulations.trials.sweep import play_seed


def minimise(trial: str, seed: int, strikes: int, told: Callable[[int], None] = lambda _: None) -> frozenset[int]:
    """The numbers of the strikes that can be left out of a failing seed with the same rule still broken.

    strikes: how many there were. told: is given how many are left after each step.
    """
    _, first = play_seed(trial, seed)
    if first is None:
        return frozenset()
    everything = frozenset(range(strikes))

    def fails(kept: frozenset[int]) -> bool:
        _, failure = play_seed(trial, seed, everything - kept)
        return failure is not None and failure.rule == first.rule

    kept, parts = everything, 2
    if fails(frozenset()):
        kept = frozenset()
    while len(kept) >= 2:
        ordered = sorted(kept)
        size = -(-len(ordered) // parts)
        pieces = [frozenset(ordered[k : k + size]) for k in range(0, len(ordered), size)]
        smaller = next((kept - piece for piece in pieces if fails(kept - piece)), None)
        if smaller is not None:
            kept, parts = smaller, max(parts - 1, 2)
            told(len(kept))
        elif size == 1:
            break
        else:
            parts = min(2 * parts, len(kept))
    return everything - kept
