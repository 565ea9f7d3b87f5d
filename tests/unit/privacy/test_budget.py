"""Budgets: booked once per job and round, durably, before anything leaves; never more than there is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocols.job.kinds import Answer, DataRef, JobSpec
from protocols.job.kinds import Privacy as Noise
from protocols.job.life import State
from protocols.privacy.accounting import rho_of
from secured_node.budget import Budgets, holds
from secured_node.config import Privacy
from secured_node.store.store import Store
from secured_node.work.errors import JobFailed

OPTIONS = Privacy(epsilon_max=1.0, delta=1e-6)
WHOLE = rho_of(1.0, 1e-6)


def job(number: int, rho: float | None, rounds: int = 3, data: str | None = "clinic") -> Any:
    """As much of a job as a budget looks at."""
    noise = None if rho is None else Noise("record", rho, 1e-6)
    ref = None if data is None else DataRef(data, "1", bytes(32))
    spec = JobSpec("summary", b"{}", ref, "a study", rounds_max=rounds, privacy=noise)
    return SimpleNamespace(job=bytes([number]) * 32, spec=spec, state=State.RUNNING)


async def test_a_round_is_booked_once_however_often_it_is_handed_over(tmp_path: Path) -> None:
    """J20."""
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    for number in (1, 1, 2, 1, 2):
        await budgets.book(job(1, 0.003), number, OPTIONS)
    assert budgets.spent("clinic") == Fraction(0.003) * 2 / 3
    told = [entry.body for entry in await store.entries() if entry.event == "spent"]
    assert len(told) == 2 and '"round":"2"' in told[1] and '"data":"clinic"' in told[1]
    await store.close()


async def test_what_was_booked_is_booked_after_a_restart(tmp_path: Path) -> None:
    """J20."""
    store = Store(tmp_path)
    await (await Budgets.load(store)).book(job(1, 0.003), 1, OPTIONS)
    await store.close()
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    assert budgets.spent("clinic") == Fraction(0.003) / 3
    await budgets.book(job(1, 0.003), 1, OPTIONS)
    assert budgets.spent("clinic") == Fraction(0.003) / 3
    await store.close()


async def test_a_round_that_is_not_in_the_budget_is_refused_and_not_booked(tmp_path: Path) -> None:
    """J20."""
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    await budgets.book(job(1, WHOLE, 2), 1, OPTIONS)
    with pytest.raises(JobFailed, match=r"'clinic'.*epsilon 1.*round 1") as error:
        await budgets.book(job(2, WHOLE, 1), 1, OPTIONS)
    assert error.value.public == "its privacy budget for the data set is used up"
    assert budgets.spent("clinic") == Fraction(WHOLE) / 2
    await budgets.book(job(1, WHOLE, 2), 2, OPTIONS)  # the whole budget, to the last digit
    assert budgets.spent("clinic") == Fraction(WHOLE)
    with pytest.raises(JobFailed):
        await budgets.book(job(3, 1e-9, 1), 1, OPTIONS)
    await store.close()


async def test_a_budget_that_was_lowered_stops_a_job_that_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    await budgets.book(job(1, WHOLE, 2), 1, OPTIONS)
    with pytest.raises(JobFailed):
        await budgets.book(job(1, WHOLE, 2), 2, Privacy(epsilon_max=5.0, budget={"clinic": 0.5}))
    await store.close()


async def test_jobs_without_noise_or_without_data_cost_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    for free in (job(1, None), job(2, 5.0, data=None)):
        await budgets.book(free, 1, OPTIONS)
        assert budgets.set_aside("clinic", [free]) == 0
    assert budgets.spent("clinic") == 0
    await store.close()


async def test_each_data_set_has_a_budget_of_its_own_and_its_versions_share_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    await budgets.book(job(1, WHOLE, 1), 1, OPTIONS)
    await budgets.book(job(2, WHOLE, 1, data="ward"), 1, OPTIONS)
    assert budgets.spent("clinic") == budgets.spent("ward") == Fraction(WHOLE)
    assert budgets.budget("clinic", OPTIONS, []).left == 0
    assert budgets.budget("other", OPTIONS, []).left == Fraction(WHOLE)
    await store.close()


async def test_the_whole_cost_is_set_aside_until_the_job_has_ended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    running = job(1, 0.02, 4)
    assert budgets.budget("clinic", OPTIONS, [running]).left == Fraction(WHOLE) - Fraction(0.02)
    await budgets.book(running, 1, OPTIONS)
    assert budgets.budget("clinic", OPTIONS, [running]).left == Fraction(WHOLE) - Fraction(0.02)
    # Ended after one round of four: the rest is free again.
    assert budgets.budget("clinic", OPTIONS, []).left == Fraction(WHOLE) - Fraction(0.02) / 4
    await store.close()


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("answer", [*Answer, None])
def test_a_job_holds_budget_while_it_is_joined_and_not_over(state: State, answer: Answer | None) -> None:
    over = state in (State.DONE, State.FAILED, State.CANCELLED)
    shape: Any = SimpleNamespace(state=state)
    assert holds(shape, answer) is (answer in (Answer.JOIN, Answer.WAIT) and not over)


async def test_people_are_shown_what_was_spent_and_what_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    running = job(1, 0.02, 4)
    await budgets.book(running, 2, OPTIONS)
    shown = budgets.shown("clinic", OPTIONS, [running])
    assert shown["rho_spent"] == shown["rho_set_aside"] == 0.01
    assert shown["epsilon_max"] == 1.0 and 0.5 < shown["epsilon_spent"] < 1
    assert budgets.shown("new", OPTIONS, [])["epsilon_spent"] == 0.0
    await store.close()


async def test_a_booking_that_the_disk_refused_is_booked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second try would take it for booked, and after a restart the budget would have it again."""
    store = Store(tmp_path)
    budgets = await Budgets.load(store)
    await budgets.book(job(1, 0.003), 1, OPTIONS)

    async def full(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", full)
        for one in (job(1, 0.003), job(2, 0.003)):
            with pytest.raises(OSError, match="disk full"):
                await budgets.book(one, 2, OPTIONS)
    assert budgets.spent("clinic") == Fraction(0.003) / 3
    await budgets.book(job(1, 0.003), 2, OPTIONS)
    await budgets.book(job(2, 0.003), 1, OPTIONS)
    assert (await Budgets.load(store)).spent("clinic") == budgets.spent("clinic") == Fraction(0.003)
    await store.close()
