"""The documentation against the code: exit codes, arrows between rooms, a job's life, links to files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocols.job.life import diagram
from secured_node.cli.common import Exit
from tests.unit.test_house import ARROWS, files, imports, room_named, room_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])


def test_exit_codes_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", (DOCS / "exit-codes.md").read_text(), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(int(code), code.name) for code in Exit]


def test_the_jobs_life_is_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in (DOCS / "architecture.md").read_text()


def arrows() -> set[tuple[str, str]]:
    """Which room imports which: within the daemon as the house rules allow, and to the protocols as the code does."""
    found = {(here, there) for here, allowed in ARROWS.items() for there in allowed}
    for path in files("secured_node", "simulations"):
        if any(module.startswith("protocols.") for module in imports(path)):
            found.add(("simulations" if path.is_relative_to(ROOT / "simulations") else room_of(path), "protocols"))
    for path in files("simulations"):
        found |= {("simulations", room) for module in imports(path) if (room := room_named(module)) is not None}
    return found


def test_the_arrows_that_are_drawn_are_there() -> None:
    section = (DOCS / "architecture.md").read_text().partition("## Arrows")[2].partition("## ")[0]
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", section, re.MULTILINE))
    assert len(drawn) > 20
    assert drawn - arrows() == set()


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
