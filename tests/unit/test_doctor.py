"""The doctor: each check on a hub that is well, and on one whose fault it is to find."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from protocols.identity import Identity, NodeId
from protocols.kinds import KINDS
from protocols.membership.acts import admit, describe, revoke
from protocols.membership.charter import federation_of
from protocols.membership.store import open_store
from protocols.records.record import Record, record_digest
from secured_node import VERSION
from secured_node.cli.doctor import command
from secured_node.config import Config, Roles, WorkerOptions
from secured_node.doctor import Finding, Verdict, database, examine, exit_code, machine, network, overall, site
from secured_node.doctor import daemon as daemon_checks
from secured_node.doctor.daemon import Daemon, LinkTold, Status, WallsTold, ask_daemon, check_daemon
from secured_node.founding import found_federation, node_body
from secured_node.state import State
from secured_node.store.database import MIGRATIONS
from secured_node.store.store import Kept, Store
from tests import net_kit
from tests.unit.walls_kit import needs_walls

OK, WARN, BAD = Verdict.OK, Verdict.WARN, Verdict.BAD


@dataclass
class Hub:
    """A founded hub that does not run."""

    state: State
    identity: Identity
    charter: Record

    @property
    def folder(self) -> Path:
        return self.state.folder

    def change(self, sql: str, *values: object) -> None:
        """Change the database behind the hub's back."""
        with sqlite3.connect(self.folder / "node.db") as db:
            db.execute(sql, values)
        db.close()

    async def add(self, *records: Record) -> None:
        federation = federation_of(self.charter)
        store = Store(self.folder)
        await store.commit([Kept(record_digest(federation, record), record) for record in records])
        await store.close()

    async def note(self, count: int) -> None:
        """Put entries into the audit log."""
        store = Store(self.folder)
        await store.commit((), [store.audit.entry("2026-01-01T00:00:00Z", "test", {"n": n}) for n in range(count)])
        await store.close()


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    state = State(tmp_path / "state")
    return Hub(state, *await found_federation(state, "Test", "alpha", "Alpha Hospital", 3))


