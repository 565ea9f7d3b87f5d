"""Quality inference: who sees only sums ranks hospitals by the quality of their data, if members change by the round.

Pejó and Biczók, "Quality Inference in Federated Learning with Secure Aggregation", IEEE Transactions on Big Data 9
(2023), arXiv:2007.06236. The attacker knows who took part in each round, and how good the model was after each. Three
rules give points: the members of a round that improved the model more than the round before did get one; those of a
round that improved it less than the next did lose one; those of a round that made it worse lose one.

Here: digits over N hospitals, whose labels are scrambled from not at all to entirely, in equal steps; true quality is
the share of rows left alone. The model is trained by the very task `train`; sums are added in the clear, which is what
a secure sum releases. Where everybody is in every round, all have the same points, whatever the rules: the attacker
draws lots, and so does the experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secured_node.data.table import Table
from secured_node.tasks.course import Course, add
from simulations.experiments.experiment import Experiment, Measured
from simulations.study import models
from simulations.study.arms import drawer
from simulations.study.bundled import load_bundled
from simulations.study.result import Attack
from simulations.study.rows import take

ROUNDS: Final = 100
CASES: Final = ((5, 2), (5, 5), (10, 3), (10, 10))
"""Hospitals, and how many of them are in each round."""
RANKED_WELL: Final = 0.5
"""A rank correlation above which the attacker counts as successful."""
TEST_SHARE: Final = 0.3

Points = NDArray[np.float64]


def play(seed: int) -> Measured:
    """The rank correlation of points and true quality, for each case."""
    figures: dict[str, float | None] = {}
    attacks = []
    for hospitals, chosen in CASES:
        found = correlation(seed, hospitals, chosen)
        who = "everybody" if chosen == hospitals else f"{chosen} at random"
        figures[f"rank correlation, {who} of {hospitals} in each round"] = found
        text = "Points by the improvement after each round; measured: their rank correlation with the true quality."
        text += " All have the same points: it draws lots." if chosen == hospitals else ""
        name = f"quality, {chosen} of {hospitals}"
        attacks.append(Attack(name=name, node="", succeeded=found > RANKED_WELL, text=text, value=found))
    return Measured(figures, tuple(attacks))


def correlation(seed: int, hospitals: int, chosen: int, rounds: int = ROUNDS) -> float:
    """Train, watch, rank."""
    rng = np.random.default_rng([seed, hospitals, chosen])
    tables, quality, test = _data(hospitals, rng)
    members, metrics = _train(tables, test, chosen, rounds, seed, rng)
    ranked = points(members, metrics, hospitals)
    return spearman(ranked, quality, rng)


def points(members: Sequence[Sequence[int]], metrics: Sequence[float], hospitals: int) -> Points:
    """By the three rules. members: of each round. metrics: before the first round, and after each; higher is better."""
    better = [after - before for before, after in pairwise(metrics)]
    found = np.zeros(hospitals)
    for r, here in enumerate(members):
        found[list(here)] += (
            float(r > 0 and better[r] > better[r - 1])
            - float(r + 1 < len(better) and better[r] < better[r + 1])
            - float(better[r] < 0)
        )
    return found


def spearman(one: Points, other: Points, rng: np.random.Generator) -> float:
    """The correlation of ranks, equal values ranked by lot: who must name an order has to."""
    ranks = [np.argsort(np.lexsort((rng.random(len(values)), values))) for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _data(hospitals: int, rng: np.random.Generator) -> tuple[list[Table], Points, Table]:
    """Each hospital's rows, the share of labels that were left alone, and the attacker's test rows."""
    rows = load_bundled("digits", None).table
    order = rng.permutation(rows.rows)
    cut = int(TEST_SHARE * rows.rows)
    quality = rng.permutation(np.linspace(1.0, 0.0, hospitals))
    tables = []
    for mine, share in zip(np.array_split(order[cut:], hospitals), quality, strict=True):
        table = take(rows, mine)
        codes = table.columns["digit"].copy()
        wrong = rng.random(len(codes)) >= share
        codes[wrong] = rng.integers(0, 10, int(wrong.sum()))
        tables.append(Table(table.schema, table.rows, table.columns | {"digit": codes}))
    return tables, quality, take(rows, order[:cut])


def _train(
    tables: Sequence[Table], test: Table, chosen: int, rounds: int, seed: int, rng: np.random.Generator
) -> tuple[list[list[int]], list[float]]:
    """Who was in each round, and the accuracy before the first round and after each."""
    pixels = [name for name in test.columns if name != "digit"]
    raw = {"outcome": "digit", "covariates": pixels, "rounds": rounds, "seed": seed, "learning_rate": 0.05}
    course, draw = Course("train", raw, test.schema, len(tables)), drawer(f"quality {seed}")
    prepared = [course.prepare(table) for table in tables]
    course.apply(add([course.vector(data, draw) for data in prepared]))
    members, metrics = [], [_accuracy(course, test)]
    while not course.done:
        here = sorted(rng.choice(len(tables), chosen, replace=False).tolist())
        course.apply(add([course.vector(prepared[i], draw) for i in here]))
        members.append(here)
        metrics.append(_accuracy(course, test))
    return members, metrics


def _accuracy(course: Course, test: Table) -> float:
    return models.scores_of(course.state, test)["accuracy"] or 0.0


EXPERIMENT: Final = Experiment(
    "quality-inference",
    "Quality inference: can hospitals be ranked by their data from sums alone?",
    "A random part of the hospitals in each round against everybody in every round, which is what this software does. "
    "Hospitals' labels are scrambled to different degrees; the attacker sees who took part and how the model improved.",
    play,
)
