"""How rows become hospitals' rows, and each hospital's rows training and test rows.

Rules.
- Everything is drawn from the generator that is given: one seed, one division.
- A row without the outcome, or without the column by which is divided, belongs to nobody where that is needed.
- Levels of a column that do not occur are no hospitals. A hospital that would get fewer than `min_rows` rows is drawn
  again with all others, `TRIES` times; then the scenario asks for what cannot be.

Label skew: Hsu, Qi and Brown, "Measuring the effects of non-identical data distribution for federated visual
classification" (2019), section 3.1; drawn by class, as Yurochkin et al., "Bayesian nonparametric federated learning of
neural networks", ICML 2019, section 4.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secured_node.data.errors import DataError
from secured_node.data.table import Table
from simulations.study.plan import Split
from simulations.study.rows import Positions, Rows

TRIES: Final = 1000
BINS: Final = 5
"""Groups of equal size that stand for the classes of a numeric outcome."""
HOSPITALS_MIN: Final = 3
"""A secure sum has at least three members."""

Division = dict[str, Positions]
"""Hospital to its rows."""


def divide(rows: Rows, split: Split, outcome: str, rng: np.random.Generator) -> Division:
    """Hospitals' rows. outcome: the column whose classes label skew is about. Raises `DataError`."""
    match split.by:
        case "hospital":
            found = _by_hospital(rows)
        case "column":
            found = _by_column(rows.table, split.column)
        case _:
            found = _drawn(rows.table, split, outcome, rng)
    if len(found) < HOSPITALS_MIN:
        raise DataError(
            f"split.by = {split.by!r}", f"it gives {len(found)} hospitals", f"a sum needs at least {HOSPITALS_MIN}"
        )
    small = [name for name, mine in found.items() if len(mine) < split.min_rows]
    if small:
        why = f"fewer than {split.min_rows} rows: {', '.join(small)}"
        raise DataError("split", why, "leave such hospitals out of the data, or lower split.min_rows")
    return found


def in_words(split: Split) -> str:
    """How a split divides, for people."""
    return {
        "hospital": "as the data come: one file each",
        "column": f"by the values of '{split.column}'",
        "equal": "at random, in equal parts",
        "dirichlet": f"label skew: classes in Dirichlet({split.alpha:g}) shares",
        "quantity": f"quantity skew: rows in Dirichlet({split.alpha:g}) shares",
        "feature": f"feature shift: along '{split.column}', blurred by {split.blur:g} deviations",
    }[split.by]


def hold_out(rows: Positions, classes: NDArray[np.intp], share: float, rng: np.random.Generator) -> list[Positions]:
    """Training rows and test rows, class by class. classes: of all rows of the table; -1 where unknown."""
    train, test = [], []
    for code in np.unique(classes[rows]):
        mine = rng.permutation(rows[classes[rows] == code])
        count = int(np.floor(share * len(mine) + rng.random()))  # unbiased, also for classes of one or two rows
        test.append(mine[:count])
        train.append(mine[count:])
    return [np.sort(np.concatenate(part)) for part in (train, test)]


def classes_of(table: Table, outcome: str) -> NDArray[np.intp]:
    """For each row its class: the level's code, or the fifth in which a number lies; -1 if it has none."""
    if not outcome:
        return np.zeros(table.rows, np.intp)
    values = table.columns[outcome]
    if not table.schema.column(outcome).numeric:
        return values.astype(np.intp)
    known = ~np.isnan(values)
    edges = np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]) if known.any() else np.empty(0)
    return np.where(known, np.searchsorted(edges, values), -1)


def _by_hospital(rows: Rows) -> Division:
    if rows.place is None:
        why = "the data name no hospitals"
        raise DataError("split.by = 'hospital'", why, "use data.files, a bundled federation, or split.by = 'column'")
    return {name: np.flatnonzero(rows.place == i) for i, name in enumerate(rows.hospitals)}


