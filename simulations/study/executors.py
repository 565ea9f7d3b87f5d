"""Where hospitals' local computation runs: here, in a pool of processes, or on a Dask cluster.

All three are a `concurrent.futures.Executor` (or None: here). What is computed does not depend on it: the trace's hash
is the same. A local Dask cluster listens on the loopback interface alone and speaks TLS with keys made for it, so that
other users of the machine cannot hand it work; a scheduler that the reader names is the reader's to protect.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, Final

from secured_node.data.errors import DataError

IN_PROCESS: Final = "here"
PROCESSES: Final = "processes"
DASK: Final = "dask"
_REMOTE: Final = ("tcp://", "tls://")
ALLOWED: Final = f"allowed: {IN_PROCESS} | {PROCESSES} | {DASK} | tcp://scheduler:8786 | tls://scheduler:8786"
CONNECT_S: Final = 10.0
LOOPBACK: Final = "127.0.0.1"
NO_PAGES: Final[dict[str, Any]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Dask's HTTP servers have no TLS, and cannot be left out: they shall serve nothing."""


@contextlib.contextmanager
def executor(name: str, workers: int | None = None) -> Iterator[Executor | None]:
    """The executor of that name for the time of a study; None: in this process.

    workers: processes, of those that are started here; None: one for each processor. Raises `DataError`.
    """
    count = workers or os.cpu_count() or 1
    if name == IN_PROCESS:
        yield None
    elif name == PROCESSES:
        # Not fork: what runs here may have threads.
        with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool
    elif name == DASK or name.startswith(_REMOTE):
        with _client(name, count) as client, client.get_executor() as pool:
            yield pool
    else:
        raise DataError(f"executor {name!r}", "there is no such executor", ALLOWED)


@contextlib.contextmanager
def _client(name: str, count: int) -> Iterator[Any]:
    try:
        import dask  # noqa: PLC0415 - an extra, and slow to import
        from distributed import Client, LocalCluster, Security  # noqa: PLC0415
    except ImportError:
        raise DataError(f"executor {name!r}", "Dask is not installed", "install secured-node[cluster]") from None
    if name != DASK:
        try:
            client = Client(name, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise DataError(f"executor {name!r}", f"no scheduler answers: {error}", "check the address") from None
        with client:
            yield client
        return
    with (
        dask.config.set(NO_PAGES),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host=LOOPBACK,
            protocol="tls",
            security=Security.temporary(),
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
