"""Where tables come from: the built-in CSV and Parquet readers, and those that plugins register.

A plugin is an entry point in the group `secured_node.sources`; its name is the ending of the files that it reads
(without the dot), its object a `Source`. Built-in endings cannot be taken over. Built-in readers are imported when
first asked for, because they need pyarrow, which only the worker has.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from secured_node.data.errors import DataError
from secured_node.data.sources.base import Source

ENTRY_POINTS = "secured_node.sources"

_CSV = ("secured_node.data.sources.csv", "read_csv")
_PARQUET = ("secured_node.data.sources.parquet", "read_parquet")
BUILT_IN = {"csv": _CSV, "tsv": _CSV, "txt": _CSV, "data": _CSV, "parquet": _PARQUET, "pq": _PARQUET}
"""File ending to the module and name of its source."""


def find_source(path: Path) -> Source:
    """The source that reads files with this ending. Raises `DataError` if there is none or it cannot be loaded."""
    ending = path.suffix.lower().removeprefix(".")
    plugins = entry_points(group=ENTRY_POINTS)
    try:
        if ending in BUILT_IN:
            module, name = BUILT_IN[ending]
            built_in: Source = getattr(import_module(module), name)
            return built_in
        for plugin in plugins.select(name=ending):
            source: Source = plugin.load()
            return source
    except (ImportError, AttributeError):
        raise DataError(
            f"the source for '.{ending}'", "it cannot be loaded", "install secured-node[worker], or the plugin again"
        ) from None
    known = sorted({*BUILT_IN, *plugins.names})
    raise DataError(str(path), f"no source reads files that end with '.{ending}'", f"known endings: {', '.join(known)}")
