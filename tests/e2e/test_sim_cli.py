"""`secured-sim` as a new user types it: the README's commands, results on disk, mistakes in words."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulations.study.result import StudyResult

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "README.md").read_text().partition("## Simulate")[2].partition("\n## ")[0]


def sim(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulations.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def readme_commands() -> list[list[str]]:
    blocks = [text for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.S | re.M) if not language]
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.startswith("secured-sim ")]


def test_a_new_user_follows_the_readme(tmp_path: Path) -> None:
    scenario = re.search(r"^```toml\n(.*?)^```", SECTION, re.S | re.M)
    assert scenario is not None
    assert len(scenario[1].splitlines()) <= 10
    (tmp_path / "mine.toml").write_text(scenario[1])
    words = readme_commands()
    assert [w[0] for w in words] == ["list", "run", "run", "run"]
    listed = sim(tmp_path, *words[0]).stdout
    assert "heart" in listed
    assert "breast-cancer" in listed
    for command in words[1:]:
        shown = sim(tmp_path, *command, "--repetitions", "2").stdout
        assert "All 2 repetitions ended with a result." in shown
        name = Path(command[1]).stem
        result = StudyResult.from_json((tmp_path / f"sim-{name}" / "result.json").read_bytes())
        assert result.name == name
        scores = pd.read_parquet(tmp_path / f"sim-{name}" / "frames" / "scores.parquet")
        pd.testing.assert_frame_equal(scores, result.frames()["scores"], check_dtype=False)
        assert (tmp_path / f"sim-{name}" / "scenario.toml").read_text() == result.scenario
        assert result.repetitions[0].trace_hash in (tmp_path / f"sim-{name}" / "report.html").read_text()


def test_json_is_the_result_and_says_nothing_else(tmp_path: Path) -> None:
    done = sim(tmp_path, "run", "refusing", "--repetitions", "1", "--seed", "5", "--json", "--out", "here")
    value: dict[str, Any] = json.loads(done.stdout)
    assert value["repetitions"][0]["seed"] == 5
    assert StudyResult.from_json(done.stdout) == StudyResult.from_json((tmp_path / "here" / "result.json").read_bytes())
    assert not done.stderr


def test_compare_shows_what_a_slow_hospital_costs(tmp_path: Path) -> None:
    done = sim(tmp_path, "compare", "breast-line", "slow-hospital", "--repetitions", "1", "--json")
    value = json.loads(done.stdout)
    found = {d["name"]: d["value"]["mean"] for d in value["differences"] if not d["arm"]}
    assert found["virtual_s"] > 100
    assert found["rounds"] == 0
    shown = sim(tmp_path, "compare", "refusing", "refusing", "--repetitions", "1").stdout
    assert "B against A" in shown
    assert (tmp_path / "sim-refusing-refusing" / "report.html").is_file()


def test_a_study_whose_job_fails_says_where_and_exits_with_1(tmp_path: Path) -> None:
    done = sim(tmp_path, "run", "failing-task", "--repetitions", "1", code=1)
    assert re.search(r"h3 +3 +1 +raised on purpose", done.stdout)


@pytest.mark.parametrize("as_json", [False, True])
def test_mistakes_are_told_in_words(tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\nnetwork = { latency = "5 parsecs" }\n')
    done = sim(tmp_path, "run", "bad.toml", *(["--json"] if as_json else []), code=5)
    assert not done.stdout
    told = json.loads(done.stderr)["error"] if as_json else done.stderr
    assert "bad.toml" in str(told)
    assert "allowed keys" in str(told)
    assert "Traceback" not in done.stderr
    assert "there is no such executor" in sim(tmp_path, "run", "refusing", "--executor", "abacus", code=5).stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    assert "something else (thesis.txt)" in sim(tmp_path, "run", "refusing", "--out", "mine", code=5).stderr
    assert "no such file" in sim(tmp_path, "run", "nowhere.toml", code=5).stderr
