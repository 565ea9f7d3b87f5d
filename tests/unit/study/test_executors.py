"""Local computation here, in processes and on a real Dask cluster: the same run, byte for byte."""

from __future__ import annotations

import contextlib
import socket

import psutil
import pytest
from distributed import LocalCluster

from secured_node.data.errors import DataError
from simulations.study.executors import DASK, IN_PROCESS, PROCESSES, executor
from simulations.study.result import StudyResult
from tests.unit.study.kit import TRAIN, scenario

HIDDEN = {"name": "train", "parameters": TRAIN["parameters"] | {"hidden": 3, "rounds": 3}}


def study(where: str) -> StudyResult:
    fault = {"kind": "crash", "nodes": ["h2"], "at": "400 ms", "lasts": "3 s"}
    return scenario(task=HIDDEN, fault=[fault]).study(where, workers=2)


@pytest.fixture(scope="module")
def here() -> StudyResult:
    return study(IN_PROCESS)


@pytest.mark.parametrize("where", [PROCESSES, DASK])
def test_the_trace_does_not_depend_on_where_hospitals_compute(where: str, here: StudyResult) -> None:
    there = study(where)
    assert there.executor == where
    assert there.repetitions[0].outcome == "done"
    assert there.repetitions[0].trace_hash == here.repetitions[0].trace_hash
    assert there.repetitions[0] == here.repetitions[0]


def test_a_task_that_raises_elsewhere_is_told_as_here() -> None:
    tables = {"task": HIDDEN, "fault": [{"kind": "raise", "nodes": ["h1"], "round": 2}]}
    assert scenario(**tables).study(PROCESSES, workers=1).repetitions == scenario(**tables).study().repetitions


def test_the_local_cluster_listens_on_loopback_alone_speaks_tls_and_serves_no_pages() -> None:
    with executor(DASK, 1) as pool:
        assert pool is not None
        assert pool.submit(sum, (1, 2)).result(30) == 3
        address = pool._client.scheduler.address  # type: ignore[attr-defined]
        assert address.startswith("tls://127.0.0.1:")
        me = psutil.Process()
        doors = [
            connection.laddr
            for process in (me, *me.children(recursive=True))
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(doors) >= 2
        assert {door.ip for door in doors} == {"127.0.0.1"}
        answers = [_get(door.port) for door in doors]
        assert any(b"404" in answer for answer in answers), "the HTTP servers were asked, too"
        assert not any(b" 200 " in answer for answer in answers)


def _get(port: int) -> bytes:
    """What a plain HTTP request for health and info is answered."""
    found = b""
    for path in (b"/health", b"/info/main/workers.html", b"/json/counts.json", b"/status"):
        with socket.create_connection(("127.0.0.1", port), 2) as asking:
            asking.settimeout(2)
            asking.sendall(b"GET " + path + b" HTTP/1.0\r\n\r\n")
            with contextlib.suppress(OSError):
                found += asking.recv(4096)
    return found


def test_a_cluster_of_the_readers_own_does_the_same(here: StudyResult) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        assert study(cluster.scheduler_address).repetitions == here.repetitions


def test_an_executor_that_is_none_is_told() -> None:
    with pytest.raises(DataError, match=r"allowed: here \| processes \| dask"), executor("abacus"):
        pass


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulations.study.executors.CONNECT_S", 1.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DataError, match="no scheduler answers"), executor(f"tcp://127.0.0.1:{port}"):
        pass
