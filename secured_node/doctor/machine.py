"""What the machine gives: the time, walls for the worker, a service manager."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secured_node.config import Config
from secured_node.doctor.daemon import Daemon, WallsTold
from secured_node.doctor.finding import Finding, doubt, fine, wrong
from secured_node.net.limits import CLOCK_SKEW_S_MAX
from secured_node.state import CREDENTIAL
from secured_node.work.frames import Walled
from secured_node.work.supervisor import ChildLauncher, Launcher, SocketLauncher, Supervisor, WorkError

UNIT: Final = "secured-node.service"
UNIT_FOLDERS: Final = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
SYSTEMCTL_S: Final = 5.0
_PROPERTIES: Final = ("ActiveState", "Result", "NRestarts", "UnitFileState", "NeedDaemonReload")
_SYSTEMD: Final = Path("/run/systemd/system")  # sd_booted(3)
_UNSYNCHRONISED_US: Final = 16_000_000  # maxerror from which on systemd too calls the clock unsynchronised
_MAXERROR_AT: Final = 24  # struct timex on 64-bit Linux: modes 0, offset 8, freq 16, maxerror 24
_TIMEX_BYTES: Final = 256  # it has 208

# --- time -------------------------------------------------------------------------------------------------------------


def synchronised() -> bool | None:
    """Whether something keeps the kernel's clock right, by the kernel's own estimate; None if it does not say."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if ctypes.sizeof(ctypes.c_long) != 8 or libc.adjtimex(buffer) < 0:
        return None
    return int.from_bytes(buffer.raw[_MAXERROR_AT : _MAXERROR_AT + 8], "little") < _UNSYNCHRONISED_US


