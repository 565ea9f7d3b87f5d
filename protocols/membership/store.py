"""A store of records and the roster that follows from it: one cannot be had without the other."""

from __future__ import annotations

from protocols.membership.roster import Roster
from protocols.records.kind import Kinds
from protocols.records.record import Record
from protocols.records.store import RecordStore


def open_store(charter: Record, kinds: Kinds) -> tuple[RecordStore, Roster]:
    """The store of a federation, empty but for its charter, and its roster. Raises `PeerError` if it is no charter."""
    roster = Roster(charter)
    store = RecordStore(kinds, roster)
    store.add(charter)
    return store, roster
