"""`secured-node data`: data sets of this site, and those that others offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from secured_node.cli.common import (
    CommandError,
    Exit,
    ask,
    because,
    fields,
    put,
    screen,
    spent,
    table,
    with_json,
    with_state,
)

FILE_BYTES_MAX = 1 << 20


@click.group("data")
def command() -> None:
    """Register data sets with their schema, check them, see what the federation offers."""


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise CommandError(
                f"{path}", f"it has {len(data)} bytes; at most {FILE_BYTES_MAX} are read", "", Exit.USAGE
            )
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError("the file cannot be read", because(error), "", Exit.USAGE) from None


def _order(file: Path, schema: Path, mapping: Path | None) -> dict[str, str]:
    return {"path": str(file.resolve()), "schema": _text(schema), "mapping": _text(mapping)}


def _warn(console: Console, name: str, report: dict[str, Any]) -> None:
    """What would be replaced, and whom that concerns."""
    old = report["replaces"]
    same = "the same schema" if old["digest"] == report["digest"] else "another schema"
    console.print(f"\nThis replaces what is registered as {name}:", style="bold")
    jobs = f"{', '.join(job[:8] for job in old['jobs'])} rest on it. Better wait until they have ended: "
    jobs += "under another schema they fail, else they may see rows of both files."
    fields(
        console,
        ("version", f"{old['version']}, under {same}"),
        ("rows", f"{old['rows']}; from now on {report['rows']}"),
        ("file", f"{old['path']}, since {old['added']}"),
        ("jobs", jobs if old["jobs"] else ""),
    )


def _show(console: Console, report: dict[str, Any]) -> None:
    console.print(f"{report['name']} version {report['version']}: {report['rows']} rows")
    rows = [(c["name"], c["missing"], c["problems"] or "") for c in report["columns"]]
    table(console, "Columns", ("column", "missing", "problems"), rows)
    problems = [(p["column"], p["kind"], p["count"], ", ".join(map(str, p["rows"]))) for p in report["problems"]]
    if problems:
        table(console, "\nProblems (cells that count as missing)", ("column", "what", "cells", "first rows"), problems)


file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
schema_option = click.option("--schema", required=True, type=click.Path(path_type=Path), help="The schema (TOML).")
mapping_option = click.option("--mapping", type=click.Path(path_type=Path), help="Local names, units and codes (TOML).")


@command.command("check")
@file_argument
@schema_option
@mapping_option
@with_state
@with_json
def check(file: Path, schema: Path, mapping: Path | None, state: Path, as_json: bool) -> None:
    """Read FILE through a schema, in the worker, and say what fits. Nothing is registered or published."""
    report = ask(state, "POST", "/v1/data/check", _order(file, schema, mapping))
    put(as_json, report, lambda console: _show(console, report))


@command.command("add")
@click.argument("name")
@file_argument
@schema_option
@mapping_option
@click.option("--yes", is_flag=True, help="Do not ask before publishing.")
@click.option("--replace", is_flag=True, help="Replace what is registered as NAME, without asking about it.")
@with_state
@with_json
def add(name: str, file: Path, schema: Path, mapping: Path | None, yes: bool, replace: bool, **options: Any) -> None:
    """Register FILE as data set NAME. Others are told its name, version, schema and about how many rows it has.

    The same file under the same schema is read anew. Another one takes a registered one's place only if you say so,
    when asked or by --replace; what would go, and which jobs rest on it, is shown first.
    """
    state: Path = options["state"]
    order = _order(file, schema, mapping)
    report = ask(state, "POST", "/v1/data/check", order)
    if report["name"] != name:
        why = f"the schema is for {report['name']!r}"
        raise CommandError(f"data set {name!r}", why, f"secured-node data add {report['name']} ...", Exit.USAGE)
    if not yes:
        console = screen(stderr=True)
        _show(console, report)
        console.print(
            f"\nThe federation will be told: name {name}, version {report['version']}, the schema, "
            f"about {report['published_rows']} rows. Nothing else."
        )
        if report["replaces"] and not replace:
            _warn(console, name, report)
            click.confirm("Replace it, and publish this?", abort=True, err=True)
            replace = True
        else:
            click.confirm("Publish this?", abort=True, err=True)
    report = ask(state, "POST", "/v1/data", {**order, "replace": replace})
    put(options["as_json"], report, lambda console: console.print(f"Registered {name}: {report['rows']} rows."))


@command.command("list")
@click.option("--all", "everywhere", is_flag=True, help="What all hubs offer.")
@with_state
@with_json
def list_(everywhere: bool, state: Path, as_json: bool) -> None:
    """Show this site's data sets, or what the whole federation offers."""
    if everywhere:
        value = ask(state, "GET", "/v1/catalogue")
        rows = [(c["name"], c["version"], c["hub_name"], f"about {c['rows']}") for c in value["catalogue"]]
        put(as_json, value, lambda console: table(console, "Offered", ("data set", "version", "hub", "rows"), rows))
        return
    value = ask(state, "GET", "/v1/data")
    mine = [(d["name"], d["version"], d["rows"], spent(d["privacy"]), d["path"], d["added"]) for d in value["data"]]
    columns = ("data set", "version", "rows", "epsilon", "file", "added")
    put(as_json, value, lambda console: table(console, "Data sets of this site", columns, mine))
