"""Plain values to typed ones: nothing unknown is let through, and an error names file, key and what is allowed."""

from __future__ import annotations

import tomllib
import types
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from secured_node.data.errors import DataError

FILE_BYTES_MAX = 4 << 20
"""Bytes of a schema or mapping file: 10,000 columns with long descriptions need about 2 MB."""

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `DataError` if it cannot be read, is too large or is no TOML."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise DataError(str(path), f"the file is larger than {FILE_BYTES_MAX} bytes", "is it the right file?")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(str(path), error.strerror or "cannot be read", "check the path and its permissions") from None
    except UnicodeDecodeError:
        raise DataError(str(path), "the file is not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(str(path), f"not valid TOML: {error}", "see https://toml.io") from None


def strict(raw: Any, wanted: type[T], where: str) -> T:
    """`raw` as the msgspec struct `wanted`, or a `DataError` that begins with `where` (a file, a table in it)."""
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        raise DataError(f"{where}: {key}" if key else where, why, _allowed(wanted, key)) from None


def _allowed(wanted: type[Any], key: str) -> str:
    """What could have stood there instead."""
    hints = get_type_hints(wanted, include_extras=True)
    choices = _choices(hints.get(key))
    if choices:
        return f"allowed: {' | '.join(choices)}"
    return "" if key else f"allowed keys: {', '.join(hints)}"


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    if get_origin(hint) in (Annotated, types.UnionType):
        return [choice for part in get_args(hint) for choice in _choices(part)]
    return []
