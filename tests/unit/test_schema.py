"""Schemas and mappings: strict, and errors that name file, key and what is allowed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secured_node.data.errors import DataError
from secured_node.data.mapping import SiteMapping, load_mapping, parse_mapping
from secured_node.data.schema import Schema, load_schema, parse_schema

TEXT = """
name = "heart-disease"
version = 2
description = "Angiography patients"

[columns.age]
type = "number"
unit = "years"
minimum = 0
maximum = 120

[columns.visits]
type = "integer"
minimum = 0
maximum = 500
missing = false

[columns.pain]
type = "category"
levels = ["typical", "atypical", "none"]

[columns.smoker]
type = "boolean"
description = "now or within a year"
"""


def write(folder: Path, text: str, name: str = "schema.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_schema_is_read(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, TEXT))
    assert (schema.name, schema.version, list(schema.columns)) == (
        "heart-disease",
        2,
        ["age", "visits", "pain", "smoker"],
    )
    assert schema.columns["age"].range == (0.0, 120.0)
    assert not schema.columns["visits"].missing
    assert schema.columns["pain"].choices == ("typical", "atypical", "none")
    assert schema.columns["smoker"].choices == ("false", "true")
    assert list(schema.only(("pain", "age")).columns) == ["pain", "age"]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, TEXT))
    assert len(schema.digest()) == 32
    again = TEXT.replace("minimum = 0\nmaximum = 120", "maximum = 120.0 # plausible\nminimum = 0.0")
    assert load_schema(write(tmp_path, again)).digest() == schema.digest()
    turned = Schema(**{**msgspec.structs.asdict(schema), "columns": dict(reversed(schema.columns.items()))})
    assert turned.digest() == schema.digest()
    for old, new in (("120", "121"), ("typical", "usual"), ("version = 2", "version = 3"), ("years", "months")):
        assert load_schema(write(tmp_path, TEXT.replace(old, new))).digest() != schema.digest()
    plain = msgspec.to_builtins(schema)
    assert parse_schema(plain, "record").digest() == schema.digest()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('type = "number"', 'type = "float"', r"columns\.age: type.*allowed: number \| integer \| category \| boolean"),
        ('type = "number"', "", r"columns\.age.*missing required field `type`"),
        ("maximum = 120", "", r"columns\.age.*needs minimum and maximum"),
        ("maximum = 120", "maximum = 0", r"columns\.age.*minimum must be below maximum"),
        ("maximum = 120", "maximum = nan", r"columns\.age.*minimum must be below maximum"),
        ("maximum = 120", "maximum = inf", r"columns\.age.*minimum must be below maximum"),
        ("maximum = 120", "maximum = 1e16", r"columns\.age.*take a larger unit"),
        ("maximum = 120", 'maximum = "120"', r"columns\.age: maximum.*got `str`"),
        ("maximum = 120", "maximum = 120\nmaximal = 1", r"columns\.age.*`maximal`.*allowed keys: type, unit, levels"),
        ('["typical", "atypical", "none"]', '["typical"]', r"columns\.pain.*2 to 1000 different levels"),
        ('["typical", "atypical", "none"]', '["a", "a"]', r"columns\.pain.*2 to 1000 different levels"),
        ('["typical", "atypical", "none"]', '["a", " b"]', r"columns\.pain.*neither begins nor ends with a space"),
        ('["typical", "atypical", "none"]', '["a", "b\\n"]', r"columns\.pain.*printable"),
        ('["typical", "atypical", "none"]', "[1, 2]", r"columns\.pain: levels"),
        (
            'type = "boolean"',
            'type = "boolean"\nlevels = ["no", "yes"]',
            r"columns\.smoker.*levels belong to a category",
        ),
        ('type = "boolean"', 'type = "boolean"\nminimum = 0', r"columns\.smoker.*belong to numbers"),
        ("[columns.smoker]", '[columns."smo ker"]', "a column's name is 1 to 64"),
        ("version = 2", "version = 0", "version is a whole number from 1"),
        ("version = 2", 'version = "2"', "version: Expected `int`"),
        ("version = 2", "", "missing required field `version`"),
        ('name = "heart-disease"', 'name = "Heart disease"', "name is 1 to 64"),
        ('name = "heart-disease"', 'name = "../etc"', "name is 1 to 64"),
        ("version = 2", "version = = 2", "not valid TOML"),
        ("version = 2", "version = 2\nspeed = 3", "`speed`.*allowed keys: name, version, columns, description"),
    ],
)
def test_bad_schemas(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    path = write(tmp_path, TEXT.replace(old, new))
    with pytest.raises(DataError, match=message) as caught:
        load_schema(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load_schema(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes('name = "Zürich"'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_schema(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (5 << 20))
    with pytest.raises(DataError, match="larger than"):
        load_schema(tmp_path / "huge.toml")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(["name", "version", "columns", "type", "levels", "minimum", "maximum", "missing", "text", "a"])


@given(st.dictionaries(keys, plain | st.dictionaries(keys, plain | st.dictionaries(keys, plain))))
def test_anything_else_is_a_typed_error(raw: dict[str, Any]) -> None:
    with contextlib.suppress(DataError):
        parse_schema(raw, "file")
    with contextlib.suppress(DataError):
        parse_mapping(raw, parse_schema(SMALL, "schema"), "file")


SMALL: dict[str, Any] = {
    "name": "small",
    "version": 1,
    "columns": {
        "a": {"type": "number", "minimum": 0, "maximum": 1},
        "g": {"type": "category", "levels": ["x", "y"]},
        "f": {"type": "boolean"},
    },
}


def test_a_mapping_is_read(tmp_path: Path) -> None:
    schema = parse_schema(SMALL, "schema")
    text = """
        missing = ["?", "NA"]
        [text]
        delimiter = ";"
        decimal = ","
        [columns.a]
        local = "Alter"
        factor = 0.01
        missing = ["-9"]
        [columns.g]
        levels = { "1" = "x", "2" = "y", "3" = "y" }
        """
    mapping = load_mapping(write(tmp_path, text, "mapping.toml"), schema)
    assert mapping.local("a") == "Alter"
    assert mapping.local("f") == "f"
    assert mapping.markers("a") == ("-9",)
    assert mapping.markers("g") == ("?", "NA")
    assert mapping.of("g").levels["3"] == "y"
    assert mapping.text.delimiter == ";"
    assert SiteMapping().markers("a") == ("",)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"columns": {"b": {}}}, "column 'b'.*it has: a, g, f"),
        ({"columns": {"a": {"levels": {"1": "x"}}}}, r"columns\.a\.levels.*type number.*remove levels"),
        ({"columns": {"g": {"factor": 2}}}, r"columns\.g\.factor.*type category"),
        (
            {"columns": {"g": {"levels": {"1": "z"}}}},
            r"columns\.g\.levels: not levels of the schema: z; allowed: x \| y",
        ),
        ({"columns": {"f": {"levels": {"1": "yes"}}}}, r"columns\.f\.levels.*allowed: false \| true"),
        ({"columns": {"a": {"factor": 0}}}, r"columns\.a.*factor is not 0"),
        ({"columns": {"a": {"factr": 1}}}, r"columns\.a.*`factr`.*allowed keys: local, factor"),
        ({"text": {"delimiter": ":"}}, "text"),
        ({"text": {"header": ["a", "a"]}}, "must differ"),
        ({"missing": "?"}, "missing: Expected `array`"),
    ],
)
def test_bad_mappings(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        parse_mapping(raw, parse_schema(SMALL, "schema"), "mapping.toml")
    if "column 'b'" not in message:
        assert "mapping.toml" in str(caught.value)
