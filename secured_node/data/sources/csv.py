"""Text tables: comma, semicolon or tabulator between cells, read as text and converted by the schema alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from secured_node.data.errors import DataError
from secured_node.data.mapping import TextFormat
from secured_node.data.sources.arrow import ArrowTable
from secured_node.data.sources.base import RawTable, check_rows, open_head

LINE_BYTES_MAX = 16 << 20
"""Bytes of a block of text, and so of the longest line."""

BAD_ROWS_SHOWN = 20


def read_csv(path: Path, names: Sequence[str], text: TextFormat) -> RawTable:
    """The named columns, every cell as text.

    Raises `DataError`: no text, unknown characters, names in the header row that repeat, or rows with another number of
    cells than the header (by row number, never by content).
    """
    head = open_head(path)
    if not head:
        raise DataError(str(path), "it is empty", "check the export")
    if b"\0" in head:
        raise DataError(str(path), "it is not a text file", "export the data set as CSV or Parquet")
    delimiter = text.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    header = text.header or _header(path, delimiter, text.encoding)
    first_row = 1 if text.header else 2
    bad_rows: list[int] = []

    def note(row: Any) -> str:
        bad_rows.append(int(row.number) - first_row + 1)
        return "skip"

    wanted = [name for name in names if name in header]
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,  # row numbers are known only then
                block_size=LINE_BYTES_MAX,
                column_names=list(header),
                skip_rows_after_names=0 if text.header else 1,
                encoding="utf8" if text.encoding == "utf-8" else text.encoding,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), include_columns=wanted, strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeError):  # their texts quote the file
        raise DataError(
            str(path), f"it cannot be read as {text.encoding} text with cells between '{delimiter}'", "see [text]"
        ) from None
    if bad_rows:
        shown = ", ".join(map(str, bad_rows[:BAD_ROWS_SHOWN]))
        raise DataError(
            str(path),
            f"{len(bad_rows)} rows do not have {len(header)} cells; the first: {shown}",
            "check the delimiter, the quotes and the header",
        )
    check_rows(path, table.num_rows)
    return ArrowTable(str(path), table)


def _header(path: Path, delimiter: str, encoding: str) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
            names = tuple(name.strip() for name in next(csv.reader(file, delimiter=delimiter), []))
    except (OSError, UnicodeError, csv.Error):
        raise DataError(str(path), f"its first row cannot be read as {encoding} text", "see [text]") from None
    if len(set(names)) != len(names):
        raise DataError(
            str(path), "names in its first row repeat", "does it have a header row? else give [text] header"
        )
    return names
