"""One daemon and its machine: the local API and who may ask it what, signals, systemd, exit codes, the audit log."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.hubs import Hub, wait_until
from secured_node.api.routes import routes
from secured_node.cli import COMMANDS
from secured_node.cli.common import CommandError
from tests.hub_kit import (
    CLINIC,
    alive,
    ask_as_stranger,
    audit_entries,
    audited,
    children,
    cli,
    end_all,
    found_hubs,
    patients,
    register,
    request,
    submit,
)
from tests.tools import missing

pytestmark = pytest.mark.timeout(90)
QUIET = '[policy]\ndefault = "ask"\n'
JUNK: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"a":' + b"[" * 200_000,
    b'{"node": 1, "path": 2, "schema": 3, "data": 4, "reason": 5, "expires_s": "x", "endpoints": 7}',
    b'{"node": "x", "path": "relative", "schema": "x = 1", "data": "none", "task": [], "members": "abc"}',
    b'{"node": {}, "endpoints": [1], "expires_s": 1e300, "task": "summary", "parameters": 3, "purpose": null}',
    b'{"endpoints": ["a b"], "expires_s": -1, "data": ["x"], "members": [1], "readers": {"a": 1}, "version": 3}',
    b'{"endpoints": ["127.0.0.1:1"], "expires_s": true, "task": "bench", "purpose": "x", "min_nodes": 99999999999999}',
]


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub alone in its federation, in a folder that other users may pass through as in the systemd unit."""
    folder = Path(tempfile.mkdtemp(prefix="solo-"))
    hub = None
    try:
        folder.chmod(0o711)
        (hub,) = found_hubs(folder, ("solo",), QUIET)
        hub.state.chmod(0o711)
        hub.start()
        yield hub
    finally:
        if hub is not None:
            end_all([hub])
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path, config: str = QUIET) -> Iterator[Hub]:
    """A hub for a test that ends it."""
    (hub,) = found_hubs(folder, ("alone",), config)
    try:
        yield hub
    finally:
        end_all([hub])


def api(hub: Hub) -> Path:
    return hub.state / "api.sock"


def configure(hub: Hub, text: str) -> None:
    """Write another configuration beside the old addresses, and reload."""
    address = f'"127.0.0.1:{hub.port}"'
    hub.config.write_text(f"[network]\nlisten = {address}\nendpoints = [{address}]\n{text}")
    assert hub.process is not None
    hub.process.send_signal(signal.SIGHUP)


# -- the local API -------------------------------------------------------------------------------------------------


def all_routes() -> list[tuple[str, str, str]]:
    """(method, path, role) of every route there is."""
    made = routes(None, None, None, ())  # type: ignore[arg-type]  # nothing is called
    return [(route.method, route.path.replace("{job}", "0123abcd"), route.role) for route in made]


def test_dashboard_roles_every_route_refuses_a_user_without_its_role(solo: Hub) -> None:
    if os.getuid() != 0:
        missing("only root can become another user to try the roles")
    for method, path, role in all_routes():
        status, answer = ask_as_stranger(api(solo), method, path)
        if role == "anyone":
            assert status in (200, 404), f"{method} {path}: {answer}"
        else:
            assert status == 403 and json.loads(answer)["error"]["code"] == "forbidden", f"{method} {path}: {answer}"
            assert "nobody has not the role" in answer


