"""Parquet files: typed columns, read without their foreign metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from secured_node.data.errors import DataError
from secured_node.data.mapping import TextFormat
from secured_node.data.sources.arrow import ArrowTable
from secured_node.data.sources.base import FILE_BYTES_MAX, RawTable, check_rows, open_head

MAGIC = b"PAR1"


def read_parquet(path: Path, names: Sequence[str], text: TextFormat) -> RawTable:
    """The named columns. `text` is not used: a Parquet file knows its types.

    Raises `DataError`: no Parquet file, damaged, too large once unpacked.
    """
    if not open_head(path).startswith(MAGIC):
        raise DataError(str(path), "it is not a Parquet file", "check the export")
    try:
        with parquet.ParquetFile(path) as file:
            metadata = file.metadata
            check_rows(path, metadata.num_rows)
            unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
            if unpacked > FILE_BYTES_MAX:
                raise DataError(str(path), f"it unpacks to more than {FILE_BYTES_MAX} bytes", "split the data set")
            wanted = [name for name in names if name in file.schema_arrow.names]
            return ArrowTable(str(path), file.read(columns=wanted, use_threads=False))
    except (pa.ArrowException, OSError):  # their texts may quote the file
        raise DataError(
            str(path), "it is damaged or not a Parquet file that can be read here", "export it again"
        ) from None
