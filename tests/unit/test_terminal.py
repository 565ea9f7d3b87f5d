"""Texts of peers on a terminal: they are shown as they are, and steer nothing."""

from __future__ import annotations

import io

import pytest

from secured_node.cli.common import CommandError, counted, fields, plain, report, screen, table

EVIL = [r"\[/x]", "[/bold]", r"\[link=https://evil.example]x", "[red]x[/red]", "\x1b[2J", "a\\", "[", "\u202egnp"]


@pytest.mark.parametrize("text", EVIL)
def test_markup_in_a_text_is_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A reason `\\[/x]` ended `job list` with a traceback at every hub, and made links of what a peer wrote."""
    out = io.StringIO()
    console = screen(file=out, width=200, force_terminal=True, color_system=None)
    table(console, "Jobs", ("reason",), [(text,)])
    fields(console, ("reason", text))
    console.print(plain(text))
    shown = out.getvalue()
    printable = text.encode("unicode_escape").decode() if not text.isprintable() else text
    assert shown.count(printable) == 3
    assert "\x1b]8" not in shown and "\x1b[2J" not in shown and "\u202e" not in shown
    report(CommandError(text, text, text))
    assert capsys.readouterr().err.count(printable) == 3


@pytest.mark.parametrize(("number", "words"), [(0, "0 sums"), (1, "1 sum"), (2, "2 sums")])
def test_one_thing_is_named_in_the_singular(number: int, words: str) -> None:
    assert counted(number, "sum") == words
