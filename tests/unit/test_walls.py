"""The worker's walls, tried from behind: every test of a wall runs a hostile script in a walled child process."""

import errno
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from secured_node.work.walls import (
    Attempt,
    Layer,
    Outcome,
    WallReport,
    WallsError,
    raise_walls,
    require_walls,
)
from secured_node.work.walls.attempts import FORBIDDEN
from tests.unit.walls_kit import (
    HIDDEN_ONLY_BY_MOUNTS,
    LANDLOCK_ALONE,
    NAMESPACES,
    PRELUDE,
    REPORT,
    Site,
    ask_child,
    landlock_abi,
    make_site,
    needs_landlock,
    needs_seccomp,
    needs_walls,
    raised_without,
    start_child,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(tmp_path_factory.mktemp("site")) as made:
        yield made


# --- a hostile plugin -------------------------------------------------------------------------------------------

HOSTILE = """
import fcntl, subprocess, threading, multiprocessing
held = socket.socket(fileno=given["descriptors"][0])
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) == -1:
        raise OSError(ctypes.get_errno(), "call")
PTRACE, UNSHARE = {"x86_64": (101, 272), "aarch64": (117, 97)}[os.uname().machine]
def in_thread(action):
    found = []
    def keep():
        try:
            found.append(action())
        except OSError as error:
            found.append(error)
    thread = threading.Thread(target=keep)
    thread.start(); thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
parameters = ctypes.create_string_buffer(120)
def share_memory():
    path = Path("/dev/shm", f"walls-{os.getpid()}")
    path.touch()
    path.unlink()
def connect_listener():
    os.chdir(Path(given["listener"]).parent)
    held.connect("listener")
scratch, key = Path(given["scratch"]), Path(given["key"])
actions = {
    "open an INET socket": lambda: socket.socket(socket.AF_INET),
    "open an INET6 socket": lambda: socket.socket(socket.AF_INET6),
    "open a UNIX socket": lambda: socket.socket(socket.AF_UNIX),
    "open a NETLINK socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "open a socket in a thread": lambda: in_thread(lambda: socket.socket(socket.AF_INET)),
    "connect to the listener by its path": connect_listener,
    "fork": lambda: os.fork() or os._exit(0),
    "run a program": lambda: subprocess.run(["/bin/true"]),
    "spawn a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "start a process": lambda: multiprocessing.get_context("fork").Process(target=int).start(),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "trace the parent": lambda: call(PTRACE, 16, os.getppid(), 0, 0),
    "set up io_uring": lambda: call(425, 1, ctypes.addressof(parameters)),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "signal the group": lambda: os.kill(0, 0),
    "read the key": key.read_bytes,
    "read the key through a link in scratch": (scratch / "escape").read_bytes,
    "read the key through a linked folder": (scratch / "leave" / "keys" / "node.key").read_bytes,
    "read the key by a detour": (scratch / ".." / "keys" / "node.key").read_bytes,
    "read the key in a thread": lambda: in_thread(key.read_bytes),
    "read another data set": Path(given["other"]).read_bytes,
    "list the site's folder": lambda: os.listdir(key.parent.parent),
    "write beside the data set": lambda: Path(given["data"] + ".copy").write_bytes(b"x"),
    "write into the data set": lambda: open(given["data"], "ab"),
    "truncate the data set": lambda: os.truncate(given["data"], 0),
    "truncate the data set while reading it": lambda: os.open(given["data"], os.O_RDONLY | os.O_TRUNC),
    "remove the data set": lambda: os.unlink(given["data"]),
    "replace the data set": lambda: os.rename(scratch / "escape", given["data"]),
    "open the key's mode": lambda: os.chmod(key, 0o666),
    "write the key": lambda: key.write_bytes(b"x"),
    "write through a link in scratch": lambda: (scratch / "leave" / "new").write_bytes(b"x"),
    "read the parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "list processes": lambda: os.listdir("/proc"),
    "open shared memory": share_memory,
    "make a namespace": lambda: call(UNSHARE, 0x10000000),
    "drop a link for the daemon to follow": lambda: (scratch / "bait").symlink_to(key),
}
answer({name: tried(action) for name, action in actions.items() if name not in SKIPPED})
"""
#: Not tried without walls: it would replace the child, or stop the parent.
TOO_REAL = {"become a program", "trace the parent"}
#: What a machine may refuse even without walls.
MAY_BE_MISSING = {"open an INET6 socket", "set up io_uring", "make a namespace", "open shared memory"}


#: As on Linux 5.13, whose Landlock guards neither truncation nor TCP nor signals.
OLDEST_LANDLOCK = "from secured_node.work.walls import landlock\nlandlock.abi = lambda: 1\n"


@pytest.fixture(
    scope="module",
    params=[((), ""), (NAMESPACES, ""), (NAMESPACES, OLDEST_LANDLOCK)],
    ids=["all", "no-namespaces", "no-namespaces-and-the-oldest-landlock"],
)
def hostile(site: Site, request: pytest.FixtureRequest) -> dict[str, str]:
    """What a hostile plugin got, with every layer this machine has, and with ever fewer."""
    without, oldest = request.param
    with socket.socket(socket.AF_UNIX) as ready:
        code = "SKIPPED = set()" + HOSTILE
        answered: dict[str, str] = ask_child(
            site, code, without=frozenset(without), keep=(ready.fileno(),), prelude=oldest + PRELUDE
        )
    return answered


@needs_walls
def test_plugin_escape_every_way_out_is_denied(hostile: dict[str, str], site: Site) -> None:
    escaped = [name for name, result in hostile.items() if result == "worked"]
    assert not escaped
    assert set(hostile.values()) <= {"EPERM", "EACCES", "ENOENT", "EROFS", "EXDEV"}
    assert site.data.read_text(encoding="ascii").startswith("a,b")
    assert site.key.read_text(encoding="ascii") == "secret"


def test_without_walls_a_hostile_plugin_gets_everything(tmp_path: Path) -> None:
    with make_site(tmp_path) as unguarded, socket.socket(socket.AF_UNIX) as ready:
        code = f"SKIPPED = {TOO_REAL!r}{HOSTILE}"
        answered = ask_child(unguarded, code, without=frozenset(Layer), keep=(ready.fileno(),))
    assert {name for name, result in answered.items() if result != "worked"} <= MAY_BE_MISSING
    assert len(answered) > 30


@needs_landlock
def test_a_link_out_of_scratch_is_refused_by_landlock_alone(site: Site) -> None:
    code = 'answer([tried((Path(given["scratch"]) / name).read_bytes) for name in ("escape", "leave/other.csv")])'
    assert ask_child(site, code, without=LANDLOCK_ALONE | {Layer.SECCOMP}) == ["EACCES", "EACCES"]


@pytest.mark.skipif(landlock_abi() < 6, reason="Landlock before ABI 6 cannot scope signals and abstract sockets")
def test_landlock_alone_stops_tcp_signals_and_abstract_sockets(site: Site) -> None:
    report = raised_without(site, Layer.SECCOMP, *NAMESPACES)
    stopped = {name for name, (before, behind) in report["attempts"].items() if before == 0 and behind}
    assert stopped >= {
        "bind a TCP port",
        "connect to a TCP listener",
        "connect to an abstract unix socket",
        "signal another process",
        "execute a file",
        "make a symbolic link in scratch",
        "make a named pipe in scratch",
    }


# --- an honest task ---------------------------------------------------------------------------------------------

HONEST = """
require_walls(report)
import numpy, threading
import pyarrow.csv, pyarrow.parquet
table = pyarrow.csv.read_csv(given["data"])
parquet = Path(given["scratch"]) / f"set-{os.getpid()}.parquet"
pyarrow.parquet.write_table(table, parquet)
again = pyarrow.parquet.read_table(parquet)
parquet.unlink()
matrix = numpy.random.default_rng(0).normal(size=(150, 150))
results = []
threads = [threading.Thread(target=lambda: results.append(numpy.linalg.svd(matrix @ matrix)[1][0])) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import asyncio, ctypes, hashlib, sqlite3, tempfile, zoneinfo
asyncio.run(asyncio.sleep(0))
with tempfile.TemporaryDirectory(dir=given["scratch"]) as folder:
    database = sqlite3.connect(Path(folder) / "x.db")
    database.execute("create table t (a)"); database.commit(); database.close()
    (Path(folder) / "a").write_bytes(b"x"); os.rename(Path(folder) / "a", Path(folder) / "b")
callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)
answer([again.column("b").to_pylist(), len(set(results)), callback(), str(zoneinfo.ZoneInfo("UTC"))])
"""


@pytest.mark.parametrize(
    "without",
    [frozenset(), frozenset(NAMESPACES), frozenset({Layer.LANDLOCK})],
    ids=["all", "no-namespaces", "no-landlock"],
)
@needs_seccomp
def test_an_honest_task_runs_numpy_threads_arrow_and_sqlite_behind_the_walls(
    site: Site, without: frozenset[Layer]
) -> None:
    if Layer.LANDLOCK in without and Layer.MOUNT_NAMESPACE not in raised_without(site)["raised"]:
        pytest.skip("this machine refuses mount namespaces")
    if Layer.LANDLOCK not in without and landlock_abi() == 0:
        pytest.skip("this kernel lacks Landlock")
    assert ask_child(site, HONEST, without=without) == [[2.5, 4.5], 1, 7, "UTC"]


SEND_VECTOR = """
import fcntl
import numpy
require_walls(report)
vector = numpy.arange(1000, dtype=numpy.uint64)
memory = os.memfd_create("vector", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.write(memory, vector.tobytes())
fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
daemon = socket.socket(fileno=given["descriptors"][0])
socket.send_fds(daemon, [b"vector"], [memory])
answer(daemon.recv(5).decode())
"""


@needs_walls
def test_a_sealed_memfd_reaches_the_daemon_over_the_inherited_socket(site: Site) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b"hello")
        assert ask_child(site, SEND_VECTOR, keep=(there.fileno(),)) == "hello"
        message, (memory,), _, _ = socket.recv_fds(here, 100, 1)
    try:
        assert message == b"vector"
        words = os.pread(memory, 8000, 0)
        assert struct.unpack("=1000Q", words) == tuple(range(1000))
        with pytest.raises(PermissionError):
            os.pwrite(memory, b"x", 0)
    finally:
        os.close(memory)


