"""The local API's table of routes, and who has which role. The requests themselves: tests/e2e/test_hub_local.py."""

from __future__ import annotations

import grp
import os
import socket
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from secured_node.api import roles as module
from secured_node.api.metrics import metrics
from secured_node.api.roles import LocalUser, Role, local_user
from secured_node.api.routes import routes
from secured_node.config import Roles

ANYONE, ADMIN, DATA, RESEARCH = Role.ANYONE, Role.ADMIN, Role.DATA, Role.RESEARCH
EXPECTED = {
    ("GET", "/v1/status"): ANYONE,
    ("GET", "/health"): ANYONE,
    ("GET", "/metrics"): ANYONE,
    ("GET", "/v1/audit"): ADMIN,
    ("GET", "/v1/audit/verify"): ADMIN,
    ("GET", "/v1/members"): ANYONE,
    ("POST", "/v1/invitations"): ADMIN,
    ("POST", "/v1/members/approve"): ADMIN,
    ("POST", "/v1/members/refuse"): ADMIN,
    ("POST", "/v1/members/revoke"): ADMIN,
    ("GET", "/v1/jobs"): ANYONE,
    ("POST", "/v1/jobs"): RESEARCH,
    ("GET", "/v1/jobs/{job}"): ANYONE,
    ("POST", "/v1/jobs/{job}/approve"): DATA,
    ("POST", "/v1/jobs/{job}/refuse"): DATA,
    ("POST", "/v1/jobs/{job}/cancel"): RESEARCH,
    ("GET", "/v1/jobs/{job}/result"): RESEARCH,
    ("GET", "/v1/data"): DATA,
    ("GET", "/v1/catalogue"): ANYONE,
    ("POST", "/v1/data/check"): DATA,
    ("POST", "/v1/data"): DATA,
    ("GET", "/v1/groups"): ANYONE,
    ("POST", "/v1/groups/alone"): DATA,
}
"""Written out, so that a change of who may do what is seen in review."""


def test_every_route_has_the_role_that_was_agreed_on() -> None:
    table = routes(None, None, None, ())  # type: ignore[arg-type]  # nothing is called
    assert {(route.method, route.path): route.role for route in table} == EXPECTED
    assert len(table) == len(EXPECTED)


def test_nothing_that_changes_anything_is_open_to_anyone() -> None:
    assert {role for (method, _), role in EXPECTED.items() if method != "GET"} == {ADMIN, DATA, RESEARCH}


@pytest.mark.parametrize(
    ("has", "may"),
    [
        (frozenset(), {ANYONE}),
        (frozenset({DATA}), {ANYONE, DATA}),
        (frozenset({RESEARCH}), {ANYONE, RESEARCH}),
        (frozenset({DATA, RESEARCH}), {ANYONE, DATA, RESEARCH}),
        (frozenset({ADMIN}), {ANYONE, ADMIN, DATA, RESEARCH}),
    ],
)
def test_an_admin_has_all_roles_and_others_their_own(has: frozenset[Role], may: set[Role]) -> None:
    user = LocalUser(1000, "somebody", has)
    assert {role for role in Role if user.may(role)} == may


@pytest.mark.parametrize(("has", "words"), [({ADMIN}, ["one", "six"]), ({DATA, RESEARCH}, []), (set(), [])])
async def test_words_to_compare_are_shown_to_who_may_approve_alone(has: set[Role], words: list[str]) -> None:
    membership: Any = SimpleNamespace(members=list, waiting=lambda: [{"node": "did:key:z1", "words": ["one", "six"]}])
    (route,) = (r for r in routes(None, membership, None, ()) if r.path == "/v1/members")  # type: ignore[arg-type]
    request: Any = {"user": LocalUser(1000, "somebody", frozenset(has))}
    assert await route.handler(request, {}) == {"members": [], "waiting": [{"node": "did:key:z1", "words": words}]}


@pytest.mark.parametrize(("has", "told"), [({ADMIN}, True), ({DATA}, True), ({RESEARCH}, False), (set(), False)])
async def test_the_local_reason_of_a_failure_is_for_who_has_to_do_with_data(has: set[Role], told: bool) -> None:
    async def reason_here(_: object) -> str:
        return "the column 'height' is missing"

    service: Any = SimpleNamespace(find_job=str, show_job=lambda job: {"job": job}, reason_here=reason_here)
    (route,) = (
        r
        for r in routes(service, None, None, ())
        if (r.method, r.path) == ("GET", "/v1/jobs/{job}")  # type: ignore[arg-type]
    )

    class Request(dict[str, Any]):
        match_info: ClassVar = {"job": "0123"}

    answer = await route.handler(Request(user=LocalUser(1000, "somebody", frozenset(has))), {})  # type: ignore[arg-type]
    assert ("height" in str(answer)) == told and answer["job"] == "0123"


def seen(monkeypatch: pytest.MonkeyPatch, roles: Roles, uid: int, *groups: str) -> frozenset[Role]:
    """The roles of a user of whom the kernel says this uid, and the machine these groups."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        monkeypatch.setattr(module, "_groups", lambda *_: set(groups))
        monkeypatch.setattr(module.struct, "unpack", lambda *_: (1, uid, 12345))
        return local_user(ours, roles).roles


ROLES = Roles(admin="chiefs", data="managers", research="statisticians")


@pytest.mark.parametrize(
    ("uid", "groups", "roles"),
    [
        (0, (), {ADMIN}),
        (54321, (), set()),
        (54321, ("users",), set()),
        (54321, ("managers",), {DATA}),
        (54321, ("managers", "statisticians"), {DATA, RESEARCH}),
        (54321, ("chiefs",), {ADMIN}),
    ],
)
def test_roles_come_from_unix_groups(
    monkeypatch: pytest.MonkeyPatch, uid: int, groups: tuple[str, ...], roles: set[Role]
) -> None:
    assert seen(monkeypatch, ROLES, uid, *groups) == roles


def test_a_role_without_a_group_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name in the configuration must not fit a group that has none."""
    assert seen(monkeypatch, Roles(), 54321, "", "users") == frozenset()


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        user = local_user(ours, Roles())
    assert user.uid == os.getuid() and user.may(ADMIN)


def test_groups_of_a_user_whom_the_machine_does_not_know_are_those_of_the_process() -> None:
    assert module._name(987_654) == "987654"
    known = grp.getgrall()[0]
    assert module._groups("987654", known.gr_gid) == {known.gr_name}
    assert module._groups("987654", 987_655) == set()


def test_metrics_are_lines_that_a_scraper_reads() -> None:
    link = {"peer": "did:key:z1", "sent_bytes": 5, "received_bytes": 7}
    status: dict[str, Any] = {"uptime_s": 1.5, "members": 2, "links_up": 1, "records": 9, "jobs": {"done": 3}}
    budget = {"data": "clinic", "rho_max": 0.5, "rho_spent": 0.25, "rho_set_aside": 0.0}
    text = metrics({**status, "refusals": {"late": 4}, "links": [link], "budgets": [budget]})
    lines = text.splitlines()
    assert 'secured_node_jobs{state="done"} 3' in lines and 'secured_node_refusals_total{code="late"} 4' in lines
    assert 'secured_node_link_sent_bytes_total{peer="did:key:z1"} 5' in lines
    assert 'secured_node_privacy_rho_spent{data="clinic"} 0.25' in lines
    for line in lines:
        assert line.startswith("# ") or line.startswith("secured_node_"), line
    helps = [line for line in lines if line.startswith("# HELP")]
    assert len(helps) == len({line.split()[2] for line in helps}) == len([x for x in lines if x.startswith("# TYPE")])
