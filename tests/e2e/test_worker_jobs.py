"""Whole jobs over real, walled workers: the sums of their vectors give what the pooled data give."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from protocols.message import Payload
from secured_node.work.supervisor import JobFailed, WorkerDied
from tests.unit import heart
from tests.unit.heart import HEART, HOSPITALS, needs_heart
from tests.unit.walls_kit import needs_walls
from tests.worker_kit import (
    JOB,
    SCHEMA,
    Site,
    add_up,
    on_ward,
    order,
    reopened,
    run_job,
    ward_rows,
    worker_site,
)

pytestmark = [needs_walls, pytest.mark.timeout(120)]

SUMMARY = json.dumps({"columns": ["age", "weight", "smoker", "stage"]}).encode()
BENCH = json.dumps({"length": 1000, "rounds": 2}).encode()


async def three_sites(stack: AsyncExitStack, root: Path) -> list[Site]:
    """Of unequal size."""
    return [
        await stack.enter_async_context(worker_site(root / str(number), ward_rows(number, rows)))
        for number, rows in enumerate((40, 25, 90))
    ]


async def test_summary_equals_the_pooled_data(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sites = await three_sites(stack, tmp_path)
        results, sums = await run_job(sites, lambda site: on_ward(site, "summary", SUMMARY, members=3))
        kept = [site.kept() for site in sites]
    rows = [row for number, count in enumerate((40, 25, 90)) for row in ward_rows(number, count)]
    weights = np.array([row[1] for row in rows if row[1] != ""], float)
    ages = np.array([row[0] for row in rows], float)
    for result in results:
        assert result == results[0]
        assert not result.problem
        columns = result.data["columns"]
        assert result.data["rows"] == 155
        assert columns["weight"]["count"] == len(weights)
        assert columns["weight"]["missing"] == 155 - len(weights)
        assert columns["weight"]["mean"] == pytest.approx(weights.mean(), rel=1e-9)
        assert columns["weight"]["variance"] == pytest.approx(weights.var(ddof=1), rel=1e-8)
        assert columns["age"]["mean"] == pytest.approx(ages.mean(), rel=1e-9)
        assert columns["stage"]["levels"]["late"] == sum(row[3] == "late" for row in rows)
        assert load(result.arrays)["mean"] == pytest.approx([ages.mean(), weights.mean()], rel=1e-9)
    assert [table["title"] for table in results[0].tables] == ["Numbers (155 rows)", "Levels (155 rows)"]
    assert len(sums) == 2
    assert kept == [[], [], []], "integers of certified rounds stay on disk"


@needs_heart
async def test_glm_on_four_hospitals_is_the_same_at_all(tmp_path: Path) -> None:
    sm = pytest.importorskip("statsmodels.api")
    schema = _heart_schema()
    mapping = _heart_mapping()
    parameters = json.dumps({"family": "binomial", "outcome": "num", "covariates": ["age", "thalach", "oldpeak"]})
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(worker_site(tmp_path / name)) for name in HOSPITALS]
        paths = {site.root.name: HEART / f"processed.{site.root.name}.data" for site in sites}
        results, _ = await run_job(
            sites,
            lambda site: order(
                "glm", parameters.encode(), path=str(paths[site.root.name]), schema=schema, mapping=mapping
            ),
        )
    assert all(result == results[0] for result in results)
    tables = heart.heart_tables()
    columns = [np.concatenate([table.columns[name] for table in tables]) for name in ("age", "thalach", "oldpeak")]
    outcome = np.concatenate([table.columns["num"] for table in tables])
    complete = np.isfinite(np.column_stack(columns)).all(axis=1) & (outcome >= 0)
    pooled = sm.GLM(
        outcome[complete], sm.add_constant(np.column_stack(columns)[complete]), family=sm.families.Binomial()
    ).fit(tol=1e-14, maxiter=100)
    fitted = list(results[0].data["coefficients"].values())
    assert [row["coefficient"] for row in fitted] == pytest.approx(list(pooled.params), rel=1e-7)
    assert [row["standard_error"] for row in fitted] == pytest.approx(list(pooled.bse), rel=1e-6)


def _heart_schema() -> str:
    return """
