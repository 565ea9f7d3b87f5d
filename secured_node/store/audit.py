"""The audit log: every decision, sum and refusal, each entry linked to the one before by its digest.

Who edits, deletes or reorders an entry breaks the chain at that place; `verify` names the first bad one. Cutting off
the end leaves an unbroken shorter chain: against that, keep the last digest elsewhere (`audit show --last`). Peers
witnessing checkpoints come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.digest import digest

EVENT_CHARS_MAX: Final = 64
BODY_CHARS_MAX: Final = 16 * 1024
"""An entry says what happened; what it happened to lies elsewhere."""
START: Final = bytes(32)
"""Stands before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. sequence: from 1, without gaps. time: UTC. body: JSON. digest: over the one before."""

    sequence: int
    time: str
    event: str
    body: str
    digest: bytes


def entry_digest(before: bytes, sequence: int, time: str, event: str, body: str) -> bytes:
    """What links an entry to the one before."""
    return digest("audit", before, sequence.to_bytes(8, "little"), time.encode(), event.encode(), body.encode())


@dataclass(frozen=True, slots=True)
class Told:
    """Something that is to be told; it becomes an entry when it is written. The fields are those of `Entry`."""

    time: str
    event: str
    body: str


class Audit:
    """The end of the chain. Only the thread that writes entries links them: one that was not written never was."""

    def __init__(self, last: Entry | None) -> None:
        self._last = last

    @staticmethod
    def entry(time: str, event: str, about: Mapping[str, Any]) -> Told:
        """What is to be told. Too long a body is cut down to its names, and says so."""
        body = msgspec.json.encode(about).decode()
        if len(body) > BODY_CHARS_MAX:
            body = msgspec.json.encode({"too_long": sorted(about)}).decode()
        return Told(time, event[:EVENT_CHARS_MAX], body)

    def linked(self, told: Sequence[Told]) -> list[Entry]:
        """The entries that come next; `written` makes them the chain's end."""
        before = self._last.digest if self._last else START
        first = self._last.sequence + 1 if self._last else 1
        entries: list[Entry] = []
        for sequence, one in enumerate(told, first):
            before = entry_digest(before, sequence, one.time, one.event, one.body)
            entries.append(Entry(sequence, one.time, one.event, one.body, before))
        return entries

    def written(self, entries: Sequence[Entry]) -> None:
        """These are on disk."""
        if entries:
            self._last = entries[-1]


def first_bad_entry(entries: Iterable[Entry]) -> tuple[int, str] | None:
    """The sequence number at which the chain breaks, and how; None if it is whole."""
    before, expected = START, 1
    for entry in entries:
        if entry.sequence != expected:
            return expected, f"entry {expected} is missing"
        if entry_digest(before, entry.sequence, entry.time, entry.event, entry.body) != entry.digest:
            return entry.sequence, f"entry {entry.sequence} or the one before it was changed"
        before, expected = entry.digest, expected + 1
    return None
