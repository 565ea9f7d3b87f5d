"""What hubs tell of their data sets, so that others can ask for them: name, version, schema, and about how many rows.

Nothing in it comes from the data but the rounded count. Whoever proposes a job on a data set finds its schema here.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from protocols.message import Message
from protocols.records.kind import Kind
from protocols.records.record import Record

DATA_SET: Final = "dataset"
SCHEMA_BYTES_MAX: Final = 64 * 1024
"""A schema of a thousand columns with descriptions."""
DATA_SETS_MAX: Final = 1024
"""Data sets that one hub may describe."""


class DataSetBody(Message, frozen=True):
    """Body of a `dataset` record; its subject is the data set's name.

    version: of the schema. digest: of what the schema means, by which jobs name it. schema: as TOML. rows: rounded.
    offered: false once the hub offers it no more.
    """

    version: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,32}\Z")]
    digest: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    schema: Annotated[str, msgspec.Meta(max_length=SCHEMA_BYTES_MAX)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=10**12)]
    offered: bool = True


def _check(record: Record, body: DataSetBody) -> str | None:
    if not record.subject:
        return "a data set has a name"
    return None if len(body.schema.encode()) <= SCHEMA_BYTES_MAX else "the schema is too large"


DATA_SET_KIND: Final = Kind(DATA_SET, DataSetBody, SCHEMA_BYTES_MAX + 1024, DATA_SETS_MAX, check=_check)
