"""Namespaces: a network with no interface, and a file system in which nothing else exists.

With CAP_SYS_ADMIN they are entered directly, otherwise through a new user namespace, which many machines refuse
(Docker's default profile, Ubuntu 24.04's AppArmor rule, `user.max_user_namespaces = 0`). Entering one half-way
cannot be undone, so everything is first rehearsed in a child: the worker itself takes only the steps that the child
completed. Inside systemd's `PrivateNetwork=yes` there is nothing left to gain; a process cannot prove from inside
that its loopback is its own, so the report then says what it sees and does not count the layer.

What the network namespace stops: every socket made after it. A socket made before it keeps its old network; the
descriptor layer closes those and seccomp stops `connect`. Namespaces bind a process at birth or by its own single
thread, so they come before any library that starts threads.
"""

import ctypes
import os
import select
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import mounts
from .grants import Grant, Use
from .report import Layer, LayerFailedError

NAMESPACE_LAYERS: Final[tuple[Layer, ...]] = (Layer.NETWORK_NAMESPACE, Layer.MOUNT_NAMESPACE)
#: A rehearsal takes milliseconds; one that hangs (a dead automount) costs this and the layers, not the worker.
REHEARSAL_S: Final = 5.0
_REHEARSAL_BYTES_MAX: Final = 4096
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_REMEDY: Final = "seccomp and Landlock do without; under systemd PrivateNetwork=yes gives the network part"


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`. Raises `OSError` with the kernel's errno."""
    if _LIBC.unshare(ctypes.c_int(flags)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "unshare")


def enter(grants: tuple[Grant, ...], wanted: Iterable[Layer], *, threads: int) -> dict[Layer, str]:
    """Enter the wanted namespaces. Returns the layers that could not be entered, with the reason.

    `threads` says how many this process has, 0 if unknown: only a process of one can enter them.

    Raises `LayerFailedError` only if a step failed that the rehearsal had completed, `OSError` if no child can be
    made to rehearse.
    """
    layers = [layer for layer in NAMESPACE_LAYERS if layer in set(wanted)]
    if not layers:
        return {}
    if threads != 1:
        return dict.fromkeys(layers, f"{threads or 'uncounted'} threads run already: raise the walls before they start")
    through_user, failed = _rehearse(grants, layers)
    possible = [layer for layer in layers if layer not in failed]
    if possible:
        later = _take_steps(grants, possible, through_user=through_user)
        if later:
            raise LayerFailedError(f"namespaces failed after a good rehearsal: {later}")
    if Layer.NETWORK_NAMESPACE in failed and _only_loopback():
        failed[Layer.NETWORK_NAMESPACE] += ". There is no interface but loopback here already"
    return failed


def _take_steps(grants: tuple[Grant, ...], layers: list[Layer], *, through_user: bool) -> dict[Layer, str]:
    """Enter the namespaces one after the other. Returns those that failed."""
    failed: dict[Layer, str] = {}
    try:
        if through_user:
            _enter_user_namespace()
    except OSError as error:
        return dict.fromkeys(layers, f"this machine refuses user namespaces ({error}): {_REMEDY}")
    for layer in layers:
        try:
            if layer is Layer.NETWORK_NAMESPACE:
                unshare(_CLONE_NEWNET)
            else:
                unshare(mounts.CLONE_NEWNS)
                mounts.enter(grants)
        except OSError as error:
            failed[layer] = f"{error}: {_REMEDY}"
    return failed


def _enter_user_namespace() -> None:
    """Enter a user namespace in which this user and group keep their numbers, and nobody else exists."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(_CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _rehearse(grants: tuple[Grant, ...], layers: list[Layer]) -> tuple[bool, dict[Layer, str]]:
    """Take the steps in a child that then ends. Returns whether a user namespace was needed, and what failed."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _rehearsing_child(grants, layers, writing)
    os.close(writing)
    try:
        answer = _read_answer(reading, child)
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    lines = answer.split("\n")
    if lines[-1] != "end":
        return False, dict.fromkeys(layers, f"the rehearsal did not finish within {REHEARSAL_S} s: {_REMEDY}")
    failures = (line.partition("\t") for line in lines[1:-1])
    return lines[0] == "user", {Layer(name): reason for name, _, reason in failures}


def _rehearsing_child(grants: tuple[Grant, ...], layers: list[Layer], writing: int) -> None:
    """The child: try directly, then through a user namespace what failed, say how it went, and never return."""
    how = "direct"
    try:
        failed = _take_steps(grants, layers, through_user=False)
        if len(failed) == len(layers):
            how, failed = "user", _take_steps(grants, layers, through_user=True)
        if Layer.MOUNT_NAMESPACE in layers and Layer.MOUNT_NAMESPACE not in failed:
            failed.update(_unreachable(grants))
        text = "".join(f"{layer}\t{' '.join(reason.split())[:400]}\n" for layer, reason in failed.items())
        os.write(writing, f"{how}\n{text}end".encode())
    finally:
        os._exit(0)


def _unreachable(grants: tuple[Grant, ...]) -> dict[Layer, str]:
    """In the rehearsal: every grant can still be opened in the new file system."""
    for grant in grants:
        flags = os.O_RDWR if grant.use is Use.DEVICE else os.O_RDONLY
        try:
            os.close(os.open(grant.path, flags | os.O_CLOEXEC))
        except OSError as error:
            return {Layer.MOUNT_NAMESPACE: f"{grant.path} would not be readable in it: {error.strerror}"}
    return {}


def _read_answer(reading: int, child: int) -> str:
    """What the child wrote until it closed its end, or '' after the time limit, when the child is killed."""
    parts: list[bytes] = []
    while select.select([reading], [], [], REHEARSAL_S)[0]:
        part = os.read(reading, _REHEARSAL_BYTES_MAX)
        if not part:
            return b"".join(parts).decode(errors="replace")
        parts.append(part)
    os.kill(child, signal.SIGKILL)
    return ""


def _only_loopback() -> bool:
    """True if the network namespace that this process was born into has no interface but loopback."""
    try:
        return {name for _, name in socket.if_nameindex()} <= {"lo"}
    except OSError:
        return False
