"""How people name nodes, and how nodes are named to people."""

from __future__ import annotations

import pytest

from secured_node.naming import fitting, with_names
from tests.kit import identities

EAST, WEST, TWIN = (one.node for one in identities(3))
KNOWN = [(EAST, "east"), (WEST, "west"), (EAST, "east")]


@pytest.mark.parametrize(
    ("text", "fits"),
    [("east", [EAST]), (str(WEST), [WEST]), (WEST[-4:], [WEST]), (WEST[-3:], []), ("", []), ("eas", [])],
)
def test_a_node_is_named_by_name_id_or_the_end_of_an_id(text: str, fits: list[str]) -> None:
    assert fitting(text, KNOWN) == fits


def test_a_name_that_two_nodes_have_fits_both() -> None:
    assert fitting("east", [*KNOWN, (TWIN, "east")]) == sorted([EAST, TWIN])


def test_ids_in_a_text_become_names_and_unknown_ones_stay() -> None:
    names = {str(EAST): "east"}
    text = f"{EAST} refused: ask {TWIN}, not ({EAST})"
    assert with_names(text, lambda node: names.get(node, "")) == f"east refused: ask {TWIN}, not (east)"
