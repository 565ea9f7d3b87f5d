"""Hubs as real processes: made with the product's own commands, killed and restarted, stopped by pid."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from secured_node.cli.common import CommandError, ask

START_S: Final = 30.0
"""A busy machine may take so long to start a daemon."""
STOP_S: Final = 20.0
"""A daemon ends its links and workers first."""
PROGRAM: Final = (sys.executable, "-m", "secured_node")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, seconds: float = START_S, every_s: float = 0.02) -> Any:
    """Wait for a condition; its value. Raises `TimeoutError` that names what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every_s)
    raise TimeoutError(f"after {seconds:g} s: {what}")


class Hub:
    """One hospital's hub: a state folder, a configuration, a process while it runs."""

    def __init__(self, name: str, folder: Path, policy: str, program: tuple[str, ...] = PROGRAM) -> None:
        self.name, self.program = name, program
        self.state = folder / name
        self.port = free_port()
        self.config = folder / f"{name}.toml"
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        address = f'"127.0.0.1:{self.port}"'
        self.config.write_text(f"[network]\nlisten = {address}\nendpoints = [{address}]\n{policy}")

    def command(self, *arguments: str) -> Any:
        """Run a command of the product for this hub; its JSON. Raises `CommandError` with what it said."""
        done = subprocess.run(
            [*self.program, *arguments, "--state", str(self.state), "--json"],
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise CommandError(f"{self.name}: {' '.join(arguments[:2])}", done.stderr.strip())
        return json.loads(done.stdout)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that waits for people."""
        command = [*self.program, *arguments, "--state", str(self.state), "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the running daemon."""
        return ask(self.state, method, path, body)

    def start(self, wait: bool = True) -> None:
        """Start the daemon."""
        command = [*self.program, "run", "--state", str(self.state), "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the daemon answers."""
        wait_until(self.answers, f"{self.name} does not answer; see {self.log}")

    def answers(self) -> bool:
        """Whether the daemon runs and answers."""
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
        with contextlib.suppress(CommandError):
            return bool(self.ask("GET", "/health"))
        return False

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """Ask the daemon to stop, as systemd would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop the daemon; kill it if it does not end."""
        self.end()
        if self.process is None:
            return
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    # -- what the demo asks of it --------------------------------------------------------------------------------

    def sent_bytes(self) -> int:
        """Bytes sent to other hubs since the daemon started."""
        return sum(link["sent_bytes"] for link in self.ask("GET", "/v1/status")["links"])

    def linked(self, others: int) -> bool:
        """Whether it has links to so many others."""
        return bool(self.ask("GET", "/v1/status")["links_up"] >= others)

    def job(self, job: str) -> dict[str, Any]:
        """How a job stands here."""
        shown: dict[str, Any] = self.ask("GET", f"/v1/jobs/{job}")
        return shown

    def knows(self, job: str) -> bool:
        """Whether the job's record arrived."""
        return any(known["job"] == job for known in self.ask("GET", "/v1/jobs")["jobs"])


def stop_all(hubs: list[Hub]) -> None:
    """Stop daemons, all at the same time."""
    for hub in hubs:
        hub.end()
    for hub in hubs:
        hub.stop()


def join(founder: Hub, newcomer: Hub) -> list[str]:
    """Invite, join, compare the words on both screens, approve; the words."""
    code = founder.ask("POST", "/v1/invitations")["code"]
    endpoint = f"127.0.0.1:{newcomer.port}"
    joining = newcomer.begin("join", code, "--name", newcomer.name, "--endpoint", endpoint)

    def waits() -> Any:
        if joining.poll() is not None:
            raise RuntimeError(f"{newcomer.name} did not join: {joining.communicate()[1]}")
        waiting = founder.ask("GET", "/v1/members")["waiting"]
        return next((w for w in waiting if w["name"] == newcomer.name), None)

    there = wait_until(waits, f"{newcomer.name} does not come")
    founder.ask("POST", "/v1/members/approve", {"node": there["node"]})
    out, err = joining.communicate(timeout=START_S)
    if joining.returncode:
        raise RuntimeError(f"{newcomer.name} did not join: {err}")
    words: list[str] = json.loads(out)["words"]
    if words != there["words"]:
        raise RuntimeError(f"the screens of {founder.name} and {newcomer.name} show different words")
    return words
