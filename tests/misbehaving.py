"""Tasks that misbehave, copied by `worker_kit` into a plugin of their own. They read one numeric column.

`CANARY` and the values of the column must never be seen outside the worker.
"""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from protocols.encoding import Block, Layout
from secured_node.data.errors import DataError
from secured_node.tasks.base import Result, State, Task, need_table

ATTEMPTS = 8


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """column: to read. target: a file outside, and a listening socket, of the test."""

    column: str = "age"
    target: str = ""
    listener: str = ""


class Counted(State, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sums: what was summed."""

    parameters: Parameters
    rounds: int = 0
    sums: tuple[int, ...] = ()


class Misbehaving(Task[Parameters, Counted, Any]):
    """One round; each task overrides what it does wrong."""

    parameters_type = Parameters
    state_type = Counted

    def columns(self, parameters: Parameters) -> tuple[str, ...]:
        return (parameters.column,)

    def rounds_max(self, parameters: Parameters) -> int:
        return 1

    def start(self, parameters: Parameters, schema: Any, members: int) -> Counted:
        return Counted(members=members, parameters=parameters)

    def layout(self, state: Counted) -> Layout:
        return Layout((Block("counts", ATTEMPTS, "count", 1000.0),))

    def prepare(self, state: Counted, table: Any) -> Any:
        return need_table(table, table.schema).columns[state.parameters.column]

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        return {"counts": np.arange(ATTEMPTS)}

    def update(self, state: Counted, sums: Any) -> Counted:
        return msgspec.structs.replace(state, rounds=state.rounds + 1, sums=tuple(sums["counts"].tolist()))

    def done(self, state: Counted) -> bool:
        return state.rounds > 0

    def result(self, state: Counted) -> Result:
        return Result({"sums": list(state.sums)})


def secret(prepared: Any) -> str:
    """A patient's value as text."""
    return repr(float(prepared[0]))


class Raises(Misbehaving):
    """Its exception quotes a patient."""

    name = "raises"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        raise KeyError(f"no code for {secret(prepared)}")


class Talks(Misbehaving):
    """Shows a patient wherever a program can show anything, then raises."""

    name = "talks"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        text = secret(prepared)
        print(text, flush=True)
        print(text, file=sys.stderr, flush=True)
        os.write(1, text.encode())
        os.write(2, text.encode())
        warnings.warn(text, stacklevel=1)
        logging.getLogger().error(text)
        thread = threading.Thread(target=float, args=(text + "x",))
        thread.start()
        thread.join()
        ctypes.CDLL(None).perror(text.encode())
        try:
            raise ValueError(text)
        except ValueError as error:
            raise type(text, (Exception,), {})(text) from error


class Escapes(Misbehaving):
    """Tries to get out; counts which attempts worked."""

    name = "escapes"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        target = Path(state.parameters.target)

        def connect() -> None:
            with socket.socket(socket.AF_UNIX) as made:
                os.chdir(Path(state.parameters.listener).parent)
                made.connect(Path(state.parameters.listener).name)

        attempts = (
            lambda: socket.socket(socket.AF_INET).close(),
            lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
            connect,
            target.read_bytes,
            lambda: target.with_name("copied").write_bytes(b"x"),
            lambda: os.close(os.open(target.parent, os.O_DIRECTORY)),
            lambda: os.fork() or os._exit(0),
            lambda: os.kill(os.getppid(), 0),
        )
        assert len(attempts) == ATTEMPTS
        return {"counts": np.array([_worked(attempt) for attempt in attempts])}


def _worked(attempt: Any) -> int:
    try:
        attempt()
    except OSError:
        return 0
    return 1


class Sleeps(Misbehaving):
    """Takes for ever, in Python."""

    name = "sleeps"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        time.sleep(600)
        return super().local(state, prepared)


class Waits(Misbehaving):
    """Takes for ever while its data are prepared."""

    name = "waits"

    def prepare(self, state: Counted, table: Any) -> Any:
        time.sleep(600)


class Crashes(Misbehaving):
    """Reads address 0."""

    name = "crashes"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        return {"counts": ctypes.string_at(0)}


class Ends(Misbehaving):
    """Ends the process without a word."""

    name = "ends"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        os._exit(7)


class Exits(Misbehaving):
    """Asks the interpreter to end, with a patient in the message."""

    name = "exits"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        raise SystemExit(secret(prepared))


class Wrong(Misbehaving):
    """Makes a vector that no honest site could."""

    name = "wrong"

    def local(self, state: Counted, prepared: Any) -> dict[str, Any]:
        if state.parameters.target == "refuse":
            raise DataError("this site's data", "they do not suit me", "take others")
        return {"counts": np.full(ATTEMPTS, 1001)}
