"""What a scenario file may say: every mistake is told with file, key and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secured_node.data.errors import DataError
from simulations.study import plan
from simulations.study.plan import Network
from simulations.study.quantity import bits_per_second, seconds
from simulations.study.scenario import Scenario, parse, shelf
from tests.unit.study.kit import GLM, scenario

BASE: dict[str, Any] = {
    "name": "x",
    "data": {"bundled": "breast-cancer"},
    "split": {"by": "equal", "nodes": 4},
    "task": GLM,
}


def test_times_and_rates_have_units() -> None:
    assert [seconds(text, "k") for text in ("50 ms", "2s", "1.5 min", "1 h")] == [0.05, 2.0, 90.0, 3600.0]
    assert bits_per_second("100 Mbit/s", "k") == 1e8
    assert Network(latency="80 ms", bandwidth=None).bandwidth_bit_s is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"latency": "50 lightyears"}}, r"x.toml: network: latency = '50 lightyears'.*ms, s, min, h"),
        ({"network": {"latency": 50}}, r"network: latency = 50 has no unit.*ms, s, min, h"),
        ({"network": {"latency": "-5 ms"}}, r"latency = '-5 ms' is not a time"),
        ({"network": {"bandwidth": "100 MB/s"}}, r"bandwidth = '100 MB/s'.*kbit/s, Mbit/s, Gbit/s"),
        ({"network": {"bandwidth": "0 Mbit/s"}}, r"bandwidth must be above 0"),
        ({"network": {"latncy": "5 ms"}}, r"x.toml: network: .*`latncy`; allowed keys: latency, jitter"),
        ({"network": {"loss": 1.5}}, r"network.loss: Expected `float` <= 0.9"),
        ({"split": {"by": "magic"}}, r"split.by: .*hospital | column | equal | dirichlet"),
        ({"split": {"by": "equal"}}, r"split: nodes is missing with by = 'equal'"),
        ({"split": {"by": "equal", "nodes": 2}}, r"split.nodes: Expected `int` >= 3"),
        ({"split": {"by": "hospital", "nodes": 4}}, r"nodes is given by the data"),
        ({"split": {"by": "feature", "nodes": 4}}, r"split: column is missing with by = 'feature'"),
        ({"split": {"by": "dirichlet", "nodes": 4, "alpha": 0}}, r"split.alpha: Expected `float` > 0"),
        ({"data": {}}, r"data: say exactly one of bundled, file, files"),
        ({"data": {"file": "a.csv"}}, r"data: schema is missing"),
        ({"data": {"bundled": "heart", "schema": "s.toml"}}, r"its own schema"),
        ({"run": {"repetitions": 0}}, r"run.repetitions: Expected `int` >= 1"),
        ({"run": {"target": {"metric": "beauty", "value": 1}}}, r"run.target.metric: .*auc | accuracy"),
        ({"job": {"time_limit": "0 s"}}, r"job: time_limit lies above 0"),
        ({"nodes": {"h1": {"slow": 0}}}, r"x.toml: nodes.h1: slow: Expected `float` >= 1"),
        ({"nodes": {"h1": {"after": "soon"}}}, r"nodes.h1: after = 'soon' is not a time"),
        ({"fault": [{"kind": "fire", "nodes": ["h1"]}]}, r"fault\[0\]: kind: .*crash | partition"),
        ({"fault": [{"kind": "crash"}]}, r"fault\[0\]: nodes is missing with kind = 'crash'"),
        ({"fault": [{"kind": "loss", "nodes": ["h1"]}]}, r"nodes means nothing with kind = 'loss'"),
        ({"fault": [{"kind": "crash", "nodes": ["h1"], "times": 3}]}, r"times above 1 needs every and lasts"),
        (
            {"fault": [{"kind": "crash", "nodes": ["h1"], "times": 3, "every": "5 s", "lasts": "6 s"}]},
            r"every must be longer than lasts",
        ),
        ({"privacy": {"epsilon": 0}}, r"privacy.epsilon: Expected `float` >= 0.001"),
        ({"privacy": {"hide": "record"}}, r"privacy: .*missing required field `epsilon`"),
        ({"colour": "blue"}, r"`colour`; allowed keys: name, data, split, task"),
        ({"name": "My Study"}, r"name: Expected `str` matching regex"),
    ],
)
def test_mistakes_are_told_with_file_and_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(BASE | changes, "x.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"bundled": "mars"}}, r"data.bundled = 'mars'.*heart \| breast-cancer \| diabetes \| digits"),
        ({"task": {"name": "divination"}}, r"the scenario: task: .*known tasks"),
        ({"task": {"name": "glm", "parameters": {"family": "poisson"}}}, r"task: .*family.*gaussian | binomial"),
        ({"nodes": {"h9": {}}}, r"nodes: 'h9'.*no such hospital; allowed: h1 \| h2 \| h3 \| h4"),
        ({"fault": [{"kind": "crash", "nodes": ["zurich"]}]}, r"fault\[0\].nodes: 'zurich'"),
        ({"job": {"submitter": "h7"}}, r"job.submitter: 'h7'"),
        ({"job": {"submitter": "h4"}, "nodes": {"h4": {"joins": "5 s"}}}, r"job.submitter: it joins later"),
        ({"nodes": {"h3": {"joins": "5 s"}, "h4": {"joins": "5 s"}}}, r"2 hospitals are there from the start"),
        ({"run": {"target": {"metric": "rmse", "value": 1}}}, r"run.target.metric = 'rmse'.*auc | accuracy"),
        ({"split": {"by": "equal", "nodes": 100}}, r"split.nodes: 100 hospitals of at least 20 rows need more"),
        ({"split": {"by": "hospital"}}, r"split.by = 'hospital': the data name no hospitals"),
        ({"split": {"by": "column", "column": "malignant"}}, r"it gives 2 hospitals; a sum needs at least 3"),
        ({"split": {"by": "column", "column": "radius"}}, r"split.column = 'radius': the column is of type number"),
        ({"split": {"by": "feature", "column": "malignant", "nodes": 3}}, r"of type boolean; take a numeric column"),
        ({"split": {"by": "dirichlet", "alpha": 0.01, "nodes": 12}}, r"in 1000 draws .* raise alpha"),
    ],
)
def test_what_does_not_fit_the_data_is_told_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scenario(**changes).check()


def test_a_file_that_is_not_there_or_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.toml: No such file"):
        Scenario.load(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(DataError, match=r"bad.toml: not valid TOML"):
        Scenario.load(tmp_path / "bad.toml")


TEN_LINES = """name = "mine"
[data]
bundled = "breast-cancer"
[split]
by = "dirichlet"
nodes = 5
[task]
name = "train"
parameters = { outcome = "malignant", covariates = ["radius", "texture"], rounds = 2 }
"""


def test_ten_lines_are_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TEN_LINES)
    assert len(TEN_LINES.splitlines()) <= 10
    loaded = Scenario.load(tmp_path / "mine.toml")
    loaded.check()
    assert (loaded.plan.name, loaded.plan.split.nodes) == ("mine", 5)


def test_every_scenario_that_ships_says_what_it_shows_and_fits_its_data() -> None:
    names = set()
    for shipped in shelf():
        assert shipped.plan.title
        assert shipped.plan.description
        names.add(shipped.plan.name)
        if shipped.plan.data.bundled != "heart":  # its files do not come with the software
            shipped.check()
    assert {"heart", "breast-skew", "partition", "slow-hospital", "flapping", "growing"} <= names


def test_every_key_of_a_scenario_is_documented() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "simulation.md").read_text()
    table = page.partition("## A scenario")[2].partition("## Rules")[0]
    sections = (
        plan.Plan,
        plan.Data,
        plan.Split,
        plan.Task,
        plan.Network,
        plan.Job,
        plan.Privacy,
        plan.Hospital,
        plan.Fault,
        plan.Adversary,
        plan.Run,
    )
    tables = {"data", "split", "task", "network", "job", "privacy", "nodes", "fault", "adversary", "run"}
    for section in sections:
        for key in set(section.__struct_fields__) - tables:
            assert f"`{key}`" in table, f"{section.__name__}.{key}"
    assert all(f"[{name}" in table for name in tables)