@needs_walls
def test_raising_the_walls_leaves_nothing_in_scratch(site: Site) -> None:
    raised_without(site)
    assert not [path for path in site.scratch.iterdir() if path.name.startswith(".walls-")]


# --- layer by layer ---------------------------------------------------------------------------------------------


@needs_walls
def test_every_layer_that_stands_is_proven_and_the_walls_suffice(site: Site) -> None:
    report = raised_without(site)
    assert report["sufficient"]
    assert not report["leaks"]
    assert not report["blocked"]
    assert set(report["open"]) <= ({HIDDEN_ONLY_BY_MOUNTS} if Layer.MOUNT_NAMESPACE in report["failed"] else set())
    assert set(report["failed"]) <= set(NAMESPACES)
    assert {"open an IPv4 socket", "connect to a unix socket by path", "fork"} <= report["attempts"].keys()


def layers_one_by_one() -> Mapping[Layer, set[str]]:
    """For each layer that alone stops something: what opens again when only it is missing (with namespaces off)."""
    only_landlock = {"read a file outside", "list the root folder", "write a file outside"}
    both = [probe for probe in FORBIDDEN if probe.stopped_by == {Layer.SECCOMP}]
    by_landlock_too = {
        "bind a TCP port",  # from ABI 4 on
        "connect to a TCP listener",
        "connect to an abstract unix socket",  # from ABI 6 on
        "signal another process",
        "trace another process",
        "read another process's memory",
    }
    return {Layer.LANDLOCK: only_landlock, Layer.SECCOMP: {probe.name for probe in both} - by_landlock_too}