def test_a_unix_group_gives_its_role_and_no_other(solo: Hub) -> None:
    if os.getuid() != 0:
        missing("only root can become another user to try the roles")
    group = 1  # `daemon`, on every Linux
    assert ask_as_stranger(api(solo), "GET", "/v1/data", gid=group)[0] == 403
    for role, allowed in (("data", {"data"}), ("research", {"research"}), ("admin", {"data", "research", "admin"})):
        configure(solo, f'[roles]\n{role} = "daemon"\n')
        probes = {
            "data": ("GET", "/v1/data"),
            "research": ("POST", "/v1/jobs"),
            "admin": ("GET", "/v1/audit/verify"),
        }
        method, path = probes[role]
        wait_until(
            lambda m=method, p=path: ask_as_stranger(api(solo), m, p, gid=group)[0] != 403,
            f"the group of {role} may not what it should",
            every_s=0.1,
        )
        for other, (method, path) in probes.items():
            status, _ = ask_as_stranger(api(solo), method, path, gid=group)
            assert (status != 403) == (other in allowed), f"{role} may {method} {path}: {status}"
    configure(solo, QUIET)
    wait_until(lambda: ask_as_stranger(api(solo), "GET", "/v1/data", gid=group)[0] == 403, "the role is not taken back")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:80"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_dns_rebinding_csrf_websocket_origin(solo: Hub, headers: dict[str, str], status: int) -> None:
    assert request(api(solo), "GET", "/v1/status", headers=headers).status == status
    changing = request(api(solo), "POST", "/v1/invitations", b'{"endpoints": ["127.0.0.1:1"]}', headers).status
    assert changing == status


def test_gzip_bomb_no_compressed_body_is_inflated(solo: Hub) -> None:
    import gzip

    bomb = gzip.compress(bytes(3 << 20))
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        answer = request(api(solo), "POST", "/v1/jobs", bomb, {"Content-Encoding": encoding})
        assert (answer.status, answer.code) == (415, "encoding")


def test_oversize_bodies_are_refused_and_the_hub_goes_on(solo: Hub) -> None:
    big = b'{"path": "' + b"x" * (5 << 20) + b'"}'
    assert request(api(solo), "POST", "/v1/data", big).status == 413
    assert request(api(solo), "GET", "/health").status == 200


def test_what_is_not_there_is_not_found(solo: Hub) -> None:
    assert request(api(solo), "GET", "/v1/nothing").status == 404
    assert request(api(solo), "GET", "/../../etc/passwd").status == 404
    assert request(api(solo), "DELETE", "/v1/jobs").status == 405
    assert request(api(solo), "GET", "/v1/jobs/0123abcd").code == "unknown_job"
    assert request(api(solo), "GET", "/v1/jobs/..%2F..%2Fkey").status == 404


def test_no_junk_makes_a_route_fail_or_is_taken_for_an_order(solo: Hub) -> None:
    before = solo.ask("GET", "/v1/jobs"), solo.ask("GET", "/v1/data")
    for method, path, _ in all_routes():
        for body in JUNK:
            answer = request(api(solo), method, path, body)
            assert answer.status < 500, f"{method} {path} {body[:60]!r}: {answer.status} {answer.body[:200]!r}"
    for query in ("first=x", "first=-1", "first=99999999999999999999", "first=", "first=1&first=2"):
        assert request(api(solo), "GET", f"/v1/audit?{query}").status < 500, query
    assert request(api(solo), "GET", "/v1/groups?of=nobody").status == 404
    assert (solo.ask("GET", "/v1/jobs"), solo.ask("GET", "/v1/data")) == before
    assert "Traceback" not in solo.log.read_text()


def test_files_of_a_hub_are_its_own(solo: Hub) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((solo.state / name).stat().st_mode)

    assert mode("key") == 0o600
    assert {mode(path.name) for path in solo.state.glob("node.db*")} == {0o600}
    assert mode("blobs") == 0o700 and mode("scratch") == 0o700
    assert mode("api.sock") == 0o666 and stat.S_ISSOCK((solo.state / "api.sock").stat().st_mode)
    fresh = solo.state.parent / "fresh"
    assert cli(fresh, "init", "--federation", "x", "--name", "fresh").code == 0
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o711


# -- data ----------------------------------------------------------------------------------------------------------

