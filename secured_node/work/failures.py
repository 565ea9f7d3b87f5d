"""Exceptions to words: the one seam at which whatever went wrong in the worker becomes a `Failed` frame.

The errors of this code base carry words that hold no value of the data, and are passed on. All others, those of a
task's own code and of libraries, may quote a patient in their text (`KeyError('Jane Roe')`): of them only the type, and
the place in the code, is told.
"""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path
from typing import Final

from protocols.errors import LocalError
from secured_node.data.errors import DataError
from secured_node.work.frames import Failed, FrameError, printable
from secured_node.work.walls import WallsError

_NAME_CHARS_MAX: Final = 80
"""Of a type, a file, a function: longer ones were made to carry something."""


class WorkerError(Exception):
    """The worker refuses. code: one of `Failed`'s; reason, todo: for people."""

    def __init__(self, code: str, reason: str, todo: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason, self.todo = code, reason, todo


def failed(error: BaseException) -> Failed:
    """The frame that tells of an error."""
    match error:
        case WorkerError():
            code, reason, todo = error.code, error.reason, error.todo
        case DataError():
            code, reason, todo = "data", f"{error.what}: {error.why}", error.todo
        case WallsError():
            code, reason, todo = "walls", f"{error.what}: {error.why}", error.remedy
        case LocalError():
            code, reason, todo = "encoding", str(error), ""
        case FrameError():
            code, reason, todo = "frame", str(error), "run the same version of daemon and worker"
        case MemoryError():
            code, reason, todo = "memory", "this machine has too little memory for the job", ""
        case OSError(errno=int(number)) if number in errno.errorcode:
            reason = f"the operating system says: {os.strerror(number)} ({_place(error)})"
            code, todo = "system", "see that scratch can be written and the disk is not full"
        case _:
            reason = f"the task's code raised {_named(type(error).__name__)} ({_place(error)})"
            code, todo = "task", "tell the task's author; the error's own text may quote data and is not shown"
    return Failed(code, printable(reason), printable(todo))


def _place(error: BaseException) -> str:
    """Where it was raised: file, line, function."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "place unknown"
    last = frames[-1]
    return f"{_named(Path(last.filename).name)}, line {last.lineno}, in {_named(last.name)}"


def _named(name: str) -> str:
    return name if len(name) <= _NAME_CHARS_MAX and name.isprintable() else "something without a proper name"
