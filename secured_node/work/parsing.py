"""From the text of jobs and data sets to what tasks and sources take. Every error says what is wrong and where."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec

from secured_node.data.errors import DataError
from secured_node.data.mapping import SiteMapping, parse_mapping
from secured_node.data.schema import Schema, parse_schema
from secured_node.work.documents import Description

SCHEMA = "the schema"
MAPPING = "the mapping"


def parse_data(description: Description) -> tuple[Schema | None, SiteMapping]:
    """Schema, if there is one, and mapping. Raises `DataError`."""
    if description.schema is None:
        return None, SiteMapping()
    schema = parse_schema(_toml(description.schema, SCHEMA), SCHEMA)
    if description.mapping is None:
        return schema, SiteMapping()
    return schema, parse_mapping(_toml(description.mapping, MAPPING), schema, MAPPING)


def parse_parameters(text: str) -> dict[str, Any]:
    """A task's parameters as plain values. Raises `DataError`."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise DataError("the job's parameters", "they are not a JSON object", "submit it with one") from None


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(where, f"not valid TOML: {error}", "see https://toml.io") from None
