"""The hubs that are measured: real daemons on this machine, linked over TLS on loopback."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from demo.hubs import PROGRAM, Hub, join, wait_until

POLICY: Final = '[policy]\ndefault = "join"\n[log]\nlevel = "warning"\n'


def commit() -> str:
    """The commit that is measured."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() or "none"


def federation(folder: Path, size: int, program: tuple[str, ...] = PROGRAM) -> list[Hub]:
    """So many linked hubs. program: how the product's commands are called."""
    hubs = [Hub(f"h{k}", folder, POLICY, program) for k in range(size)]
    hubs[0].command("init", "--federation", "bench", "--name", "h0")
    hubs[0].start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda hub: join(hubs[0], hub), hubs[1:]))
    for hub in hubs[1:]:
        hub.start(wait=False)
    for hub in hubs:
        hub.wait_ready()
    for hub in hubs:
        wait_until(partial(hub.linked, size - 1), f"{hub.name} has no links", 60)
    return hubs


def processes(hub: Hub) -> list[psutil.Process]:
    """A hub's daemon and its workers."""
    if hub.process is None:
        return []
    daemon = psutil.Process(hub.process.pid)
    return [daemon, *daemon.children(recursive=True)]
