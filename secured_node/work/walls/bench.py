"""The bench: targets that are really there, so that an attempt can only fail because of a wall.

"Connection refused" because nobody listens proves nothing. So, before the walls, the process makes what the attempts
will aim at: listening sockets (TCP on loopback, unix by path, unix abstract, a datagram one), sockets ready to connect
to them, a waiting connection, another process, a file with the execute bit, a pipe. It finds a file and a folder
outside the walls. A bench serves one round of attempts, before the walls or behind them; there are two.

Its files lie in a folder of their own in scratch, the only place from which they can be removed again behind the
walls; sockets by path are no file-system access to Landlock, so that makes their attempts no easier to stop. What
this machine cannot make (no IPv4, no abstract sockets) is left out, and the attempts that need it come out unproven.
"""

import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

from .report import Walls

_T = TypeVar("_T")
LOOPBACK: Final = "127.0.0.1"
#: Names in the bench's own folder.
STREAM_NAME: Final = "stream"
DATAGRAM_NAME: Final = "datagram"
PROGRAM_NAME: Final = "program"
#: Printable, so that the kernel looks for no module that could run it: executing it is allowed and then ENOEXEC.
NO_PROGRAM: Final = b"not a program\n"
_OUTSIDE_FILES: Final = tuple(
    Path(name) for name in ("/etc/passwd", "/etc/hostname", "/etc/os-release", "/proc/version")
)
_OUTSIDE_FOLDERS: Final = tuple(Path(name) for name in ("/dev/shm", "/var/tmp", "/tmp", "/run/lock"))  # noqa: S108


class Bench:
    """What the attempts of one round aim at. Use as a context manager: leaving it removes and closes everything."""

    def __init__(self, walls: Walls) -> None:
        """Make everything this machine can make. Raises `OSError` if scratch cannot be written."""
        granted = tuple(path.resolve() for path in (*walls.read, *walls.write))
        self._outside_file = _first(_OUTSIDE_FILES, granted, os.R_OK)
        self._outside_folder = _first(_OUTSIDE_FOLDERS, granted, os.W_OK | os.X_OK)
        self._open = contextlib.ExitStack()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=".walls-", dir=walls.write[0]))
            self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.program = self.folder / PROGRAM_NAME
            self.program.touch(mode=0o700)
            self.program.write_bytes(NO_PROGRAM)
            self._make_sockets()
            self._make_victim()
        except OSError:
            self._open.close()
            raise

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _make_sockets(self) -> None:
        """Listeners first, then the sockets that will try to reach them."""
        with contextlib.chdir(self.folder):  # a path in a deep scratch folder is too long for sun_path
            self._make(lambda: _listener(socket.AF_UNIX, socket.SOCK_STREAM, STREAM_NAME))
            self._make(lambda: _listener(socket.AF_UNIX, socket.SOCK_DGRAM, DATAGRAM_NAME))
        self._abstract = self._make(lambda: _listener(socket.AF_UNIX, socket.SOCK_STREAM, ""))
        self._tcp = self._make(lambda: _listener(socket.AF_INET, socket.SOCK_STREAM, (LOOPBACK, 0)))
        kinds = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM),
            "path": (socket.AF_UNIX, socket.SOCK_STREAM),
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM),
            "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
        }
        self._clients = {name: self._make(partial(socket.socket, *kind)) for name, kind in kinds.items()}
        self._make(lambda: _connected_to(self.abstract))  # waits to be accepted

    def _make(self, make: Callable[[], socket.socket]) -> socket.socket | None:
        """A socket that is closed with the bench, or None if this machine cannot make it."""
        try:
            return self._open.enter_context(make())
        except OSError:
            return None

    def _make_victim(self) -> None:
        """Another process, waiting on a pipe; it ends when the bench, or this process, does."""
        self._victim: int | None = None
        self.pipe, write_end = os.pipe2(os.O_CLOEXEC)
        self._open.callback(os.close, self.pipe)
        with contextlib.ExitStack() as unless_forked:
            unless_forked.callback(os.close, write_end)
            try:
                child = os.fork()
            except OSError:
                return
            if child == 0:
                _wait_for_end(self.pipe, write_end)
            self._open.callback(_reap, child)
            self._open.push(unless_forked.pop_all())  # closed before the wait: callbacks run in reverse
            self._victim = child

    @property
    def tcp(self) -> socket.socket:
        """A TCP socket that listens on loopback."""
        return _given(self._tcp)

    @property
    def abstract(self) -> socket.socket:
        """A unix socket that listens on an abstract name; one connection waits to be accepted."""
        return _given(self._abstract)

    @property
    def victim(self) -> int:
        """The number of another process of this user."""
        return _given(self._victim)

    @property
    def outside_file(self) -> Path:
        """An existing file outside the walls that this user may read."""
        return _given(self._outside_file)

    @property
    def outside_folder(self) -> Path:
        """An existing folder outside the walls that this user may write."""
        return _given(self._outside_folder)

    def client(self, name: Literal["tcp", "path", "abstract", "datagram"]) -> socket.socket:
        """A socket made before the walls, not yet bound or connected, for one attempt each."""
        return _given(self._clients[name])

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """With the bench's folder as working folder, so that its sockets have short names."""
        with contextlib.chdir(self.folder):
            yield


def _given(target: _T | None) -> _T:
    """The target, or ENODEV: nothing to aim at, so the attempt proves nothing."""
    if target is None:
        raise OSError(errno.ENODEV, "this machine has nothing to aim at")
    return target


def _first(candidates: tuple[Path, ...], granted: tuple[Path, ...], mode: int) -> Path | None:
    """The first candidate that is not granted and that this user may use."""
    for path in candidates:
        if os.access(path, mode) and not any(path.resolve().is_relative_to(other) for other in granted):
            return path
    return None


def _listener(family: socket.AddressFamily, kind: socket.SocketKind, address: object) -> socket.socket:
    """A bound socket; it listens if it is a stream socket. An empty unix address lets the kernel choose one."""
    made = socket.socket(family, kind)
    try:
        made.bind(address)  # type: ignore[arg-type]  # typeshed wants one family's address
        if kind == socket.SOCK_STREAM:
            made.listen()
    except OSError:
        made.close()
        raise
    return made


def _connected_to(listener: socket.socket) -> socket.socket:
    """A socket connected to the listener, which has not accepted it."""
    made = socket.socket(listener.family, listener.type)
    try:
        made.connect(listener.getsockname())
    except OSError:
        made.close()
        raise
    return made


def _wait_for_end(read_end: int, write_end: int) -> None:
    """The victim: wait until nobody holds the other end any more, and never return."""
    try:
        os.close(write_end)
        os.read(read_end, 1)
    finally:
        os._exit(0)


def _reap(child: int) -> None:
    """Wait for a child that is about to end."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
