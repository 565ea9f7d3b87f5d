"""Landlock: the kernel's own file-system rules for a process that restricts itself, from Linux 5.13 on.

A rule set names the kinds of access it handles; a handled access is refused everywhere except under a path that a
rule names. Everything this kernel knows is handled, so everything not in `grants` is refused. Younger kernels handle
more, and the walls take what there is:

| ABI | Linux | adds |
|---|---|---|
| 1 | 5.13 | open, list, make, remove, execute |
| 2 | 5.19 | moving and linking between folders (before: always refused) |
| 3 | 6.2 | truncation (before: unguarded here; seccomp refuses `truncate` and odd `open` flags) |
| 4 | 6.7 | TCP bind and connect |
| 5 | 6.10 | ioctl on devices |
| 6 | 6.12 | abstract unix sockets and signals to processes outside |

No rule grants execution, device ioctl, TCP, or the making of links, sockets, pipes and devices. What Landlock never
sees: `stat`, `chdir`, `chmod`, time stamps, extended attributes, unix sockets by path. Seccomp refuses those that
change something; `stat` stays, so a plugin can learn that a path exists unless a mount namespace hides it.

A refusal is EACCES, which tells it apart from seccomp's EPERM.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from enum import IntFlag
from pathlib import Path
from typing import Final

from . import syscalls
from .grants import Grant, Use
from .report import LayerFailedError


class Access(IntFlag):
    """The kinds of file-system access (`LANDLOCK_ACCESS_FS_*`)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


_ABI_1: Final = Access((1 << 13) - 1)
_SINCE: Final = ((2, Access.REFER), (3, Access.TRUNCATE), (5, Access.IOCTL_DEV))
_NET_TCP: Final = 0b11  # bind and connect, ABI 4
_SCOPED: Final = 0b11  # abstract unix sockets and signals, ABI 6
_ON_FILES: Final = (
    Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
)  # the kernel refuses a rule that gives a file any other access
_GRANTED: Final = {
    Use.READ: Access.READ_FILE | Access.READ_DIR,
    Use.LIST: Access.READ_DIR,
    Use.DEVICE: Access.READ_FILE | Access.WRITE_FILE,
    Use.WRITE: Access.READ_FILE
    | Access.READ_DIR
    | Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.REFER,
}
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_PROC: Final = Path("/proc")


class _RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr` up to ABI 6; an older kernel accepts the zeros at its end."""

    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """The Landlock ABI of this kernel, 1 or more. Raises `LayerFailedError` where there is none."""
    try:
        return syscalls.call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except syscalls.UnknownMachineError as error:
        raise LayerFailedError(str(error.strerror)) from error
    except OSError as error:
        why = {
            errno.ENOSYS: "this kernel is older than Linux 5.13 or was built without Landlock: update it",
            errno.EOPNOTSUPP: 'Landlock is switched off: add "landlock" to the lsm= list of the kernel command line',
            errno.EPERM: "the container's seccomp profile refuses Landlock: update the container runtime",
        }
        raise LayerFailedError(why.get(error.errno or 0, f"the kernel says {error.strerror}")) from error


def restrict(grants: Iterable[Grant], *, threads: int) -> None:
    """Refuse this process everything that is not granted, for good. `threads`: how many it has, 0 if unknown.

    Raises `LayerFailedError` and changes nothing if the kernel lacks Landlock, another thread runs (Landlock would
    leave that one free), or a rule is refused.
    """
    version = abi()
    if threads != 1:
        raise LayerFailedError(
            f"{threads or 'uncounted'} threads run already and Landlock restricts only one: raise the walls before "
            "numpy or anything else that starts threads is imported"
        )
    handled = _ABI_1
    for since, access in _SINCE:
        handled |= access if version >= since else 0
    attr = _RulesetAttr(handled, _NET_TCP if version >= 4 else 0, _SCOPED if version >= 6 else 0)
    try:
        ruleset = syscalls.call("landlock_create_ruleset", attr, ctypes.sizeof(attr), 0)
        try:
            for grant in grants:
                _add_rule(ruleset, grant, handled)
            syscalls.call("landlock_restrict_self", ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError as error:
        raise LayerFailedError(f"the kernel refused a rule: {error}") from error


def _add_rule(ruleset: int, grant: Grant, handled: Access) -> None:
    """Grant one path. The rule is tied to the inode that the path names now.

    Procfs makes a new inode whenever it has forgotten a name, which would silently end the grant; an open
    descriptor makes it remember. Such descriptors stay open for the life of the process: a few, opened with O_PATH,
    on which nothing can be read.
    """
    descriptor = os.open(grant.path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = _GRANTED[grant.use] & handled
        if not grant.path.is_dir():
            allowed &= _ON_FILES
        rule = _PathBeneathAttr(allowed, descriptor)
        syscalls.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        if not grant.path.is_relative_to(_PROC):
            os.close(descriptor)
