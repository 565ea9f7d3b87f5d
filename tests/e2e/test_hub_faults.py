"""kill -9 of daemons and workers in the middle of a job: it ends, the sums are the same everywhere, never two of one.

The moments are drawn from a seed; `FAULT_SEED` in the environment tries another.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.hubs import Hub, wait_until
from secured_node.cli.common import CommandError
from tests.hub_kit import (
    assert_never_two,
    children,
    cli,
    done,
    patients,
    register,
    result,
    rows_of,
    running,
    submit,
    wait_offers,
)

pytestmark = pytest.mark.timeout(170)
FAULT_SEED = int(os.environ.get("FAULT_SEED", "20261122"))
ROUNDS = 30
POLICY = '[policy]\ndefault = "join"\n[log]\nlevel = "info"\n'


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Hub]]:
    folder = tmp_path_factory.mktemp("faults")
    with running(folder, ("north", "east", "south", "west"), POLICY) as four:
        for number, hub in enumerate(four):
            register(hub, folder, patients(50 + number, 40), "faulty")
        wait_offers(four, "faulty", 4)
        yield four


def rounds(hub: Hub, job: str) -> int:
    """How far a job is at a hub; -1 while the hub does not answer or know it."""
    with contextlib.suppress(CommandError):
        return int(hub.job(job)["rounds"])
    return -1


def furthest(hubs: list[Hub], job: str) -> int:
    return max(rounds(hub, job) for hub in hubs)


def long_job(hubs: list[Hub]) -> str:
    return submit(hubs[0], "bench", {"length": 300, "rounds": ROUNDS, "word_bits": 32}, hubs, word_bits=32)


def assert_all_sums(hubs: list[Hub], job: str, count: int = ROUNDS) -> None:
    """Every hub holds every round, the same sums, and the result that the bench task knows to be right."""
    together = assert_never_two(hubs)
    assert {number for name, number in together if name == _id(hubs[0], job)} == set(range(1, count + 1))
    for hub in hubs:
        found = rows_of(hub, "SELECT count(*) FROM certified WHERE job = ?", bytes.fromhex(_id(hub, job)))
        assert found == [(count,)], hub.name
        made = result(hub, job)
        assert not made["problem"] and made["data"]["error_max"] <= made["data"]["error_allowed"]


def _id(hub: Hub, job: str) -> str:
    return str(hub.job(job)["job"])


def test_a_daemon_killed_at_random_moments_of_a_job_loses_nothing_and_certifies_nothing_twice(
    hubs: list[Hub],
) -> None:
    """Each hub once, at a drawn round and a drawn part of a round; the last two at the same time."""
    draw = random.Random(FAULT_SEED)
    job = long_job(hubs)
    order = draw.sample(hubs, 4)
    moments = sorted(draw.sample(range(2, ROUNDS - 4), 3))
    for moment, victims in zip(moments, (order[:1], order[1:2], order[2:]), strict=True):
        wait_until(lambda m=moment: furthest(hubs, job) >= m, f"the job does not get to round {moment}", every_s=0.001)
        time.sleep(draw.random() * 0.03)  # any part of a round
        for victim in victims:
            victim.kill()
        for victim in victims:
            victim.start(wait=False)
        for victim in victims:
            victim.wait_ready()
    done(hubs, job, 90)
    assert_all_sums(hubs, job)


def test_all_daemons_killed_at_once_go_on_where_they_were(hubs: list[Hub]) -> None:
    draw = random.Random(FAULT_SEED + 1)
    job = long_job(hubs)
    wait_until(lambda: furthest(hubs, job) >= draw.randrange(3, 12), "the job does not run", every_s=0.001)
    for hub in hubs:
        hub.kill()
    for hub in hubs:
        hub.start(wait=False)
    for hub in hubs:
        hub.wait_ready()
    done(hubs, job, 90)
    assert_all_sums(hubs, job)


def test_a_worker_killed_at_random_moments_is_replaced_and_the_job_ends(hubs: list[Hub]) -> None:
    draw = random.Random(FAULT_SEED + 2)
    job = long_job(hubs)
    killed = 0
    for moment in sorted(draw.sample(range(2, ROUNDS - 2), 3)):
        wait_until(lambda m=moment: furthest(hubs, job) >= m, f"the job does not get to round {moment}", every_s=0.001)
        victim = draw.choice(hubs)
        assert victim.process is not None
        for worker in children(victim.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                killed += 1
    assert killed
    done(hubs, job, 90)
    assert_all_sums(hubs, job)


def test_a_group_is_never_forgotten_whenever_a_hub_is_killed(hubs: list[Hub]) -> None:
    """The first job on a data set forms the group; one of the four is killed while it does."""
    draw = random.Random(FAULT_SEED + 3)
    job = submit(hubs[0], "summary", {"columns": ["age"]}, hubs, data="faulty")
    victim = draw.choice(hubs[1:])
    time.sleep(draw.random() * 0.15)
    victim.kill()
    victim.start()
    found = done(hubs, job, 90)
    ages = np.concatenate([patients(50 + number, 40).age for number in range(4)])
    np.testing.assert_allclose(found["data"]["columns"]["age"]["mean"], np.nanmean(ages), rtol=1e-11)
    for hub in hubs:
        hub.kill()
        hub.start(wait=False)
    for hub in hubs:
        hub.wait_ready()
        (group,) = [g for g in cli(hub.state, "groups").value["groups"] if g["data"] == "faulty"]
        assert group["standing"] == "grouped" and len(group["members"]) == 4, hub.name
        assert not group["unsigned"], hub.name


def test_a_hub_killed_when_its_job_was_done_still_gives_the_result(hubs: list[Hub]) -> None:
    """Killed at once when the others say that the job is done, maybe before its own result is kept."""
    for delay in (0.0, 0.01):
        job = submit(hubs[0], "bench", {"length": 20, "rounds": 3, "word_bits": 32}, hubs, word_bits=32)
        wait_until(lambda job=job: furthest(hubs[:3], job) >= 3, "the job does not get to its end", every_s=0.001)
        time.sleep(delay)
        hubs[3].kill()
        hubs[3].start()
        done(hubs, job)
        assert result(hubs[3], job)["data"]["rounds"] == 3
        wait_until(lambda job=job: not (hubs[3].state / "scratch" / job).exists(), "integers were left behind")
        assert _verified(hubs[3], job)


def test_a_result_that_was_not_kept_before_the_kill_is_made_again(hubs: list[Hub]) -> None:
    job = submit(hubs[0], "bench", {"length": 20, "rounds": 3, "word_bits": 32}, hubs, word_bits=32)
    before = done(hubs, job)
    hub = hubs[0]
    hub.kill()
    with contextlib.closing(sqlite3.connect(hub.state / "node.db")) as db, db:
        assert db.execute("DELETE FROM result WHERE job = ?", (bytes.fromhex(job),)).rowcount == 1
    hub.start()
    after = result(hub, job)
    assert (after["data"], after["chain"]["rounds"][-1][1]) == (before["data"], before["chain"]["rounds"][-1][1])


def _verified(hub: Hub, job: str) -> bool:
    shown: Any = cli(hub.state, "job", "result", job)
    return shown.code == 0 and shown.value["proved"]["rounds"] == 3


def test_nothing_that_a_worker_kept_outlives_its_job(hubs: list[Hub], tmp_path: Path) -> None:
    job = submit(hubs[0], "bench", {"length": 20, "rounds": 2, "word_bits": 32}, hubs, word_bits=32)
    done(hubs, job)
    for hub in hubs:
        wait_until(
            lambda hub=hub: not [f for f in (hub.state / "scratch").rglob("*.words") if job in str(f)],
            f"{hub.name}'s worker left integers behind",
        )


def kept_words(hub: Hub, job: str) -> dict[str, bytes]:
    """What a hub's workers keep for a job."""
    folder = hub.state / "scratch" / job
    return {path.name: path.read_bytes() for path in folder.glob("*.words")} if folder.exists() else {}


