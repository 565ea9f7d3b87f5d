"""The audit log: every decision, sum and refusal, each entry linked to the one before by its digest.

Who edits, deletes or reorders an entry breaks the chain at that place; `verify` names the first bad one. Cutting off
the end leaves an unbroken shorter chain: against that, keep the last digest elsewhere (`audit show --last`). Peers
witnessing checkpoints come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Audit:
    """Makes entries; whoever takes one writes it, in order, before the next."""

    def __init__(self, last: Entry | None) -> None:
        self._sequence = last.sequence if last else 0
        self._digest = last.digest if last else START

    def entry(self, time: str, event: str, about: Mapping[str, Any]) -> Entry:
        """The next entry. Too long a body is cut down to its names, and says so."""
        body = msgspec.json.encode(about).decode()
        if len(body) > BODY_CHARS_MAX:
            body = msgspec.json.encode({"too_long": sorted(about)}).decode()
        sequence = self._sequence + 1
        linked = entry_digest(self._digest, sequence, time, event[:EVENT_CHARS_MAX], body)
        self._sequence, self._digest = sequence, linked
        return Entry(sequence, time, event[:EVENT_CHARS_MAX], body, linked)


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
