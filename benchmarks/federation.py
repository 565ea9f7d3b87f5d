"""Rounds between real daemons over TLS on loopback: bytes, processor time, wall time, memory.

Each case runs a `bench` job: a vector that is made before the clock starts, summed four times; the first round warms
up. Sent bytes and processor time are per node and round, workers included. Prints one JSON object a line.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.hubs import commit, federation, processes
from benchmarks.idle import idle
from demo.hubs import Hub, stop_all, wait_until

ROUNDS: Final = 3
CASES: Final = (
    # n, d, word_bits, holders
    (5, 1_000_000, 32, 2),
    (5, 1_000_000, 32, 1),
    (5, 10_000_000, 32, 2),
    (10, 1_000_000, 32, 2),
)


def cpu_s(hub: Hub) -> float:
    """Processor time of a hub's living processes so far."""
    return sum(sum(p.cpu_times()[:2]) for p in processes(hub))


def peak_rss_mb(hub: Hub) -> float:
    """The daemon's largest resident memory so far."""
    status = Path(f"/proc/{processes(hub)[0].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def rounds_done(hub: Hub, job: str) -> int:
    """How many sums a job has at a hub; -1 before it knows the job."""
    return int(hub.job(job)["rounds"]) if hub.knows(job) else -1


def case(size: int, length: int, word_bits: int, holders: int) -> dict[str, Any]:
    """One row of the table."""
    folder = Path(tempfile.mkdtemp(prefix="sn-bench-"))
    hubs: list[Hub] = []
    try:
        hubs = federation(folder, size)
        names = [hub.name for hub in hubs]
        body: dict[str, Any] = {"task": "bench", "purpose": "bench", "members": names, "word_bits": word_bits}
        body |= {"parameters": {"length": length, "word_bits": word_bits, "rounds": ROUNDS + 1}}
        body |= {"min_nodes": size, "max_nodes": size, "rounds_max": ROUNDS + 1, "holders": holders}
        job = hubs[0].ask("POST", "/v1/jobs", body)["job"]
        wait_until(lambda: rounds_done(hubs[0], job) >= 1, "the first round", 120, every_s=0.005)
        before, start = [(hub.sent_bytes(), cpu_s(hub)) for hub in hubs], time.monotonic()
        wait_until(lambda: rounds_done(hubs[0], job) >= ROUNDS + 1, "the last round", 300, every_s=0.005)
        wall = time.monotonic() - start
        after = [(hub.sent_bytes(), cpu_s(hub)) for hub in hubs]
        return {
            "case": "round",
            "n": size,
            "d": length,
            "word_bits": word_bits,
            "holders": holders,
            "sent_bytes": round(max(a[0] - b[0] for a, b in zip(after, before, strict=True)) / ROUNDS),
            "cpu_s": round(max(a[1] - b[1] for a, b in zip(after, before, strict=True)) / ROUNDS, 3),
            "wall_s": round(wall / ROUNDS, 3),
            "peak_rss_mb": round(max(peak_rss_mb(hub) for hub in hubs)),
            "load": round(os.getloadavg()[0], 1),
            "commit": commit(),
        }
    finally:
        stop_all(hubs)
        shutil.rmtree(folder, ignore_errors=True)


def smallest_job(repetitions: int = 5) -> dict[str, Any]:
    """`summary` of one column over four nodes, from submit to the verified result."""
    folder = Path(tempfile.mkdtemp(prefix="sn-bench-"))
    hubs: list[Hub] = []
    try:
        hubs = federation(folder, 4)
        schema = 'name = "small"\nversion = 1\n[columns.age]\ntype = "integer"\nminimum = 0\nmaximum = 120\n'
        for k, hub in enumerate(hubs):
            path = folder / f"{k}.csv"
            path.write_text("age\n" + "".join(f"{20 + (7 * i + k) % 60}\n" for i in range(50)))
            hub.ask("POST", "/v1/data", {"path": str(path), "schema": schema, "mapping": ""})
        wait_until(lambda: len(hubs[0].ask("GET", "/v1/catalogue")["catalogue"]) == len(hubs), "catalogue")
        times = [submit_to_verified(hubs) for _ in range(repetitions)]
        return {
            "case": "smallest_job",
            "n": 4,
            "wall_s": sorted(times)[len(times) // 2],
            "all_s": times,
            "commit": commit(),
        }
    finally:
        stop_all(hubs)
        shutil.rmtree(folder, ignore_errors=True)


def submit_to_verified(hubs: list[Hub]) -> float:
    """Seconds of one small job; the chain of certificates is checked by the reader."""
    from secured_node.verify import verify_chain  # noqa: PLC0415

    time.sleep(4)  # spares are there again
    start = time.monotonic()
    body: dict[str, Any] = {"task": "summary", "purpose": "bench", "parameters": {"columns": ["age"]}, "data": "small"}
    body |= {"members": [hub.name for hub in hubs], "min_nodes": 4, "max_nodes": 4}
    job = hubs[0].ask("POST", "/v1/jobs", body)["job"]

    def result() -> Any:
        return hubs[0].ask("GET", f"/v1/jobs/{job}/result") if hubs[0].job(job)["state"] == "done" else None

    from secured_node.cli.common import CommandError  # noqa: PLC0415

    def patient() -> Any:
        try:
            return result()
        except CommandError:
            return None

    verify_chain(wait_until(patient, "no result", 30, every_s=0.005)["chain"])
    return round(time.monotonic() - start, 3)


def main() -> None:
    """All cases, or those whose name is given: round, smallest_job, idle."""
    chosen = set(sys.argv[1:]) or {"round", "smallest_job", "idle"}
    if "smallest_job" in chosen:
        print(json.dumps(smallest_job()), flush=True)
    if "round" in chosen:
        for one in CASES:
            print(json.dumps(case(*one)), flush=True)
    if "idle" in chosen:
        print(json.dumps(idle()), flush=True)


if __name__ == "__main__":
    main()
