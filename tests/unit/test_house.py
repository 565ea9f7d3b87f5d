"""The house rules that a machine can hold: what is pure, which way arrows point, what is never called, how long is long
enough.

Each rule is a function from a file to what is wrong in it; a second set of tests shows that each rule finds what it is
there for.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("protocols", "secured_node", "simulations", "demo", "benchmarks")
PURE = {
    *("protocols", "numpy", "cryptography", "nacl", "msgspec"),
    *("__future__", "base64", "binascii", "collections", "dataclasses", "enum", "functools", "hashlib", "hmac"),
    *("fractions", "ipaddress", "itertools", "math", "re", "struct", "typing", "unicodedata"),
}
"""All that a protocol may rest on: what has no clock, no randomness and no world."""
CIPHERS = {"cryptography.exceptions", "cryptography.hazmat.primitives"}
"""Of `cryptography`, the parts that compute; its X.509 and its backends are the daemon's."""
IMPURE = {"numpy.random", "nacl.utils", "nacl.public", "os.urandom"}
RANDOM_CALLS = {"generate", "generate_key", "random"}
"""Of pure libraries, what draws by itself: `Ed25519PrivateKey.generate()`, `nacl.utils.random()`."""
FROM_NOWHERE = {"pickle", "marshal", "shelve", "cloudpickle", "dill", "joblib", "yaml"}
"""What makes objects, and so code, of bytes."""
NEVER_CALLED = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "numpy.load", "torch.load", "ProcessPoolExecutor"),
}
HEAVY = {"pyarrow", "pandas", "torch", "flwr", "crypten", "sdv", "sklearn", "statsmodels", "scipy", "joblib"}
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 50
"""What fits a screen together with a little of what is around it. The longest today has 40."""

ARROWS = {
    "__main__": {"cli"},
    "cli": {"app", "config", "data", "doctor", "founding", "hiding", "listening", "logs", "naming", "net", "recompute"}
    | {"state", "store", "tasks", "verify"},
    "app": {
        "api",
        "budget",
        "config",
        "datasets",
        "driver",
        "founding",
        "jobs",
        "listening",
        "logs",
        "membership",
        "net",
    }
    | {"notify", "service", "state", "store", "work"},
    "doctor": {"config", "founding", "net", "state", "stewards", "store", "work"},
    "recompute": {"data", "verify", "work"},
    "api": {"config", "membership", "naming", "service", "store", "work"},
    "service": {"config", "datasets", "driver", "jobs", "naming", "net", "outlook", "proposal", "store", "work"},
    "budget": {"config", "policy", "store", "work"},
    "jobs": {"budget", "config", "datasets", "driver", "policy", "store", "work"},
    "membership": {"driver", "net", "stewards", "store"},
    "founding": {"net", "state", "store"},
    "datasets": {"policy", "store"},
    "driver": {"store"},
    "policy": {"config", "data"},
    "logs": {"config"},
    "config": {"data"},
    "work": {"data", "tasks"},
    "tasks": {"data"},
    "data": set(),
    "net": set(),
    "notify": set(),
    "naming": set(),
    "listening": set(),
    "outlook": set(),
    "proposal": set(),
    "state": set(),
    "stewards": set(),
    "store": {"hiding"},
    "verify": set(),
    "__init__": set(),
    "hiding": set(),
}
"""Which rooms of the daemon a room may import, beside the package's own `VERSION`. An arrow that is not here is
refused. Above all, `work`, `tasks` and `data` run in the worker and know nothing of network and store."""


