"""A member is killed for good: real daemons go on without it, and it finds that out when it is back after all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.hubs import Hub, wait_until
from secured_node.cli.common import CommandError
from tests.hub_kit import assert_never_two, cli, done, end_all, found_hubs, result, start_all, submit

pytestmark = pytest.mark.timeout(170)
ROUNDS = 60
IMPATIENT = (sys.executable, "-m", "tests.impatient")


@pytest.fixture
def hubs(folder: Path) -> Iterator[list[Hub]]:
    four = found_hubs(folder, ("north", "east", "south", "west"))
    for hub in four:
        hub.program = IMPATIENT
    try:
        start_all(four)
        yield four
    finally:
        end_all(four)


def successor(hub: Hub, job: str) -> str:
    """The id of the job that continues this one, as a hub knows it; empty if there is none."""
    shown = (hub.job(known["job"]) for known in hub.ask("GET", "/v1/jobs")["jobs"])
    return next((str(one["job"]) for one in shown if (one["continues"] or {}).get("job") == job), "")


def test_hubs_go_on_without_a_member_that_was_killed_and_it_follows_when_it_is_back(
    hubs: list[Hub], folder: Path
) -> None:
    """J31."""
    there, lost = hubs[:3], hubs[3]
    with pytest.raises(CommandError) as refused:
        submit(hubs[0], "bench", {}, hubs, continues=["00" * 32, 0, "00" * 32])
    assert "continues" in refused.value.why
    bench = {"length": 300, "rounds": ROUNDS, "word_bits": 32}
    job = submit(hubs[0], "bench", bench, hubs, word_bits=32, on_drop="go_on", min_nodes=3)
    job = str(hubs[0].job(job)["job"])
    wait_until(lambda: hubs[0].job(job)["rounds"] >= 3, "the job does not run", every_s=0.001)
    lost.kill()
    heir = wait_until(lambda: successor(hubs[0], job), "nobody proposes a successor", 60)
    done(there, heir, 90)
    taken = hubs[0].job(heir)["continues"]["round"]
    assert 3 <= taken < ROUNDS
    for hub in there:
        old = hub.job(job)
        assert old["state"] == "cancelled" and heir in old["reason"] and "west" in old["reason"]
        assert old["rounds"] == taken
        made = result(hub, heir)
        assert not made["problem"] and made["data"]["error_max"] <= made["data"]["error_allowed"]
    lost.start()
    done([lost], heir, 60)
    assert lost.job(job)["state"] == "cancelled"
    assert not result(lost, heir)["problem"]
    assert_never_two(hubs)
    saved = folder / "saved"
    assert cli(lost.state, "job", "result", heir, "--out", str(saved)).code == 0
    verified = cli(None, "job", "verify", str(saved))
    assert verified.code == 0, verified.err
    assert verified.value["before"] == [[4, taken]] and verified.value["result_checked"]
