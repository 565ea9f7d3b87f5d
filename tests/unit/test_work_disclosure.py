"""What a worker's refusals tell the others of the site's rows: nothing that a job's author could choose to ask."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from secured_node.work.computation import Computation
from secured_node.work.documents import Description
from secured_node.work.errors import PUBLIC
from secured_node.work.failures import failed
from secured_node.work.frames import Noise, Open
from secured_node.work.kept import Kept

SCHEMA = """
name = "ward"
version = 1
[columns.age]
type = "integer"
minimum = 0
maximum = 120
[columns.viral]
type = "integer"
minimum = 0
maximum = 1000000
"""
ROWS, USABLE = 234, 26
MODEL = {"outcome": "age", "covariates": ["viral"], "family": "gaussian"}
NOISE = Noise("record", 0.01, 1e-6, 1)


class Site:
    """A site of 234 rows (published: 230) of which 26 have `viral`; each order gets a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count()
        self.data = folder / "ward.csv"
        lines = [f"{20 + i % 60},{i if i < USABLE else ''}" for i in range(ROWS)]
        self.data.write_text("\n".join(["age,viral", *lines]) + "\n")

    def told(self, task: str, raw: dict[str, Any], noise: Noise | None = None, min_rows: int = 10) -> str:
        """What the others read: "" if a vector was made."""
        kept = self._folder / str(next(self._numbers))
        kept.mkdir()
        order = Open(0, "5e" * 32, task, str(self.data), 4, 64, min_rows, 10, noise)
        try:
            Computation(order, Description(SCHEMA, None, json.dumps(raw)), Kept(kept), 10).local(1, again=False)
        except Exception as error:  # noqa: BLE001 - as the worker's one seam
            return PUBLIC[failed(error).code]
        return ""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("noise", [None, NOISE])
def test_disclosure_query_parameters_cannot_ask_for_rows(site: Site, noise: Noise | None) -> None:
    for task, raw in (("summary", {"columns": ["viral"]}), ("glm", MODEL)):
        answers = {site.told(task, raw | {"min_rows": asked}, noise) for asked in (1, USABLE, USABLE + 1, ROWS + 1)}
        assert answers == {PUBLIC["data"]}
        assert site.told(task, raw, noise) == ""


def test_disclosure_query_with_noise_usable_rows_never_decide(site: Site) -> None:
    for asked in (10, USABLE, USABLE + 1, 200, 230):
        assert site.told("glm", MODEL, NOISE, asked) == "" == site.told("summary", {"columns": ["viral"]}, NOISE, asked)
    assert site.told("glm", MODEL, NOISE, 231) == PUBLIC["data"], "230 is what is published"


def test_disclosure_query_rows_max_tells_no_more_than_what_is_published(site: Site) -> None:
    answers = {n: site.told("summary", {"columns": ["age"], "rows_max": n}, NOISE) for n in range(225, 240)}
    assert {n for n, told in answers.items() if told} == set(range(225, 234)), "of 230 there may be 234 at most"
    site.data.write_text("\n".join(site.data.read_text().splitlines()[:-5]) + "\n")  # 229: published as 230 too
    assert answers == {n: site.told("summary", {"columns": ["age"], "rows_max": n}, NOISE) for n in answers}


def test_noise_that_no_plan_can_make_is_refused_before_data_are_opened(site: Site) -> None:
    """Then its failure depends on public facts alone: it is the same with a file that is not there."""
    impossible = Noise("record", 1e-300, 1e-6, 1)
    there = site.told("glm", MODEL, impossible)
    site.data.unlink()
    order = Open(0, "5e" * 32, "glm", str(site.data), 4, 64, 10, 10, impossible)
    kept = site.data.parent / "again"
    kept.mkdir()
    with pytest.raises(Exception, match=r"no scale is coarse enough|too little room") as caught:
        Computation(order, Description(SCHEMA, None, json.dumps(MODEL)), Kept(kept), 10)
    assert there == PUBLIC[failed(caught.value).code] != ""


def test_all_failures_that_may_depend_on_the_data_have_one_public_reason() -> None:
    assert len({PUBLIC[code] for code in ("data", "encoding", "task")}) == 1
