"""The data sets that this site has registered: where they lie, under which schema, with which mapping.

The daemon knows paths and counts; it never opens a data set. Counts come from the worker's check.
"""

from __future__ import annotations

from typing import Any

import msgspec

from protocols.job.kinds import DataRef
from secured_node.policy import DataFacts
from secured_node.store.store import DATA_SETS, Row, Store


class DataSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One registered data set.

    name, version: of its schema. digest: of the schema, hexadecimal. path: of the file, as the worker sees it. schema,
    mapping: as TOML. rows, published_rows: counted by the worker; others are told the latter. added: when, UTC.
    """

    name: str
    version: str
    digest: str
    path: str
    schema: str
    mapping: str
    rows: int
    published_rows: int
    added: str

    def is_what(self, wanted: DataRef) -> bool:
        """Whether it is the data set that a job names, in that version and under that schema."""
        return (self.name, self.version, self.digest) == (wanted.name, wanted.version, wanted.schema.hex())


class DataSets:
    """All data sets of this site, by name."""

    def __init__(self, store: Store, known: dict[str, DataSet]) -> None:
        self._store = store
        self._known = known

    @classmethod
    async def load(cls, store: Store) -> DataSets:
        """Read what was registered."""
        rows = await store.rows(DATA_SETS)
        return cls(store, {name: msgspec.json.decode(data, type=DataSet) for name, data in rows.items()})

    async def add(self, data: DataSet) -> None:
        """Register a data set, or its next version, durably."""
        await self._store.commit((Row(DATA_SETS, data.name, msgspec.json.encode(data)),))
        self._known[data.name] = data

    def get(self, name: str) -> DataSet | None:
        """The data set of that name, or None."""
        return self._known.get(name)

    def facts(self, name: str) -> DataFacts | None:
        """What the policy needs to know of a data set."""
        data = self._known.get(name)
        return DataFacts(data.version, bytes.fromhex(data.digest), data.rows) if data else None

    def listed(self) -> list[dict[str, Any]]:
        """All of them, for people."""
        names = ("name", "version", "digest", "path", "rows", "published_rows", "added")
        return [{n: getattr(d, n) for n in names} for _, d in sorted(self._known.items())]
