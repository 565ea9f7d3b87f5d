"""What the simulator costs: `python -m benchmarks.simulator [CASE ...]` prints one JSON object a line.

CPU seconds are of this process alone, which uses one core; the load of the machine is told beside them, since a busy
neighbour makes them longer. The checkers are on in every case.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from protocols.job.kinds import JobSpec
from protocols.job.life import State
from simulations.checkers.converge import check_converge
from simulations.checkers.watch import Watch
from simulations.federation import Federation
from simulations.network import Network
from simulations.trials.numbers import Numbers
from simulations.trials.records import gossip
from simulations.trials.stage import DATA, Setting
from simulations.verification import remembered
from simulations.world import World

SIZES: Final = (4, 8, 16, 32, 64)
LONG: Final = 100_000


def cpu() -> float:
    """CPU seconds of this process so far."""
    return time.process_time()


def rss_mb() -> float:
    """Resident memory now, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def events() -> Iterator[dict[str, Any]]:
    """Records and failure handling of 20 nodes: events a second, and whether memory is flat over a million."""
    memory: list[float] = []
    total, spent = 0, 0.0
    for seed in range(100):
        began = cpu()
        setting = Setting(seed)
        gossip(setting, nodes=20)
        spent += cpu() - began
        total += setting.trace.events
        memory.append(rss_mb())
        if total >= 1_000_000:
            break
    one = {"seeds": len(memory), "rss_mb_after_first": round(memory[0]), "rss_mb_at_end": round(memory[-1])}
    yield {"case": "sim_events", "n": 20, "events": total, "events_per_cpu_s": round(total / spent), **one}


def one_run() -> Iterator[dict[str, Any]]:
    """A single run of a million events: what one world keeps."""
    setting, began, before = Setting(1), cpu(), rss_mb()
    gossip(setting, nodes=20, until_s=3600.0)
    yield {
        "case": "sim_one_run",
        "n": 20,
        "events": setting.trace.events,
        "events_per_cpu_s": round(setting.trace.events / (cpu() - began)),
        "rss_mb_before": round(before),
        "rss_mb_after": round(rss_mb()),
    }


def federation(n: int, length: int, rounds: int) -> Federation:
    """A federation on a good network whose job has so many rounds."""
    world = World(1, Network((0.001, 0.02)), record=False)
    made = Federation(world, [Numbers(1, k, length, rounds) for k in range(n)])
    Watch(made)
    made.boot()
    return made


def summed(n: int, length: int, rounds: int) -> tuple[float, float, Federation]:
    """CPU seconds and virtual seconds of a job with so many rounds."""
    made = federation(n, length, rounds)
    members = tuple(made.nodes)
    spec = JobSpec("numbers", b"{}", DATA, "bench", members, n, n, rounds_max=max(100, rounds), word_bits=32)
    began, start = cpu(), made.world.now
    job = made.submit(0, spec)
    if not made.run_until_over(job) or made.states(job, range(n)) != [State.DONE] * n:
        raise RuntimeError(f"the job of {n} nodes did not end well")
    return cpu() - began, made.world.now - start, made


def rounds() -> Iterator[dict[str, Any]]:
    """5,000 complete rounds of n = 5, d = 100."""
    spent, virtual_s, made = summed(5, 100, 5000)
    yield {
        "case": "sim_rounds",
        "n": 5,
        "d": 100,
        "rounds": 5000,
        "cpu_s": round(spent, 1),
        "virtual_s_per_round": round(virtual_s / 5000, 3),
        "events": made.world.trace.events,
    }


def scaling() -> Iterator[dict[str, Any]]:
    """The cost of a round per node for growing cohorts, d = 10^5, w = 32, h = 2: bytes flat, CPU linear in n.

    Three rounds less the first, in which jobs, decisions and groups are agreed on.
    """
    for n in SIZES:
        once_cpu, _, once = summed(n, LONG, 1)
        more_cpu, virtual_s, more = summed(n, LONG, 3)
        first = max(once.world.hosts[node].sent_bytes for node in once.nodes)
        whole = max(more.world.hosts[node].sent_bytes for node in more.nodes)
        yield {
            "case": "sim_scaling",
            "n": n,
            "d": LONG,
            "sent_bytes_per_round": (whole - first) // 2,
            "sent_bytes_first": first,
            "cpu_s_per_node_and_round": round((more_cpu - once_cpu) / 2 / n, 4),
            "cpu_s_first_round_in_all": round(once_cpu, 2),
            "virtual_s": round(virtual_s, 2),
        }


def thousand() -> Iterator[dict[str, Any]]:
    """A thousand nodes that know only the founder learn of each other, checked."""
    began = cpu()
    world = World(1, Network((0.001, 0.2)), record=False)
    made = Federation(world, [Numbers(1, k, 1, 1) for k in range(1000)], introduced=False)
    Watch(made)
    made.boot()
    took = check_converge(made)
    members = len(made.hub(999).node.roster.members())
    yield {
        "case": "sim_thousand",
        "n": 1000,
        "cpu_s": round(cpu() - began, 1),
        "virtual_s": round(took),
        "events": world.trace.events,
        "members_known": members,
    }


CASES: Final[dict[str, Callable[[], Iterator[dict[str, Any]]]]] = {
    "events": events,
    "one_run": one_run,
    "rounds": rounds,
    "scaling": scaling,
    "thousand": thousand,
}


def main(names: list[str]) -> None:
    """Run the named cases, or all."""
    for name in names or [*CASES]:
        with remembered():
            for result in CASES[name]():
                result["load"] = round(os.getloadavg()[0], 1)
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