name = "heart-disease"
version = 1
[columns.age]
type = "number"
minimum = 0
maximum = 120
[columns.thalach]
type = "number"
minimum = 30
maximum = 250
[columns.oldpeak]
type = "number"
minimum = -10
maximum = 10
[columns.num]
type = "boolean"
"""


def _heart_mapping() -> str:
    levels = ", ".join(f'"{degree}" = "{"false" if degree == 0 else "true"}"' for degree in range(5))
    return f'missing = ["?"]\n[text]\nheader = {json.dumps(heart.HEADER)}\n[columns.num]\nlevels = {{ {levels} }}\n'


async def test_bench_in_narrow_words(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(worker_site(tmp_path / str(number))) for number in range(4)]
        results, sums = await run_job(sites, lambda _: order("bench", BENCH, word_bits=32))
    assert all(result == results[0] for result in results)
    assert not results[0].problem
    assert len(sums) == 2
    assert sums[0].nbytes == 4 * 1000 + 8


async def test_node_that_reads_along_has_the_same_result(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sites = await three_sites(stack, tmp_path)
        reader = await stack.enter_async_context(worker_site(tmp_path / "reader"))
        results, sums = await run_job(sites, lambda site: on_ward(site, "summary", SUMMARY, members=3))
        session = await reopened(reader, order("summary", SUMMARY, schema=SCHEMA, members=3), sums)
        assert await session.finish() == results[0]
        session = await reader.supervisor.open(order("summary", SUMMARY, schema=SCHEMA, members=3))
        assert session.opened.rows == 0
        with pytest.raises(JobFailed, match="only reads along"):
            await session.local(1)


async def test_worker_killed_between_local_and_apply_gives_the_same_integers(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        job = order("bench", BENCH, word_bits=32)
        session = await site.supervisor.open(job)
        first, bound = await session.local(1)
        total = add_up([first] * 4, 32)
        await session.apply(1, total)
        second, _ = await session.local(2)
        os.kill(session.process, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="killed by SIGKILL"):
            await session.apply(2, total)
        with pytest.raises(WorkerDied):
            await session.local(2)
        assert site.kept() == ["round-2.words"]

        session = await reopened(site, job, [total])
        again, bound_again = await session.local(2, again=True)
        assert np.array_equal(again, second)
        assert bound_again == bound
        assert np.array_equal((await session.local(2))[0], second)
        assert await session.apply(2, add_up([again] * 4, 32))
        assert site.kept() == []
        result = await session.finish()
        assert not result.problem

        # Made anew they would differ: that is why they are kept.
        await site.supervisor.forget(JOB)
        session = await reopened(site, job, [total])
        assert not np.array_equal((await session.local(2))[0], second)


@pytest.mark.parametrize("seed", range(4))
async def test_worker_killed_at_any_moment_never_gives_other_integers(tmp_path: Path, seed: int) -> None:
    """Whatever it had come to: what was handed over once is handed over again, and the job goes on."""
    delay = random.Random(seed)
    job = order("bench", json.dumps({"length": 200_000}).encode(), word_bits=32)
    handed: Payload | None = None
    async with worker_site(tmp_path / "site") as site:
        for _ in range(3):
            session = await site.supervisor.open(job)
            making = asyncio.create_task(session.local(1, again=handed is not None))
            await asyncio.sleep(delay.uniform(0, 0.02))
            os.kill(session.process, signal.SIGKILL)
            with contextlib.suppress(WorkerDied):
                words, _ = await making
                assert handed is None or np.array_equal(words, handed)
                handed = words.copy()
            await session.close()
        session = await site.supervisor.open(job)
        words, _ = await session.local(1, again=handed is not None)
        assert handed is None or np.array_equal(words, handed)
        assert site.kept() == ["round-1.words"]
        assert await session.apply(1, add_up([words] * 4, 32))


async def test_integers_that_were_lost_are_not_made_again(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        job = order("bench", BENCH, word_bits=32)
        session = await site.supervisor.open(job)
        await session.local(1)
        await session.close()
        (site.scratch / JOB / "round-1.words").unlink()
        session = await site.supervisor.open(job)
        with pytest.raises(JobFailed, match="not on this site's disk any more") as caught:
            await session.local(1, again=True)
        assert caught.value.code == "lost"
        assert "must fail" in caught.value.todo
        assert caught.value.public == "it lost integers that it had already handed over"
        assert site.kept() == []


async def test_integers_are_on_disk_before_they_are_handed_over(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        session = await site.supervisor.open(order("bench", BENCH, word_bits=32))
        words, _ = await session.local(1)
        path = site.scratch / JOB / "round-1.words"
        assert path.read_bytes() == words.tobytes()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_rounds_come_in_order(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        for number in (2, 100_000):
            session = await site.supervisor.open(order("bench", BENCH, word_bits=32))
            with pytest.raises(JobFailed, match="0 are done") as caught:
                await session.local(number)
            assert caught.value.code == "order"
        session = await site.supervisor.open(order("bench", BENCH, word_bits=32))
        with pytest.raises(JobFailed, match="no result after 0 rounds"):
            await session.finish()
        session = await site.supervisor.open(order("bench", BENCH, word_bits=32, rounds_max=1))
        words, _ = await session.local(1)
        await session.apply(1, add_up([words] * 4, 32))
        with pytest.raises(JobFailed, match="allows 1 rounds"):
            await session.local(2)


async def test_sum_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site", ward_rows(1, 30)) as site:
        job = on_ward(site, "summary", SUMMARY)
        session = await site.supervisor.open(job)
        words, _ = await session.local(1)
        with pytest.raises(JobFailed, match="its layout another number"):
            await session.apply(1, add_up([words], 64)[8:])
        session = await site.supervisor.open(job)
        garbage = np.full(len(words) + 8, 0x7F, np.uint8)
        with pytest.raises(JobFailed, match=r"not one that honest sites.*rows, present, levels, sums"):
            await session.apply(1, garbage)


async def test_one_site_may_have_several_jobs_at_a_time(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        jobs = [order("bench", BENCH, word_bits=32, job=f"{number:064x}") for number in range(3)]
        sessions = await asyncio.gather(*map(site.supervisor.open, jobs))
        assert len({session.process for session in sessions}) == 3
        words = [await session.local(1) for session in sessions]
        assert not np.array_equal(words[0][0], words[1][0])
        assert [site.kept(job.job) for job in jobs] == [["round-1.words"]] * 3


async def test_large_vector_is_not_copied(tmp_path: Path) -> None:
    async with worker_site(tmp_path / "site") as site:
        parameters = json.dumps({"length": 10_000_000}).encode()
        session = await site.supervisor.open(order("bench", parameters, word_bits=32))
        before = _memory_kb()
        words, _ = await session.local(1)
        assert words.nbytes == 40_000_000
        assert not words.flags.owndata
        assert not words.flags.writeable
        after = _memory_kb()
        assert after["VmRSS"] - before["VmRSS"] < 10_000, "nothing was read, so nothing is in memory"
        words.max()
        touched = _memory_kb()
        assert touched["RssAnon"] - before["RssAnon"] < 10_000, "40 MB of the worker's pages, none of our own"
        del words
        assert _memory_kb()["VmRSS"] - before["VmRSS"] < 10_000


def _memory_kb() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}
