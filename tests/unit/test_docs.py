"""The documentation against the code: exit codes, arrows between rooms, a job's life, links to files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from protocols.job.life import diagram
from secured_node.cli.common import Exit

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
PACKAGES = ("protocols", "secured_node", "simulations")
UPPER = {"app", "api", "cli", "service", "membership", "doctor"}
LOWER = {"driver", "policy", "datasets", "net", "store", "work", "data", "tasks", "state", "config"}
"""Rooms of `secured_node`: what is lower knows nothing of what is upper."""


def test_exit_codes_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", (DOCS / "exit-codes.md").read_text(), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(int(code), code.name) for code in Exit]


def test_the_jobs_life_is_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in (DOCS / "architecture.md").read_text()


def room(module: str) -> str | None:
    """The room that a module belongs to: a package, or a file or folder directly in `secured_node`."""
    package, _, rest = module.partition(".")
    if package not in PACKAGES:
        return None
    return rest.partition(".")[0] if package == "secured_node" and rest else package


def arrows() -> set[tuple[str, str]]:
    """Which room imports which, read from the code."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
            for node in ast.walk(ast.parse(path.read_text())):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    modules = [node.module]
                found |= {(here, there) for module in modules if (there := room(module)) and there != here and here}
    return {(here, there) for here, there in found if here is not None}


def test_the_arrows_that_are_drawn_are_there() -> None:
    section = (DOCS / "architecture.md").read_text().partition("## Arrows")[2].partition("## ")[0]
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", section, re.MULTILINE))
    assert len(drawn) > 20
    assert drawn - arrows() == set()


def test_arrows_point_one_way() -> None:
    found = arrows()
    assert {there for here, there in found if here == "protocols"} == set()
    assert {(here, there) for here, there in found if here in LOWER and there in UPPER} == set()
    assert {here for here, there in found if there == "cli"} <= {"__main__", "simulations"}
    # Which of its rooms may know which of the product's: tests/unit/test_house.py.
    rooms = {"protocols", "tasks", "data", "work", "cli", "secured_node"}
    assert {there for here, there in found if here == "simulations"} <= rooms


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "STATUS.md"], ids=lambda page: page.name)
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    """A path of the repository in backquotes, with `::name` for something defined in it. STATUS.md names plans too."""
    for path, _, name in re.findall(
        r"`((?:protocols|secured_node|systemd|tests|simulations)/[\w./@-]+)(::)?(\w+)?", page.read_text()
    ):
        place = ROOT / path.rstrip("/.")
        assert place.exists(), f"{page.name}: {path}"
        if name:
            assert re.search(rf"^(?:async )?(?:def|class) {name}\b", place.read_text(), re.MULTILINE), f"{path}::{name}"
