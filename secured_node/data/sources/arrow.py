"""Arrow tables as raw tables. Import this only where pyarrow is wanted: it costs 59 MB of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

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
        absent = np.asarray(cells.is_null().to_numpy())
        kind = cells.type
        if pa.types.is_null(kind):
            return RawColumn(np.zeros(len(cells)), absent)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return RawColumn(cells.fill_null("").to_numpy().astype(object), absent)
        if pa.types.is_boolean(kind):
            return RawColumn(cells.fill_null(False).to_numpy(), absent)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return RawColumn(cells.fill_null(0).to_numpy(), absent)
        raise DataError(
            f"{self.file}: column '{name}'",
            f"cells of type {kind} are not read",
            "export it as numbers, text or true and false",
        )