def test_integers_that_a_kill_at_the_end_left_behind_are_cleared_at_the_next_start(hubs: list[Hub]) -> None:
    """Of ended jobs, done or cancelled; those of a round that is not certified stay, and are the ones that go in."""
    over = [submit(hubs[0], "bench", {"length": 20, "rounds": 1, "word_bits": 32}, hubs, word_bits=32) for _ in "ab"]
    for job in over:
        done(hubs, job)
    live = long_job(hubs)
    wait_until(lambda: furthest(hubs, live) >= 2, "the job does not run", every_s=0.001)
    hubs[3].kill()  # nobody can certify another round now
    wait_until(lambda: len(kept_words(hubs[0], live)) == 1, "no integers are kept", every_s=0.01)
    time.sleep(0.5)
    before = kept_words(hubs[0], live)
    hubs[0].kill()
    for job in over:  # as a kill between the end of the job and its being forgotten leaves them
        folder = hubs[0].state / "scratch" / job
        folder.mkdir(exist_ok=True)
        (folder / "round-1.words").write_bytes(bytes(80))
        (folder / "round-1.part").write_bytes(bytes(8))
    hubs[0].start()
    for job in over:
        wait_until(lambda job=job: not (hubs[0].state / "scratch" / job).exists(), "left behind for ever")
    number = rounds(hubs[0], live) + 1
    assert len(before) == 1 and kept_words(hubs[0], live) == before == {
        f"round-{number}.words": next(iter(before.values()))
    }
    hubs[3].start()
    done(hubs, live, 90)
    assert_all_sums(hubs, live)
    wait_until(lambda: not kept_words(hubs[0], live), "left behind")


def test_a_damaged_sum_stops_the_hub_in_words_and_a_members_file_mends_it(hubs: list[Hub]) -> None:
    """The hub needs the sum to bring its worker up to date; what it does without it is say so, and stop."""
    job = long_job(hubs)
    wait_until(lambda: furthest(hubs, job) >= 3, "the job does not run", every_s=0.001)
    hub, other = hubs[0], hubs[1]
    hubs[3].kill()
    hub.kill()
    ((name,),) = rows_of(hub, "SELECT total FROM certified WHERE job = ? AND round = 1", bytes.fromhex(job))
    path = hub.state / "blobs" / name
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    ran = cli(hub.state, "run", "--config", str(hub.config), as_json=False)
    assert ran.code == 6 and "Traceback" not in ran.err, ran.err[-800:]
    assert name in "".join(ran.err.split()) and "same file" in " ".join(ran.err.split())
    path.write_bytes((other.state / "blobs" / name).read_bytes())
    hub.start()
    hubs[3].start()
    done(hubs, job, 90)
    assert_all_sums(hubs, job)
