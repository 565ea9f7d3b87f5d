"""A hospital in a temporary folder and children that wall themselves in: what the tests of the walls share.

The parent makes the targets (a key file, another data set, a listener that listens), so that a child can only fail
because of a wall. A child prints one JSON document; it never hangs longer than CHILD_S.
"""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from secured_node.work.walls import Layer
from secured_node.work.walls.landlock import abi
from secured_node.work.walls.report import LayerFailedError

REPOSITORY = Path(__file__).resolve().parents[2]
CHILD_S = 120
NAMESPACES = (Layer.NETWORK_NAMESPACE, Layer.MOUNT_NAMESPACE)
LANDLOCK_ALONE = frozenset({Layer.MOUNT_NAMESPACE})
#: Landlock cannot hide that a path exists; only a mount namespace can.
HIDDEN_ONLY_BY_MOUNTS = "see that a file outside exists"


def landlock_abi() -> int:
    """0 where the kernel lacks Landlock."""
    try:
        return abi()
    except LayerFailedError:
        return 0


def seccomp_missing() -> bool:
    """True where the kernel was built without seccomp."""
    status = Path("/proc/self/status")
    return not status.exists() or "\nSeccomp:" not in status.read_text(encoding="utf-8")


needs_landlock = pytest.mark.skipif(landlock_abi() == 0, reason="this kernel lacks Landlock")
needs_seccomp = pytest.mark.skipif(seccomp_missing(), reason="this kernel lacks seccomp")
needs_walls = pytest.mark.skipif(
    landlock_abi() == 0 or seccomp_missing(), reason="this kernel lacks Landlock or seccomp"
)


@dataclass(frozen=True)
class Site:
    """A hospital in a temporary folder."""

    data: Path
    other_data: Path
    key: Path
    scratch: Path
    listener: Path


@contextlib.contextmanager
def make_site(root: Path) -> Iterator[Site]:
    """The targets; the listener answers nobody, but it accepts connections."""
    made = Site(root / "set.csv", root / "other.csv", root / "keys" / "node.key", root / "scratch", root / "listener")
    made.key.parent.mkdir()
    made.scratch.mkdir()
    made.key.write_text("secret", encoding="ascii")
    for path in (made.data, made.other_data):
        path.write_text("a,b\n1,2.5\n3,4.5\n", encoding="ascii")
    (made.scratch / "escape").symlink_to(made.key)
    (made.scratch / "leave").symlink_to(root, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(root):  # the whole path may be too long for a socket
            listener.bind(made.listener.name)
        listener.listen()
        yield made


PRELUDE = """
import ctypes, errno, json, os, socket, sys
from pathlib import Path
from secured_node.work.walls import Layer, Walls, raise_walls, require_walls
given = json.loads(sys.argv[1])
walls = Walls(read=(Path(given["data"]),), write=(Path(given["scratch"]),), descriptors=tuple(given["descriptors"]))
report = raise_walls(walls, without=frozenset(map(Layer, given["without"])))
def tried(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "worked"
def answer(value):
    print(json.dumps(value))
"""


def start_child(
    site: Site,
    code: str,
    *,
    without: frozenset[Layer] = frozenset(),
    keep: tuple[int, ...] = (),
    inherit: tuple[int, ...] = (),
    prelude: str = PRELUDE,
) -> "subprocess.CompletedProcess[str]":
    """Run a script in a child that raised its walls. `inherit` is passed to it without being kept."""
    given = {
        "data": str(site.data),
        "scratch": str(site.scratch),
        "key": str(site.key),
        "other": str(site.other_data),
        "listener": str(site.listener),
        "without": sorted(without),
        "descriptors": keep,
    }
    code_path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": code_path, "OPENBLAS_NUM_THREADS": "2"}
    return subprocess.run(
        [sys.executable, "-B", "-c", prelude + code, json.dumps(given)],
        env=environment,
        pass_fds=(*keep, *inherit),
        timeout=CHILD_S,
        check=False,
        capture_output=True,
        text=True,
    )


def ask_child(site: Site, code: str, **options: Any) -> Any:
    """What the child answered; its whole error output is the message of a failure."""
    child = start_child(site, code, **options)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


REPORT = """
answer({
    "raised": sorted(report.raised), "failed": report.failed, "open": report.still_open(),
    "sufficient": report.sufficient, "leaks": report.leaks, "blocked": report.blocked,
    "attempts": {attempt.name: [attempt.before, attempt.behind] for attempt in report.attempts},
})
"""


@functools.cache
def raised_without(site: Site, *layers: Layer) -> dict[str, Any]:
    """The report of a child that left these layers out; asked once for each choice of layers."""
    answered: dict[str, Any] = ask_child(site, REPORT, without=frozenset(layers))
    return answered
