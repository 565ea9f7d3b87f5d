"""Which records share a kind, an author or a subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.records.authority import Held

_Table = dict[str, dict[bytes, Held]]


class Index:
    """Standing records by kind, by author, by subject."""

    def __init__(self) -> None:
        self._tables: Final[tuple[_Table, _Table, _Table]] = ({}, {}, {})

    def add(self, held: Held) -> None:
        """Take a record in."""
        for table, name in zip(self._tables, _names(held), strict=True):
            table.setdefault(name, {})[held.digest] = held

    def remove(self, held: Held) -> None:
        """Take a record out."""
        for table, name in zip(self._tables, _names(held), strict=True):
            del table[name][held.digest]
            if not table[name]:
                del table[name]

    def find(self, kind: str | None, author: str | None, subject: str | None) -> Iterable[Held]:
        """The records that fit all that is given; the smallest table is walked."""
        wanted = (kind, author, subject)
        fitting: list[dict[bytes, Held]] = [
            table.get(name, {}) for table, name in zip(self._tables, wanted, strict=True) if name is not None
        ]
        if not fitting:
            return [held for group in self._tables[0].values() for held in group.values()]
        first, *others = sorted(fitting, key=len)
        return [held for digest, held in first.items() if all(digest in other for other in others)]


def _names(held: Held) -> tuple[str, str, str]:
    return held.record.kind, held.record.author, held.record.subject
