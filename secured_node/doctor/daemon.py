"""Whether the daemon runs, and what it says of itself. It gets seconds to answer: one that hangs is a finding."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from secured_node import VERSION
from secured_node.doctor.finding import Finding, doubt, fine, wrong

ANSWER_S: Final = 5.0
"""A status is put together from memory within milliseconds; a daemon that computes may be busy for a second."""


TURNED_AWAY: Final = ("closed_early:", "lost:", "revoked:", "peer_revoked:")
"""How `LinkTold.trouble` begins where the other side hung up on this hub after the TLS handshake."""


class LinkTold(msgspec.Struct, frozen=True):
    """One link, as far as it matters here: see `net.events.LinkStatus`."""

    name: str
    up: bool
    since_s: float
    trouble: str
    skew_s: float | None


class WallsTold(msgspec.Struct, frozen=True):
    """How a worker's walls stand, as far as it matters here: see `work.frames.Walled`."""

    sandbox: str
    sufficient: bool
    raised: tuple[str, ...]
    failed: dict[str, str]
    open: tuple[str, ...]


class Status(msgspec.Struct, frozen=True):
    """What the daemon says of itself, as far as it matters here: see `Service.status`."""

    node: str
    version: str
    pid: int
    uptime_s: float
    links: tuple[LinkTold, ...]
    sandbox: WallsTold | None = None
    config: str | None = None


def perhaps_revoked(links: Collection[LinkTold]) -> bool:
    """Whether all who were called took the TLS handshake and hung up: so a hub is met that was revoked while it was
    down, and cannot learn it, as nobody talks to it."""
    called = [link for link in links if link.trouble and not link.trouble.startswith("no_endpoint")]
    return (
        not any(link.up for link in links)
        and bool(called)
        and all(link.trouble.startswith(TURNED_AWAY) for link in called)
    )


@dataclass(frozen=True, slots=True)
class Daemon:
    """What became of asking it. status: None without an answer. trouble: why there is none.

    hangs: it is there and does not answer.
    """

    status: Status | None = None
    trouble: str = ""
    hangs: bool = False

    @property
    def links(self) -> tuple[LinkTold, ...]:
        """How its links stand; none if it does not run."""
        return self.status.links if self.status is not None else ()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask_daemon(path: Path) -> Daemon:
    """Ask for its status. path: of its socket. Never raises: not to answer is an answer."""
    connection = _Connection(path)
    try:
        connection.request("GET", "/v1/status")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            return Daemon(trouble=f"it answers with status {answer.status}", hangs=True)
        return Daemon(msgspec.json.decode(answer.read(), type=Status))
    except (FileNotFoundError, ConnectionRefusedError):
        return Daemon(trouble=f"nothing listens at {path}")
    except PermissionError:
        return Daemon(trouble=f"{path} is out of this user's reach")
    except TimeoutError:
        return Daemon(trouble=f"no answer within {ANSWER_S:g} s", hangs=True)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        return Daemon(trouble=f"no answer that can be read ({error})", hangs=True)
    finally:
        connection.close()


def check_daemon(daemon: Daemon) -> Finding:
    """Whether it runs, answers, and is of this version."""
    if daemon.hangs:
        return wrong("daemon", daemon.trouble, "look into its log; systemctl restart secured-node")
    if daemon.status is None:
        return doubt("daemon", f"it does not run: {daemon.trouble}", "systemctl start secured-node")
    status = daemon.status
    if status.version != VERSION:
        why = f"it runs version {status.version}; installed is {VERSION}"
        return doubt("daemon", why, "systemctl restart secured-node")
    return fine("daemon", f"runs as process {status.pid}, version {status.version}, for {status.uptime_s:.0f} s")
