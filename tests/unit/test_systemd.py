"""The units: clean to systemd itself, tight by its own measure, and in step with the code that they start."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from secured_node.cli import root as cli
from secured_node.cli.common import STATE_DEFAULT, Exit
from secured_node.work import worker
from secured_node.work.walls import seccomp
from tests.tools import need

UNITS = Path(__file__).parents[2] / "systemd"
DAEMON, SOCKET, WORKER = "secured-node.service", "secured-node-worker.socket", "secured-node-worker@.service"
INSTANCE = "secured-node-worker@1.service"
SYSUSERS, TMPFILES = UNITS / "secured-node.sysusers", UNITS / "secured-node.tmpfiles"
PROGRAMS = ("opt/secured-node/bin/secured-node", "opt/secured-node/bin/python", "bin/kill")
THRESHOLDS = {DAEMON: 15, WORKER: 10}
"""Ten times the exposure level that `systemd-analyze security` may give: 1.5 and 1.0 of 10."""
IO_URING = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
NEWER = re.compile(
    r"^(Type=notify-reload|ImportCredential|RestartSteps|RestartMaxDelaySec|RestartMode|DelegateSubgroup|OpenFile"
    r"|SurviveFinalKillSignal|PrivatePIDs|ProtectHostname=private|PrivateUsers=(identity|full)|ExtensionDirectories"
    r"|MemoryZSwap|MemoryPressure|SetLoginEnvironment|CoredumpReceive|RootEphemeral|BindNetworkInterface)",
    re.MULTILINE,
)
"""Directives and values that systemd 252 (Debian 12) does not know yet; a newer `verify` would let them pass."""


def directives(unit: str) -> dict[str, list[str]]:
    """Every setting of a unit, with its values in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (UNITS / unit).read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=60, check=False)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A root folder with the units, systemd's own targets, and programs that do nothing."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in (DAEMON, SOCKET, WORKER):
        shutil.copy(UNITS / name, units)
    vendor = tmp_path / "usr/lib/systemd/system"
    vendor.mkdir(parents=True)
    for pattern in ("*.target", "*.slice"):
        for unit in Path("/usr/lib/systemd/system").glob(pattern):
            shutil.copy(unit, vendor, follow_symlinks=True)
    for name in PROGRAMS:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


def verify(system: Path) -> subprocess.CompletedProcess[str]:
    analyze = need("systemd-analyze")
    return run(analyze, "verify", "--man=no", f"--root={system}", DAEMON, SOCKET, INSTANCE)


def security(unit: str, threshold: int, cwd: Path) -> subprocess.CompletedProcess[str]:
    analyze = need("systemd-analyze")
    return run(analyze, "security", "--no-pager", "--offline=true", f"--threshold={threshold}", f"./{unit}", cwd=cwd)


# --- by systemd's own judgement ---------------------------------------------------------------------------------------


def test_verify_is_clean(system: Path) -> None:
    result = verify(system)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_verify_can_fail(system: Path) -> None:
    """So that its silence above means something: for a setting it does not know it has words, and still code 0."""
    unit = system / "etc/systemd/system" / DAEMON
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in verify(system).stderr


@pytest.mark.parametrize("unit", THRESHOLDS)
def test_exposure(unit: str, tmp_path: Path) -> None:
    shutil.copy(UNITS / unit, tmp_path)
    result = security(unit, THRESHOLDS[unit], tmp_path)
    assert result.returncode == 0, result.stdout[-2000:]
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", result.stdout)
    assert level is not None
    assert float(level[1]) <= THRESHOLDS[unit] / 10


def test_exposure_can_fail(tmp_path: Path) -> None:
    text = (UNITS / DAEMON).read_text()
    (tmp_path / DAEMON).write_text(text.replace("SystemCallFilter=", "#").replace("CapabilityBoundingSet=", "#"))
    assert security(DAEMON, THRESHOLDS[DAEMON], tmp_path).returncode != 0


@pytest.mark.parametrize("unit", [DAEMON, SOCKET, WORKER])
def test_nothing_newer_than_debian_12(unit: str) -> None:
    assert NEWER.search((UNITS / unit).read_text()) is None


# --- what the design asks for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [DAEMON, WORKER])
def test_io_uring_is_refused_by_name(unit: str) -> None:
    refused = [value for value in directives(unit)["SystemCallFilter"] if value.startswith("~")]
    assert set().union(*(value[1:].split() for value in refused)) >= IO_URING


@pytest.mark.parametrize(("unit", "state"), [(DAEMON, "secured-node"), (WORKER, "secured-node-worker")])
def test_nothing_writable_is_executable(unit: str, state: str) -> None:
    settings = directives(unit)
    assert settings["StateDirectory"] == [state]
    writable = {"/dev/shm", "/tmp", "/var/tmp", f"/var/lib/{state}"}  # noqa: S108 - names, not files
    assert set(settings["NoExecPaths"][0].split()) >= writable