def _by_column(table: Table, name: str) -> Division:
    column = table.schema.column(name)
    if column.numeric:
        why = f"the column is of type {column.type}"
        raise DataError(f"split.column = {name!r}", why, "take a category or boolean, or split.by = 'feature'")
    found = {_name(level): np.flatnonzero(table.columns[name] == code) for code, level in enumerate(column.choices)}
    if len(found) != len(column.choices):
        raise DataError(f"split.column = {name!r}", "two of its levels make the same name", "rename levels")
    return {level: rows for level, rows in found.items() if len(rows)}


def _name(level: str) -> str:
    """A level as a hospital's name: lower case, other characters as hyphens."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in level.lower()).strip("._-") or "x"


def _drawn(table: Table, split: Split, outcome: str, rng: np.random.Generator) -> Division:
    nodes = split.nodes or 0
    if nodes * split.min_rows > table.rows:
        why = f"{nodes} hospitals of at least {split.min_rows} rows need more than the {table.rows} that there are"
        raise DataError("split.nodes", why, "take fewer hospitals, or lower split.min_rows")
    width = len(str(nodes))
    names = [f"h{i:0{width}}" for i in range(1, nodes + 1)]
    for _ in range(TRIES):
        parts = _parts(table, split, outcome, nodes, rng)
        if min(map(len, parts)) >= split.min_rows:
            return dict(zip(names, map(np.sort, parts), strict=True))
    why = f"in {TRIES} draws some hospital always had fewer than {split.min_rows} rows"
    raise DataError(f"split.by = {split.by!r}", why, "raise alpha, lower min_rows, or take fewer nodes")


def _parts(table: Table, split: Split, outcome: str, nodes: int, rng: np.random.Generator) -> list[Positions]:
    if split.by == "dirichlet":
        return _label_skew(classes_of(table, _need(outcome)), split.alpha, nodes, rng)
    if split.by == "feature":
        return np.array_split(_along(table, split.column, split.blur, rng), nodes)
    order = rng.permutation(table.rows)
    if split.by == "equal":
        return np.array_split(order, nodes)
    return np.split(order, _cuts(rng.dirichlet(np.full(nodes, split.alpha)), table.rows))


def _need(outcome: str) -> str:
    if not outcome:
        raise DataError("split.by = 'dirichlet'", "the task has no outcome to skew", "take split.by = 'quantity'")
    return outcome


def _label_skew(classes: NDArray[np.intp], alpha: float, nodes: int, rng: np.random.Generator) -> list[Positions]:
    parts: list[list[Positions]] = [[] for _ in range(nodes)]
    for code in np.unique(classes[classes >= 0]):
        mine = rng.permutation(np.flatnonzero(classes == code))
        for part, dealt in zip(
            parts, np.split(mine, _cuts(rng.dirichlet(np.full(nodes, alpha)), len(mine))), strict=True
        ):
            part.append(dealt)
    return [np.concatenate(part) for part in parts]


def _cuts(shares: NDArray[np.float64], rows: int) -> NDArray[np.intp]:
    """Where to cut so that the parts have these shares."""
    return np.round(np.cumsum(shares)[:-1] * rows).astype(np.intp)


def _along(table: Table, name: str, blur: float, rng: np.random.Generator) -> Positions:
    """All rows in the order of a numeric column, blurred; a row without it stands anywhere."""
    column = table.schema.column(name)
    if not column.numeric:
        why = f"the column is of type {column.type}"
        raise DataError(f"split.column = {name!r}", why, "take a numeric column, or split.by = 'column'")
    values = table.columns[name].copy()
    known = ~np.isnan(values)
    if not known.any():
        raise DataError(f"split.column = {name!r}", "no row has it", "take another column")
    values[~known] = rng.choice(values[known], int((~known).sum()))
    return np.argsort(values + blur * values.std() * rng.standard_normal(len(values)), kind="stable")
