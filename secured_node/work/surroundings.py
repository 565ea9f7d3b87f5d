"""The process around the worker: what it inherits, what it shows, and when it must end.

Showing. From the first order on, standard output and error lead nowhere: a library's warning, a print in a plugin, the
text of an exception may hold a patient's values. The worker speaks through `Voice`, in sentences of its own.

Ending. A worker must not outlive its daemon: nobody would ever ask for what it computes, and it holds patients' data.
Three things see to that: the kernel's parent-death signal, where the daemon is the parent; the end of the socket, when
the worker waits for an order; and a thread that sees the same while it computes. (The kernel forgets the signal when
the walls enter a user namespace; the thread does not depend on it.)
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import sys
import threading
from importlib import import_module
from typing import Final

from secured_node.work.walls import syscalls
from secured_node.work.walls.process import threads

SINGLE_THREAD: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Landlock and namespaces restrict only a process of one thread. These keep numpy's linear algebra and Arrow's
allocator from starting more when they are imported before the walls."""

PRELOADED: Final = (
    "secured_node.work.computation",
    "secured_node.data.sources.csv",
    "secured_node.data.sources.parquet",
    "pyarrow.compute",
)
"""What takes long to import and holds no data: had before an order comes, it is not waited for afterwards."""

_PR_SET_PDEATHSIG: Final = 1
_STANDARD: Final = (0, 1, 2)


class Voice:
    """What the worker says to its supervisor's log: one line each, in words of this code base."""

    def __init__(self) -> None:
        """Keeps the standard error of this process, and sends all three standard descriptors nowhere.

        A crash in native code is still told there, as the names of Python functions.
        """
        self.descriptor = os.dup(2)
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for standard in _STANDARD:
            os.dup2(nowhere, standard)
        os.close(nowhere)
        faulthandler.enable(self.descriptor)

    def say(self, text: str) -> None:
        """One line. A log that is gone is no reason to fail."""
        with contextlib.suppress(OSError):
            os.write(self.descriptor, f"{text}\n".encode())


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    with contextlib.suppress(OSError):
        syscalls.call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def end_with(descriptor: int) -> None:
    """End this process, whatever it computes, once the other end of the socket is closed. Starts a thread."""
    threading.Thread(target=_watch, args=(descriptor,), name="watch", daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # nothing but the hang-up, which is always told
    poll.poll()
    os._exit(0)


def preload() -> None:
    """Import ahead of the walls what all jobs need.

    If a library starts threads all the same, this process starts itself anew without it: no walls could be raised.
    """
    os.environ.update(SINGLE_THREAD)
    for module in PRELOADED:
        with contextlib.suppress(ImportError):  # without pyarrow there are tasks without data
            import_module(module)
    if threads() != 1:
        os.execv(sys.executable, [*sys.orig_argv, "--cold"])  # noqa: S606 - the same program, before any data
