"""What is attached to frames and is no vector: a job's description, a data set's report, a result."""

from __future__ import annotations

import mmap
from typing import Any, TypeVar

import msgspec

from secured_node.work.frames import FrameError

T = TypeVar("T")


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all documents: strict JSON."""


class Description(Document, frozen=True):
    """What a data set and a computation are made of, as people and jobs wrote it; the worker parses it.

    schema, mapping: TOML; None without a data set, mapping None for a site that needs none. parameters: of the task, a
    JSON object.
    """

    schema: str | None = None
    mapping: str | None = None
    parameters: str = "{}"


class ColumnReport(Document, frozen=True):
    """One column of a checked data set: see `data.check.ColumnReport`."""

    name: str
    missing: int
    problems: int


class Problem(Document, frozen=True):
    """Cells of one column that do not fit: see `data.cells.Problem`."""

    column: str
    kind: str
    count: int
    rows: tuple[int, ...]


class DataReport(Document, frozen=True):
    """What a check found, as the daemon sees it: field for field `data.check.Report`, which only the worker imports.

    name, version, digest: of the schema (digest: hexadecimal). rows: exactly. published_rows: what others are told.
    """

    name: str
    version: int
    digest: str
    rows: int
    published_rows: int
    columns: tuple[ColumnReport, ...]
    problems: tuple[Problem, ...]


class ResultDocument(Document, frozen=True):
    """A result without its arrays: see `tasks.base.Result`. tables: each with title, columns and rows."""

    data: dict[str, Any]
    tables: list[dict[str, Any]]
    problem: str


def encode_document(document: Document) -> bytes:
    """The bytes to attach."""
    return msgspec.json.encode(document)


def decode_document(attached: mmap.mmap | memoryview, kind: type[T]) -> T:
    """The document that was attached. Raises `FrameError` if it is none of this kind."""
    try:
        return msgspec.json.decode(attached, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise FrameError("malformed", f"what is attached is not a {kind.__name__}") from None
