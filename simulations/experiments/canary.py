"""Membership inference on a sum: was this patient in it? Without noise, and with noise of several epsilons.

The attacker is the strongest that differential privacy is about: it knows all other rows and sees the federation's sum,
and looks for one row, the canary, that lies at the end of each column's range. Its score is the likelihood ratio under
the noise: the sum, weighed by the canary's own part over the noise's variance. The noise is that of the task `summary`
over all hospitals, made by the code of the worker.

What epsilon implies. Of an (epsilon, delta) mechanism's false and true positive rates, the best curve joins (0, delta),
(a, 1 - a) and (1 - delta, 1) with a = (1 - delta) / (1 + e^epsilon) (Kairouz, Oh and Viswanath, "The composition
theorem for differential privacy", ICML 2015, theorem 2.1), so the area under it is at most
1 - (1 - delta)^2 / (1 + e^epsilon).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.encoding import decode
from protocols.privacy.accounting import rho_of
from secured_node.data.table import Table
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course, add
from simulations.experiments.experiment import Experiment, Measured
from simulations.study.arms import drawer
from simulations.study.bundled import load_bundled
from simulations.study.metrics import auc
from simulations.study.result import Attack
from simulations.study.rows import join, take

EPSILONS: Final = (1.0, 8.0)
DELTA: Final = 1e-6
HOSPITALS: Final = 3
ROWS: Final = 15
"""Of each hospital."""
TRIALS: Final = 60
"""Sums with the canary, and as many without, of which the area under the curve is taken."""
TOLD: Final = 0.75
"""An attack that tells more pairs apart than this counts as successful."""
COLUMNS: Final = ["smoothness", "malignant"]


def play(seed: int) -> Measured:
    """The area under the curve for exact sums and for each epsilon, with what the epsilon implies."""
    figures: dict[str, float | None] = {}
    attacks = []
    for epsilon in (None, *EPSILONS):
        area = measure(seed, epsilon)
        bound = 1.0 if epsilon is None else implied(epsilon)
        how = "exact sums" if epsilon is None else f"epsilon {epsilon:g}"
        figures[f"area under the curve, {how}"] = area
        text = "Knows all other rows; measured: the area under the curve. "
        if epsilon is None:
            text += "Nothing bounds it: exact sums do not hide a patient from who knows all others."
        else:
            figures[f"what {how} allows at most"] = bound
            text += f"Epsilon allows {bound:.3f} at most: {'held' if area <= bound else 'EXCEEDED'}."
        won = area > TOLD or area > bound
        attacks.append(Attack(name=f"membership, {how}", node="", succeeded=won, text=text, value=area))
    return Measured(figures, tuple(attacks))


def implied(epsilon: float, delta: float = DELTA) -> float:
    """The largest area under the curve of any attack on an (epsilon, delta) mechanism."""
    return 1 - (1 - delta) ** 2 / (1 + math.exp(epsilon))


def measure(seed: int, epsilon: float | None, trials: int = TRIALS) -> float:
    """The area under the attack's curve: 0.5 is guessing, 1 is certain."""
    course = _course(epsilon)
    tables, canary = _rows(seed)
    without = [course.prepare(table) for table in tables]
    with_it = [*without[:-1], course.prepare(join([tables[-1], canary]))]
    part = _part(course, with_it[-1], without[-1])
    draw = drawer(f"canary {seed} {epsilon}")
    scores, truth = [], []
    for i in range(2 * trials):
        total = add([course.vector(data, draw) for data in (with_it if i % 2 else without)])
        sums = decode(total, course.layout(), course.bits)
        scores.append(sum(float(part[name] @ sums[name]) for name in part))
        truth.append(bool(i % 2))
    found = auc(np.array(scores), np.array(truth))
    return 0.5 if found is None else found


def _course(epsilon: float | None) -> Course:
    schema = load_bundled("breast-cancer", None).table.schema
    noise = None
    if epsilon is not None:
        rho = rho_of(epsilon, DELTA) * (1 - 1e-9)
        noise = Noise(unit="record", rho=rho, rounds=1, delta=DELTA, colluders=1)
    return Course("summary", {"columns": COLUMNS, "rows_max": 1000}, schema, HOSPITALS, noise)


def _rows(seed: int) -> tuple[list[Table], Table]:
    """The hospitals' rows, and the canary's."""
    rows = load_bundled("breast-cancer", None).table
    order = np.random.default_rng(seed).permutation(rows.rows)
    tables = [take(rows, mine) for mine in np.split(order[: HOSPITALS * ROWS], HOSPITALS)]
    one = take(rows, order[:1])
    ends = {name: _end(one, name) for name in COLUMNS}
    return tables, Table(one.schema, 1, one.columns | ends)


def _end(one: Table, name: str) -> NDArray[Any]:
    values, maximum = one.columns[name], one.schema.column(name).maximum
    return np.full_like(values, 1 if maximum is None else maximum)


def _part(course: Course, with_it: Any, without: Any) -> dict[str, NDArray[np.float64]]:
    """The canary's own part of each block, over the variance of the noise there; without noise, over one."""
    there, absent = (_exact(course, prepared) for prepared in (with_it, without))
    variances = dict.fromkeys(there, 1.0)
    if course.noise is not None:
        plan = course.task.plan(course.state, course.bits)
        variances = {noisy.block.name: noisy.deviation(HOSPITALS) ** 2 for noisy in plan.blocks}
    return {name: (there[name] - absent[name]) / variances[name] for name in there}


def _exact(course: Course, prepared: Any) -> dict[str, NDArray[np.float64]]:
    """One hospital's vector before rounding and noise, by block."""
    if course.noise is None:
        return {name: np.asarray(v, np.float64) for name, v in course.task.local(course.state, prepared).items()}
    found: dict[str, NDArray[np.float64]] = {}
    for values in course.task.contributions(course.state, prepared):
        for name, value in values.items():
            found[name] = found.get(name, np.zeros(1)) + np.asarray(value, np.float64).sum(axis=0)
    return found


EXPERIMENT: Final = Experiment(
    "canary",
    "Was this patient in the sum? Membership inference with and without noise",
    "An attacker who knows all other rows looks for one at the end of the columns' ranges, in sums of three hospitals. "
    "Measured: the area under its curve, against the most that epsilon allows.",
    play,
    repetitions=5,
)
