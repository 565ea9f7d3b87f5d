"""What a source is, and what none of them opens."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from secured_node.data.cells import RawColumn
from secured_node.data.errors import DataError
from secured_node.data.mapping import TextFormat

ROWS_MAX = 10_000_000
"""Rows of a data set: a column is then 80 MB in memory; also the default cap of a job."""

FILE_BYTES_MAX = 16 << 30
"""Bytes of a file, and of the wanted columns of a Parquet file once unpacked."""

HEAD_BYTES = 4096
"""Bytes looked at to see what a file is."""

DISGUISES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (also .xlsx, .npz, .pt)"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"%PDF", "PDF"),
    (b"\x7fELF", "a program"),
    *((bytes([0x80, protocol]), "a Python pickle, which could run code") for protocol in range(1, 6)),
)
"""First bytes of what is not a table, or could hold anything."""


class RawTable(Protocol):
    """A file's columns as they stand there."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns that can be had."""

    @property
    def rows(self) -> int:
        """How many rows each column has."""

    def column(self, name: str) -> RawColumn:
        """One column, made when asked for, so that only one at a time is in memory as Python objects."""


class Source(Protocol):
    """Reads files of one format."""

    def __call__(self, path: Path, names: Sequence[str], text: TextFormat) -> RawTable:
        """The columns `names` as far as the file has them. Raises `DataError`, without any content of the file."""


def open_head(path: Path) -> bytes:
    """The first bytes of a regular file. Raises `DataError` for what must not be opened as a table."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(str(path), "it is not a regular file", "give the path of a file")
        if status.st_size > FILE_BYTES_MAX:
            raise DataError(str(path), f"it is larger than {FILE_BYTES_MAX} bytes", "split the data set")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(str(path), error.strerror or "cannot be read", "check the path and its permissions") from None
    for magic, kind in DISGUISES:
        if head.startswith(magic):
            raise DataError(str(path), f"it is {kind}, not a table", "export the data set as CSV or Parquet")
    return head


def check_rows(path: Path, rows: int) -> None:
    """Raise `DataError` for a table without rows or with too many."""
    if rows == 0:
        raise DataError(str(path), "it has no rows", "check the export")
    if rows > ROWS_MAX:
        raise DataError(str(path), f"it has more than {ROWS_MAX} rows", "split the data set")
