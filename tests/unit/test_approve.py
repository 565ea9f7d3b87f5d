"""Whoever approves a newcomer with a member's name is told that these are two."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from secured_node.cli import approve
from secured_node.cli.common import CommandError, Exit

MEMBER, NEWCOMER = "did:key:zMember", "did:key:zNewcomer"


def approved(monkeypatch: pytest.MonkeyPatch, name: str, *options: str, text: str = "") -> tuple[Result, list[str]]:
    """The command at a hub with a member `east`, where somebody called `name` waits; and what it asked of the hub."""
    asked = []

    def ask(_: object, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        asked.append(path)
        if method == "GET":
            waits = {"node": NEWCOMER, "name": name, "organisation": "East", "words": [], "invited_here": True}
            return {"members": [{"node": MEMBER, "name": "east"}], "waiting": [waits]}
        return {"node": NEWCOMER, "member": True, "votes": 1, "quorum": 1}

    monkeypatch.setattr(approve, "ask", ask)
    return CliRunner().invoke(approve.command, list(options), input=text), asked


def test_unasked_a_second_member_of_one_name_is_not_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, asked = approved(monkeypatch, "east", "--yes")
    assert isinstance(ran.exception, CommandError) and ran.exception.exit_code == Exit.REFUSED
    assert MEMBER in ran.exception.why and NEWCOMER in ran.exception.why
    assert asked == ["/v1/members"]


def test_who_is_asked_sees_both_ids_and_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    no, asked = approved(monkeypatch, "east", text="n\n")
    assert no.exit_code == 1 and MEMBER in no.output and NEWCOMER in no.output and asked == ["/v1/members"]
    yes, asked = approved(monkeypatch, "east", text="y\n")
    assert yes.exit_code == 0 and asked[-1] == "/v1/members/approve"


def test_another_name_needs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, asked = approved(monkeypatch, "west", "--yes")
    assert ran.exit_code == 0 and asked[-1] == "/v1/members/approve"
