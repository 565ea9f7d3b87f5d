"""Where workers come from: children over a socket pair, or systemd behind a socket; and how each is ended.

A child gets an argument list, an environment of a few variables, a session of its own, its socket as standard input,
a pipe as standard error, and no other descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final, Protocol, cast

import structlog

import secured_node
from secured_node.work.channel import AsyncChannel
from secured_node.work.errors import WorkerDied
from secured_node.work.frames import ROWS_FLOOR, TO_DAEMON, TO_WORKER, FrameError, Ready, Sandbox, printable

log = structlog.get_logger()

MODULE: Final = "secured_node.work.worker"
READY_S: Final = 60.0
"""From the start of the process to its first frame. 0.3 s with a warm disk; a cold and busy one takes many seconds."""
STOP_S: Final = 2.0
"""How long a worker may take to end by itself after its socket was closed, before it is killed."""
LINE_CHARS_MAX: Final = 500
"""Of a line of a worker's standard error; its own sentences are shorter."""
LINES_MAX: Final = 200
"""Lines of one worker that are logged; an honest one says a few. The rest is read and dropped."""
_KEPT_VARIABLES: Final = ("LD_LIBRARY_PATH", "TZ")
"""What a worker needs of its parent's environment, where it is set: libraries in unusual places, the site's clock."""


class Worker:
    """One worker that takes orders. process: its number as it says itself."""

    def __init__(self, channel: AsyncChannel, process: int, child: Child | None = None) -> None:
        self.channel, self.process = channel, process
        self._child = child

    @property
    def alive(self) -> bool:
        """False once it has closed its end of the socket."""
        return self.channel.alive

    async def stop(self) -> str:
        """Close its socket, wait for its end, kill it if it does not come; how it ended, in words."""
        self.channel.close()
        return "its connection was closed" if self._child is None else await self._child.stop()


class Launcher(Protocol):
    """A way to have workers."""

    async def launch(self) -> Worker:
        """A worker that is ready for its order. Raises `WorkerDied`."""


class SocketLauncher:
    """Workers of another user, started by systemd for each connection to a socket. Their errors go to the journal."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def launch(self) -> Worker:
        """Connect, and wait until the worker is ready. Raises `WorkerDied`."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connected.setblocking(False)
        try:
            async with asyncio.timeout(READY_S):
                await asyncio.get_running_loop().sock_connect(connected, str(self._path))
        except (OSError, TimeoutError) as error:
            connected.close()
            raise WorkerDied(
                f"no worker at {self._path}: {error or 'no answer'}; is secured-node-worker.socket active?"
            ) from None
        except BaseException:
            connected.close()
            raise
        return await _ready(connected, None)


class ChildLauncher:
    """Workers that are children of this process and of the same user.

    scratch: folder for what they keep. sandbox, min_rows: as the site's configuration says. command, environment: the
    program, without the worker's own options, and additions to its environment; for installations that need others.
    """

    def __init__(
        self,
        scratch: Path,
        sandbox: Sandbox = "strict",
        *,
        min_rows: int = ROWS_FLOOR,
        command: tuple[str, ...] = (sys.executable, "-P", "-s", "-m", MODULE),
        environment: dict[str, str] | None = None,
    ) -> None:
        self._command = (*command, "--scratch", str(scratch), "--sandbox", sandbox, "--min-rows", str(min_rows))
        self._environment = _environment() | (environment or {})

    async def launch(self) -> Worker:
        """Start a child, and wait until it is ready. Raises `WorkerDied`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                _, child = await asyncio.get_running_loop().subprocess_exec(
                    Child,
                    *self._command,
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    env=self._environment,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise WorkerDied(f"the worker cannot be started: {error}") from None
        except BaseException:
            ours.close()
            raise
        return await _ready(ours, child)


def _environment() -> dict[str, str]:
    """Nothing of ours but what it takes to import the same code that runs here."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    code = Path(secured_node.__file__).resolve().parents[1]
    return kept | {"PYTHONPATH": str(code), "LANG": "C.UTF-8"}


async def _ready(connected: socket.socket, child: Child | None) -> Worker:
    """The worker behind a socket, once it says that it is ready; else it is ended."""
    channel = AsyncChannel(connected, sends=TO_WORKER, receives=TO_DAEMON)
    worker = Worker(channel, 0, child)
    try:
        async with asyncio.timeout(READY_S):
            packet = await channel.receive()
        if packet is None or not isinstance(packet.frame, Ready):
            raise WorkerDied(f"the worker did not get ready: {await worker.stop()}")
    except TimeoutError:
        raise WorkerDied(f"the worker was not ready after {READY_S:g} s: {await worker.stop()}") from None
    except (OSError, FrameError) as error:
        raise WorkerDied(f"the worker did not get ready ({error}): {await worker.stop()}") from None
    except BaseException:
        await worker.stop()
        raise
    worker.process = packet.frame.process
    return worker


class Child(asyncio.SubprocessProtocol):
    """A child process: what it says on standard error is logged, and it is ended by its number."""

    def __init__(self) -> None:
        self._gone = asyncio.get_running_loop().create_future()
        self._line = b""
        self._lines = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """It says something. A line without end is cut, not collected."""
        *whole, rest = (self._line + cast(bytes, data)).split(b"\n")
        for line in whole:
            self._log(line)
        self._line = rest[: 4 * LINE_CHARS_MAX]

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and all that it said was read."""
        if self._line:
            self._log(self._line)
        self._transport.close()
        self._gone.set_result(self._transport.get_returncode())

    async def stop(self) -> str:
        """Wait for its end, kill it if it does not come by itself; how it ended, in words."""
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.shield(self._gone)
        except TimeoutError:
            log.warning("worker_killed", worker=self._transport.get_pid())
        finally:
            if not self._gone.done():
                with contextlib.suppress(ProcessLookupError):
                    self._transport.kill()
        return _ending(await asyncio.shield(self._gone))

    def _log(self, line: bytes) -> None:
        self._lines += 1
        if self._lines <= LINES_MAX:
            text = printable(line.decode(errors="replace"), LINE_CHARS_MAX)
            log.info("worker_says", worker=self._transport.get_pid(), line=text)
        if self._lines == LINES_MAX:
            log.warning("worker_says_too_much", worker=self._transport.get_pid())


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
