"""A report on disk: whole, the same for the same result, and never in the place of something else."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from secured_node.data.errors import DataError
from simulations.report import folder as report_folder
from simulations.report import write, write_comparison
from simulations.report.plots import SECTIONS
from simulations.study.result import StudyResult
from tests.unit.report.results import study


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_result_comes_back_from_the_folder(result: StudyResult, folder: Path) -> None:
    assert StudyResult.from_json((folder / "result.json").read_bytes()) == result
    assert (folder / "scenario.toml").read_text() == result.scenario


def _root(path: Path) -> str:
    return ElementTree.parse(path).getroot().tag  # noqa: S314 - written by the test before


def test_each_plot_is_there_as_png_and_svg(folder: Path) -> None:
    plots = {path.stem for path in (folder / "plots").iterdir()}
    assert len(plots) == sum(len(drawers) for _, drawers in SECTIONS)
    for name in plots:
        assert (folder / f"plots/{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert _root(folder / f"plots/{name}.svg") == "{http://www.w3.org/2000/svg}svg"


def test_each_frame_is_there_as_csv_and_parquet_and_both_say_the_same(result: StudyResult, folder: Path) -> None:
    for name, frame in result.frames().items():
        parquet = pd.read_parquet(folder / f"frames/{name}.parquet")
        pd.testing.assert_frame_equal(parquet, frame, check_dtype=False)
        csv = pd.read_csv(folder / f"frames/{name}.csv", keep_default_na=False, na_values=[])
        assert (list(csv.columns), len(csv)) == (list(frame.columns), len(frame))
    assert result.comparisons[0].value.mean == pd.read_csv(folder / "frames/comparisons.csv")["mean"][0]


def test_all_that_the_page_links_to_is_there(folder: Path, page: str) -> None:
    links = {part.partition('"')[0] for part in page.split('href="')[1:]}
    for link in links:
        assert link.startswith("#") or (folder / link).is_file(), link


def test_the_same_result_gives_the_same_bytes(result: StudyResult, folder: Path, tmp_path: Path) -> None:
    again = StudyResult.from_json(result.to_json())
    assert everything(write(again, tmp_path / "again").parent) == everything(folder)


def test_an_earlier_report_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report"
    report_folder.write_folder(target, {"report.html": b"old", "plots/old.svg": b"old"})
    report_folder.write_folder(target, {"report.html": b"new", "frames/new.csv": b"new"})
    assert everything(target) == {"report.html": b"new", "frames/new.csv": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("name", ["thesis.docx", "plots/notes.txt", "plots/deep/x.svg", "data/x.csv", "extra.json"])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, name: str, result: StudyResult) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(DataError, match=r"something else.*choose another folder"):
        write(result, tmp_path)
    assert everything(tmp_path) == {name: b"mine"}


def test_a_file_or_a_link_in_the_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("file", "link"):
        with pytest.raises(DataError, match="no folder"):
            report_folder.write_folder(tmp_path / name, {"report.html": b""})
    assert (tmp_path / "file").read_text() == "mine"


def test_what_cannot_be_written_leaves_nothing_and_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    report_folder.write_folder(target, {"report.html": b"old"})
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "second.json":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="No space left on device"):
        report_folder.write_folder(target, {"report.html": b"new", "second.json": b"new"})
    assert everything(tmp_path) == {"report/report.html": b"old"}


def test_a_comparison_has_the_files_of_each_and_their_differences(tmp_path: Path) -> None:
    one, other = (study(["a", "b", "c"], repetitions=3, rounds=2, same=same, name=str(same)) for same in (True, False))
    page = write_comparison((one, other), tmp_path / "both")
    for letter, result in (("a", one), ("b", other)):
        assert StudyResult.from_json((page.parent / f"result-{letter}.json").read_bytes()) == result
        assert (page.parent / f"plots/models-{letter}.png").is_file()
    frame = pd.read_csv(io.BytesIO((page.parent / "frames/differences.csv").read_bytes()), keep_default_na=False)
    row = frame[(frame["name"] == "auc") & (frame["arm"] == "federated")].iloc[0]
    values = [
        next(s.value for s in r.scores if (s.arm, s.tested_on, s.metric) == ("federated", "all", "auc"))
        for result in (one, other)
        for r in result.repetitions
    ]
    shifts = [(values[3 + i] or 0) - (values[i] or 0) for i in range(3)]
    assert float(row["mean"]) == pytest.approx(sum(shifts) / 3, abs=1e-12)
    html = page.read_text()
    assert "B against A" in html
    assert all((page.parent / link.partition('"')[0]).exists() for link in html.split('href="')[1:] if link[0] != "#")


@pytest.mark.parametrize("number", [0, 1, 9])
def test_a_comparison_of_too_few_or_too_many_is_refused(number: int, result: StudyResult, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it compares 2 to 8 results"):
        write_comparison([result] * number, tmp_path / "none")
