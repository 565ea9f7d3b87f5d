"""Unknown keys at the door: one calm line at first, a warning if they stay unknown, and the audit told of all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols.identity import NodeId
from secured_node.net import limits
from secured_node.net.strangers import Strangers
from tests.net_kit import federation, identity, knock, stranger_context, until

ANY = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    structlog.reset_defaults()  # a command that another test ran in this process may have left its level behind
    with structlog.testing.capture_logs() as captured:
        yield captured


def told(logs: list[Any], level: str) -> list[Any]:
    return [entry for entry in logs if entry["log_level"] == level]


async def test_a_newcomer_that_is_admitted_meanwhile_is_no_warning(
    logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGER_S", 0.01)
    key, members = identity().node, set[NodeId]()
    strangers = Strangers(members.__contains__)
    for _ in range(5):
        assert strangers.called(key, "192.0.2.1: refused")
    members.add(key)
    await until(lambda: not strangers._callers)
    assert [entry["event"] for entry in logs] == ["unknown_caller"]
    assert "newcomer" in logs[0]["meaning"] and logs[0]["key"] == key


async def test_a_key_that_stays_unknown_is_one_warning_with_its_calls(
    logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGER_S", 0.01)
    strangers = Strangers(lambda _: False)
    for _ in range(5):
        strangers.called(KEY, "192.0.2.1: refused")
    await until(lambda: told(logs, "warning"))
    (warning,) = told(logs, "warning")
    assert (warning["event"], warning["code"], warning["calls"]) == ("refused", "unknown_key", 5)
    assert "192.0.2.1" in warning["detail"]
    strangers.called(KEY, "again")
    await until(lambda: len(told(logs, "warning")) == 2)


KEY = identity().node


async def test_a_stop_hides_nobody_and_a_scan_is_told_of_as_usual(
    logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGERS_MAX", 2)
    strangers = Strangers(lambda _: False)
    assert [strangers.called(identity().node, "x") for _ in range(4)] == [True, True, False, False]
    assert not told(logs, "warning")
    strangers.close()
    assert len(told(logs, "warning")) == 2
    await asyncio.sleep(0)
    assert not strangers._callers


async def test_the_door_refuses_a_stranger_each_time_and_counts_it_though_the_log_is_calm(logs: list[Any]) -> None:
    async with federation(2, linked=False) as (a, b):
        forged = stranger_context(Ed25519PrivateKey.generate(), b.node)
        for _ in range(4):
            assert await knock(a.port, forged, ANY) == b""
        await until(lambda: len(a.refusals) == 4)
        assert a.codes == ["unknown_key"] * 4
        assert [entry["event"] for entry in logs].count("unknown_caller") == 1
        assert not told(logs, "warning")
    (warning,) = told(logs, "warning")
    assert (warning["code"], warning["calls"]) == ("unknown_key", 4)
