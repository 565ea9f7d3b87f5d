"""What a researcher looks at: a study's result as one page, with its plots, tables and the result itself beside it.

`write` makes a report of one result, `write_comparison` of several; `check_folder` says beforehand whether the folder
can take it; `terminal` shows the same in a terminal. Needs the extra ``sim``.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secured_node.data.errors import DataError
from simulations.report.folder import PAGE, check_folder, write_folder
from simulations.study.result import StudyResult

if TYPE_CHECKING:
    import pandas as pd

    from simulations.report.plots.plot import Plot
    from simulations.report.view import View

__all__ = ["check_folder", "write", "write_comparison"]


def write(result: StudyResult, folder: Path) -> Path:
    """Write the report of a result; returns the path of its page.

    The folder then holds ``report.html``, ``result.json``, ``scenario.toml``, each plot as ``plots/*.png`` and
    ``.svg``, each of the result's frames as ``frames/*.csv`` and ``.parquet``. It appears whole or not at all; an
    earlier report in it is replaced. The same result gives the same bytes. Raises `DataError` if the folder holds
    something else or cannot be written.
    """
    return _write((result,), Path(folder))


def write_comparison(results: Sequence[StudyResult], folder: Path) -> Path:
    """Write a report of two results or more side by side, each compared with the first; as `write`.

    The files of each carry a letter: ``result-a.json``, ``plots/models-a.svg``. ``frames/differences.csv`` has the
    differences, paired by repetition.
    """
    from simulations.report.view import LETTERS  # noqa: PLC0415

    if not 2 <= len(results) <= len(LETTERS):
        why = f"it compares 2 to {len(LETTERS)} results, not {len(results)}"
        raise DataError("the comparison", why, "give it as many scenarios")
    return _write(tuple(results), Path(folder))


def _write(results: tuple[StudyResult, ...], folder: Path) -> Path:
    if any(importlib.util.find_spec(library) is None for library in ("matplotlib", "pandas", "pyarrow")):
        raise DataError("the report", "matplotlib or pandas is not installed", "install secured-node[sim]")
    # Here, not above: they are an extra, and slow to import.
    from simulations.report.differences import differences, differences_frame  # noqa: PLC0415
    from simulations.report.page import make_plots, page  # noqa: PLC0415
    from simulations.report.view import views_of  # noqa: PLC0415

    check_folder(folder)
    views = views_of(results)
    plots = make_plots(views)
    compared = differences(views) if len(results) > 1 else None
    files = {PAGE: page(views, plots, [compared] if compared is not None else []).encode()}
    for place, view in enumerate(views):
        files[f"result{view.suffix}.json"] = view.result.to_json()
        files[view.scenario_file] = view.result.scenario.encode(errors="replace")
        files |= _drawn([row[place] for row in plots], view)
        prefix = f"{view.letter.lower()}-" if view.letter else ""
        for name, frame in view.result.frames().items():
            files |= _frame_files(prefix + name, frame)
    if compared is not None:
        files |= _frame_files("differences", differences_frame(views))
    return write_folder(folder, files) / PAGE


def _drawn(plots: Sequence[Plot | None], view: View) -> dict[str, bytes]:
    from simulations.report.look import WIDE_IN  # noqa: PLC0415
    from simulations.report.svg import files  # noqa: PLC0415
    from simulations.report.words import clean  # noqa: PLC0415

    return {
        f"plots/{plot.name}{view.suffix}.{ending}": data
        for plot in plots
        if plot is not None
        for ending, data in files(plot, clean(view.title, 60), WIDE_IN).items()
    }


def _frame_files(name: str, frame: pd.DataFrame) -> dict[str, bytes]:
    parquet = io.BytesIO()
    frame.to_parquet(parquet, engine="pyarrow", index=False)
    return {
        f"frames/{name}.csv": frame.to_csv(index=False, lineterminator="\n").encode(errors="replace"),
        f"frames/{name}.parquet": parquet.getvalue(),
    }
