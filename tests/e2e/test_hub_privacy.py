"""Noise over four real daemons: figures within it, budgets booked once and refused when used up, no downgrade."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.hubs import Hub, wait_until
from secured_node.cli.common import CommandError
from tests.hub_kit import cli, done, patients, register, rows_of, running, submit, wait_ended, wait_offers

pytestmark = pytest.mark.timeout(240)
ROWS = (900, 700, 800, 600)
STRICT = """
[policy]
default = "join"

[privacy]
noise = "record"
epsilon_max = 3.0
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four hubs that want noise and allow epsilon 3 for each data set."""
    folder = tmp_path_factory.mktemp("strict")
    with running(folder, ("north", "east", "south", "west"), STRICT) as hubs:
        for name in ("clinic", "ward", "lab"):
            for number, (hub, rows) in enumerate(zip(hubs, ROWS, strict=True)):
                register(hub, folder, patients(number, rows), name)
            wait_offers(hubs, name, 4)
        yield hubs


def noisy(hub: Hub, data: str, epsilon: float, *more: str) -> str:
    """Submit a summary with noise as a researcher does; the job's id."""
    arguments = ("--data", data, "--epsilon", str(epsilon), "--purpose", "research", "--min-nodes", "4")
    ran = cli(hub.state, "job", "submit", "summary", *arguments, "--max-nodes", "4", "-p", "columns=age,stage", *more)
    assert ran.code == 0, ran.err
    return str(ran.value["job"])


def spent(hub: Hub, data: str) -> dict[str, Any]:
    return next(b for b in hub.ask("GET", "/v1/status")["budgets"] if b["data"] == data)


def test_a_noisy_summary_is_booked_by_all_and_right_within_its_noise(strict: list[Hub], tmp_path: Path) -> None:
    job = noisy(strict[0], "clinic", 2.0)
    shown = strict[1].job(job)
    assert shown["privacy"]["unit"] == "record"
    assert shown["privacy"]["epsilon"] == pytest.approx(2.0, rel=1e-6)
    assert shown["rounds_max"] == 1
    assert "epsilon 2 at delta 1e-06" in shown["consent"] and "one row" in shown["consent"]
    found = done(strict, job)
    deviation = found["data"]["noise"]["standard_deviations"]["rows"]
    rows = found["data"]["rows"]
    assert rows != sum(ROWS) or found["data"]["columns"]["age"]["count"] != rows
    assert abs(rows - sum(ROWS)) < 8 * deviation
    ages = np.concatenate([patients(number, rows).age for number, rows in enumerate(ROWS)])
    assert abs(found["data"]["columns"]["age"]["mean"] - np.nanmean(ages)) < 8 * 60 * deviation / sum(ROWS)
    for hub in strict:
        assert spent(hub, "clinic")["epsilon_spent"] == pytest.approx(2.0, rel=1e-6)
        assert spent(hub, "clinic")["rho_set_aside"] == 0.0
        assert spent(hub, "ward")["epsilon_spent"] == 0.0
    status = cli(strict[0].state, "status", as_json=False).out
    assert "clinic: 2 of 3 spent at delta 1e-06" in status
    assert "2 of 3 spent" in cli(strict[0].state, "data", "list", as_json=False).out.replace("\n", " ")
    assert "hides one record: epsilon 2" in cli(strict[0].state, "job", "show", job, as_json=False).out
    # The result can be made again from the certified sums, noise and all.
    assert cli(strict[0].state, "job", "result", job, "--out", str(tmp_path / "out")).code == 0
    assert cli(None, "job", "verify", str(tmp_path / "out")).value["result_checked"]


def own_answer(hub: Hub, job: str) -> dict[str, Any]:
    """What a hub itself answered to a job."""

    def answered() -> Any:
        with contextlib.suppress(CommandError):  # the job's record may still be on its way
            return next((d for d in hub.job(job)["decisions"] if d["name"] == hub.name), None)

    found: dict[str, Any] = wait_until(answered, f"{hub.name} does not answer")
    return found


def test_a_job_that_costs_more_than_is_left_is_refused_with_the_numbers(strict: list[Hub]) -> None:
    done(strict, noisy(strict[0], "ward", 2.5))
    again = noisy(strict[1], "ward", 2.5)
    for hub in strict:
        answer = own_answer(hub, again)
        assert answer["answer"] == "refuse"
        for part in ("epsilon 2.5", "'ward'", "(epsilon 3)", "is left"):
            assert part in answer["reason"]
        assert spent(hub, "ward")["epsilon_spent"] == pytest.approx(2.5, rel=1e-6)
    strict[1].ask("POST", f"/v1/jobs/{again}/cancel", {})


def test_policy_downgrade_a_peer_that_offers_no_noise_is_refused_and_no_person_can_approve_it(
    strict: list[Hub],
) -> None:
    job = submit(strict[0], "summary", {"columns": ["age"]}, data="lab", min_nodes=4, max_nodes=4)
    for hub in strict:
        answer = own_answer(hub, job)
        assert answer["answer"] == "refuse"
        assert "asks for exact sums; this site's policy wants noise that hides one record" in answer["reason"]
        ran = cli(hub.state, "job", "approve", job)
        assert ran.code != 0 and "wants noise that hides one record" in ran.err
    assert "no noise is added" in strict[1].job(job)["consent"]
    strict[0].ask("POST", f"/v1/jobs/{job}/cancel", {})


def test_a_daemon_killed_between_rounds_books_each_round_once(strict: list[Hub], tmp_path: Path) -> None:
    """Many rounds, killed at a few of them: what it booked is what the others booked."""
    parameters = {"family": "binomial", "outcome": "ill", "covariates": ["age"], "steps": 40, "ridge": 1e6}
    noise = {"unit": "record", "rho": 0.1, "delta": 1e-6}
    south = strict[2]
    job = submit(strict[0], "glm", parameters, strict, data="lab", privacy=noise, rounds_max=40)
    for rounds in (2, 9):
        wait_until(lambda r=rounds: strict[0].job(job)["rounds"] >= r, f"{rounds} rounds are not done")
        south.kill()
        south.start()
    ended = wait_ended(strict, job, 120)
    assert {shown["state"] for shown in ended} == {"done"}, ended
    booked = [
        json.loads(rows_of(hub, "SELECT data FROM spent WHERE job = ?", bytes.fromhex(job))[0][0]) for hub in strict
    ]
    assert all(b == booked[0] for b in booked)
    assert booked[0]["rounds"] == ended[0]["rounds"] <= 40


def test_bad_noise_is_explained_to_the_researcher(strict: list[Hub]) -> None:
    ran = cli(
        strict[0].state, "job", "submit", "summary", "--data", "lab", "--epsilon", "1", "--hide", "site",
        "--purpose", "research", "-p", "columns=age",
    )  # fmt: skip
    assert ran.code == 2
    assert "cannot say how much one site changes its sums" in ran.err
    with pytest.raises(CommandError) as error:
        submit(strict[0], "summary", {"columns": ["age"]}, data="lab", privacy={"rho": 1.0})
    assert "privacy has exactly these fields" in error.value.why
