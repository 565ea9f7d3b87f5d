"""The worker's process: `python -m secured_node.work.worker --scratch FOLDER`, its socket as standard input.

Started by the daemon over a socket pair, or by systemd (a socket unit with ListenSequentialPacket= and Accept=yes, a
service with StandardInput=socket, StandardOutput=journal and StandardError=journal). What it may do is said here and
nowhere else; see the package's text.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from secured_node.work.channel import Channel
from secured_node.work.frames import ROWS_FLOOR, ROWS_MAX, TO_DAEMON, TO_WORKER
from secured_node.work.serving import Server, Settings
from secured_node.work.surroundings import Voice, die_with_parent, preload


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one daemon. 0: it ended as it should; 1: a failure, which the daemon was told; 2: it never began."""
    options = _parser().parse_args(arguments)
    die_with_parent()
    if not options.cold:
        preload()
    try:
        connected = _take_socket(options.fd)
        scratch = options.scratch.resolve()
        scratch.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        sys.stderr.write(f"worker: {error}. It is started by the daemon or by systemd, not by hand.\n")
        return 2
    channel = Channel(connected, sends=TO_DAEMON, receives=TO_WORKER)
    settings = Settings(scratch, options.sandbox, tuple(options.data), options.min_rows)
    server = Server(channel, settings, Voice())
    return 0 if server.serve() else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("secured-node-worker", description="Opens data sets for the daemon of this site.")
    add = parser.add_argument
    add("--scratch", type=Path, required=True, help="folder in which each job has one for its integers")
    add("--sandbox", choices=("strict", "none"), default="strict", help="none: work even without walls")
    add("--data", type=Path, action="append", default=[], help="folder that may hold data sets; repeatable; else any")
    add("--min-rows", type=_rows, default=ROWS_FLOOR, help="refuse jobs content with fewer rows of this site")
    add("--fd", type=int, default=0, help="descriptor of the connected socket")
    add("--cold", action="store_true", help="import nothing large before the walls")
    return parser


def _rows(text: str) -> int:
    rows = int(text)
    if not 1 <= rows <= ROWS_MAX:
        raise ValueError(text)
    return rows


def _take_socket(descriptor: int) -> socket.socket:
    """The connected socket, under a number of its own. Raises `OSError` if it is none, or of another type."""
    taken = socket.socket(fileno=os.dup(descriptor))
    if (taken.family, taken.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        raise OSError(f"descriptor {descriptor} is not a unix socket of sequential packets")
    return taken


if __name__ == "__main__":
    os._exit(main())  # at once: an interpreter full of libraries takes long to take itself apart
