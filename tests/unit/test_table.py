"""Tables and their sources: cells that do not fit are counted by row and column; no value ever gets into a message."""

from __future__ import annotations

import gzip
import io
import math
import os
import zipfile
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secured_node.data import sources
from secured_node.data.cells import PROBLEM_ROWS_MAX, Problem
from secured_node.data.check import check, read_table
from secured_node.data.errors import DataError
from secured_node.data.mapping import SiteMapping, TextFormat, parse_mapping
from secured_node.data.rows import published_rows
from secured_node.data.schema import parse_schema
from secured_node.data.sources import find_source
from secured_node.data.sources.csv import read_csv
from secured_node.data.table import Table, build_table
from tests.unit.federation import Columns

CANARY = "CANARY-7719"

SCHEMA = parse_schema(
    {
        "name": "visits",
        "version": 3,
        "columns": {
            "age": {"type": "number", "minimum": 0, "maximum": 120},
            "visits": {"type": "integer", "minimum": 0, "maximum": 50, "missing": False},
            "pain": {"type": "category", "levels": ["none", "some", "bad"]},
            "smoker": {"type": "boolean"},
        },
    },
    "schema.toml",
)

MAPPING = parse_mapping(
    {
        "missing": ["", "?", "-9"],
        "columns": {
            "pain": {"levels": {"0": "none", "1": "some", "2": "bad"}},
            "smoker": {"levels": {"0": "false", "1": "true", "J": "true"}},
        },
    },
    SCHEMA,
    "mapping.toml",
)

CSV = """age,visits,pain,smoker,name
61.5,3,none,J,Ann
 7 ,0,1,0,"Bob ""B"" "
?,2,,true,Cid
-9,4,?,?,Dan
"""


