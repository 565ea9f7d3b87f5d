"""Local computation here, in processes and on a real Dask cluster: the same run, byte for byte."""

from __future__ import annotations

import socket

import pytest

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


def test_the_local_cluster_listens_on_loopback_alone_and_speaks_tls() -> None:
    with executor(DASK, 1) as pool:
        address = pool._client.scheduler.address  # type: ignore[union-attr]
        assert address.startswith("tls://127.0.0.1:")
        port = int(address.rpartition(":")[2])
        assert pool is not None
        assert pool.submit(sum, (1, 2)).result(30) == 3
        other = socket.gethostbyname(socket.gethostname())
        if not other.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((other, port), 2)


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
