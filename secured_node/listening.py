"""Why nobody can listen where the configuration says; loaded by the command line, too, and so without the daemon."""

from __future__ import annotations

import errno
import os


class ListenError(Exception):
    """Nobody can listen at `network.listen`: why, and what to do."""

    def __init__(self, address: str, error: OSError) -> None:
        why = os.strerror(error.errno) if error.errno else str(error)
        super().__init__(f"network.listen = {address!r}: {why}")
        port = address.rpartition(":")[2]
        self.todo = {
            errno.EADDRINUSE: f"end the program that has it ('ss -ltnp sport = :{port}' as root names it), "
            "or set another port in network.listen, network.endpoints and the firewall",
            errno.EADDRNOTAVAIL: "this machine has no such address: 'ip address' shows those it has, 0.0.0.0 is all",
            errno.EACCES: "ports below 1024 are root's: choose one above, such as 7443",
        }.get(error.errno or 0, "ask the machine's administrator")
