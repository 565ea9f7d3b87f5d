"""The state folder: the key, the database, the sockets; who may read what.

The key is 32 secret bytes, in hexadecimal, in a file of mode 0600 owned by the daemon's user; or a systemd credential
named ``secured-node.key``, which then comes first and needs no file.
"""

from __future__ import annotations

import binascii
import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import Final, TextIO

from protocols.identity import SEED_BYTES, Identity

KEY: Final = "key"
KEY_FILE_BYTES_MAX: Final = 1024
"""64 hexadecimal digits and a line's end; what is longer is another file."""
CREDENTIAL: Final = "secured-node.key"
API_SOCKET: Final = "api.sock"
SCRATCH: Final = "scratch"
LOCK: Final = "lock"
STATE_MODE: Final = 0o711
"""Others may pass through to the socket, whose other end the kernel names; every file in it is its owner's alone."""
SCRATCH_MODE: Final = 0o700


class StateError(Exception):
    """The state folder cannot be used: what, why, what to do."""


class State:
    """One hub's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: TextIO | None = None

    @property
    def api_socket(self) -> Path:
        """Where the command line finds the running daemon."""
        return self.folder / API_SOCKET

    @property
    def scratch(self) -> Path:
        """Where workers that are children of the daemon may write."""
        return self.folder / SCRATCH

    def make(self) -> None:
        """Make the folder, for its owner alone. Raises `StateError`."""
        try:
            self.folder.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{self.folder} cannot be made: {error.strerror}. Choose another with --state.") from None

    def lock(self) -> None:
        """Claim the folder for as long as this process lives: two daemons with one key would sign twice.

        Raises `StateError` if another daemon runs on it.
        """
        path = self.folder / LOCK
        try:
            self._lock = open(path, "a", opener=_private)  # noqa: SIM115 - held until the process ends
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"{self.folder} is in use: another daemon runs on it.") from None
        except OSError as error:
            raise StateError(f"{path} cannot be written: {error.strerror}.") from None

    def make_scratch(self) -> None:
        """Make the folder of workers that are children. Raises `StateError`."""
        try:
            self.scratch.mkdir(mode=SCRATCH_MODE, exist_ok=True)
        except OSError as error:
            raise StateError(f"{self.scratch} cannot be made: {error.strerror}.") from None

    @property
    def has_key(self) -> bool:
        """Whether this hub has an identity."""
        return self._credential() is not None or (self.folder / KEY).exists()

    def make_identity(self) -> Identity:
        """A new key, written before it is used. Raises `StateError` if there is one already."""
        path = self.folder / KEY
        seed = secrets.token_bytes(SEED_BYTES)
        try:
            with open(path, "x", opener=_private) as file:
                file.write(seed.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise StateError(f"{path} exists: this hub has an identity. Another hub needs another --state.") from None
        except OSError as error:
            raise StateError(f"{path} cannot be written: {error.strerror}.") from None
        return Identity(seed)

    def identity(self) -> Identity:
        """This hub's identity. Raises `StateError` if its key is missing, readable by others, or not a key."""
        path = self._credential() or self.folder / KEY
        try:
            mode = path.stat().st_mode
            seed = _read_seed(path)
        except FileNotFoundError:
            raise StateError(f"{path} does not exist: run 'secured-node init' or 'secured-node join' first.") from None
        except OSError as error:
            raise StateError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError:
            raise StateError(f"{path} does not hold a key: restore it from your backup.") from None
        if path == self.folder / KEY and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StateError(f"{path} can be read by others (mode {stat.S_IMODE(mode):o}): chmod 600 {path}")
        if len(seed) != SEED_BYTES:
            raise StateError(f"{path} does not hold a key of {SEED_BYTES} bytes: restore it from your backup.")
        return Identity(seed)

    def _credential(self) -> Path | None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        path = Path(folder) / CREDENTIAL if folder else None
        return path if path is not None and path.exists() else None


def _read_seed(path: Path) -> bytes:
    """The seed that a file holds in hexadecimal; no text of it is left in memory. Raises `OSError`, `ValueError`."""
    text = bytearray(KEY_FILE_BYTES_MAX)
    try:
        with path.open("rb", buffering=0) as file:
            size = file.readinto(text) or 0
        while size and text[size - 1 : size].isspace():
            size -= 1
        return binascii.unhexlify(memoryview(text)[:size])
    finally:
        text[:] = bytes(len(text))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
