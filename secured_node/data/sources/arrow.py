"""Arrow tables as raw tables. Import this only where pyarrow is wanted: it costs 59 MB of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from secured_node.data.cells import RawColumn
from secured_node.data.errors import DataError


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """A `RawTable` over a `pyarrow.Table`; `file` begins its errors."""

    file: str
    table: Any

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns that were read."""
        return list(self.table.column_names)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return int(self.table.num_rows)

    def column(self, name: str) -> RawColumn:
        """One column as numpy. Raises `DataError` if it holds neither numbers, text nor truth values."""
        cells = self.table.column(name)
        if pa.types.is_dictionary(cells.type):
            cells = cells.cast(cells.type.value_type)
        cells = pa.concat_arrays(cells.chunks) if cells.num_chunks else pa.nulls(0, cells.type)
        absent = _bits(cells.is_null())
        kind = cells.type
        if pa.types.is_null(kind):
            return RawColumn(np.zeros(len(cells)), absent)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts = np.empty(len(cells), object)
            texts[:] = cells.to_pylist() if not cells.null_count else [text or "" for text in cells.to_pylist()]
            return RawColumn(texts, absent)
        if pa.types.is_boolean(kind):
            return RawColumn(_bits(cells), absent)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return RawColumn(_fixed(cells, kind.to_pandas_dtype()), absent)
        raise DataError(
            f"{self.file}: column '{name}'",
            f"cells of type {kind} are not read",
            "export it as numbers, text or true and false",
        )


def _fixed(cells: Any, dtype: Any) -> NDArray[Any]:
    """An array of fixed-width values as it lies in memory; arbitrary where the file has nothing.

    Not by `to_numpy`: it imports pandas where that is installed (0.2 s, 45 MB), and so does any Python value handed in.
    """
    return np.frombuffer(cells.buffers()[1], dtype)[cells.offset : cells.offset + len(cells)]


def _bits(cells: Any) -> NDArray[np.bool_]:
    """An array of truth values, which Arrow packs eight to a byte."""
    return _fixed(cells.cast(pa.uint8()), np.uint8).astype(np.bool_)