@pytest.mark.parametrize("layer", [Layer.LANDLOCK, Layer.SECCOMP])
@needs_walls
def test_with_a_layer_forced_off_the_probes_show_what_it_had_stopped(site: Site, layer: Layer) -> None:
    report = raised_without(site, layer, *NAMESPACES)
    possible = {name for name, (before, _) in report["attempts"].items() if before == 0}
    expected = layers_one_by_one()[layer] & possible
    assert expected
    assert set(report["open"]) >= expected
    assert report["failed"][layer] == "left out by the caller"
    assert not report["sufficient"]


@pytest.mark.parametrize("layer", list(Layer))
@needs_walls
def test_each_layer_forced_off_in_turn_leaves_the_others_standing(site: Site, layer: Layer) -> None:
    everything, report = raised_without(site), raised_without(site, layer)
    dependent = {Layer.NO_NEW_PRIVS: {Layer.LANDLOCK, Layer.SECCOMP}}.get(layer, set())
    missing = set(everything["raised"]) - set(report["raised"]) - {layer}
    assert missing <= dependent
    if layer not in {Layer.SECCOMP, Layer.NO_NEW_PRIVS}:
        held_by_mounts = Layer.MOUNT_NAMESPACE in report["raised"]
        assert report["sufficient"] == (layer is not Layer.LANDLOCK or held_by_mounts)


