"""What was asked of the walls, what they became, and the error that refuses to work behind too few of them."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal


class Layer(StrEnum):
    """One wall. Each is raised and proven by itself; `__init__` says what each one stops."""

    DESCRIPTORS = "descriptors"
    NETWORK_NAMESPACE = "network-namespace"
    MOUNT_NAMESPACE = "mount-namespace"
    HIDDEN_MEMORY = "hidden-memory"
    CAPABILITIES = "capabilities"
    NO_NEW_PRIVS = "no-new-privileges"
    LANDLOCK = "landlock"
    SECCOMP = "seccomp"


FILE_SYSTEM_LAYERS: Final = frozenset({Layer.LANDLOCK, Layer.MOUNT_NAMESPACE})


class WallsError(Exception):
    """The walls cannot be what they must be: `what` happened, `why`, and what a person can do about it (`remedy`)."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(f"{what}: {why}. {remedy}")


class LayerFailedError(Exception):
    """One layer could not be raised; the text is the reason, in words an administrator can act on."""


@dataclass(frozen=True)
class Walls:
    """What the worker keeps: everything else is behind a wall.

    Raises `WallsError` for paths that contradict each other or do not exist.
    """

    read: tuple[Path, ...]
    """Files and folders of this job's data set, absolute; readable, never writable."""
    write: tuple[Path, ...]
    """Scratch folders, absolute, at least one: the only places where anything can be written."""
    descriptors: tuple[int, ...] = ()
    """Open descriptors to keep besides 0, 1 and 2: the connected socket to the daemon."""

    def __post_init__(self) -> None:
        """Check that the paths exist and do not contradict each other."""
        if not self.write:
            raise WallsError("no scratch folder", "the worker keeps its integers on disk", "Name one folder.")
        for path in (*self.read, *self.write):
            if not path.is_absolute():
                raise WallsError(f"{path} is relative", "a relative path changes its meaning", "Name it from /.")
            if not path.exists():
                raise WallsError(
                    f"{path} does not exist", "the worker can only be let to what is there", "check the path"
                )
        for folder in self.write:
            if not folder.is_dir():
                raise WallsError(f"{folder} is not a folder", "scratch is a folder", "Name a folder.")
            for path in self.read:
                if path.resolve().is_relative_to(folder.resolve()):
                    raise WallsError(
                        f"the data set {path} lies in the scratch folder {folder}",
                        "a plugin could then change the data",
                        "Put scratch elsewhere.",
                    )


class Outcome(StrEnum):
    """What one forbidden thing did when it was really tried."""

    STOPPED = "stopped"
    """It worked before the walls and failed behind them."""
    OPEN = "open"
    """It works behind the walls."""
    UNPROVEN = "unproven"
    """It failed before the walls too, so its failure behind them says nothing about the walls."""


@dataclass(frozen=True)
class Attempt:
    """One forbidden thing, tried before and behind the walls."""

    name: str
    before: int
    """errno of the attempt before the walls, 0 when it worked."""
    behind: int
    """errno of the attempt behind the walls, 0 when it worked."""

    @property
    def outcome(self) -> Outcome:
        """What the two attempts say together."""
        if self.behind == 0:
            return Outcome.OPEN
        return Outcome.UNPROVEN if self.before else Outcome.STOPPED

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome} ({errno_name(self.behind)})"


@dataclass(frozen=True)
class WallReport:
    """Which layers stand, which do not and why, and what each forbidden thing did."""

    raised: frozenset[Layer]
    """Layers that were raised and then held."""
    failed: Mapping[Layer, str]
    """Every other layer, with the reason."""
    attempts: tuple[Attempt, ...]
    """The forbidden things, in the order in which they were tried."""
    leaks: tuple[str, ...] = ()
    """Open descriptors that lead out of the process and are no local stream socket or pipe."""
    blocked: tuple[str, ...] = ()
    """What the worker needs and cannot do behind these walls."""

    @property
    def sufficient(self) -> bool:
        """True with seccomp, at least one file-system layer, and no descriptor that leads out."""
        return Layer.SECCOMP in self.raised and bool(self.raised & FILE_SYSTEM_LAYERS) and not self.leaks

    def still_open(self) -> tuple[str, ...]:
        """Names of the forbidden things that work behind these walls."""
        return tuple(attempt.name for attempt in self.attempts if attempt.outcome is Outcome.OPEN)


def require_walls(report: WallReport, sandbox: Literal["strict", "none"] = "strict") -> None:
    """Raise `WallsError` unless the walls suffice and the worker can work behind them.

    `sandbox="none"` accepts anything: the site's owner wrote out that this worker may run unwalled.
    """
    if sandbox == "none":
        return
    if report.leaks:
        raise WallsError(
            "the worker holds a way out",
            "; ".join(report.leaks),
            "Start the worker with no descriptor but its connected local socket.",
        )
    if not report.sufficient:
        missing = [layer for layer in (Layer.SECCOMP, *sorted(FILE_SYSTEM_LAYERS)) if layer not in report.raised]
        raise WallsError(
            "the worker is not walled in, so no data set is opened",
            "; ".join(f"{layer}: {report.failed.get(layer, 'not raised')}" for layer in missing),
            'It needs seccomp and Landlock (or a mount namespace). Mend this, or write sandbox = "none" '
            "into the configuration to run plugins that can reach the network and every file of this user.",
        )
    if report.blocked:
        raise WallsError(
            "the worker cannot work behind its walls",
            "; ".join(report.blocked),
            f"Check that the worker's user (uid {os.geteuid()}, without privileges) may itself read the data set "
            "and write its scratch folder.",
        )


def errno_name(number: int) -> str:
    """'EPERM' for 1, 'worked' for 0."""
    return "worked" if number == 0 else errno.errorcode.get(number, str(number))
