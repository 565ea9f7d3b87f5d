"""What the daemon is told when a worker cannot do its work: the job is over, or only the worker is."""

from __future__ import annotations

from typing import Final

#: Said to other sites of every failure that may depend on the data: two reasons would tell which, and so of the data.
FAILED: Final = "its data or settings do not fit the job, or its worker failed"
#: Said to other sites in place of the reason, which may name this site's files and columns.
PUBLIC: Final = {
    **dict.fromkeys(("data", "encoding", "task"), FAILED),
    "walls": "its worker could not be walled in",
    "lost": "it lost integers that it had already handed over",
    "policy": "its policy refuses the job by now",
    "budget": "its privacy budget for the data set is used up",
}
#: Codes of failures that may be over soon: a full disk, too little memory, a worker before this one that still ends.
PASSING: Final = frozenset({"system", "memory", "busy"})


class WorkError(Exception):
    """Base of what a supervisor and its sessions raise on purpose."""


class JobFailed(WorkError):  # noqa: N818 - says what happened
    """The worker refused or failed, and would again: the job, or the check, is over.

    code: a fixed word (`frames.Failed`). reason, todo: for this site's people; they hold no value of the data, but may
    name files and columns. public: for everyone else.
    """

    def __init__(self, reason: str, todo: str = "", code: str = "order") -> None:
        super().__init__(f"{reason}; {todo}" if todo else reason)
        self.reason, self.todo, self.code = reason, todo, code

    @property
    def public(self) -> str:
        """The reason as other sites may read it."""
        return PUBLIC.get(self.code, FAILED)


class WorkerDied(WorkError):  # noqa: N818 - says what happened
    """The worker is gone: killed, crashed, silent for too long, or not speaking our language.

    Another one, opened for the same job and given the same sums, may go on. The text says how it ended.
    """
