"""The specifications: every MUST is held by tests that name it, and what they list is what the code has."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.digest import frame

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "protocols" / "SPEC.md").read_text()
MEMBERSHIP = (ROOT / "protocols" / "SPEC-membership.md").read_text()
RULES = {
    number: " ".join(text.split())
    for number, text in re.findall(
        r"^- \*\*((?:S|GR|J|W)\d+)\*\* (.*?)(?=^- \*\*|^#|^$)", SPEC, re.MULTILINE | re.DOTALL
    )
}
OTHERS = set(re.findall(r"^- \*\*([A-Z]+\d+)\*\*", MEMBERSHIP, re.MULTILINE))
NUMBERS = re.compile(r"((?:(?:S|GR|J|W|R|M|I)\d+(?:, )?)+)[.:( ]")
LIMITED = (
    *("secagg.attempt", "secagg.ballot", "secagg.cohort", "secagg.deadlines", "secagg.dispute", "secagg.intake"),
    "secagg.jumps",
    *("secagg.layout", "secagg.mask", "secagg.messages", "secagg.rations", "secagg.round", "secagg.signing"),
    *("secagg.watches", "job.clock", "job.collection", "job.follow", "job.view", "job.kinds", "job.serving"),
    "job.succession",
    *("groups", "wire", "message", "identity"),
    *("privacy.accounting", "privacy.gaussian", "privacy.plan"),
)
"""Modules of `protocols` whose limits the table lists."""
CASES = re.findall(
    r"\w+",
    """offer_equivocation key_substitution duplicate_ids small_order model_inconsistency cohort_equivocation
rushing_member wrong_segment lying_holder equivocating_holder holder_override silent_holder withheld_sum
two_certificates signed_then_killed attempt_jump replay_old replay_same_round conflicting_duplicate reflection
drop_edges cohort_of_one_or_two group_cut second_job version_bump grown_federation departed_member aborted_job
fixed_point_overflow nan_inf_update garbage_vector mask_reuse restart_in_attempt recomputed_vector straggler_timing
partition_heal byzantine_scale free_rider quality_inference membership_on_sum""",
)


def written_tests() -> Iterator[tuple[Path, str, str]]:
    """File, name and docstring of every test."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node.name, ast.get_docstring(node) or ""


TESTS = list(written_tests())
NAMED = {
    name: set(found[1].split(", ")) if (found := NUMBERS.match(docstring)) else set() for _, name, docstring in TESTS
}


def section(title: str) -> str:
    """A section of the specification."""
    return SPEC.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def held_by(number: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", RULES[number])


@pytest.mark.parametrize("number", RULES)
def test_every_must_is_held_by_tests_whose_docstrings_name_it(number: str) -> None:
    """A rule without a test is a wish. (End-to-end tests are shared: the specification names them, not they it.)"""
    assert held_by(number), f"{number} names no test"
    for test in held_by(number):
        assert test in NAMED, f"{number} names {test}, which is not there"
        end_to_end = [path for path, name, _ in TESTS if name == test and "e2e" in path.parts]
        assert end_to_end or number in NAMED[test], f"the docstring of {test} does not name {number}"
    assert any(number in NAMED[test] for test in held_by(number))


def test_tests_name_no_must_that_is_not_there() -> None:
    """And a test without a rule is a riddle."""
    for name, numbers in NAMED.items():
        assert numbers <= set(RULES) | OTHERS, name
        for number in numbers & set(RULES):
            assert name in held_by(number), f"{number} does not name {name}"


def test_numbers_are_used_once_and_in_order() -> None:
    written = re.findall(r"^- \*\*((?:S|GR|J|W)\d+)\*\*", SPEC, re.MULTILINE)
    assert len(written) == len(set(written)) == len(RULES) > 60
    for letters in ("W", "S", "GR", "J"):
        of_kind = [int(n.removeprefix(letters)) for n in written if re.fullmatch(rf"{letters}\d+", n)]
        assert of_kind == list(range(1, len(of_kind) + 1))


def limits() -> Iterator[tuple[str, str, str]]:
    """Name, value and module of every named number."""
    for module in LIMITED:
        path = ROOT / "protocols" / Path(*module.split(".")).with_suffix(".py")
        made = importlib.import_module(f"protocols.{module}")
        for node in ast.parse(path.read_text()).body:
            target = (
                node.target
                if isinstance(node, ast.AnnAssign)
                else node.targets[0]
                if isinstance(node, ast.Assign)
                else None
            )
            name = target.id if isinstance(target, ast.Name) else ""
            value = getattr(made, name, None)
            if name.isupper() and not name.startswith("_") and isinstance(value, int | float):
                yield name, f"{value:,.12g}" if isinstance(value, float) else f"{value:,}", module


def test_the_table_of_limits_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \| `([\w.]+)` \|", section("Limits"), re.MULTILINE)
    assert sorted(rows) == sorted(limits())


def test_the_labels_are_those_of_the_code() -> None:
    """W4. A label is a constant at the call that frames."""
    written = re.search(r"Labels, each for one purpose.*?: (.*?)\. What", SPEC, re.DOTALL)
    assert written is not None
    found = set()
    for package in ("protocols", "secured_node"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("frame", "digest", "digest_words"):
                    first = node.args[0]
                    found |= {first.value} if isinstance(first, ast.Constant) else {""}
    assert found - {""} == set(re.findall(r"`([^`]+)`", written[1]))


@settings(derandomize=True, database=None, max_examples=200)
@given(*(st.lists(st.binary(max_size=20), min_size=1, max_size=4) for _ in range(2)))
def test_no_two_inputs_share_a_frame(one: list[bytes], other: list[bytes]) -> None:
    """W4. However the bytes are cut into parts."""
    labels = [parts[0].hex() for parts in (one, other)]
    same = (labels[0], *one[1:]) == (labels[1], *other[1:])
    assert (frame(labels[0], *one[1:]) == frame(labels[1], *other[1:])) is same


def test_the_table_of_cases_is_complete_and_names_tests_that_exist() -> None:
    table = section("The cases")
    for case in CASES:
        assert re.search(rf"^\|[^|]*\b{case}\b", table, re.MULTILINE), case
    for test in re.findall(r"`(test_\w+)`", table):
        assert test in NAMED, test


if __name__ == "__main__":
    for name, value, module in limits():
        print(f"| `{name}` | {value} | `{module}` |")
