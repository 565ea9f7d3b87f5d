"""What a daemon with four links costs while nothing happens, in an environment that has the core alone, without extras.

The environment is made afresh beside the hubs, with the pinned versions: what else is installed where the benchmark
runs must not count. Memory is what the kernel says (`smaps_rollup`), in MB of 10^6 bytes: RSS counts pages that are
shared with other processes in full, PSS by their share. The largest of the samples is given.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.hubs import commit, federation, processes
from demo.hubs import Hub, stop_all, wait_until

IDLE_S: Final = 60.0
SAMPLES: Final = 12
SETTLED_S: Final = 5.0
"""After the links are up: records are compared, the spare worker has started."""
STARTS: Final = 5
ROOT: Final = Path(__file__).resolve().parents[1]


def core_environment(folder: Path) -> Path:
    """A new virtual environment with the core of this checkout; its interpreter."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pinned = ROOT / "requirements" / "constraints.txt"
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(pinned), "-e", str(ROOT)]
    subprocess.run([str(python), *install], check=True)
    found = subprocess.run([str(python), "-c", "import pyarrow"], capture_output=True, check=False)
    if not found.returncode:
        raise RuntimeError("the environment has more than the core")
    return python


def memory_mb(process: psutil.Process) -> dict[str, float]:
    """RSS and PSS of a process, in MB."""
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:]) if rest}
    return {"rss_mb": sizes["Rss"] * 1024 / 1e6, "pss_mb": sizes["Pss"] * 1024 / 1e6}


def start_s(hub: Hub) -> float:
    """Seconds from starting the daemon to its answer."""
    hub.stop()
    began = time.monotonic()
    hub.start()
    return time.monotonic() - began


def idle(seconds: float = IDLE_S) -> dict[str, Any]:
    """A daemon with four links that does nothing; start to ready."""
    folder = Path(tempfile.mkdtemp(prefix="sn-idle-"))
    hubs: list[Hub] = []
    try:
        python = core_environment(folder / "environment")
        hubs = federation(folder, 5, (str(python), "-m", "secured_node"))
        ready = sorted(start_s(hubs[1]) for _ in range(STARTS))
        wait_until(partial(hubs[1].linked, 4), "links", 60)
        time.sleep(SETTLED_S)
        daemon, *workers = processes(hubs[1])
        before = sum(daemon.cpu_times()[:2])
        samples = []
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            samples.append(memory_mb(daemon))
        used = sum(daemon.cpu_times()[:2]) - before
        largest = {name: round(max(sample[name] for sample in samples), 1) for name in samples[0]}
        return {
            "case": "idle",
            "links": 4,
            **largest,
            "worker_rss_mb": [round(memory_mb(worker)["rss_mb"], 1) for worker in workers],
            "core_percent": round(100 * used / seconds, 2),
            "ready_s": round(ready[STARTS // 2], 2),
            "ready_s_max": round(ready[-1], 2),
            "commit": commit(),
        }
    finally:
        stop_all(hubs)
        shutil.rmtree(folder, ignore_errors=True)
