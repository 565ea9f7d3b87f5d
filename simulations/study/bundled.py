"""Data sets that a scenario can name: `data.bundled`.

``heart`` is a true federation, four hospitals of the UCI heart disease study; its files do not come with the software.
The others come with scikit-learn (extra `sim`). Their ranges are round figures beyond what occurs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from secured_node.data.errors import DataError
from secured_node.data.mapping import load_mapping
from secured_node.data.schema import load_schema, parse_schema
from secured_node.data.table import Table
from simulations.study.rows import Rows, read_hospitals

DATA_VARIABLE: Final = "SECURED_SIM_DATA"
HEART_FOLDER: Final = "heart_disease_4hospitals"
HEART_FILES: Final = {"cleveland": "cleveland", "budapest": "hungarian", "zurich": "switzerland", "longbeach": "va"}
"""Hospital to the published file's name: processed.NAME.data."""
_HERE: Final = Path(__file__).parent / "data"


def load_bundled(name: str, folder: Path | None) -> Rows:
    """The rows of a bundled data set. folder: where its files lie, if the scenario says. Raises `DataError`."""
    if name not in BUNDLED:
        raise DataError(f"data.bundled = {name!r}", "there is no such data set", f"allowed: {' | '.join(BUNDLED)}")
    return BUNDLED[name](folder)


def heart_folder(folder: Path | None) -> Path | None:
    """Where the heart disease files lie; None if they are nowhere."""
    named = os.environ.get(DATA_VARIABLE)
    places = [folder] if folder is not None else [Path(named) if named else None, Path("../shared/data"), Path("data")]
    for place in (p for p in places if p is not None):
        for candidate in (place, place / HEART_FOLDER):
            if all((candidate / f"processed.{file}.data").is_file() for file in HEART_FILES.values()):
                return candidate
    return None


def here(name: str) -> bool:
    """Whether a bundled data set's files are on this machine; they are if they came with the software."""
    return name != "heart" or heart_folder(None) is not None


def _heart(folder: Path | None) -> Rows:
    place = heart_folder(folder)
    if place is None:
        files = ", ".join(f"processed.{file}.data" for file in HEART_FILES.values())
        raise DataError(
            "data.bundled = 'heart'",
            f"its files are not here: {files}" + (f" (looked in {folder})" if folder else ""),
            "they are published by the UCI Machine Learning Repository (Heart Disease); put them into one folder and "
            f'name it: folder = "..." under [data], or {DATA_VARIABLE}; or take bundled = "breast-cancer"',
        )
    schema = load_schema(_HERE / "heart.toml")
    mapping = load_mapping(_HERE / "heart-mapping.toml", schema)
    return read_hospitals(
        {name: place / f"processed.{file}.data" for name, file in HEART_FILES.items()}, schema, mapping
    )


def _sklearn(loader: str, **options: Any) -> Any:
    try:
        from sklearn import datasets  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise DataError("the bundled data set", "scikit-learn is not installed", "install secured-node[sim]") from None
    return getattr(datasets, loader)(**options)


def _table(name: str, description: str, numbers: dict[str, Any], outcome: dict[str, Any], codes: Any) -> Rows:
    """A table of numbers with an outcome column. outcome: its name and its schema."""
    columns = {column: _range(values) for column, values in numbers.items()}
    raw = {"name": name, "version": 1, "description": description, "columns": columns | outcome}
    schema = parse_schema(raw, f"bundled {name}")
    values = {column: np.asarray(v, np.float64) for column, v in numbers.items()}
    return Rows(Table(schema, len(codes), values | dict.fromkeys(outcome, codes)))


def _range(values: Any) -> dict[str, Any]:
    top = float(10 ** np.ceil(np.log10(np.abs(values).max() + 1e-9)))
    return {"type": "number", "minimum": -top if np.min(values) < 0 else 0.0, "maximum": top}


def _breast_cancer(_: Path | None) -> Rows:
    bunch = _sklearn("load_breast_cancer")
    names = [str(name).removeprefix("mean ").replace(" ", "_") for name in bunch.feature_names[:10]]
    numbers = {name: bunch.data[:, i] for i, name in enumerate(names)}
    malignant = (bunch.target == 0).astype(np.int32)
    return _table("breast-cancer", "Fine needle aspirates", numbers, {"malignant": {"type": "boolean"}}, malignant)


def _diabetes(_: Path | None) -> Rows:
    bunch = _sklearn("load_diabetes", scaled=False)
    numbers = {str(name): bunch.data[:, i] for i, name in enumerate(bunch.feature_names)}
    outcome = {"progression": {"type": "number", "minimum": 0, "maximum": 1000}}
    return _table("diabetes", "Disease progression after one year", numbers, outcome, np.asarray(bunch.target, float))


def _digits(_: Path | None) -> Rows:
    bunch = _sklearn("load_digits")
    numbers = {f"pixel{i}": bunch.data[:, i] for i in range(64) if bunch.data[:, i].any()}
    outcome = {"digit": {"type": "category", "levels": [str(digit) for digit in range(10)]}}
    return _table("digits", "Handwritten digits of 8 x 8 pixels", numbers, outcome, bunch.target.astype(np.int32))


BUNDLED: Final[dict[str, Callable[[Path | None], Rows]]] = {
    "heart": _heart,
    "breast-cancer": _breast_cancer,
    "diabetes": _diabetes,
    "digits": _digits,
}