def test_daemon_and_worker_are_kept_apart() -> None:
    daemon, answering = directives(DAEMON), directives(WORKER)
    assert daemon["User"] != answering["User"]
    assert answering["PrivateNetwork"] == ["yes"]
    assert answering["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert "-/var/lib/secured-node" in answering["InaccessiblePaths"][0].split()
    assert "-/srv/secured-node" in daemon["InaccessiblePaths"][0].split()
    for unit in (daemon, answering):
        assert unit["CapabilityBoundingSet"] == [""]
        assert unit["NoNewPrivileges"] == ["yes"]


def test_only_the_daemons_group_may_connect() -> None:
    socket = directives(SOCKET)
    assert socket["ListenSequentialPacket"] == ["/run/secured-node-worker.sock"]
    assert (socket["SocketMode"], socket["Accept"]) == (["0660"], ["yes"])
    assert socket["SocketGroup"] == directives(DAEMON)["Group"]
    assert directives(WORKER)["StandardInput"] == ["socket"]


def test_the_daemon_is_notified_watched_and_reloaded() -> None:
    daemon = directives(DAEMON)
    assert daemon["Type"] == ["notify"]
    assert daemon["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert int(daemon["WatchdogSec"][0]) > 0
    hopeless = {str(int(code)) for code in (Exit.USAGE, Exit.CONFIG, Exit.STATE)}
    assert set(daemon["RestartPreventExitStatus"][0].split()) == hopeless


def test_refused_calls_are_errors() -> None:
    """The worker proves its walls by really trying: it must live to see the refusal."""
    for unit in (DAEMON, WORKER):
        assert directives(unit)["SystemCallErrorNumber"] == ["EPERM"]


# --- in step with the code --------------------------------------------------------------------------------------------


def arguments(unit: str) -> list[str]:
    (command,) = directives(unit)["ExecStart"]
    return shlex.split(command.replace("%S", "/var/lib"))


def test_the_daemons_command_line_is_understood() -> None:
    program, name, *rest = arguments(DAEMON)
    assert Path(program).name == "secured-node"
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    context = command.make_context(name, rest)
    assert context.params["state"] == STATE_DEFAULT


def test_the_workers_command_line_is_understood() -> None:
    _, *options, module = arguments(WORKER)[: arguments(WORKER).index(worker.__name__) + 1]
    assert (options, module) == (["-P", "-s", "-m"], worker.__name__)
    parsed = worker._parser().parse_args(arguments(WORKER)[5:])
    assert parsed.sandbox == "strict"
    assert parsed.data == [Path("/srv/secured-node")]


def groups_of_calls() -> dict[str, set[str]]:
    """The groups of system calls as this systemd knows them, members that are groups expanded."""
    text = run(need("systemd-analyze"), "syscall-filter").stdout
    raw: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("@"):
            members = raw.setdefault(line.strip(), set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.add(line.strip())

    def expand(name: str) -> set[str]:
        return set().union(*(expand(m) if m.startswith("@") else {m} for m in raw[name]))

    return {name: expand(name) for name in raw}


def allowed_calls(unit: str) -> set[str]:
    groups = groups_of_calls()
    allowed = set(groups["@default"])
    for value in directives(unit)["SystemCallFilter"]:
        named = value.removeprefix("~").split()
        calls = set().union(*(groups.get(name, {name}) for name in named))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def test_the_outer_filter_lets_the_worker_do_what_its_own_allows() -> None:
    own = {*seccomp._PLAIN, *seccomp._conditional(1)}
    needed = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "prctl", "capset"}
    assert (own | needed) - allowed_calls(WORKER) == {"setrlimit"}  # of @resources; libraries call prlimit64 instead


# --- users and folders ------------------------------------------------------------------------------------------------


def test_users_and_folders_are_made(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        result = run(need("systemd-sysusers"), "--dry-run", f"--root={tmp_path}", SYSUSERS)
        assert (result.returncode, "secured-node-worker" in result.stdout) == (0, True)
        return
    (tmp_path / "etc").mkdir()
    result = run(need("systemd-sysusers"), f"--root={tmp_path}", SYSUSERS)
    assert result.returncode == 0, result.stderr
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert {directives(DAEMON)["User"][0], directives(WORKER)["User"][0]} == set(users)
    assert all(fields[6].endswith("nologin") for fields in users.values())
    result = run(need("systemd-tmpfiles"), "--create", f"--root={tmp_path}", TMPFILES)
    assert result.returncode == 0, result.stderr
    for path, mode, owner in (
        ("var/lib/secured-node", directives(DAEMON)["StateDirectoryMode"][0], "secured-node"),
        ("var/lib/secured-node-worker", directives(WORKER)["StateDirectoryMode"][0], "secured-node-worker"),
    ):
        status = (tmp_path / path).stat()
        assert f"{stat.S_IMODE(status.st_mode):04o}" == mode
        assert str(status.st_uid) == users[owner][2]
    data = (tmp_path / "srv/secured-node").stat()
    assert (stat.S_IMODE(data.st_mode), data.st_uid) == (0o750, 0)
    assert str(data.st_gid) == users["secured-node-worker"][3]
