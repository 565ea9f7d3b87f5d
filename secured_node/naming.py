"""How people name nodes and how nodes are named to people: by name, id, or the end of an id; one rule for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

N = TypeVar("N", bound=str)

PREFIX_CHARS_MIN: Final = 4
"""So much of a job's or node's id is enough to name it, if it fits only one."""
_ID: Final = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]+")


def fitting(text: str, nodes: Iterable[tuple[N, str]]) -> list[N]:
    """Those of the nodes (id and name) whom a person may mean by `text`, each once, in order."""
    by_end = len(text) >= PREFIX_CHARS_MIN
    return sorted({node for node, name in nodes if text in (node, name) or (by_end and node.endswith(text))})


def with_names(text: str, name_of: Callable[[str], str]) -> str:
    """A text made for all hubs, its ids replaced by names. name_of: "" for an id that nobody here knows."""
    return _ID.sub(lambda found: name_of(found[0]) or found[0], text)