CANARY = "8413.776613"
"""A value that must not be shown, whatever is wrong with it."""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_problems_in_data_are_told_by_row_and_column_and_never_by_value(solo: Hub, tmp_path: Path) -> None:
    schema = written(tmp_path, "schema.toml", CLINIC.format(name="checked", version=1))
    lines = [f"{40 + i},70,one,true" for i in range(30)]
    lines[3] = f"{CANARY},70,one,true"
    lines[7] = f"41,{CANARY}kg,one,true"
    lines[11] = f"41,70,{CANARY},true"
    lines[12] = f"41,70,two,{CANARY}"
    table = written(tmp_path, "t.csv", "\n".join(["age,weight,stage,ill", *lines]) + "\n")
    for command in (("data", "check"), ("data", "add", "checked")):
        yes = ["--yes"] if command[1] == "add" else []
        checked = cli(solo.state, *command, str(table), "--schema", str(schema), *yes)
        assert checked.code == 0, checked.err
        found = {(p["column"], tuple(p["rows"])) for p in checked.value["problems"]}
        assert found == {("age", (4,)), ("weight", (8,)), ("stage", (12,)), ("ill", (13,))}
        assert checked.value["rows"] == 30 and checked.value["published_rows"] == 30
        shown = cli(solo.state, *command, str(table), "--schema", str(schema), *yes, as_json=False)
        assert CANARY not in checked.out + checked.err + shown.out + shown.err
        if command[1] == "check":
            assert "above the maximum" in shown.out and "age" in shown.out
    listed = cli(solo.state, "data", "list").value["data"]
    assert ("checked", 30) in [(d["name"], d["rows"]) for d in listed]
    offered = cli(solo.state, "data", "list", "--all").value["catalogue"]
    assert ("checked", 30) in [(d["name"], d["rows"]) for d in offered]
    assert CANARY not in solo.log.read_text() + json.dumps([e.body for e in audit_entries(solo)])


def test_what_add_publishes_is_shown_before_and_only_with_consent(solo: Hub, tmp_path: Path) -> None:
    schema = written(tmp_path, "schema.toml", CLINIC.format(name="shown", version=3))
    table = patients(3, 117).write(tmp_path / "t.csv")
    asked = cli(solo.state, "data", "add", "shown", str(table), "--schema", str(schema), as_json=False, text="n\n")
    assert asked.code == 130 and "about 120 rows. Nothing else" in " ".join(asked.err.split())
    assert "shown" not in {d["name"] for d in solo.ask("GET", "/v1/data")["data"]}
    wrong = cli(solo.state, "data", "add", "other", str(table), "--schema", str(schema), "--yes")
    assert wrong.code == 2 and "schema is for 'shown'" in wrong.error["why"]


@pytest.mark.parametrize(
    ("schema", "table", "words"),
    [
        (CLINIC.replace("age", "height"), "age,weight,stage,ill\n1,2,one,true\n", "height"),
        (CLINIC.replace('type = "boolean"', 'type = "truth"'), "age,weight,stage,ill\n1,2,one,true\n", "columns.ill"),
        (CLINIC.replace("minimum = 0\nmaximum = 120", ""), "age,weight,stage,ill\n1,2,one,true\n", "columns.age"),
        ("not TOML [", "age\n1\n", "not valid TOML"),
        (CLINIC, f"{CANARY},2,one,true\n{CANARY},2,one,true\n", "lacks these columns"),
        (CLINIC, f"age,weight,stage,ill\n1,2,one\n1,2,one,true,{CANARY}\n", "row"),
        (CLINIC, "", "empty"),
    ],
)
def test_a_schema_that_does_not_fit_says_which_column_and_no_value(
    solo: Hub, tmp_path: Path, schema: str, table: str, words: str
) -> None:
    text = schema.replace("{name}", "unfit").replace("{version}", "1")
    files = (str(written(tmp_path, "t.csv", table)), "--schema", str(written(tmp_path, "s.toml", text)))
    checked = cli(solo.state, "data", "check", *files)
    assert checked.code == 1, checked.out
    assert words in checked.error["what"] + checked.error["why"], checked.error
    assert CANARY not in checked.err and CANARY not in solo.log.read_text()