@needs_seccomp
def test_a_mount_namespace_alone_hides_every_other_file(site: Site) -> None:
    report = raised_without(site, Layer.LANDLOCK, Layer.SECCOMP)
    if Layer.MOUNT_NAMESPACE not in report["raised"]:
        pytest.skip(f"no mount namespace here: {report['failed'][Layer.MOUNT_NAMESPACE]}")
    attempts = report["attempts"]
    assert attempts[HIDDEN_ONLY_BY_MOUNTS] == [0, errno.ENOENT]
    assert attempts["read a file outside"] == [0, errno.ENOENT]
    code = """
files = sorted(name for _, _, names in os.walk(Path(given["key"]).parent.parent) for name in names)
answer([files, tried(lambda: open(given["data"], "ab"))])
"""
    files, write_data = ask_child(site, code, without=frozenset({Layer.LANDLOCK, Layer.SECCOMP}))
    assert files == ["escape", site.data.name]
    assert write_data == "EROFS"


@pytest.mark.parametrize(
    ("raised", "leaks", "enough"),
    [
        ({Layer.SECCOMP, Layer.LANDLOCK}, (), True),
        ({Layer.SECCOMP, Layer.MOUNT_NAMESPACE}, (), True),
        ({Layer.SECCOMP, Layer.NETWORK_NAMESPACE, Layer.CAPABILITIES}, (), False),
        ({Layer.LANDLOCK, Layer.MOUNT_NAMESPACE, Layer.NETWORK_NAMESPACE}, (), False),
        (set(Layer), ("descriptor 3 is a network socket",), False),
        (set(), (), False),
    ],
)
def test_work_is_refused_below_seccomp_and_one_file_system_layer(
    raised: set[Layer], leaks: tuple[str, ...], enough: bool
) -> None:
    failed = {layer: "refused here" for layer in Layer if layer not in raised}
    report = WallReport(frozenset(raised), failed, (), leaks)
    assert report.sufficient is enough
    require_walls(report, sandbox="none")
    if enough:
        require_walls(report)
        return
    with pytest.raises(WallsError) as refused:
        require_walls(report)
    assert refused.value.what
    assert refused.value.remedy
    assert ("refused here" in str(refused.value)) is not bool(leaks)


def test_work_is_refused_when_a_wall_keeps_the_worker_from_its_own_data() -> None:
    report = WallReport(frozenset(Layer), {}, (), (), ("read /data/set.csv: EACCES",))
    with pytest.raises(WallsError, match=r"read /data/set\.csv: EACCES"):
        require_walls(report)


def test_what_failed_before_the_walls_proves_nothing_behind_them() -> None:
    assert Attempt("x", 0, errno.EPERM).outcome is Outcome.STOPPED
    assert Attempt("x", errno.EAFNOSUPPORT, errno.EPERM).outcome is Outcome.UNPROVEN
    assert Attempt("x", 0, 0).outcome is Outcome.OPEN
    assert Attempt("x", errno.EPERM, 0).outcome is Outcome.OPEN


@pytest.mark.parametrize(
    ("module", "function", "substitute", "layers"),
    [
        ("seccomp", "install", "lambda: None", {Layer.SECCOMP}),
        ("landlock", "restrict", "lambda *_, **__: None", {Layer.LANDLOCK}),
        ("namespaces", "enter", "lambda *_, **__: {}", set(NAMESPACES)),
    ],
)
@needs_walls
def test_a_layer_raised_in_name_only_is_found_out(
    site: Site, module: str, function: str, substitute: str, layers: set[Layer]
) -> None:
    fake = f"from secured_node.work.walls import {module}\n{module}.{function} = {substitute}\n"
    without = frozenset(NAMESPACES) - layers
    report = ask_child(site, REPORT, prelude=fake + PRELUDE, without=without)
    for layer in layers:
        assert report["failed"][layer].startswith("raised, and yet it did not stop: ")
    assert report["sufficient"] is (layers == set(NAMESPACES))


@needs_walls
def test_layers_that_cannot_be_proven_are_not_counted(site: Site) -> None:
    again = "report = raise_walls(walls)\n" + REPORT
    report = ask_child(site, again, without=frozenset(NAMESPACES))
    assert not report["sufficient"]
    assert not {Layer.SECCOMP, Layer.LANDLOCK} & set(report["raised"])


# --- the process itself -----------------------------------------------------------------------------------------


