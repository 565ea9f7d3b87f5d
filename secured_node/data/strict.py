"""Plain values to typed ones: nothing unknown is let through, and an error names file, key and what is allowed."""

from __future__ import annotations

import re
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
        why, key = why_and_key(error)
        raise DataError(f"{where}: {key}" if key else where, why, allowed(wanted, key)) from None


def why_and_key(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and with which key: names joined by dots, places in lists in brackets; "" for the whole."""
    why, _, path = str(error).partition(" - at `$")
    return why, path.rstrip("`").lstrip(".")


def allowed(wanted: type[Any], key: str) -> str:
    """What could have stood at a key of a struct instead; for a struct itself, its keys."""
    hint: Any = wanted
    for name in re.sub(r"\[[^]]*\]", "", key).split(".") if key else ():
        hint = get_type_hints(_struct_in(hint) or object, include_extras=True).get(name)
    struct = _struct_in(hint)
    if struct is not None:
        return f"allowed keys: {', '.join(struct.__struct_fields__)}"
    choices = _choices(hint)
    return f"allowed: {' | '.join(choices)}" if choices else ""


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct that a hint is, or is a list of."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next((found for part in get_args(hint) if (found := _struct_in(part)) is not None), None)


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    if get_origin(hint) in (Annotated, types.UnionType):
        return [choice for part in get_args(hint) for choice in _choices(part)]
    return []
