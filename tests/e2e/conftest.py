"""One federation of four hubs for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.hubs import Hub
from tests.hub_kit import patients, register, running, wait_offers

POLICY = """
[policy]
default = "ask"

[[policy.rule]]
purpose = "research*"
max_rounds = 10000
action = "join"

[[policy.rule]]
purpose = "never*"
action = "refuse"

[[policy.rule]]
purpose = "big*"
min_nodes = 5
action = "join"

[[policy.rule]]
purpose = "short*"
max_rounds = 2
action = "join"

[[policy.rule]]
purpose = "rows*"
min_rows = 100
action = "join"
"""
ROWS = (90, 70, 120, 60)


@pytest.fixture(scope="session")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Hub]]:
    """Four running hubs that all offer the data set `clinic`: north, east, south, west."""
    folder = tmp_path_factory.mktemp("four")
    with running(folder, ("north", "east", "south", "west"), POLICY) as hubs:
        for number, (hub, rows) in enumerate(zip(hubs, ROWS, strict=True)):
            register(hub, folder, patients(number, rows))
        wait_offers(hubs, "clinic", 4)
        yield hubs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path
