"""One result and its page, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.report import write
from simulations.study.result import StudyResult
from tests.unit.report.results import study


@pytest.fixture(scope="session")
def result() -> StudyResult:
    return study(repetitions=3, rounds=3)


@pytest.fixture(scope="session")
def folder(result: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(result, tmp_path_factory.mktemp("reports") / "report").parent


@pytest.fixture(scope="session")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()
