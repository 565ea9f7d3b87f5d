"""A report on disk: whole, or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secured_node.data.errors import DataError

PAGE: Final = "report.html"
"""The page; a folder without it is no report."""
_FOLDERS: Final = {"plots": {".png", ".svg"}, "frames": {".csv", ".parquet"}}
_ENDINGS: Final = {".html", ".json", ".toml"}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files, by their path in it, to a folder beside `folder` that then takes its place.

    An earlier report there is replaced. Raises `DataError` if something else is, or nothing can be written.
    """
    target = Path(os.path.abspath(folder))  # noqa: PTH100 - links are not followed: the name is what is replaced
    check_folder(target)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    old = fresh.with_suffix(".old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fill(fresh, files)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        why = error.strerror or str(error)
        raise DataError(f"the report {folder}", f"it cannot be written: {why}", "choose another folder") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return target


def check_folder(folder: Path) -> None:
    """Raises `DataError` if there is something that is neither an empty folder nor a report."""
    if not os.path.lexists(folder):
        return
    todo = "choose another folder, or move what is there"
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"the report {folder}", "it exists and is no folder", todo)
    names = {path.relative_to(folder): path for path in folder.rglob("*")}
    if not names:
        return
    strange = sorted(str(name) for name, path in names.items() if not _ours(name, path))
    if strange:
        raise DataError(f"the report {folder}", f"the folder holds something else ({strange[0]})", todo)
    if Path(PAGE) not in names:
        raise DataError(f"the report {folder}", f"the folder holds something else (no {PAGE})", todo)


def _ours(name: Path, path: Path) -> bool:
    """Whether a report may hold this."""
    if path.is_symlink():
        return False
    if len(name.parts) == 1:
        return (path.is_dir() and str(name) in _FOLDERS) or (path.is_file() and name.suffix in _ENDINGS)
    return len(name.parts) == 2 and path.is_file() and name.suffix in _FOLDERS.get(name.parts[0], set())


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
