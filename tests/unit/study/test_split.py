"""How rows become hospitals' rows: nothing lost, nothing twice, skewed as asked, the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secured_node.data.errors import DataError
from secured_node.data.schema import parse_schema
from secured_node.data.table import Table
from simulations.study.bundled import load_bundled
from simulations.study.plan import Data, Split
from simulations.study.rows import Rows, read_files
from simulations.study.split import classes_of, divide, hold_out
from tests.unit.federation import table_of

ROWS = load_bundled("breast-cancer", None)


def parts(seed: int = 0, rows: Rows = ROWS, outcome: str = "malignant", **split: Any) -> dict[str, Any]:
    return divide(rows, Split(**split), outcome, np.random.default_rng(seed))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["equal", "dirichlet", "quantity", "feature"]),
    st.integers(3, 12),
    st.floats(0.3, 10),
    st.integers(0, 1000),
)
def test_every_row_goes_to_one_hospital(by: str, nodes: int, alpha: float, seed: int) -> None:
    column = "radius" if by == "feature" else ""
    made = parts(seed, by=by, nodes=nodes, alpha=alpha, column=column, min_rows=2)
    assert sorted(np.concatenate(list(made.values())).tolist()) == list(range(ROWS.table.rows))
    assert len(made) == nodes
    assert min(map(len, made.values())) >= 2
    again = parts(seed, by=by, nodes=nodes, alpha=alpha, column=column, min_rows=2)
    assert all(np.array_equal(made[name], again[name]) for name in made)


def spread_of_shares(alpha: float) -> float:
    ill = ROWS.table.columns["malignant"]
    found = [
        ill[rows].mean() for seed in range(5) for rows in parts(seed, by="dirichlet", nodes=6, alpha=alpha).values()
    ]
    return float(np.std(found))


def test_a_small_alpha_skews_labels_more() -> None:
    assert spread_of_shares(0.5) > 2 * spread_of_shares(20.0)


def test_quantity_skew_keeps_the_mix_and_feature_shift_changes_it() -> None:
    sizes = [len(rows) for rows in parts(3, by="quantity", nodes=5, alpha=0.7).values()]
    assert max(sizes) > 3 * min(sizes)
    radius = ROWS.table.columns["radius"]
    means = [radius[rows].mean() for rows in parts(by="feature", nodes=4, column="radius").values()]
    assert means == sorted(means)
    assert means[-1] > 1.4 * means[0]


def test_numeric_outcomes_are_skewed_by_fifths() -> None:
    rows = load_bundled("diabetes", None)
    made = parts(1, rows, "progression", by="dirichlet", nodes=4, alpha=0.3)
    means = [rows.table.columns["progression"][mine].mean() for mine in made.values()]
    assert max(means) > 1.3 * min(means)


@given(st.integers(0, 500), st.floats(0.1, 0.6))
@settings(deadline=None, max_examples=40)
def test_test_rows_are_apart_and_stratified(seed: int, share: float) -> None:
    classes = classes_of(ROWS.table, "malignant")
    mine = np.random.default_rng(seed).permutation(ROWS.table.rows)[:200]
    train, test = hold_out(mine, classes, share, np.random.default_rng(seed))
    assert sorted([*train.tolist(), *test.tolist()]) == sorted(mine.tolist())
    for code in (0, 1):
        assert abs((classes[test] == code).sum() - share * (classes[mine] == code).sum()) <= 1


def levels(*codes: int) -> Table:
    schema = parse_schema(
        {
            "name": "t",
            "version": 1,
            "columns": {
                "clinic": {"type": "category", "levels": ["St. Anna", "B", "C", "D"]},
                "x": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "t.toml",
    )
    names = np.array(["St. Anna", "B", "C", "D"])
    return table_of(schema, clinic=names[list(codes)], x=np.linspace(0, 1, len(codes)))


def test_by_column_makes_a_hospital_of_each_level_that_occurs() -> None:
    made = parts(rows=Rows(levels(*[0] * 5, *[1] * 5, *[3] * 6)), outcome="x", by="column", column="clinic", min_rows=5)
    assert {name: len(rows) for name, rows in made.items()} == {"st.-anna": 5, "b": 5, "d": 6}


def test_a_hospital_with_too_few_rows_is_told() -> None:
    rows = Rows(levels(*[0] * 5, *[1] * 5, *[2] * 5, 3))
    with pytest.raises(DataError, match=r"split: fewer than 5 rows: d; leave such hospitals out"):
        parts(rows=rows, outcome="x", by="column", column="clinic", min_rows=5)


def test_an_empty_file_and_cells_that_are_no_numbers(tmp_path: Path) -> None:
    columns = '[columns.x]\ntype = "number"\nminimum = 0\nmaximum = 9\n[columns.y]\ntype = "boolean"\n'
    (tmp_path / "s.toml").write_text(f'name = "s"\nversion = 1\n{columns}')
    (tmp_path / "a.csv").write_text("x,y\n1,true\nnan,false\nNaN,true\n,false\ninf,true\n12,true\n")
    (tmp_path / "b.csv").write_text("x,y\n")
    with pytest.raises(DataError, match=r"b.csv: it has no rows"):
        read_files(Data(files={"a": "a.csv", "b": "b.csv"}, schema="s.toml"), tmp_path)
    rows = read_files(Data(file="a.csv", schema="s.toml"), tmp_path)
    assert rows.table.missing("x").tolist() == [False, True, True, True, True, True]
    assert any("column 'x'" in note and "count as missing" in note for note in rows.notes)
    with pytest.raises(DataError, match=r"c.csv: there is no such file"):
        read_files(Data(file="c.csv", schema="s.toml"), tmp_path)
