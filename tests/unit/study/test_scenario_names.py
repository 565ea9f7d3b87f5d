"""A scenario's name that does not exist is answered with those that do."""

from __future__ import annotations

import pytest

from secured_node.data.errors import DataError
from simulations.study.scenario import SHELF, Scenario


@pytest.mark.parametrize("name", ["prtition", "partitions", "partitoin.toml"])
def test_a_slip_of_the_hand_is_met_with_the_name_that_was_meant(name: str) -> None:
    with pytest.raises(DataError) as caught:
        Scenario.load(name)
    assert "perhaps partition is meant" in caught.value.todo


def test_a_name_like_no_other_is_met_with_all_that_ship() -> None:
    with pytest.raises(DataError) as caught:
        Scenario.load("xyzzy")
    assert "perhaps" not in caught.value.todo
    assert all(path.stem in caught.value.todo for path in SHELF.glob("*.toml"))
