"""Text tables: comma, semicolon or tabulator between cells, read as text and converted by the schema alone."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv as arrow_csv

from secured_node.data.errors import DataError
from secured_node.data.mapping import TextFormat
from secured_node.data.sources.arrow import ArrowTable
from secured_node.data.sources.base import RawTable, check_rows, open_head

LINE_BYTES_MAX = 16 << 20
"""Bytes of a block of text, and so of the longest line."""

BAD_ROWS_MAX = 20
"""Rows with a wrong number of cells that are listed; reading stops there, since the delimiter is probably another."""

_SHOWN: Final = {",": "commas", ";": "semicolons", "\t": "tabulators", "|": "vertical bars"}
_WRITTEN: Final = {"\t": "\\t"}


def read_csv(path: Path, names: Sequence[str], text: TextFormat) -> RawTable:
    """The named columns, every cell as text.

    Raises `DataError`: no text, unknown characters, names in the header row that repeat, or rows with another number of
    cells than the header (by row number, never by content).
    """
    if not open_head(path):
        raise DataError(str(path), "it is empty", "check the export")
    _check_text(path, text.encoding)
    delimiter = text.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    header = text.header or _header(path, delimiter, text.encoding)
    if not text.header:
        _check_delimiter(path, delimiter, header, names, text.encoding)
    rows_above = 0 if text.header else 1
    bad_rows: list[int] = []

    def note(row: Any) -> str:
        bad_rows.append(int(row.number) - rows_above)
        return "skip" if len(bad_rows) < BAD_ROWS_MAX else "error"

    try:
        table = _read(path, names, header, rows_above, delimiter, text.encoding, note)
    except (pa.ArrowException, UnicodeError):  # their texts quote the file
        if not bad_rows:
            why = f"it cannot be read as text with cells between '{delimiter}'"
            raise DataError(str(path), why, "see the mapping's [text]") from None
    if bad_rows:
        why = f"these rows do not have {len(header)} cells: {', '.join(map(str, bad_rows))}"
        more = " and perhaps more" if len(bad_rows) == BAD_ROWS_MAX else ""
        raise DataError(str(path), why + more, "check the delimiter, the quotes and the header")
    check_rows(path, table.num_rows)
    return ArrowTable(str(path), table)


def _read(
    path: Path,
    names: Sequence[str],
    header: Sequence[str],
    rows_above: int,
    delimiter: str,
    encoding: str,
    note: Callable[[Any], str],
) -> Any:
    """The columns of `header` that `names` wants. note: called with each row of another length; "skip" or "error"."""
    return arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(
            use_threads=False,  # row numbers are known only then
            block_size=LINE_BYTES_MAX,
            column_names=list(header),
            skip_rows_after_names=rows_above,
            encoding="utf8" if encoding == "utf-8" else encoding,
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            include_columns=[name for name in names if name in header],
            strings_can_be_null=False,
        ),
    )


def _check_text(path: Path, encoding: str) -> None:
    """Raise `DataError` if the file is not text: pyarrow, where it notices at all, would quote the bytes on stderr."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while block := file.read(LINE_BYTES_MAX):
                if b"\0" in block:
                    raise DataError(str(path), "it is not a text file", "export the data set as CSV or Parquet")
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except (OSError, UnicodeError):
        raise DataError(str(path), f"it is not {encoding} text", "see encoding in the mapping's [text]") from None


def _check_delimiter(path: Path, delimiter: str, header: Sequence[str], names: Sequence[str], encoding: str) -> None:
    """Raise `DataError` if the first row has none of the names, and would have them with another delimiter."""
    if set(names) & set(header):
        return
    for other in [one for one in _SHOWN if one != delimiter]:
        if set(names) & set(_cells(path, other, encoding)):
            why = f"its cells stand between {_SHOWN[other]}, not {_SHOWN[delimiter]}"
            todo = (
                f'put delimiter = "{_WRITTEN.get(other, other)}" under [text] into a mapping, and name it by --mapping'
            )
            raise DataError(
                str(path), why, todo + ('; decimal = "," too if numbers are written so' if other == ";" else "")
            )


def _cells(path: Path, delimiter: str, encoding: str) -> tuple[str, ...]:
    """The cells of the first row."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        return tuple(name.strip() for name in next(csv.reader(file, delimiter=delimiter), []))


def _header(path: Path, delimiter: str, encoding: str) -> tuple[str, ...]:
    try:
        names = _cells(path, delimiter, encoding)
    except (OSError, UnicodeError, csv.Error):
        raise DataError(str(path), "its first row cannot be read", "see the mapping's [text]") from None
    if not names or not all(names) or len(set(names)) != len(names):
        why = "names in its first row are empty or repeat"
        raise DataError(str(path), why, "if it has no header row, give the names as header in the mapping's [text]")
    return names