def only(findings: list[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def link(name: str = "beta", *, up: bool = True, trouble: str = "", skew_s: float | None = 0.0) -> LinkTold:
    return LinkTold(name, up, 5.0, trouble, skew_s)


def running(*links: LinkTold, node: str = "did:key:zTest", version: str = VERSION) -> Daemon:
    return Daemon(Status(node, version, 1, 1.0, links))


# --- as a whole -------------------------------------------------------------------------------------------------------


def test_verdict_and_exit_code_are_those_of_the_worst() -> None:
    findings = [Finding("a", OK, ""), Finding("b", WARN, ""), Finding("c", BAD, "")]
    assert [exit_code(findings[:n]) for n in range(4)] == [0, 0, 1, 2]
    assert [overall(findings[:n]) for n in range(4)] == [OK, OK, WARN, BAD]


@needs_walls
async def test_a_hub_that_is_well_but_does_not_run(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secured_node.doctor.synchronised", lambda: True)
    config = tmp_path / "config.toml"
    config.write_text(f'[network]\nlisten = "127.0.0.1:{free_port()}"\n')
    findings = await examine(hub.folder, config)
    assert [(f.check, f.found) for f in findings if f.verdict is BAD] == []
    assert [f.check for f in findings if f.verdict is WARN] == ["daemon"]
    assert exit_code(findings) == 1
    for check in (
        "configuration",
        "state folder",
        "key",
        "database",
        "audit log",
        "federation",
        "port",
        "worker",
        "walls",
    ):
        assert only(findings, check).verdict is OK


async def test_examining_writes_nothing_into_the_state_folder(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_worker(*_: object) -> list[Finding]:
        return []

    monkeypatch.setattr("secured_node.doctor.check_worker", no_worker)

    def seen() -> dict[str, tuple[int, int]]:
        found = (path for path in hub.folder.rglob("*"))
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}

    before = seen()
    await examine(hub.folder, None)
    assert seen() == before


async def test_without_a_hub_there_is_little_to_say(tmp_path: Path) -> None:
    findings = await examine(tmp_path / "nothing", None)
    assert only(findings, "state folder").verdict is BAD
    assert "secured-node init" in only(findings, "state folder").todo


def test_the_command_prints_json_and_gives_the_exit_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--state", str(tmp_path / "nothing"), "--json"])
    value = json.loads(result.stdout)
    assert (result.exit_code, value["verdict"]) == (2, "bad")
    assert {"check", "verdict", "found", "todo"} == set(value["checks"][0])


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--state", str(tmp_path / "nothing")])
    assert result.exit_code == 2
    assert "what to do" in result.stdout
    assert "see what says bad" in result.stdout


# --- configuration, folder, key, disk ---------------------------------------------------------------------------------


def configured(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_valid_configuration(tmp_path: Path) -> None:
    config, findings = site.check_configuration(configured(tmp_path / "c", '[log]\nlevel = "debug"'), os.getuid())
    assert config.log.level == "debug"
    assert only(findings, "configuration").verdict is OK


def test_a_bad_configuration_names_the_fault_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    config, findings = site.check_configuration(configured(tmp_path / "c", "[log]\nlevel = 1"), None)
    assert config == Config()
    assert only(findings, "configuration").verdict is BAD
    assert "log.level" in only(findings, "configuration").found


def test_a_configuration_that_others_may_write(tmp_path: Path) -> None:
    _, findings = site.check_configuration(configured(tmp_path / "c", "", 0o664), None)
    assert only(findings, "configuration").verdict is BAD


def test_a_configuration_that_the_daemon_cannot_read(tmp_path: Path) -> None:
    path = configured(tmp_path / "c", "", 0o600)
    _, findings = site.check_configuration(path, os.getuid() + 12_345)
    assert any(f.verdict is BAD and "cannot be read by the daemon's user" in f.found for f in findings)


def test_a_role_without_a_group(tmp_path: Path) -> None:
    _, findings = site.check_configuration(configured(tmp_path / "c", '[roles]\ndata = "no-such-group"'), None)
    assert "no-such-group" in only(findings, "configuration").found
    assert only(findings, "configuration").verdict is WARN


@pytest.mark.parametrize(("mode", "verdict"), [(0o700, OK), (0o711, OK), (0o755, BAD), (0o770, BAD), (0o733, BAD)])
def test_state_folder_mode(hub: Hub, mode: int, verdict: Verdict) -> None:
    hub.folder.chmod(mode)
    assert site.check_state_folder(hub.folder, Config()).verdict is verdict


def test_roles_need_a_folder_that_can_be_entered(hub: Hub) -> None:
    config = Config(roles=Roles(data="users"))
    hub.folder.chmod(0o700)
    assert site.check_state_folder(hub.folder, config).verdict is WARN
    hub.folder.chmod(0o711)
    assert site.check_state_folder(hub.folder, config).verdict is OK


def test_key_is_well(hub: Hub) -> None:
    node, finding = site.check_key(hub.state, None, credential=False)
    assert (node, finding.verdict) == (hub.identity.node, OK)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.chmod(0o640), "can be read by others"),
        (lambda path: path.write_text("hello"), "does not hold a key"),
        (lambda path: path.write_text("ab" * 31), "does not hold a key of 32 bytes"),
        (lambda path: path.unlink(), "does not exist"),
    ],
)
def test_key_is_not_well(hub: Hub, spoil: Callable[[Path], None], words: str) -> None:
    spoil(hub.folder / "key")
    node, finding = site.check_key(hub.state, None, credential=False)
    assert (node, finding.verdict) == (None, BAD)
    assert words in finding.found


def test_the_key_is_never_shown(hub: Hub) -> None:
    secret = (hub.folder / "key").read_text().strip()
    for spoiled in (secret, secret + "0", secret[:-2]):
        (hub.folder / "key").write_text(spoiled)
        _, finding = site.check_key(hub.state, None, credential=False)
        assert secret[:16] not in finding.found + finding.todo


def test_a_running_daemon_may_have_its_key_as_a_credential(hub: Hub) -> None:
    (hub.folder / "key").unlink()
    node, finding = site.check_key(hub.state, hub.identity.node, credential=False)
    assert (node, finding.verdict) == (hub.identity.node, OK)
    node, finding = site.check_key(hub.state, None, credential=True)
    assert (node, finding.verdict) == (None, WARN)


def test_a_daemon_with_another_key(hub: Hub) -> None:
    other = net_kit.identity(77).node
    node, finding = site.check_key(hub.state, other, credential=False)
    assert (node, finding.verdict) == (other, BAD)


@pytest.mark.parametrize(("free", "verdict"), [(100 << 30, OK), (1 << 30, WARN), (1 << 20, BAD)])
def test_disk(hub: Hub, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert site.check_disk(hub.folder).verdict is verdict


# --- database, audit, federation --------------------------------------------------------------------------------------


def test_database_is_well(hub: Hub) -> None:
    contents, findings = database.check_database(hub.folder)
    assert contents is not None
    assert [finding.verdict for finding in findings] == [OK, OK]


def test_no_database(hub: Hub) -> None:
    (hub.folder / "node.db").unlink()
    assert database.check_database(hub.folder)[1][0].verdict is BAD


def test_database_that_is_none(hub: Hub) -> None:
    (hub.folder / "node.db").write_bytes(b"x" * 8192)
    (finding,) = database.check_database(hub.folder)[1]
    assert finding.verdict is BAD
    assert "backup" in finding.todo


def test_damaged_database(hub: Hub) -> None:
    path = hub.folder / "node.db"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    path.write_bytes(data)
    assert database.check_database(hub.folder)[1][0].verdict is BAD


def test_database_of_a_newer_version(hub: Hub) -> None:
    hub.change(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    (finding,) = database.check_database(hub.folder)[1]
    assert finding.verdict is BAD
    assert "newer version" in finding.todo


def test_database_that_others_may_read(hub: Hub) -> None:
    (hub.folder / "node.db").chmod(0o644)
    assert database.check_database(hub.folder)[1][0].verdict is BAD


async def test_database_beside_a_daemon_that_has_it_open(hub: Hub) -> None:
    store = Store(hub.folder)
    await store.commit((), [store.audit.entry("2026-01-01T00:00:00Z", "test", {})])
    assert (hub.folder / "node.db-wal").exists()
    contents, findings = database.check_database(hub.folder)
    assert contents is not None
    assert contents.entries == 1
    assert [finding.verdict for finding in findings] == [OK, OK]
    await store.close()


async def test_audit_tamper(hub: Hub) -> None:
    await hub.note(5)
    assert only(database.check_database(hub.folder)[1], "audit log").verdict is OK
    hub.change("UPDATE audit SET body = '{}' WHERE sequence = 3")
    finding = only(database.check_database(hub.folder)[1], "audit log")
    assert finding.verdict is BAD
    assert "entry 3" in finding.found


def federation(hub: Hub, own: NodeId | None) -> Finding:
    contents, _ = database.check_database(hub.folder)
    (finding,) = database.check_federation(contents, database.read_roster(contents), own)
    return finding


async def test_member_revoked_stranger(hub: Hub) -> None:
    assert federation(hub, hub.identity.node).verdict is OK
    assert federation(hub, None).verdict is WARN
    stranger = federation(hub, net_kit.identity(5).node)
    assert stranger.verdict is BAD
    assert "no member's" in stranger.found
    store, roster = open_store(hub.charter, KINDS)
    await hub.add(revoke(hub.identity, roster, store, hub.identity.node, "moved away"))
    revoked = federation(hub, hub.identity.node)
    assert revoked.verdict is BAD
    assert "moved away" in revoked.found


def test_no_federation(hub: Hub) -> None:
    hub.change("DELETE FROM setting WHERE name = 'charter'")
    assert federation(hub, hub.identity.node).verdict is BAD


# --- daemon -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes | None], Path]]:
    """Something that answers at a socket with these bytes; with None it takes the question and is silent."""
    with socket.socket(socket.AF_UNIX) as listener:
        connections: list[socket.socket] = []

        def serve(answer: bytes | None) -> None:
            connection, _ = listener.accept()
            connections.append(connection)
            connection.recv(4096)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

        def begin(answer: bytes | None) -> Path:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            threading.Thread(target=serve, args=(answer,), daemon=True).start()
            return tmp_path / "s"

        yield begin
        for connection in connections:
            connection.close()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def test_a_daemon_that_answers(answering: Callable[[bytes | None], Path]) -> None:
    body = {"node": "did:key:z", "version": VERSION, "pid": 7, "uptime_s": 1.5, "links": [], "sandbox": None, "more": 1}
    daemon = ask_daemon(answering(http(json.dumps(body).encode())))
    assert daemon.status is not None
    assert daemon.status.pid == 7
    assert check_daemon(daemon).verdict is OK


@pytest.mark.parametrize("answer", [http(b"{}"), http(b"no"), http(b"{}", "500 No"), b"\0\0\r\n\r\n", b""])
def test_a_daemon_that_talks_nonsense(answering: Callable[[bytes | None], Path], answer: bytes) -> None:
    daemon = ask_daemon(answering(answer))
    assert (daemon.status, daemon.hangs) == (None, True)
    assert check_daemon(daemon).verdict is BAD


def test_a_daemon_that_hangs(answering: Callable[[bytes | None], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_checks, "ANSWER_S", 0.2)
    assert check_daemon(ask_daemon(answering(None))).verdict is BAD


def test_no_daemon(tmp_path: Path) -> None:
    assert check_daemon(ask_daemon(tmp_path / "s")).verdict is WARN
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
        assert check_daemon(ask_daemon(tmp_path / "s")).verdict is WARN


def test_a_daemon_of_another_version() -> None:
    assert check_daemon(running(version="0.0.9")).verdict is WARN


# --- clock, worker, service -------------------------------------------------------------------------------------------


def test_clock_is_right() -> None:
    (finding,) = machine.check_clock(running(link(skew_s=1.0), link("gamma", skew_s=-100.0)), True)
    assert finding.verdict is OK


def test_own_clock_is_wrong() -> None:
    daemon = running(link(skew_s=200.0), link("gamma", skew_s=210.0), link("delta", skew_s=None))
    (finding,) = machine.check_clock(daemon, True)
    assert finding.verdict is BAD
    assert "210 s behind" in finding.found


def test_another_clock_is_wrong() -> None:
    daemon = running(link(skew_s=-300.0), link("gamma"), link("delta"))
    (finding,) = machine.check_clock(daemon, True)
    assert finding.verdict is WARN
    assert "beta is 300 s behind" in finding.found


def test_a_clock_that_nothing_keeps() -> None:
    (finding,) = machine.check_clock(Daemon(), False)
    assert finding.verdict is WARN
    assert machine.check_clock(Daemon(), None)[0].verdict is OK


def test_the_kernel_is_asked_about_its_clock() -> None:
    assert machine.synchronised() in (True, False, None)


def walls(*, sufficient: bool = True, sandbox: str = "strict", still_open: tuple[str, ...] = ()) -> WallsTold:
    return WallsTold(sandbox, sufficient, ("seccomp", "landlock"), {"mount-namespace": "refused"}, still_open)


def test_walls() -> None:
    assert machine.judge_walls(walls()).verdict is OK
    assert machine.judge_walls(walls(sufficient=False)).verdict is BAD
    assert machine.judge_walls(walls(sandbox="none")).verdict is WARN
    assert "see a file" in machine.judge_walls(walls(still_open=("see a file",))).found


async def test_the_running_daemons_word_on_its_walls_is_taken() -> None:
    daemon = Daemon(Status("did:key:z", VERSION, 1, 1.0, (), walls(sufficient=False)))
    findings = await machine.check_worker(Config(), daemon)
    assert [f.verdict for f in findings] == [OK, BAD]


@needs_walls
async def test_a_worker_is_tried() -> None:
    worker, judged = await machine.check_worker(Config(), Daemon())
    assert (worker.verdict, judged.verdict) == (OK, OK)
    assert "seccomp" in judged.found


async def test_no_worker_at_the_socket(tmp_path: Path) -> None:
    config = Config(worker=WorkerOptions(socket=str(tmp_path / "worker.sock")))
    (finding,) = await machine.check_worker(config, Daemon())
    assert finding.verdict is BAD
    assert "secured-node-worker.socket" in finding.todo


def test_unit_properties_are_judged() -> None:
    well = {"ActiveState": "active", "NRestarts": "0", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    assert machine.judge_unit({}) == machine.judge_unit(well) == []
    for change, verdict in (
        ({"ActiveState": "failed", "Result": "watchdog"}, BAD),
        ({"NRestarts": "3"}, WARN),
        ({"UnitFileState": "disabled"}, WARN),
        ({"NeedDaemonReload": "yes"}, WARN),
    ):
        assert [f.verdict for f in machine.judge_unit(well | change)] == [verdict]


def test_a_service_whose_daemon_reads_the_data_itself() -> None:
    installed = machine.Unit({}, "")
    assert machine.check_service(Config(), None)[0].verdict is OK
    assert machine.check_service(Config(), installed)[0].verdict is WARN
    apart = Config(worker=WorkerOptions(socket="/run/secured-node-worker.sock"))
    assert machine.check_service(apart, installed)[0].verdict is OK


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("", False),
        ("#LoadCredential=secured-node.key:/etc/secured-node/secured-node.key\n", False),
        ("[Service]\nLoadCredential=secured-node.key:/etc/secured-node/secured-node.key\n", True),
        ("[Service]\nLoadCredentialEncrypted=secured-node.key\n", True),
        ("[Service]\nLoadCredential=secured-node.keys:/x\n", False),
    ],
)
def test_a_unit_that_hands_the_key_over(text: str, gives: bool) -> None:
    assert machine.Unit({}, text).gives_key is gives


def test_no_unit_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SYSTEMD", tmp_path / "none")
    assert machine.find_unit() is None
    monkeypatch.setattr(machine, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(machine, "UNIT_FOLDERS", (str(tmp_path),))
    assert machine.find_unit() is None
    (tmp_path / machine.UNIT).touch()
    assert machine.find_unit() is not None


# --- port and members -------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def port(number: int, own: NodeId | None, *, is_running: bool = False) -> Finding:
    return await network.check_port(f"127.0.0.1:{number}", own, running=is_running)


async def test_a_free_port() -> None:
    assert (await port(free_port(), None)).verdict is OK
    assert (await port(free_port(), None, is_running=True)).verdict is WARN
    assert (await network.check_port("0.0.0.0:0", None, running=True)).verdict is OK


async def test_a_port_that_another_program_holds() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        finding = await port(server.sockets[0].getsockname()[1], net_kit.identity(1).node)
    assert finding.verdict is BAD
    assert "another program" in finding.found


async def test_a_port_that_a_hub_holds() -> None:
    async with net_kit.federation(1, linked=False) as (node,):
        assert (await port(node.port, node.node, is_running=True)).verdict is OK
        assert "never share a key" in (await port(node.port, node.node)).todo
        assert (await port(node.port, None, is_running=True)).verdict is WARN
        other = await port(node.port, net_kit.identity(99).node, is_running=True)
        assert (other.verdict, "another hub" in other.found) == (BAD, True)


async def test_an_address_of_another_machine() -> None:
    finding = await network.check_port("192.0.2.1:7443", None, running=False)
    assert (finding.verdict, "no such address" in finding.found) == (BAD, True)


def admitted(hub: Hub, identity: Identity, name: str, *endpoints: str) -> list[Record]:
    """The records that make somebody a member."""
    store, roster = open_store(hub.charter, KINDS)
    about = describe(identity, roster.federation, node_body(identity, name, name.title(), endpoints))
    return [about, admit(hub.identity, roster, store, about)]


async def test_members_are_called_without_a_daemon(hub: Hub) -> None:
    async with net_kit.federation(2, linked=False) as (there, elsewhere):
        here = f"127.0.0.1:{there.port}"
        await hub.add(
            *admitted(hub, there.identity, "answers", here),
            *admitted(hub, net_kit.identity(), "silent", f"127.0.0.1:{free_port()}"),
            *admitted(hub, net_kit.identity(), "replaced", f"127.0.0.1:{elsewhere.port}"),
            *admitted(hub, net_kit.identity(), "dials-out"),
        )
        roster = database.read_roster(database.check_database(hub.folder)[0])
        findings = await network.check_members(Daemon(), roster, hub.identity.node)
        unknown = await network.check_members(Daemon(), roster, None)
    assert [finding.verdict for finding in unknown] == [WARN]
    verdicts = {finding.check: finding.verdict for finding in findings}
    assert verdicts == {"member answers": OK, "member silent": WARN, "member replaced": BAD, "member dials-out": WARN}


async def test_nobody_answers(hub: Hub) -> None:
    await hub.add(*admitted(hub, net_kit.identity(), "silent", f"127.0.0.1:{free_port()}"))
    roster = database.read_roster(database.check_database(hub.folder)[0])
    findings = await network.check_members(Daemon(), roster, hub.identity.node)
    assert only(findings, "members").verdict is BAD


async def test_a_running_daemon_knows_its_links() -> None:
    links = (link("a"), link("b", up=False, trouble="timeout: b:1: no answer"), link("c", up=False))
    findings = await network.check_members(running(*links), None, None)
    assert [f.verdict for f in findings] == [OK, WARN, WARN]
    assert "no answer" in findings[1].found
    intercepted = network.judge_links((link("a"), link("b", up=False, trouble="intercepted: by CN=Proxy")))
    assert intercepted[1].verdict is BAD
    assert only(network.judge_links((link(up=False),)), "members").verdict is BAD
    assert network.judge_links(()) == []
