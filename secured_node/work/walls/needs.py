"""What a worker must still be able to do behind its walls, done once, so that a wall too many is named at once."""

import fcntl
import os
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from .bench import Bench
from .probe import Probe
from .process import threads
from .report import Walls

_THREAD_ENDS_S: Final = 1.0  # microseconds, unless the machine is overloaded
_THREAD_AGAIN_S: Final = 0.0005


def needs(walls: Walls) -> tuple[Probe, ...]:
    """The needed things for these walls: each must work."""
    return (
        *(Probe(f"read {path}", partial(_read, path)) for path in walls.read),
        *(Probe(f"write in {path}", partial(_write, path)) for path in walls.write),
        Probe("read the standard library", partial(_read, Path(os.__file__))),
        Probe("open /dev/null", _null),
        Probe("start a thread", _thread),
        Probe("pass a sealed memfd over a local socket", _pass_memfd),
    )


def _read(path: Path, _: Bench) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if path.is_file():
            os.pread(descriptor, 1, 0)
    finally:
        os.close(descriptor)


def _write(folder: Path, bench: Bench) -> None:
    path = folder / f"{bench.folder.name}-write"
    path.write_bytes(b"x")
    path.unlink()


def _null(_: Bench) -> None:
    os.close(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))


def _thread(_: Bench) -> None:
    """Start one and see it off. Raises `OSError` where the interpreter says `RuntimeError`.

    `join` returns a moment before the kernel's thread is gone, and a wall that comes next wants a process of one.
    """
    before = threads()
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    thread.join()
    until = time.monotonic() + _THREAD_ENDS_S
    while threads() > before and time.monotonic() < until:
        time.sleep(_THREAD_AGAIN_S)


def _pass_memfd(_: Bench) -> None:
    descriptor = os.memfd_create("vector", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    here, there = socket.socketpair()
    try:
        os.write(descriptor, b"x")
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        socket.send_fds(here, [b"x"], [descriptor])
        for received in socket.recv_fds(there, 1, 1)[1]:
            os.close(received)
    finally:
        here.close()
        there.close()
        os.close(descriptor)
