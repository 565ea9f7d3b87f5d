"""The house rules that a machine can hold: what is pure, which way arrows point, what is never called."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocols", "secured_node", "simulations", "demo", "benchmarks")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
PURE_BANNED = {
    *("asyncio", "socket", "ssl", "threading", "time", "random", "secrets", "os", "sqlite3", "aiohttp", "structlog"),
    *("subprocess", "secured_node", "simulations", "datetime", "uuid", "tempfile", "pathlib", "multiprocessing", "io"),
}
PURE_ALLOWED = {
    *("protocols", "numpy", "cryptography", "nacl", "msgspec"),
    *("__future__", "base64", "binascii", "collections", "dataclasses", "enum", "functools", "hashlib", "hmac"),
    *("ipaddress", "itertools", "math", "re", "typing", "unicodedata"),
}
"""All that a protocol may rest on: what has no clock, no randomness and no world."""
SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
DESERIALISERS = {"pickle", "marshal", "shelve", "cloudpickle", "dill", "joblib", "yaml"}
HEAVY = {"pyarrow", "pandas", "torch", "flwr", "crypten", "sdv", "sklearn", "statsmodels", "scipy"}
LINES_MAX = 600


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def calls(path: Path) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "protocols")], ids=name_of)
def test_protocols_are_pure(path: Path) -> None:
    found = {name.partition(".")[0] for name in imports(path)}
    assert not found & PURE_BANNED
    assert found <= PURE_ALLOWED, "a library more in `protocols` is a decision: say so in PURE_ALLOWED"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_pickle_anything_is_nowhere_and_no_file_is_long(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & DESERIALISERS
    assert path.read_text().count("\n") <= LINES_MAX
    for call in calls(path):
        if isinstance(call.func, ast.Name):
            assert call.func.id not in ("eval", "exec", "compile", "__import__"), f"line {call.lineno}"
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            assert (call.func.value.id, call.func.attr) not in SHELLS, f"line {call.lineno}"
        shell = [k for k in call.keywords if k.arg == "shell"]
        assert not shell, f"line {call.lineno}: shell="
        for keyword in call.keywords:
            assert not (keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True)), f"line {call.lineno}"


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "secured_node")], ids=name_of)
def test_arrows_of_the_daemon_point_one_way(path: Path) -> None:
    """cli -> app -> the rest, never back; nothing of the product knows the simulator or the demo."""
    here, found = path.relative_to(ROOT / "secured_node").parts[0], set(imports(path))
    assert not {name.partition(".")[0] for name in found} & {"simulations", "demo", "benchmarks", "tests"}
    if here not in ("cli", "__main__.py"):
        assert not [name for name in found if name.startswith("secured_node.cli")]
    if here not in ("cli", "app.py"):
        assert "secured_node.app" not in found


STUDIES = {"secured_node", *(f"secured_node.{room}" for room in ("tasks", "data", "work.errors", "cli.common"))}
"""What studies share with the product: what a worker computes, the words for its errors, and how a terminal is used."""


def test_the_simulator_does_not_know_the_daemon() -> None:
    """Its world knows `protocols` alone; its studies know tasks and data, too, and nothing that runs in a daemon."""
    for path in FILES:
        if path.is_relative_to(ROOT / "simulations"):
            found = {name for name in imports(path) if name.startswith("secured_node")}
            here = path.relative_to(ROOT / "simulations").parts[0]
            allowed = STUDIES if here in ("study", "cli", "report") else set()
            assert not {name for name in found if not _within(name, allowed)}, name_of(path)


def _within(module: str, rooms: set[str]) -> bool:
    """Whether a module is one of the rooms or, but for the whole package, in one of them."""
    return module in rooms or any(module.startswith(f"{room}.") for room in rooms - {"secured_node"})


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "secured_node")], ids=name_of)
def test_heavy_libraries_are_imported_by_readers_of_data_alone(path: Path) -> None:
    sources = ROOT / "secured_node" / "data" / "sources"
    found = {name.partition(".")[0] for name in imports(path)} & HEAVY
    assert not found or path.is_relative_to(sources) or path.name == "worker.py", found


def test_a_daemon_at_rest_has_loaded_no_heavy_library() -> None:
    """Nor by way of what it imports."""
    code = "import sys, secured_node.app, secured_node.cli; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(done.stdout.split()) & HEAVY