@needs_walls
def test_descriptors_that_were_not_named_are_closed(site: Site) -> None:
    with site.key.open("rb") as key:
        # The number may have been given to another file since; what must be gone is the key.
        number, inode = key.fileno(), os.fstat(key.fileno()).st_ino
        code = f"gone = tried(lambda: os.fstat({number})) == 'EBADF' or os.fstat({number}).st_ino != {inode}\n"
        code += "answer([gone, report.sufficient])"
        assert ask_child(site, code, inherit=(number,)) == [True, True]


@pytest.mark.parametrize(
    ("family", "kind", "words"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "network socket"),
        (socket.AF_UNIX, socket.SOCK_DGRAM, "datagram"),
        (socket.AF_UNIX, socket.SOCK_STREAM, "not connected"),
    ],
)
@needs_walls
def test_a_kept_socket_that_leads_out_makes_the_walls_insufficient(
    site: Site, family: socket.AddressFamily, kind: socket.SocketKind, words: str
) -> None:
    with socket.socket(family, kind) as way_out:
        report = ask_child(site, REPORT, keep=(way_out.fileno(),))
    assert words in " ".join(report["leaks"])
    assert not report["sufficient"]


@needs_walls
def test_memory_is_hidden_and_no_capability_remains(site: Site) -> None:
    code = """
import resource
status = [line.split() for line in kept.read().splitlines()]
values = {line[0].rstrip(":"): line[1] for line in status if len(line) == 2}
answer([
    values["CapEff"], values["CapPrm"], values["NoNewPrivs"], values["Seccomp"],
    resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
])
"""
    # Opened before the walls: /proc/self is not among the grants. Procfs answers with the state at the first read.
    opened = PRELUDE.replace(
        "report = raise_walls(walls",
        'kept = open("/proc/self/status")\nwalls = Walls(walls.read, walls.write, (kept.fileno(),))\n'
        "report = raise_walls(walls",
    )
    zero = "0" * 16
    assert ask_child(site, code, prelude=opened) == [zero, zero, "1", "2", [0, 0], 0]


@needs_walls
def test_a_process_with_threads_gets_no_file_system_layer_and_is_refused(site: Site) -> None:
    prelude = "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n" + PRELUDE
    report = ask_child(site, REPORT, prelude=prelude)
    assert "raise the walls before numpy" in report["failed"][Layer.LANDLOCK]
    assert not report["sufficient"]


@needs_seccomp
def test_seccomp_covers_threads_that_already_run(site: Site) -> None:
    prelude = (
        """
import queue, threading
jobs, done = queue.Queue(), queue.Queue()
def serve():
    while True:
        done.put(jobs.get()())
threading.Thread(target=serve, daemon=True).start()
"""
        + PRELUDE
    )
    code = "jobs.put(lambda: tried(lambda: socket.socket(socket.AF_INET)))\nanswer(done.get(timeout=30))"
    assert ask_child(site, code, prelude=prelude) == "EPERM"


def test_an_unknown_processor_is_refused_in_words(site: Site) -> None:
    prelude = 'import platform\nplatform.machine = lambda: "riscv64"\n' + PRELUDE
    report = ask_child(site, REPORT, prelude=prelude)
    assert not report["sufficient"]
    for layer in (Layer.SECCOMP, Layer.LANDLOCK):
        assert "the walls know x86_64 and aarch64, not riscv64" in report["failed"][layer]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the other ABIs of x86_64")
@needs_seccomp
@pytest.mark.parametrize("abi_name", ["i386", "x32"])
def test_a_call_through_another_abi_kills_the_worker(site: Site, abi_name: str) -> None:
    code = {
        "x32": "ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))\nanswer(0)",
        "i386": """
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
answer(0)
""",
    }[abi_name]
    assert start_child(site, code).returncode == -signal.SIGSYS


@needs_walls
def test_a_data_set_named_through_a_link_is_readable_under_its_own_name(site: Site, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(site.data.parent, target_is_directory=True)
    linked = Site(tmp_path / "link" / site.data.name, site.other_data, site.key, site.scratch, site.listener)
    code = 'answer([tried(Path(given["data"]).read_bytes), tried(Path(given["other"]).read_bytes), report.sufficient])'
    first, second, sufficient = ask_child(linked, code)
    assert (first, sufficient) == ("worked", True)
    assert second in {"EACCES", "ENOENT"}


def test_probes_have_unique_names() -> None:
    names = [probe.name for probe in FORBIDDEN]
    assert len(names) == len(set(names))
    assert raise_walls.__doc__