def write(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def columns_of(table: Table) -> dict[str, list[Any]]:
    return {
        name: [None if missing else value for value, missing in zip(column, table.missing(name), strict=True)]
        for name, column in table.columns.items()
    }


EXPECTED = {
    "age": [61.5, 7.0, None, None],
    "visits": [3.0, 0.0, 2.0, 4.0],
    "pain": [0, 1, None, None],
    "smoker": [1, 0, 1, None],
}


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    table, problems = read_table(write(tmp_path, CSV), SCHEMA, MAPPING)
    assert columns_of(table) == EXPECTED
    assert problems == ()
    assert table.columns["age"].dtype == np.float64
    assert table.columns["pain"].dtype == np.int32
    assert table.complete(["age", "pain"]).tolist() == [True, True, False, False]
    some, _ = read_table(write(tmp_path, CSV), SCHEMA, MAPPING, ("smoker", "age"))
    assert list(some.columns) == ["smoker", "age"]
    assert list(some.schema.columns) == ["smoker", "age"]


@pytest.mark.parametrize(
    ("name", "text", "raw"),
    [
        ("t.csv", "\ufeff" + CSV, {}),
        ("t.csv", CSV.replace("\n", "\r\n") + "\r\n", {}),
        ("t.tsv", CSV.replace(",", "\t"), {}),
        ("t.txt", CSV.replace(",", ";").replace("61.5", "61,5"), {"delimiter": ";", "decimal": ","}),
        ("t.data", CSV.split("\n", 1)[1], {"header": ["age", "visits", "pain", "smoker", "name"]}),
    ],
)
def test_dialects_of_csv(tmp_path: Path, name: str, text: str, raw: dict[str, Any]) -> None:
    mapping = SiteMapping(missing=MAPPING.missing, columns=MAPPING.columns, text=parse_text(raw))
    table, problems = read_table(write(tmp_path, text, name), SCHEMA, mapping)
    assert columns_of(table) == EXPECTED
    assert problems == ()


def parse_text(raw: dict[str, Any]) -> Any:
    return parse_mapping({"text": raw}, SCHEMA, "mapping.toml").text


def test_latin_1(tmp_path: Path) -> None:
    text = CSV.replace("pain", "Schmerz ü").replace("Ann", "Ärger")
    raw = {"text": {"encoding": "latin-1"}, "columns": {"pain": {"local": "Schmerz ü", "levels": {"1": "some"}}}}
    path = write(tmp_path, text, encoding="latin-1")
    table, _ = read_table(path, SCHEMA, parse_mapping(raw, SCHEMA, "m"), ("pain",))
    assert columns_of(table)["pain"] == [0, 1, None, None]
    with pytest.raises(DataError, match="not utf-8 text"):
        read_table(path, SCHEMA, MAPPING)


def test_units_and_names_are_mapped(tmp_path: Path) -> None:
    schema = parse_schema(
        {"name": "w", "version": 1, "columns": {"temperature": {"type": "number", "minimum": 30, "maximum": 45}}}, "s"
    )
    mapping = parse_mapping(
        {"columns": {"temperature": {"local": "temp_f", "factor": 5 / 9, "offset": -160 / 9}}}, schema, "m"
    )
    table, problems = read_table(write(tmp_path, "temp_f\n98.6\n212\n"), schema, mapping)
    assert math.isclose(table.columns["temperature"][0], 37.0)
    assert problems == (Problem("temperature", "above the maximum", 1, (2,)),)


def test_problems_are_counted_by_row_and_column(tmp_path: Path) -> None:
    rows = [
        f"{CANARY},1,none,0",
        "121,1,none,0",
        "-1,1,none,0",
        "1e999,1,none,0",
        "nan,1,none,0",
        "1_0,1,none,0",
        "50,1.5,none,0",
        "50,,none,0",
        f"50,1,{CANARY},0",
        "50,1,none,2",
        "50,99,none,0",
    ]
    path = write(tmp_path, "age,visits,pain,smoker\n" + "\n".join(rows))
    table, problems = read_table(path, SCHEMA, MAPPING)
    assert problems == (
        Problem("age", "not a number", 4, (1, 4, 5, 6)),
        Problem("age", "below the minimum", 1, (3,)),
        Problem("age", "above the maximum", 1, (2,)),
        Problem("visits", "above the maximum", 1, (11,)),
        Problem("visits", "not a whole number", 1, (7,)),
        Problem("visits", "missing, which the schema does not allow", 1, (8,)),
        Problem("pain", "not a level of the schema", 1, (9,)),
        Problem("smoker", "not true or false", 1, (10,)),
    )
    assert int(table.missing("age").sum()) == 6
    assert int(table.missing("visits").sum()) == 3
    report = check(path, SCHEMA, MAPPING)
    assert (report.rows, report.published_rows, report.problems) == (11, 10, problems)
    assert [(column.name, column.missing, column.problems) for column in report.columns] == [
        ("age", 6, 6),
        ("visits", 3, 3),
        ("pain", 1, 1),
        ("smoker", 1, 1),
    ]
    assert "CANARY" not in str(report)


def test_lists_of_rows_are_capped(tmp_path: Path) -> None:
    path = write(tmp_path, "age,visits,pain,smoker\n" + f"{CANARY},1,none,0\n" * 100)
    (problem,) = check(path, SCHEMA, MAPPING).problems
    assert problem.count == 100
    assert problem.rows == tuple(range(1, PROBLEM_ROWS_MAX + 1))


def test_typed_columns() -> None:
    raw = Columns(
        age=np.array([1.0, math.nan, -9.0, math.inf]),
        visits=np.array([1, 2, 3, 60], np.int64),
        pain=np.array([0.0, 1.0, math.nan, 7.0]),
        smoker=np.array([True, False, True, False]),
    )
    table, problems = build_table(raw, SCHEMA, MAPPING)
    assert columns_of(table) == {
        "age": [1.0, None, None, None],
        "visits": [1.0, 2.0, 3.0, None],
        "pain": [0, 1, None, None],
        "smoker": [1, 0, 1, 0],
    }
    assert [(problem.column, problem.rows) for problem in problems] == [("age", (4,)), ("visits", (4,)), ("pain", (4,))]
    truth = Columns(age=np.array([True]), visits=np.array([1]), pain=np.array(["none"]), smoker=np.array([1]))
    assert build_table(truth, SCHEMA, MAPPING)[1] == (Problem("age", "not a number", 1, (1,)),)


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "table.parquet"
    columns = {
        "age": arrow.array([61.5, 7, None, -9.0]),
        "visits": arrow.array([3, 0, 2, 4], arrow.int8()),
        "pain": arrow.array(["none", "1", None, "?"]).dictionary_encode(),
        "smoker": arrow.array([True, False, True, None]),
        "seen": arrow.array([0, 1, 2, 3], arrow.timestamp("s")),
    }
    parquet.write_table(arrow.table(columns), path, row_group_size=3)
    table, problems = read_table(path, SCHEMA, MAPPING)
    assert columns_of(table) == EXPECTED
    assert problems == ()
    raw = {"columns": {"age": {"local": "seen"}}}
    with pytest.raises(DataError, match="column 'seen': cells of type timestamp"):
        read_table(path, SCHEMA, parse_mapping(raw, SCHEMA, "m"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="damaged"):
        read_table(path, SCHEMA, MAPPING)


def test_a_column_that_the_file_lacks(tmp_path: Path) -> None:
    path = write(tmp_path, f"{CANARY},visits,smoker\n1,1,1\n")
    with pytest.raises(DataError, match=r"lacks these columns: age \(looked for as 'age'\), pain") as caught:
        read_table(path, SCHEMA, MAPPING)
    assert "CANARY" not in str(caught.value)
    with pytest.raises(DataError, match="lacks these columns: age"):
        read_table(path, SCHEMA, MAPPING, ("age",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("age,visits,pain,smoker\n", "it has no rows"),
        (
            f"age,visits,pain,smoker\n1,1,none,0\n1,{CANARY}\n\n1,1,none,0,9\n",
            "these rows do not have 4 cells: 2, 3; check",
        ),
        (f"{CANARY},{CANARY},age\n1,2,3\n", "names in its first row are empty or repeat"),
        ("\n\nage,visits\n1,2\n", "names in its first row are empty or repeat"),
        ("age,visits,pain,smoker\n" + f"{CANARY}\n" * 30, "do not have 4 cells: 1, 2, .*, 20 and perhaps more"),
        (f"age,visits\n1,{CANARY}\0\n", "not a text file"),
    ],
)
def test_bad_csv_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_table(write(tmp_path, text), SCHEMA, MAPPING)
    assert "CANARY" not in caught.value.why + caught.value.todo


def disguises() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("table.csv", CSV)
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    return {
        "zip": archive.getvalue(),
        "gzip": gzip.compress(CSV.encode()),
        "numpy": array.getvalue(),
        "pickle": b"\x80\x04N.",
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(8),
    }


@pytest.mark.parametrize("kind", ["zip", "gzip", "numpy", "pickle", "HDF5"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_pickle_anything(tmp_path: Path, kind: str, ending: str) -> None:
    """security-cases.md: refused by magic bytes, whatever the file is called."""
    path = tmp_path / f"table.{ending}"
    path.write_bytes(disguises()[kind])
    with pytest.raises(DataError, match=f"it is .*{kind}.*not a table|it is .*{kind}.*could run code"):
        read_table(path, SCHEMA, MAPPING)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "absent.csv", SCHEMA, MAPPING)
    with pytest.raises(DataError, match=r"known endings: csv, data, parquet, pq, tsv, txt"):
        read_table(write(tmp_path, CSV, "table.pkl"), SCHEMA, MAPPING)
    with pytest.raises(DataError, match="not a Parquet file"):
        read_table(write(tmp_path, CSV, "table.parquet"), SCHEMA, MAPPING)
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("folder.csv", "pipe.csv"):
        with pytest.raises(DataError, match="not a regular file"):
            read_table(tmp_path / name, SCHEMA, MAPPING)


def test_sources_of_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    group = sources.ENTRY_POINTS
    points = EntryPoints(
        [
            EntryPoint("mine", "secured_node.data.sources.csv:read_csv", group),
            EntryPoint("csv", "os:system", group),
            EntryPoint("broken", "nowhere:read", group),
        ]
    )
    monkeypatch.setattr(sources, "entry_points", lambda group: points.select(group=group))
    table, _ = read_table(write(tmp_path, CSV, "table.mine"), SCHEMA, MAPPING)
    assert columns_of(table) == EXPECTED
    assert find_source(Path("table.CSV")) is read_csv
    with pytest.raises(DataError, match=r"source for '\.broken'.*cannot be loaded"):
        find_source(Path("table.broken"))


@pytest.mark.parametrize(
    ("rows", "published"),
    [
        (0, 0),
        (4, 0),
        (5, 10),
        (8, 10),
        (14, 10),
        (117, 120),
        (303, 300),
        (1234, 1200),
        (1250, 1300),
        (9_999_999, 10_000_000),
    ],
)
def test_published_rows_are_rounded(rows: int, published: int) -> None:
    assert published_rows(rows) == published


cells = st.text(alphabet=st.sampled_from(list("0123456789.,;-+e?\"'\n\r\t ABC\u00e4\u0661_")), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.lists(cells, max_size=8).map(lambda rows: "\n".join(rows).encode())))
def test_fuzz_decoders(tmp_path: Path, content: bytes) -> None:
    """security-cases.md: whatever a file holds, a table or a typed error comes out, and no content in its text."""
    for name in ("fuzz.csv", "fuzz.parquet"):
        path = tmp_path / name
        path.write_bytes(b"age,visits,pain,smoker\n" + content if name == "fuzz.csv" else b"PAR1" + content)
        try:
            table, _ = read_table(path, SCHEMA, MAPPING)
        except DataError:
            continue
        for column, values in table.columns.items():
            low, high = SCHEMA.columns[column].range
            known = values[~table.missing(column)]
            if SCHEMA.columns[column].numeric:
                assert np.all((known >= low) & (known <= high))
            else:
                assert np.all(known < len(SCHEMA.columns[column].choices))


@pytest.mark.parametrize(
    ("delimiter", "words", "written"),
    [(";", "semicolons", 'delimiter = ";"'), ("\t", "tabulators", r'delimiter = "\t"'), ("|", "vertical bars", '"|"')],
)
def test_another_delimiter_is_recognised_and_the_error_says_how_to_declare_it(
    tmp_path: Path, delimiter: str, words: str, written: str
) -> None:
    """Commas within the numbers, too: the rows then have more cells than the header."""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(delimiter.join(row) for row in (("age", "ill"), ("61,5", "true"), ("62", "false"))))
    with pytest.raises(DataError) as error:
        read_csv(path, ("age", "ill"), TextFormat())
    assert words in error.value.why and "commas" in error.value.why
    assert written in error.value.todo and "--mapping" in error.value.todo
    declared = read_csv(path, ("age", "ill"), TextFormat(delimiter=delimiter))  # type: ignore[arg-type]
    assert declared.rows == 2