def check_clock(daemon: Daemon, kept: bool | None) -> list[Finding]:
    """This machine's clock against the other members', and whether anything keeps it right (see `synchronised`)."""
    skews = {link.name: link.skew_s for link in daemon.links if link.skew_s is not None}
    far = {name: skew for name, skew in skews.items() if abs(skew) > CLOCK_SKEW_S_MAX}
    if far and len(far) * 2 > len(skews) and len({skew > 0 for skew in far.values()}) == 1:
        skew = sorted(far.values())[len(far) // 2]
        how = "behind" if skew > 0 else "ahead"
        found = f"this machine's clock is about {abs(skew):.0f} s {how}, by {len(far)} of {len(skews)} members' clocks"
        return [wrong("clock", found, "set it, and have NTP keep it: timedatectl set-ntp true")]
    findings = [
        doubt(
            "clock", f"the clock of {name} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}", "tell that site"
        )
        for name, skew in sorted(far.items())
    ]
    if kept is False:
        todo = "have NTP keep it: timedatectl set-ntp true"
        findings.append(doubt("clock", "nothing keeps this machine's clock right, by the kernel's estimate", todo))
    words = "within 2 min of " + (f"{len(skews)} members' clocks" if skews else "nobody's clock: no link to compare")
    said = {True: "kept by NTP or the like; ", None: ""}.get(kept, "")
    return findings or [fine("clock", said + words)]


# --- worker -----------------------------------------------------------------------------------------------------------


async def check_worker(config: Config, daemon: Daemon) -> list[Finding]:
    """Whether a worker can be had, and how its walls stand: by the running daemon's word, else by trying."""
    told = daemon.status.sandbox if daemon.status is not None else None
    if told is not None:
        return [fine("worker", "the daemon had one when it started"), judge_walls(told)]
    path = config.worker.socket
    if path and os.access(path, os.F_OK) and not os.access(path, os.W_OK):
        return [doubt("worker", f"{path} is out of this user's reach, as it should be", "run this as root to try it")]
    try:
        with tempfile.TemporaryDirectory(prefix="secured-node-doctor-") as scratch:
            walls = await _try_walls(_launcher(config, Path(scratch)))
    except (WorkError, OSError) as error:
        return [wrong("worker", str(error), _worker_todo(config))]
    where = (
        f"answers at {config.worker.socket}" if config.worker.socket else "starts as a child, of the daemon's own user"
    )
    return [fine("worker", where), judge_walls(walls)]


def _launcher(config: Config, scratch: Path) -> Launcher:
    if config.worker.socket:
        return SocketLauncher(Path(config.worker.socket))
    return ChildLauncher(scratch, config.worker.sandbox)


async def _try_walls(launcher: Launcher) -> Walled:
    supervisor = Supervisor(launcher, spare=False)
    try:
        return await supervisor.try_walls()
    finally:
        await supervisor.close()


def _worker_todo(config: Config) -> str:
    if not config.worker.socket:
        return "python -m secured_node.work.worker --help should at least start: look at what it says"
    if not Path(config.worker.socket).exists():
        return "systemctl enable --now secured-node-worker.socket"
    return "journalctl -u 'secured-node-worker@*' tells why it ended"


def judge_walls(walls: WallsTold | Walled) -> Finding:
    """Whether the walls of a worker suffice."""
    stand = f"stand: {', '.join(walls.raised) or 'none'}"
    fell = "; ".join(f"{layer}: {why}" for layer, why in walls.failed.items())
    if not walls.sufficient:
        todo = "a kernel with seccomp and Landlock (Linux 5.13), or a mount namespace; see docs/infosec.md"
        return wrong("walls", f"{stand}. They do not suffice: {fell}", todo)
    if walls.sandbox == "none":
        todo = 'sandbox = "strict", before there are patients in the data'
        return doubt("walls", f"{stand}, but none are required (sandbox = none)", todo)
    if walls.open:
        stand += f"; possible all the same: {', '.join(walls.open)}"
    return fine("walls", f"{stand}; not there: {', '.join(walls.failed)}" if walls.failed else stand)


# --- service ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """The daemon's unit, as far as systemd says. said: properties by name. text: of its files, drop-ins included."""

    said: dict[str, str]
    text: str

    @property
    def gives_key(self) -> bool:
        """Whether it hands the key over as a credential."""
        return re.search(rf"^LoadCredential(Encrypted)?={re.escape(CREDENTIAL)}\b", self.text, re.MULTILINE) is not None


def find_unit() -> Unit | None:
    """The daemon's unit; None where systemd does not run or has no such unit."""
    if not _SYSTEMD.is_dir() or not any(Path(folder, UNIT).exists() for folder in UNIT_FOLDERS):
        return None
    shown = _systemctl("show", UNIT, f"--property={','.join(_PROPERTIES)}")
    return Unit(dict(line.split("=", 1) for line in shown.splitlines() if "=" in line), _systemctl("cat", UNIT))


def _systemctl(*arguments: str) -> str:
    """What systemctl prints; nothing if it cannot be asked."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return ""
    try:
        ran = subprocess.run([systemctl, *arguments], capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout


def check_service(config: Config, unit: Unit | None) -> list[Finding]:
    """What systemd says of the daemon. unit: see `find_unit`."""
    if unit is None:
        return [fine("service", f"{UNIT} is not installed here, or its state folder is another one (docs/install.md)")]
    findings = judge_unit(unit.said)
    if not config.worker.socket:
        why = "worker.socket is empty: the daemon's own user, which has the network, reads the data"
        findings.append(doubt("service", why, 'worker.socket = "/run/secured-node-worker.sock"; docs/install.md'))
    return findings or [fine("service", f"{UNIT} is enabled, and as it was installed")]


def judge_unit(shown: dict[str, str]) -> list[Finding]:
    """What is wrong with the unit, by its properties; nothing if all is well or systemd does not say."""
    findings = []
    if shown.get("ActiveState") == "failed":
        why = f"{UNIT} failed ({shown.get('Result', 'unknown')})"
        findings.append(wrong("service", why, "journalctl -u secured-node -n 50"))
    elif shown.get("NRestarts", "0") not in ("0", ""):
        why = f"systemd had to start {UNIT} again {shown['NRestarts']} times"
        findings.append(doubt("service", why, "journalctl -u secured-node"))
    if shown.get("UnitFileState") == "disabled":
        findings.append(doubt("service", f"{UNIT} does not start with the machine", f"systemctl enable {UNIT}"))
    if shown.get("NeedDaemonReload") == "yes":
        why = "a unit file was changed and systemd has not read it"
        findings.append(doubt("service", why, f"systemctl daemon-reload; systemctl restart {UNIT}"))
    return findings
