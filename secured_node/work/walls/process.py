"""What a process can give up about itself: open descriptors, readable memory, capabilities, new privileges.

None of these needs a privilege, and each is read back from the kernel after it was set.
"""

import ctypes
import os
import resource
import socket
import stat
from pathlib import Path
from typing import Final

from . import syscalls
from .report import LayerFailedError

_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_NO_NEW_PRIVS: Final = 39
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAPABILITIES_MAX: Final = 64  # the width of the kernel's set; prctl says EINVAL from the first unknown one on
_STANDARD: Final = frozenset({0, 1, 2})
_STREAMS: Final = frozenset({socket.SOCK_STREAM, socket.SOCK_SEQPACKET})


def threads() -> int:
    """How many threads this process has, those of native libraries too; 0 if they cannot be counted."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 0


def close_descriptors(keep: tuple[int, ...]) -> None:
    """Close every descriptor but the standard ones and `keep`: what was inherited by accident is a way out.

    Raises `LayerFailedError` if the process cannot list its descriptors.
    """
    try:
        for descriptor in open_descriptors() - _STANDARD - frozenset(keep):
            os.close(descriptor)
    except OSError as error:
        raise LayerFailedError(f"open descriptors cannot be listed and closed: {error}") from error


def open_descriptors() -> frozenset[int]:
    """The numbers of all open descriptors. Raises `OSError` without /proc."""
    listed = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    return frozenset(filter(_is_open, listed))


def _is_open(descriptor: int) -> bool:
    """False for the descriptor that served the listing itself and is closed again."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def leaks() -> tuple[str, ...]:
    """Open descriptors that lead out of the machine or to anyone who is not the daemon, in words.

    Only connected unix stream sockets are let pass: data on such a socket go to its one peer. A datagram socket could
    address anyone (seccomp cannot see the address in `sendmsg`), and a network socket is the wall's negation.
    """
    found = []
    for descriptor in sorted(open_descriptors()):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            continue
        with socket.socket(fileno=os.dup(descriptor)) as held:
            if held.family != socket.AF_UNIX:
                found.append(f"descriptor {descriptor} is a network socket ({held.family.name})")
            elif held.type not in _STREAMS:
                found.append(f"descriptor {descriptor} is a datagram socket: use SOCK_STREAM")
            elif not _is_connected(held):
                found.append(f"descriptor {descriptor} is a unix socket that is not connected")
    return tuple(found)


def _is_connected(held: socket.socket) -> bool:
    """True if the socket has a peer, or had one that has gone."""
    try:
        held.getpeername()
    except OSError:
        return False
    return True


def hide_memory() -> None:
    """No core dump holds patient data, and no other process of this user may read this one's memory.

    Raises `LayerFailedError` if the kernel did not take it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    syscalls.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    if syscalls.call("prctl", _PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise LayerFailedError("the process is still dumpable")


def forbid_new_privileges() -> None:
    """No set-uid program and no file capability can raise this process again; Landlock and seccomp demand it.

    Raises `LayerFailedError` if the kernel did not take it.
    """
    syscalls.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if syscalls.call("prctl", _PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        raise LayerFailedError("the kernel did not keep no_new_privs")


def drop_capabilities() -> None:
    """Give up every capability: root in a container, or the root of a new user namespace, becomes an ordinary user.

    Raises `LayerFailedError` if any remains.
    """
    for capability in range(_CAPABILITIES_MAX):
        try:
            syscalls.call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
        except OSError:  # not ours to drop, or past the last one; without programs to run it bounds nothing
            break
    try:
        syscalls.call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        syscalls.call("capset", _CapHeader(), _CapData())
    except OSError as error:
        raise LayerFailedError(f"capabilities could not be dropped: {error}") from error
    held = _CapData()
    syscalls.call("capget", _CapHeader(), held)
    if any(held.words):
        raise LayerFailedError("capabilities remain after they were dropped")


class _CapHeader(ctypes.Structure):
    """`struct __user_cap_header_struct`, for this thread."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    def __init__(self) -> None:
        super().__init__(_CAPABILITY_VERSION_3, 0)


class _CapData(ctypes.Structure):
    """Effective, permitted and inheritable sets, low words then high words, all empty."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)