def test_a_file_that_is_no_data_set_gives_nothing_of_itself_away(solo: Hub, tmp_path: Path) -> None:
    """A data manager names the hub's own key, or a folder, or what is not there."""
    seed = (solo.state / "key").read_text().strip()
    schema = written(tmp_path, "s.toml", CLINIC.format(name="probe", version=1))
    (tmp_path / "key.csv").symlink_to(solo.state / "key")
    shutil.copy(solo.state / "key", tmp_path / "copy.csv")
    for name in (tmp_path / "key.csv", tmp_path / "copy.csv", solo.state / "key", tmp_path, tmp_path / "none.csv"):
        checked = cli(solo.state, "data", "check", str(name), "--schema", str(schema))
        assert checked.code in (1, 2), name
        assert seed not in checked.err + checked.out + solo.log.read_text()


# -- jobs from elsewhere -------------------------------------------------------------------------------------------


def test_a_hub_alone_says_why_its_job_cannot_begin(solo: Hub) -> None:
    job = submit(solo, "bench", {"length": 10}, collect_s=0.3)
    ended = wait_until(lambda: solo.job(job)["state"] == "cancelled" and solo.job(job), "it never ends")
    assert "3 must" in ended["reason"]
    for text in ("", "abc", job + "0", "zzzz"):
        with pytest.raises(CommandError):
            solo.job(text)
    assert solo.job(job[:6])["job"] == job


def test_every_command_prints_json_and_ends_with_a_documented_code(solo: Hub, tmp_path: Path) -> None:
    asking = [
        ("status",), ("members",), ("groups",), ("data", "list"), ("data", "list", "--all"), ("job", "list"),
        ("audit", "show"), ("audit", "verify"), ("invite",),
    ]  # fmt: skip
    for words in asking:
        ran = cli(solo.state, *words)
        assert ran.code == 0 and ran.value is not None, f"{words}: {ran.err}"
        assert cli(solo.state, *words, as_json=False).code == 0
    failing = {
        ("job", "show", "zzzz"): 7,
        ("job", "result", "zzzz"): 7,
        ("approve", "nobody", "--yes"): 7,
        ("job", "submit", "nonsense", "--purpose", "x"): 2,
        ("job", "submit", "summary", "-p", "columns", "--purpose", "x"): 2,
        ("job", "submit", "summary", "-p", "columns=a", "--purpose", "x", "--data", "none"): 7,
        ("groups", "alone", "x", "--yes"): 4,
        ("job", "verify", str(tmp_path)): 8,
        ("no-such-command",): 2,
    }
    for words, code in failing.items():
        ran = cli(None if len(words) == 1 or words[1] == "verify" else solo.state, *words)
        assert ran.code == code, f"{words}: {ran.code} {ran.err}"
        if len(words) > 1:
            assert ran.error["exit_code"] == code and ran.error["what"]
    for words in (("status",), ("members",), ("job", "list"), ("data", "list"), ("groups",)):
        assert cli(tmp_path / "empty", *words).code == 3
    assert cli(tmp_path / "empty", "audit", "verify").code == 6
    assert set(COMMANDS) >= {words[0] for words in asking}


# -- signals and systemd -------------------------------------------------------------------------------------------


def test_sighup_takes_a_valid_policy_live_and_keeps_the_old_one_otherwise(tmp_path: Path) -> None:
    with alone(tmp_path, '[policy]\ndefault = "ask"\n[log]\nformat = "json"\n') as hub:
        hub.start()

        def events(name: str) -> list[dict[str, Any]]:
            lines = [line for line in hub.log.read_text().splitlines() if line.startswith("{")]
            return [event for event in map(json.loads, lines) if event["event"] == name]

        def answer(expected: str) -> str:
            job = submit(hub, "bench", {"length": 10})
            shown = wait_until(lambda: hub.job(job)["decisions"], "no decision")
            hub.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "tested"})
            assert shown[0]["answer"] == expected
            return str(shown[0]["reason"])

        answer("ask")
        configure(hub, '[policy]\ndefault = "refuse"\n[log]\nformat = "json"\nlevel = "debug"\n')
        wait_until(lambda: events("reloaded"), "no word of the reload")
        assert set(events("reloaded")[-1]["changed"]) == {"policy.default", "log.level"}
        assert events("reloaded")[-1]["need_restart"] == []
        answer("refuse")

        configure(hub, '[policy]\ndefault = "perhaps"\n')
        refused = wait_until(lambda: events("reload_refused"), "no word of the refusal")
        assert "perhaps" in refused[0]["reason"] and str(hub.config) in refused[0]["reason"]
        answer("refuse")

        configure(hub, '[policy]\ndefault = "join"\n[worker]\ntimeout_s = 5\n[log]\nformat = "text"\n')
        wait_until(lambda: len(events("reloaded")) == 2, "no word of the second reload")
        assert set(events("reloaded")[-1]["need_restart"]) == {"worker.timeout_s", "log.format"}
        # The policy would join now; what is left to refuse is that one hub alone is no federation.
        assert "the federation has 1" in answer("refuse")
        assert hub.process is not None and hub.process.poll() is None


