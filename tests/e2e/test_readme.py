"""Every command of the README, run as a reader would: three hubs on one machine, a first job, its proof."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from demo.hubs import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """The lines of the README's code blocks that call the program, in order."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
    plain = [text for language, text in blocks if not language]
    return [line for block in plain for line in block.splitlines() if line.startswith("secured-node ")]


def file_shown(language: str, beginning: str) -> str:
    """The README's code block in a language that begins so: a file that a reader is to save."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.S | re.M)
    (found,) = (block for block in blocks if block.startswith(beginning))
    return str(found)


class Reader:
    """Somebody who types the README's commands, for hubs north, east and south."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("north", "east", "south")}
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.joining: subprocess.Popen[str] | None = None
        self.code = ""
        config = re.search(r"^```toml\n(.*?)^```", README, re.S | re.M)
        assert config is not None
        for name, port in self.ports.items():
            text = config[1].replace("7443", str(port))
            assert tomllib.loads(text)["network"]["endpoints"] == [f"127.0.0.1:{port}"]
            (folder / f"{name}.toml").write_text(text)

    def type(self, line: str) -> str:
        """Run one line; what it printed."""
        background = line.endswith("&")
        words = shlex.split(line.rstrip("& ").replace("7444", str(self.ports["east"])))
        words = [self.code if word == "CODE" else word for word in words]
        command = [sys.executable, "-m", "secured_node", *words[1:]]
        if background:
            log = (self.folder / f"{words[words.index('--state') + 1]}.log").open("wb")
            self.daemons.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))
            state = words[words.index("--state") + 1]
            wait_until(lambda: self._answers(state), f"{state} does not start")
            return ""
        if words[1] == "join":
            self.joining = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)
            wait_until(self._somebody_waits, "the newcomer does not come")
            return ""
        if words[1] == "approve":
            command.append("--yes")
        if words[1:3] == ["data", "add"]:
            command.append("--yes")
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if words[1] == "invite":
            self.code = done.stdout.split()[0]
        if words[1] == "approve" and self.joining is not None:
            out, _ = self.joining.communicate(timeout=30)
            assert self.joining.returncode == 0, out
        return done.stdout

    def _answers(self, state: str) -> bool:
        command = [sys.executable, "-m", "secured_node", "status", "--state", state]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode == 0

    def _somebody_waits(self) -> bool:
        command = [sys.executable, "-m", "secured_node", "members", "--json", "--state", "north"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        return bool(json.loads(done.stdout)["waiting"])

    def stop(self) -> None:
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
        if self.joining is not None and self.joining.poll() is None:
            self.joining.kill()


@pytest.mark.timeout(240)
def test_every_command_of_the_readme_works_as_written(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    (tmp_path / "schema.toml").write_text(file_shown("toml", 'name = "patients"'))
    table = file_shown("csv", "age,ill")
    (tmp_path / "patients.csv").write_text(table)
    patients = 3 * (table.count("\n") - 1)
    lines = commands()
    steps = {word: [line for line in lines if f" {word} " in line] for word in ("init", "data", "job")}
    joining = [line for line in lines if re.search(r" (invite|join|approve) | run --state east", line)]
    try:
        for line in (*steps["init"], *[x for x in lines if " run --state north" in x]):
            reader.type(line)
        for newcomer in ("east", "south"):
            for line in joining:
                reader.type(line.replace("east", newcomer).replace("7444", str(reader.ports[newcomer])))
        assert "south" in reader.type(next(line for line in lines if " members " in line))
        for hub in ("north", "east", "south"):
            for line in steps["data"]:
                reader.type(line.replace("--state north", f"--state {hub}"))
        wait_until(lambda: _offers(tmp_path) == 3, "the hubs do not know of each other's data")
        submit, *rest = steps["job"]
        assert re.search(rf"\b{patients}\b", reader.type(submit)), "the patients of all three hubs"
        for line in rest:
            reader.type(line)
        listed = json.loads(reader.type("secured-node job list --json --state north"))
        reader.type(f"secured-node job result {listed['jobs'][0]['job'][:12]} --out folder --state north")
        assert re.search(r"sums? of job", reader.type("secured-node job verify folder"))
    finally:
        reader.stop()


def _offers(folder: Path) -> int:
    command = [sys.executable, "-m", "secured_node", "data", "list", "--all", "--json", "--state", "north"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return len(json.loads(done.stdout)["catalogue"])
