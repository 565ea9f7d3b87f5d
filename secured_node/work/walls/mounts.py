"""The mount namespace: a new root in which only the granted paths exist.

Each granted path is cloned (`open_tree`), made read-only, without set-uid, devices and execution where that fits
(`mount_setattr`), and moved to the same path below an empty tmpfs, which then becomes the root (`pivot_root`). Links
on the way, such as /lib -> usr/lib, are made again, so every granted path keeps its name. The tmpfs is put over a
scratch folder: a place that exists and belongs to the worker; the folder itself was cloned before.

Nothing the process can see changes until `pivot_root`, the last step that can fail. `stat` of anything else says
ENOENT: names and sizes outside are hidden too, which Landlock cannot do. Needs Linux 5.12 and CAP_SYS_ADMIN over the
namespace; `namespaces` obtains it and rehearses.
"""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from . import syscalls
from .grants import Grant, Use

CLONE_NEWNS: Final = 0x00020000
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOEXEC: Final = 8
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 1 << 18
_MNT_DETACH: Final = 2
_ATTR_RDONLY: Final = 1
_ATTR_NOSUID: Final = 2
_ATTR_NODEV: Final = 4
_ATTR_NOEXEC: Final = 8
#: noexec forbids mapping a file as code, so libraries must do without it, and a plugin cannot load code from scratch.
_ATTRIBUTES: Final = {
    Use.READ: _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV,
    Use.WRITE: _ATTR_NOSUID | _ATTR_NODEV | _ATTR_NOEXEC,
    Use.DEVICE: _ATTR_NOSUID | _ATTR_NOEXEC,
}
_DEVICES: Final = Path("/dev")
#: Folders, links and empty files to mount on: a few hundred names at most.
_ROOT_OPTIONS: Final = b"mode=0755,size=1m"
_LINKS_MAX: Final = 40  # the kernel's own limit for one path
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _Tree(NamedTuple):
    """One granted path, detached from the old root: where it really lies, and what it is."""

    place: Path
    is_folder: bool
    descriptor: int


def enter(grants: tuple[Grant, ...]) -> None:
    """Make the granted paths the whole file system of this process, whose working folder becomes the root.

    To be called in a mount namespace of its own. Raises `OSError` if a step is refused.
    """
    _mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    mounted = sorted((g for g in grants if g.use is not Use.LIST), key=lambda g: len(g.path.resolve().parts))
    links = {link: target for grant in mounted for link, target in _links_on(grant.path)}
    trees = [_clone(grant) for grant in mounted]
    root = next(grant.path for grant in grants if grant.use is Use.WRITE).resolve()
    _mount(b"tmpfs", os.fsencode(root), b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, _ROOT_OPTIONS)
    for tree in trees:
        _put(tree, root)
    for link, target in links.items():
        _make_link(root / link.relative_to("/"), target)
    _set_attributes(_AT_FDCWD, os.fsencode(root), _ATTR_RDONLY, 0)
    os.chdir(root)
    syscalls.call("pivot_root", b".", b".")
    if _LIBC.umount2(b".", ctypes.c_int(_MNT_DETACH)) != 0:
        raise _last_error("umount2")
    os.chdir("/")


def _links_on(path: Path) -> Iterator[tuple[Path, str]]:
    """The symbolic links met on the way along a path, each as (its real place, its target)."""
    pending = list(path.parts[1:])
    here, followed = Path("/"), 0
    while pending:
        name = pending.pop(0)
        here = here.parent if name == ".." else here / name
        if here.is_symlink() and followed < _LINKS_MAX:
            target = here.readlink()
            yield here, str(target)
            followed += 1
            pending = [*target.parts, *pending]
            here = here.parent
            if target.is_absolute():
                here, pending = Path("/"), pending[1:]


def _clone(grant: Grant) -> _Tree:
    """A detached copy of the mounts at and below a granted path, with its attributes set."""
    place = grant.path.resolve()
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    descriptor = syscalls.call("open_tree", _AT_FDCWD, os.fsencode(place), flags)
    attributes = _ATTRIBUTES[grant.use]
    if place.is_relative_to(_DEVICES):
        attributes &= ~_ATTR_NODEV
    _set_attributes(descriptor, b"", attributes, _AT_EMPTY_PATH | _AT_RECURSIVE)
    return _Tree(place, place.is_dir(), descriptor)


def _put(tree: _Tree, root: Path) -> None:
    """Move a detached tree to its own path below the new root."""
    place = root / tree.place.relative_to("/")
    if not place.exists():
        (place if tree.is_folder else place.parent).mkdir(parents=True, exist_ok=True)
        if not tree.is_folder:
            place.touch()
    empty, target = b"", os.fsencode(place)
    syscalls.call("move_mount", tree.descriptor, empty, _AT_FDCWD, target, _MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree.descriptor)


def _make_link(place: Path, target: str) -> None:
    """Make a link again, unless a mounted folder already brought it along."""
    if not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def _set_attributes(descriptor: int, path: bytes, attributes: int, flags: int) -> None:
    attr = _MountAttr(attributes, 0, 0, 0)
    syscalls.call("mount_setattr", descriptor, path, flags, attr, ctypes.sizeof(attr))


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
    if _LIBC.mount(source, target, kind, ctypes.c_ulong(flags), data) != 0:
        raise _last_error("mount")


def _last_error(name: str) -> OSError:
    error = ctypes.get_errno()
    return OSError(error, os.strerror(error), name)
