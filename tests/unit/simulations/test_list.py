"""`secured-sim list` says which bundled data sets cannot be run as things are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulations.cli.list import command
from simulations.study.bundled import DATA_VARIABLE, HEART_FILES


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without any data."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    return tmp_path


def test_a_data_set_without_its_files_is_marked(nowhere: Path) -> None:
    shown = CliRunner().invoke(command).output
    assert "heart*" in shown and "breast-cancer*" not in shown and DATA_VARIABLE in shown
    assert json.loads(CliRunner().invoke(command, ["--json"]).output)["missing"] == ["heart"]


def test_a_data_set_with_its_files_is_not(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in HEART_FILES.values():
        (nowhere / f"processed.{file}.data").touch()
    monkeypatch.setenv(DATA_VARIABLE, str(nowhere))
    assert "heart*" not in CliRunner().invoke(command).output
    assert json.loads(CliRunner().invoke(command, ["--json"]).output)["missing"] == []
