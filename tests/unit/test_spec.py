"""SPEC.md: every MUST names tests, and the tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = re.findall(r"^- \*\*((?:S|GR|J|W)\d+)\*\* (.*)$", (ROOT / "protocols" / "SPEC.md").read_text(), re.MULTILINE)


def written_tests() -> set[str]:
    """The names of all tests, by the syntax of the files that hold them."""
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    return names


@pytest.mark.parametrize(("number", "text"), RULES)
def test_every_rule_is_held_by_a_test_that_exists(number: str, text: str) -> None:
    held_by = re.findall(r"`(test_\w+)`", text)
    assert held_by, f"{number} names no test"
    assert set(held_by) <= written_tests(), f"{number} names tests that are not there"


def test_numbers_are_used_once_and_in_order() -> None:
    numbers = [number for number, _ in RULES]
    assert len(numbers) == len(set(numbers)) > 40
    for letters in ("W", "S", "GR", "J"):
        of_kind = [int(n.removeprefix(letters)) for n in numbers if re.fullmatch(rf"{letters}\d+", n)]
        assert of_kind == list(range(1, len(of_kind) + 1))


def test_the_table_of_cases_names_rules_that_exist() -> None:
    text = (ROOT / "protocols" / "SPEC.md").read_text().partition("## The cases")[2]
    named = set(re.findall(r"\b((?:S|GR|J)\d+)\b", text))
    assert named <= {number for number, _ in RULES}