def files(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """Names of modules, `from . import x` resolved; for `from a import b` both a and a.b, since b may be a module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression that is a name or an attribute of one; of others, what follows the last dot."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def full_names(path: Path) -> dict[str, str]:
    """What local names stand for: np is numpy, system is os.system."""
    known: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call and the full name of what is called."""
    known = full_names(path)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            first, dot, rest = dotted(node.func).partition(".")
            yield node, known.get(first, first) + dot + rest


def is_public(name: str) -> bool:
    return not name.startswith("_")


# --- the rules: a file in, what is wrong in it out --------------------------------------------------------------------


def impure(path: Path) -> Iterator[str]:
    for module in imports(path):
        if module.partition(".")[0] not in PURE or any(f"{module}.".startswith(f"{one}.") for one in IMPURE):
            yield f"imports {module}"
        if module.startswith("cryptography.") and not any(module.startswith(one) for one in CIPHERS):
            yield f"imports {module}"
    for call, name in calls(path):
        if name == "open" or (name.rpartition(".")[2] in RANDOM_CALLS and "." in name):
            yield f"line {call.lineno}: calls {name}"


def undescribed(path: Path) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring, in classes too."""

    def look(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[str]:
        if not ast.get_docstring(node):
            yield f"{name} has no docstring"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        for inner in node.body:
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and is_public(inner.name):
                yield from look(inner, inner.name)

    yield from look(tree_of(path), "the module")


def code_from_bytes(path: Path) -> Iterator[str]:
    """Deserialisers that run code, evaluation, shells."""
    for module in imports(path):
        if module.partition(".")[0] in FROM_NOWHERE:
            yield f"imports {module}"
    for call, name in calls(path):
        words = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in NEVER_CALLED and not _loads_without_pickle(name, words):
            yield f"line {call.lineno}: calls {name}"
        if name.endswith((".to_pickle", ".read_pickle")) or "shell" in words:
            yield f"line {call.lineno}: calls {name}"
        if "allow_pickle" in words and not _is_false(words["allow_pickle"]):
            yield f"line {call.lineno}: allow_pickle"


def pickling(path: Path) -> Iterator[str]:
    """Processes that pickle whatever they pass on: between parts of different trust there is `work.frames` instead."""
    for module in imports(path):
        if module.partition(".")[0] == "multiprocessing" or module.endswith("ProcessPoolExecutor"):
            yield f"imports {module}"


def _loads_without_pickle(name: str, words: dict[str | None, ast.expr]) -> bool:
    return name == "numpy.load" and "allow_pickle" in words and _is_false(words["allow_pickle"])


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def asserted(path: Path) -> Iterator[str]:
    """`python -O` leaves them out: what must hold is an error with a name."""
    yield from (f"line {node.lineno}: assert" for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert))


def long_file(path: Path) -> Iterator[str]:
    lines = path.read_text().count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{lines} lines"


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name} has {lines} lines"


def heavy(path: Path) -> Iterator[str]:
    yield from (f"imports {module}" for module in imports(path) if module.partition(".")[0] in HEAVY)


def back_arrows(path: Path) -> Iterator[str]:
    """Imports by a file of the daemon that its room may not make."""
    here = room_of(path)
    for module in imports(path):
        if module.partition(".")[0] in {"simulations", "demo", "benchmarks", "tests"}:
            yield f"imports {module}"
        there = room_named(module)
        if there is not None and there != here and there not in ARROWS.get(here, set()):
            yield f"{here} -> {there}: imports {module}"


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "secured_node").parts[0].removesuffix(".py")


def room_named(module: str) -> str | None:
    """The room of a module of the daemon; None for what is no module of it."""
    package, _, rest = module.partition(".")
    room = ROOT / package / rest.partition(".")[0]
    return (
        room.name
        if package == "secured_node" and rest and (room.is_dir() or room.with_suffix(".py").exists())
        else None
    )


Rule = Callable[[Path], Iterator[str]]


def broken(rule: Rule, paths: list[Path]) -> list[str]:
    assert paths
    return [f"{name_of(path)}: {what}" for path in paths for what in rule(path)]


# --- the house --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [impure, undescribed], ids=lambda rule: rule.__name__)
def test_protocols_are_pure_and_say_what_they_are(rule: Rule) -> None:
    """A library more in `protocols` is a decision: say so in PURE."""
    assert broken(rule, files("protocols")) == []


@pytest.mark.parametrize("rule", [code_from_bytes, asserted, long_functions], ids=lambda rule: rule.__name__)
def test_the_product_does_not_do_this(rule: Rule) -> None:
    assert broken(rule, files(*PRODUCT)) == []


def test_daemon_and_worker_do_not_pickle_to_each_other() -> None:
    assert broken(pickling, files("protocols", "secured_node")) == []


def test_no_file_is_long() -> None:
    assert broken(long_file, files(*PRODUCT, "tests")) == []


def test_arrows_of_the_daemon_point_one_way() -> None:
    """cli -> app -> the rest, never back; nothing of the product knows the simulator or the demo."""
    assert broken(back_arrows, files("secured_node")) == []
    list(TopologicalSorter(ARROWS).static_order())  # raises CycleError for a circle


STUDIES = {
    "secured_node",
    *(f"secured_node.{room}" for room in ("tasks", "data", "work.errors", "cli.common", "cli.lazy")),
}
"""What studies share with the product: what a worker computes, the words for its errors, and how a terminal is used."""


def knows_the_daemon(path: Path) -> Iterator[str]:
    """The simulator's world knows `protocols` alone; its studies know tasks and data, too, and nothing of a daemon."""
    studies = path.relative_to(ROOT / "simulations").parts[0] in ("study", "experiments", "kit.py", "cli", "report")
    for module in imports(path):
        if module.startswith("secured_node") and not (studies and _shared(module)):
            yield f"imports {module}"


def _shared(module: str) -> bool:
    inside = any(module.startswith(f"{room}.") for room in STUDIES - {"secured_node"})
    return module in STUDIES or inside or module == "secured_node.VERSION"


def test_the_simulator_does_not_know_the_daemon() -> None:
    assert broken(knows_the_daemon, files("simulations")) == []


def test_arrows_that_nobody_uses_are_not_allowed_either() -> None:
    used = {(room_of(path), room_named(module)) for path in files("secured_node") for module in imports(path)}
    assert {(here, there) for here, allowed in ARROWS.items() for there in allowed} - used == set()
    assert set(ARROWS) == {room_of(path) for path in files("secured_node")}


def test_heavy_libraries_are_imported_by_readers_of_data_alone() -> None:
    sources = ROOT / "secured_node" / "data" / "sources"
    daemon = [path for path in files("secured_node", "protocols") if not path.is_relative_to(sources)]
    assert broken(heavy, daemon) == []


RUNS = """
import sys
from secured_node.cli import root
try:
    root(["run", "--state", sys.argv[1]], standalone_mode=False)
except Exception as error:
    print(type(error).__name__, *sys.modules)
"""
"""The daemon's own command, up to where it finds that the state folder belongs to no hub; all is imported by then."""


@pytest.mark.parametrize("code", ["import sys, secured_node.app; print('-', *sys.modules)", RUNS], ids=["app", "run"])
def test_a_daemon_at_rest_has_loaded_no_heavy_library(code: str, tmp_path: Path) -> None:
    """Nor by way of what it imports, with all of them installed; nor what only workers and people's commands need."""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    ended, *loaded = done.stdout.split()
    assert ended == ("CommandError" if code == RUNS else "-") and "secured_node.app" in loaded
    assert {name.partition(".")[0] for name in loaded} & (HEAVY | {"simulations", "multiprocessing"}) == set()
    assert not [name for name in loaded if name.startswith(("secured_node.tasks", "secured_node.data.sources"))]
    if code == RUNS:
        assert not [name for name in loaded if name.partition(".")[0] in ("rich", "pygments")]


# --- the rules find what they are there for ---------------------------------------------------------------------------

LONG = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (impure, "import time"),
        (impure, "from datetime import datetime"),
        (impure, "import numpy.random"),
        (impure, "from numpy import random"),
        (impure, "from cryptography import x509"),
        (impure, "open('x')"),
        (impure, "from nacl.signing import SigningKey\nSigningKey.generate()"),
        (undescribed, "x = 1"),
        (undescribed, '"""M."""\nclass A:\n    """A."""\n    def b(self): ...'),
        (code_from_bytes, "def f():\n    import pickle"),
        (code_from_bytes, "from marshal import loads"),
        (code_from_bytes, "import yaml as y\ny.load(x)"),
        (code_from_bytes, "eval('1')"),
        (code_from_bytes, "from os import system as s\ns('ls')"),
        (code_from_bytes, "import numpy as np\nnp.load('x', allow_pickle=True)"),
        (code_from_bytes, "import numpy as np\nnp.load('x', None, True)"),
        (code_from_bytes, "import numpy as np\nnp.save('x', y, allow_pickle=z)"),
        (code_from_bytes, "import subprocess\nsubprocess.run('ls', shell=True)"),
        (pickling, "from concurrent.futures import ProcessPoolExecutor"),
        (pickling, "import multiprocessing.pool"),
        (asserted, "def f():\n    assert x"),
        (long_functions, LONG),
        (long_file, "\n" * (FILE_LINES_MAX + 1)),
        (heavy, "def f():\n    import pandas.core"),
    ],
)
def test_a_rule_finds_what_it_is_there_for(rule: Rule, text: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(text)
    assert list(rule(path))


def test_a_back_arrow_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each room's way to its user, in each way of writing an import."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "secured_node" / "work").mkdir(parents=True)
    for room in ("net", "driver", "app"):
        (tmp_path / "secured_node" / f"{room}.py").touch()
    for number, text in enumerate(
        ("import secured_node.app", "from secured_node import driver", "from ..net import link", "import tests.kit")
    ):
        path = tmp_path / "secured_node" / "work" / f"planted_{number}.py"
        path.write_text(text)
        assert len(list(back_arrows(path))) >= 1, text
