"""A proposed job is judged in words before any hub reads it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalError
from protocols.job.kinds import JobSpec
from protocols.secagg.cohort import Cohort, safe_against
from secured_node.proposal import in_words, objection
from tests.kit import identities


@pytest.mark.parametrize(
    ("raw", "members", "words"),
    [
        ({"min_nodes": 2}, 0, ("min_nodes = 2", "at least 4")),
        ({"max_nodes": 3}, 0, ("max_nodes = 3", "at least 4")),
        ({"min_nodes": 6, "max_nodes": 5}, 0, ("min_nodes = 6", "max_nodes = 5")),
        ({}, 1, ("lists 1 hub,", "at least 4")),
        ({"min_nodes": 4}, 2, ("lists 2 hubs", "at least 4")),
        ({"colluders": 50}, 0, ("colluders = 50", "4 to 128 hubs")),
        ({"colluders": 2, "max_nodes": 4}, 0, ("colluders = 2", "4 to 4 hubs")),
    ],
)
def test_what_can_never_run_is_refused_with_the_charters_number(
    raw: dict[str, Any], members: int, words: tuple[str, ...]
) -> None:
    against = objection(raw, members, 4)
    assert against is not None and against[1]
    assert all(word in against[0] for word in words), against


@pytest.mark.parametrize(
    ("raw", "members"),
    [({}, 0), ({"min_nodes": 3, "max_nodes": 3}, 0), ({"min_nodes": 5, "max_nodes": 5}, 5), ({"colluders": 2}, 0)],
)
def test_what_may_run_is_not_refused(raw: dict[str, Any], members: int) -> None:
    assert objection(raw, members, 3) is None


@given(
    st.dictionaries(
        st.sampled_from(("min_nodes", "max_nodes", "colluders")),
        st.one_of(st.integers(), st.booleans(), st.text(), st.none(), st.floats()),
    ),
    st.integers(0, 200),
)
def test_fields_of_any_type_are_judged_without_failing(raw: dict[str, Any], members: int) -> None:
    against = objection(raw, members, 3)
    assert against is None or all(isinstance(text, str) and text for text in against)


@given(st.integers(3, 128), st.integers(-1, 130))
def test_safe_against_is_what_a_cohort_holds_to(members: int, colluders: int) -> None:
    def makes() -> bool:
        try:
            Cohort(bytes(32), NODES[:members], colluders=colluders, holders=1)
        except LocalError as error:
            assert "not safe" in str(error)
            return False
        return True

    assert safe_against(members, colluders) == makes()


NODES = tuple(sorted(one.node for one in identities(128)))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rounds_max", 0, "rounds_max: it is at least 1"),
        ("collect_s", 1e9, "collect_s: it is at most 2.592e+06"),
        ("purpose", "x" * 501, "purpose: it has at most 500"),
        ("min_rows", "many", "min_rows: Expected `int`"),
        ("members", [3], "members: Expected"),
    ],
)
def test_a_field_that_does_not_fit_is_named(field: str, value: Any, words: str) -> None:
    fields = {"task": "bench", "parameters": b"", "data": None, "purpose": "x"}
    spec = msgspec.to_builtins(JobSpec(**fields))  # type: ignore[arg-type]
    spec[JobSpec.__struct_fields__.index(field)] = value
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(spec, JobSpec)
    assert in_words(error.value).startswith(words) and "$" not in in_words(error.value)


@pytest.mark.parametrize("min_rows", [1, 10, 5000])
def test_parameters_that_name_the_fewest_rows_are_refused_at_submission(min_rows: int) -> None:
    """Policies judge the job's own number; a second one, which they do not see, could ask a site for its rows."""
    against = objection({"parameters": {"columns": ["age"], "min_rows": min_rows}}, 0, 3)
    assert against is not None and "min_rows" in against[0] and "--min-rows" in against[1]
    assert objection({"parameters": {"columns": ["age"]}, "min_rows": min_rows}, 0, 3) is None
