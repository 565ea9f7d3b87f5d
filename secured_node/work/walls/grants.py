"""What a walled worker may open in the file system, computed from the interpreter that runs it.

Both file-system layers, Landlock and the mount namespace, are built from this one list. Nothing on it may be
executed: `dlopen` maps a library, which is reading, and a worker starts no program.

| granted | why |
|---|---|
| the named data set (read), scratch (write) | the job |
| `lib*` of both prefixes, the standard library, site-packages on sys.path | imports, lazily, behind the walls |
| packages directly in another folder on sys.path, and its listing | a checkout or an editable install |
| library folders of shared objects already loaded | libraries in unusual places (Nix, `LD_LIBRARY_PATH`) |
| /lib*, /usr/lib*, /usr/local/lib*, /etc/ld.so.cache | the dynamic linker |
| OpenSSL's configuration, crypto policies | read when `hashlib` and `ssl` are imported; the site's FIPS rules |
| /etc/localtime, /usr/share/zoneinfo | time zones of dates in a data set |
| /dev/null (write), /dev/urandom, /dev/random, /dev/zero | what a library opens without asking |
| CPU, NUMA, memory and control-group limits in /proc and /sys | thread counts and allocators |

A folder on sys.path is never granted whole: it may be the working folder, with the node's keys in it. The limits in
/sys/fs/cgroup are there because joblib sees that such a file exists and fails if it then cannot be read.

Not granted, on purpose: /proc/self and /proc/PID, /dev/shm, /etc/passwd, /tmp, the home folder, GPU devices.
"""

import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from .report import Walls, WallsError


class Use(StrEnum):
    """What one grant allows."""

    READ = "read"
    LIST = "list"
    WRITE = "write"
    DEVICE = "device"


@dataclass(frozen=True, order=True)
class Grant:
    """One path and everything under it, with what may be done there."""

    path: Path
    use: Use


_SYSTEM: Final = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
)
_OWN_PACKAGES: Final = ("protocols", "secured_node")
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_LIBRARY_FOLDER: Final = re.compile(r"lib(32|64)?|.+\.libs")
_SHARED_OBJECT: Final = re.compile(r"\.so(\.\d+)*$")


def grants(walls: Walls) -> tuple[Grant, ...]:
    """Everything the worker may open, each path once and none below another of the same use.

    Raises `WallsError` if a scratch folder holds code that the worker imports, or is part of it (a plugin could then
    leave code behind for the next job), or if a data set holds the code (it is then half the machine).
    """
    code = sorted({path for path in _code_paths() if _readable(path)})
    places = [(path, path.resolve()) for path in code]
    for scratch in walls.write:
        for path, place in places:
            if _overlap(scratch.resolve(), place):
                raise WallsError(
                    f"the scratch folder {scratch} and the code in {path} overlap",
                    "a plugin could change the code of the next job",
                    "Put scratch elsewhere.",
                )
    for data in walls.read:
        for path, place in places:
            if place.is_relative_to(data.resolve()):
                raise WallsError(
                    f"the data set {data} contains the program's code in {path}",
                    "that is no data set, and everything in it could be read",
                    "Name the data set's own files or folder.",
                )
    wanted = [Grant(path, Use.READ) for path in (*code, *filter(_readable, map(Path, _SYSTEM)), *walls.read)]
    wanted += [Grant(path, Use.LIST) for path in _import_folders() if path.is_dir()]
    wanted += [Grant(path, Use.WRITE) for path in walls.write]
    wanted += [Grant(Path("/dev/null"), Use.DEVICE)]
    return tuple(_without_repeats(wanted))


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK, effective_ids=True)


def _without_repeats(wanted: Iterable[Grant]) -> Iterator[Grant]:
    """Drop each grant that lies below another of the same use; folders to be listed go where they are read."""
    kept: dict[Use, list[Path]] = {use: [] for use in Use}
    for grant in sorted(set(wanted), key=lambda grant: (grant.use is Use.LIST, len(grant.path.parts), grant)):
        covering = kept[grant.use] + (kept[Use.READ] if grant.use is Use.LIST else [])
        if not any(grant.path.is_relative_to(path) for path in covering):
            kept[grant.use].append(grant.path)
            yield grant


def _overlap(scratch: Path, code: Path) -> bool:
    """True if one lies in the other. Scratch below a system folder such as /usr/lib is as wrong as the reverse."""
    return scratch.is_relative_to(code) or code.is_relative_to(scratch)


def _code_paths() -> Iterator[Path]:
    """Folders and files that Python code is imported from."""
    installed = {Path(path) for name, path in sysconfig.get_paths().items() if name.endswith(("stdlib", "lib"))}
    installed |= {Path(path) for path in site.getsitepackages()}
    for prefix in (sys.prefix, sys.base_prefix):
        installed |= {Path(prefix, "lib"), Path(prefix, "lib64")}
    yield from installed
    yield from (entry for entry in map(Path, sys.path) if entry.name in _INSTALLED)
    for folder in _import_folders():
        yield from _packages_in(folder)
    for name in _OWN_PACKAGES:
        spec = importlib.util.find_spec(name)
        yield from (Path(place) for place in (spec.submodule_search_locations or () if spec else ()))
    yield from _loaded_libraries()


def _import_folders() -> Iterator[Path]:
    """Folders on sys.path that are no library folder and hold packages: a checkout, PYTHONPATH."""
    libraries = [Path(prefix) / name for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "lib64")]
    for entry in map(Path, filter(None, sys.path)):
        known = entry.name in _INSTALLED or any(entry.is_relative_to(path) for path in libraries)
        if not known and any(True for _ in _packages_in(entry)):
            yield entry.absolute()


def _packages_in(folder: Path) -> Iterator[Path]:
    """Regular packages directly in a folder; anything else there, such as a state folder, is no code."""
    try:
        children = sorted(folder.absolute().iterdir())
    except OSError:
        return
    for child in children:
        if child.name.isidentifier() and ((child / "__init__.py").is_file() or (child / "py.typed").is_file()):
            yield child


def _loaded_libraries() -> Iterator[Path]:
    """Each shared object mapped into this process, or its folder where that is a folder of libraries.

    Only the innermost folder counts: of /var/lib/node/venv/lib/x.so it is not /var/lib.
    """
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for path in {Path(fields[5]) for line in lines if len(fields := line.split(maxsplit=5)) == 6}:
        if path.is_absolute() and _SHARED_OBJECT.search(path.name):
            yield path.parent if _LIBRARY_FOLDER.fullmatch(path.parent.name) else path
