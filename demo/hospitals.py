"""Real patients, cut into four hospitals of unequal size and case mix; what each hub is given.

By default scikit-learn's bundled Wisconsin breast cancer table (the ten ``mean`` columns: with all thirty the classes
separate perfectly). With a folder: the four processed files of the UCI heart disease study, a true federation.
A fixed third of each hospital's rows is held out for the comparison of models; a fifth hospital gets those.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

HOLD_OUT: Final = 3
"""Every third row is held out."""
SEED: Final = 20_261_121
SHARES: Final = (0.42, 0.28, 0.18, 0.12)
"""Of the breast cancer table: four hospitals of unequal size."""


@dataclass(frozen=True)
class Study:
    """A data set over hospitals.

    name: of the data set. schema, mapping: TOML. outcome, covariates: of the model. hospitals: name -> CSV rows for its
    hub, header first. held_out: the same for the fifth. train, test: design (columns as coded by the schema's levels)
    and outcome, for the referee; train is by hospital. terms: names of the design's columns.
    """

    name: str
    schema: str
    mapping: str
    outcome: str
    covariates: tuple[str, ...]
    terms: tuple[str, ...]
    hospitals: dict[str, list[list[str]]]
    held_out: list[list[str]]
    train: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]]


def load(folder: Path | None) -> Study:
    """The study: from the folder of the heart disease files, or the bundled one."""
    return _breast_cancer() if folder is None else _heart(folder)


def write(study: Study, folder: Path) -> dict[str, Path]:
    """Write each hospital's table as CSV, and schema and mapping beside them."""
    (folder / "schema.toml").write_text(study.schema)
    (folder / "mapping.toml").write_text(study.mapping)
    paths = {}
    for name, rows in {**study.hospitals, "fifth": study.held_out}.items():
        paths[name] = folder / f"{name}.csv"
        with paths[name].open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return paths


def _breast_cancer() -> Study:
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415 - only when this study is chosen

    table = load_breast_cancer()
    names = tuple(str(n).replace("mean ", "").replace(" ", "_") for n in table.feature_names[:10])
    values, malignant = table.data[:, :10], (table.target == 0).astype(float)
    rng = np.random.default_rng(SEED)
    # Large tumours are likelier in the first hospitals: a referral centre sees other cases than a screening clinic.
    order = np.argsort(-values[:, 0] + rng.normal(0, 4, len(values)))
    ends = np.round(np.cumsum(SHARES) * len(order)).astype(int)
    parts = dict(zip(("north", "east", "south", "west"), np.split(order, ends[:-1]), strict=True))
    ranges = {n: (0.0, float(10 ** np.ceil(np.log10(values[:, i].max() + 1e-9)))) for i, n in enumerate(names)}
    columns = "".join(
        f'\n[columns.{n}]\ntype = "number"\nminimum = {low}\nmaximum = {high}\n' for n, (low, high) in ranges.items()
    )
    schema = f'name = "breast-cancer"\nversion = 1\ndescription = "Fine needle aspirates"\n{columns}'
    schema += '\n[columns.malignant]\ntype = "boolean"\n'

    def rows(index: npt.NDArray[Any]) -> list[list[str]]:
        lines = [[*map(repr, map(float, values[i])), "true" if malignant[i] else "false"] for i in index]
        return [[*names, "malignant"], *lines]

    held = {name: np.arange(len(part)) % HOLD_OUT == 0 for name, part in parts.items()}
    train = {name: part[~held[name]] for name, part in parts.items()}
    test = np.concatenate([part[held[name]] for name, part in parts.items()])
    return Study(
        "breast-cancer",
        schema,
        "",
        "malignant",
        names,
        ("intercept", *names),
        {name: rows(index) for name, index in train.items()},
        rows(test),
        {name: (_with_intercept(values[index]), malignant[index]) for name, index in train.items()},
        (_with_intercept(values[test]), malignant[test]),
    )


def _with_intercept(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.column_stack([np.ones(len(values)), values])


HEART_FILES: Final = {"cleveland": "cleveland", "budapest": "hungarian", "zurich": "switzerland", "longbeach": "va"}
HEART_COLUMNS: Final = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"),
    *("exang", "oldpeak", "slope", "ca", "thal", "num"),
)
HEART_USED: Final = ("age", "sex", "cp", "thalach", "exang", "oldpeak", "num")
EXAMPLE: Final = Path(__file__).resolve().parents[1] / "examples" / "heart-disease"


def _heart(folder: Path) -> Study:
    train_rows: dict[str, list[list[str]]] = {}
    train: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}
    held_out: list[list[str]] = []
    for name, part in HEART_FILES.items():
        with (folder / f"processed.{part}.data").open() as file:
            rows = [_codes(dict(zip(HEART_COLUMNS, row, strict=True))) for row in csv.reader(file) if row]
        complete = [row for row in rows if "?" not in row]
        held_out += complete[::HOLD_OUT]
        mine = [row for i, row in enumerate(complete) if i % HOLD_OUT]
        train_rows[name] = [list(HEART_USED), *mine]
        train[name] = _design(mine)
    terms = ("intercept", "age", "sex", "cp[atypical]", "cp[other]", "cp[none]", "thalach", "exang", "oldpeak")
    fifth = [list(HEART_USED), *held_out]
    covariates = HEART_USED[:-1]
    return Study(
        "heart-disease",
        (EXAMPLE / "schema.toml").read_text(),
        (EXAMPLE / "mapping.toml").read_text(),
        "num",
        covariates,
        terms,
        train_rows,
        fifth,
        train,
        _design(held_out),
    )


def _codes(row: dict[str, str]) -> list[str]:
    """The columns in use, whole numbers without a decimal point: the files write 1.0 and 1."""
    return [cell.removesuffix(".0") for cell in (row[name] for name in HEART_USED)]


def _design(rows: list[list[str]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    table = np.array([[float(cell) for cell in row] for row in rows])
    age, sex, pain, thalach, exang, oldpeak, num = table.T
    dummies = [(pain == code).astype(float) for code in (2, 3, 4)]
    design = np.column_stack([np.ones(len(table)), age, sex, *dummies, thalach, exang, oldpeak])
    return design, (num > 0).astype(float)