def test_systemd_is_told_of_readiness_life_reloads_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, alone(tmp_path) as hub:
        address = tempfile.mkdtemp(prefix="notify-") + "/s"
        systemd.bind(address)
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        hub.start()
        assert hub.process is not None

        def until(wanted: str) -> list[str]:
            seen: list[str] = []
            while not any(wanted in one for one in seen):
                seen.append(systemd.recv(4096).decode())
            return seen

        until("READY=1")
        until("WATCHDOG=1")
        until("WATCHDOG=1")
        hub.process.send_signal(signal.SIGHUP)
        (reloading,) = [one for one in until("READY=1") if "RELOADING=1" in one]
        assert "MONOTONIC_USEC=" in reloading
        hub.end()
        until("STOPPING=1")
        assert hub.process.wait(10) == 0
        # Nobody to tell is no reason not to run.
        shutil.rmtree(Path(address).parent)
        hub.start()


def test_sigterm_ends_a_daemon_in_good_time_with_its_workers_and_its_socket(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        for busy in (False, True):
            hub.start()
            assert hub.process is not None
            register(hub, tmp_path, patients(1, 30))
            wait_until(lambda: children(hub.process.pid), "no worker stands by")
            workers = children(hub.process.pid)
            if busy:  # somebody is connected and has sent half a request
                half = socket.socket(socket.AF_UNIX)
                half.connect(str(api(hub)))
                half.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            began = time.monotonic()
            hub.end()
            assert hub.process.wait(20) == 0
            assert time.monotonic() - began < 10, "5 s, and as much again on a busy machine"
            wait_until(lambda w=workers: not any(map(alive, w)), "workers outlive the daemon", 5)
            assert not api(hub).exists() or cli(hub.state, "status").code == 3
            assert "Traceback" not in hub.log.read_text()
        assert audited(hub, "stopped") and cli(hub.state, "audit", "verify").code == 0


def test_sigterm_at_any_moment_of_the_start_ends_it(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        for after_s in (0.2, 0.35, 0.5, 0.8):
            hub.start(wait=False)
            assert hub.process is not None
            time.sleep(after_s)
            hub.end()
            assert hub.process.wait(20) in (0, -signal.SIGTERM)
        hub.start()
        assert cli(hub.state, "audit", "verify").code == 0


def test_a_socket_file_that_a_killed_daemon_left_is_no_obstacle(tmp_path: Path) -> None:
    with alone(tmp_path) as hub:
        hub.start()
        hub.kill()
        assert api(hub).exists() and cli(hub.state, "status").code == 3
        hub.start()
        assert cli(hub.state, "status").code == 0


def test_two_daemons_never_run_on_one_state_folder(solo: Hub, tmp_path: Path) -> None:
    """They would sign twice with one key."""
    config = written(tmp_path, "other.toml", '[network]\nlisten = "127.0.0.1:0"\n')
    second = cli(solo.state, "run", "--config", str(config), as_json=False)
    assert second.code == 6 and "another daemon" in second.err
    assert cli(solo.state, "status").code == 0


def test_what_keeps_a_daemon_from_starting_is_said_with_its_exit_code(tmp_path: Path, solo: Hub) -> None:
    with alone(tmp_path) as hub:

        def run(**options: Any) -> Any:
            return cli(hub.state, "run", "--config", str(hub.config), as_json=False, **options)

        good = hub.config.read_text()
        hub.config.write_text(good + "\n[netwrok]\n")
        assert (ran := run()).code == 5 and "netwrok" in ran.err
        hub.config.write_text(good.replace(str(hub.port), str(solo.port)))
        blocked = run()
        said = " ".join(blocked.err.split())
        assert blocked.code == 1 and "in use" in said and "network.listen" in said and str(solo.port) in said
        hub.config.write_text(good)
        key = hub.state / "key"
        key.chmod(0o644)
        assert (ran := run()).code == 6 and "chmod 600" in ran.err
        key.chmod(0o600)
        seed = key.read_text()
        key.write_text(seed[:20])
        assert (ran := run()).code == 6 and "key" in ran.err and seed[:20] not in ran.err
        key.write_text(seed)
        assert cli(tmp_path / "nowhere", "run", as_json=False).code == 6
        hub.start()


# -- the audit log -------------------------------------------------------------------------------------------------


def tampered(hub: Hub, folder: Path, *statements: str) -> Path:
    """A copy of the hub's state in which somebody wrote into the database."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(hub.state / "node.db")) as source:
        copy = sqlite3.connect(folder / "node.db")
        source.backup(copy)
    with contextlib.closing(copy), copy:
        for statement in statements:
            assert copy.execute(statement).rowcount > 0
    return folder


def test_audit_tamper_verify_names_the_first_bad_entry(solo: Hub, tmp_path: Path) -> None:
    for reason in ("one", "two"):
        job = submit(solo, "bench", {"length": 10})
        solo.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": reason})
    assert len(audit_entries(solo)) >= 4
    whole = cli(solo.state, "audit", "verify")
    assert whole.code == 0 and whole.value["ok"] and whole.value["last_digest"]
    swap = "UPDATE audit SET sequence = CASE sequence WHEN 2 THEN -3 ELSE -2 END WHERE sequence IN (2, 3)"
    cases = {
        3: ("UPDATE audit SET body = '{}' WHERE sequence = 3",),
        1: ("UPDATE audit SET time = '2001-01-01' WHERE sequence = 1",),
        4: ("UPDATE audit SET event = 'nothing' WHERE sequence = 4",),
        2: ("DELETE FROM audit WHERE sequence = 2",),
        -2: (swap, "UPDATE audit SET sequence = -sequence WHERE sequence < 0"),
    }
    for first, statements in cases.items():
        state = tampered(solo, tmp_path / "copy", *statements)
        checked = cli(state, "audit", "verify")
        assert checked.code == 8, statements
        assert f"entry {abs(first)}" in checked.error["why"], (statements, checked.error)
    # The digest of the newest entry stands for all: who cuts the end off is found by whoever wrote it down.
    cut = cli(tampered(solo, tmp_path / "copy", "DELETE FROM audit WHERE sequence > 3"), "audit", "verify")
    assert cut.code == 0 and cut.value["last_digest"] != whole.value["last_digest"]


def test_the_api_and_the_command_agree_about_the_audit(solo: Hub) -> None:
    shown = cli(solo.state, "audit", "show", "--last", "5").value
    over = solo.ask("GET", f"/v1/audit?first={shown[0]['sequence']}")["entries"]
    assert [e["digest"] for e in over][:5] == [e["digest"] for e in shown]
    verified = solo.ask("GET", "/v1/audit/verify")
    assert verified["ok"] and verified["first_bad"] is None


def test_reading_the_audit_beside_a_daemon_that_writes_disturbs_nothing(solo: Hub) -> None:
    """A part of a blob that the daemon is writing must survive somebody looking at the audit."""
    part = solo.state / "blobs" / "0123.part"
    part.write_bytes(b"half")
    try:
        assert cli(solo.state, "audit", "verify").code == 0
        assert cli(solo.state, "audit", "show").code == 0
        assert part.exists()
    finally:
        part.unlink(missing_ok=True)
