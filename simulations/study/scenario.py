"""A scenario: from a file, from the shelf, or from Python; what it says is a `Plan`.

from simulations import Scenario

frames = Scenario(
    name="mine",
    data={"bundled": "breast-cancer"},
    split={"by": "dirichlet", "nodes": 5, "alpha": 0.5},
    task={"name": "train", "parameters": {"outcome": "malignant", "covariates": ["radius", "texture"]}},
).run()
frames["comparisons"]
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from secured_node.data.errors import DataError
from secured_node.data.strict import read_toml, strict
from simulations.study import executors
from simulations.study.bundled import load_bundled
from simulations.study.plan import Adversary, Fault, Hospital, Plan
from simulations.study.result import StudyResult
from simulations.study.rows import Rows, read_files
from simulations.study.study import Watch, check, run_study

if TYPE_CHECKING:
    import pandas as pd

SHELF: Final = Path(__file__).resolve().parents[1] / "scenarios"
"""The scenarios that ship."""


def _unknown(name: str) -> DataError:
    """Neither a file nor a scenario that ships: perhaps a slip of the hand."""
    ships = sorted(path.stem for path in SHELF.glob("*.toml"))
    near = get_close_matches(name.removesuffix(".toml"), ships, 1)
    todo = (
        f"perhaps {near[0]} is meant; " if near else ""
    ) + f"scenarios that ship: {', '.join(ships)} ('secured-sim list' has the rest)"
    return DataError(f"scenario {name!r}", "there is no such file, and no scenario of that name ships", todo)


class Scenario:
    """A scenario that can be run. plan: what it says. text: as it was written. folder: its paths are relative to it."""

    def __init__(self, **tables: Any) -> None:
        """The tables of a scenario file as keyword arguments. Raises `DataError` that names key and what is allowed."""
        text = msgspec.json.format(msgspec.json.encode(tables)).decode()
        self._set(tables, "the scenario", text, Path())

    @classmethod
    def load(cls, name: str | Path) -> Scenario:
        """A scenario file, or the shipped scenario of that name. Raises `DataError`."""
        path = Path(name)
        shipped = SHELF / f"{name}.toml"
        if not path.suffix and not path.exists() and shipped.is_file():
            path = shipped
        elif not path.exists() and path.parent == Path():
            raise _unknown(str(name))
        raw = read_toml(path)
        scenario = cls.__new__(cls)
        scenario._set(raw, str(name), path.read_text(encoding="utf-8"), path.parent)
        return scenario

    def _set(self, raw: dict[str, Any], where: str, text: str, folder: Path) -> None:
        self.plan, self.text, self.where, self.folder = parse(raw, where), text, where, folder

    def with_run(self, **changes: Any) -> Scenario:
        """The same with other values under [run], for example repetitions. Raises `DataError`."""
        changed = Scenario.__new__(Scenario)
        run = msgspec.to_builtins(self.plan.run) | changes
        raw = msgspec.to_builtins(self.plan) | {"run": run}
        changed._set(raw, self.where, self.text, self.folder)
        return changed

    def rows(self) -> Rows:
        """The rows, before they are divided. Raises `DataError`."""
        data = self.plan.data
        if data.bundled:
            return load_bundled(data.bundled, self.folder / data.folder if data.folder else None)
        return read_files(data, self.folder)

    def check(self) -> Rows:
        """Check all that can be checked without running, and return the rows. Raises `DataError`."""
        rows = self.rows()
        self._named(lambda: check(self.plan, rows))
        return rows

    def study(
        self, executor: str = executors.IN_PROCESS, *, workers: int | None = None, watch: Watch | None = None
    ) -> StudyResult:
        """Run it: the whole result. executor: see `executors`. Raises `DataError`."""
        rows = self.rows()
        with executors.executor(executor, workers) as pool:
            found: StudyResult = self._named(
                lambda: run_study(self.plan, rows, self.text, executor=pool, where=executor, watch=watch)
            )
        return found

    def run(self, executor: str = executors.IN_PROCESS, *, workers: int | None = None) -> dict[str, pd.DataFrame]:
        """Run it: plain data frames by name (`StudyResult.frames`). Needs pandas. Raises `DataError`."""
        return self.study(executor, workers=workers).frames()

    def _named(self, step: Any) -> Any:
        """An error about the plan begins with the file's name."""
        try:
            return step()
        except DataError as error:
            if error.what.startswith(self.where):
                raise
            raise DataError(f"{self.where}: {error.what}", error.why, error.todo) from None


def parse(raw: dict[str, Any], where: str) -> Plan:
    """A plan from plain values; `where` (the file's name) begins each error. Raises `DataError`."""
    nodes = raw.get("nodes")
    if isinstance(nodes, dict):  # one by one, so that an error names its hospital
        for name, hospital in nodes.items():
            strict(hospital, Hospital, f"{where}: nodes.{name}")
    for key, kind in (("fault", Fault), ("adversary", Adversary)):
        found = raw.get(key)
        for i, one in enumerate(found if isinstance(found, list) else ()):
            strict(one, kind, f"{where}: {key}[{i}]")
    return strict(raw, Plan, where)


def shelf() -> list[Scenario]:
    """The scenarios that ship, by name."""
    return [Scenario.load(path.stem) for path in sorted(SHELF.glob("*.toml"))]
