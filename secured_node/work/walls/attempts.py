"""The catalogue of forbidden things: every way out of the worker that we know how to try without doing harm."""

import ctypes
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import Final

from . import syscalls
from .bench import DATAGRAM_NAME, LOOPBACK, NO_PROGRAM, STREAM_NAME, Bench
from .probe import Probe
from .report import Layer

_CONNECT_S: Final = 1.0  # loopback answers at once; only a broken network would wait
_PTRACE_SEIZE: Final = 0x4206
_PTRACE_INTERRUPT: Final = 0x4207
_PTRACE_DETACH: Final = 17
_WALL: Final = 0x40000000  # waitpid: children of every kind
_UFFD_USER_MODE_ONLY: Final = 1
_KEYCTL_GET_KEYRING_ID: Final = 0
_KEY_SPEC_SESSION_KEYRING: Final = -3
_PERSONALITY_QUERY: Final = 0xFFFFFFFF
_AT_FDCWD: Final = -100
_AF_VSOCK: Final = 40
_PROTOCOLS: Final = Path("/proc/net/protocols")


def _new_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def _vsock(_: Bench) -> None:
    """A socket to the hypervisor, if the kernel has it in already: asking for it would load a module."""
    try:
        loaded = "VSOCK" in _PROTOCOLS.read_text(encoding="ascii", errors="replace")
    except OSError:
        loaded = True  # behind the walls the list is gone; with a wall missing, vsock is the least of it
    if not loaded:
        raise OSError(errno.EAFNOSUPPORT, "no vsock on this machine")
    _new_socket(_AF_VSOCK, socket.SOCK_STREAM)


def _datagram_pair(_: Bench) -> None:
    for made in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        made.close()


def _reach_tcp(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.settimeout(_CONNECT_S)
        made.connect(bench.tcp.getsockname())


def _connect_tcp(bench: Bench) -> None:
    bench.client("tcp").connect(bench.tcp.getsockname())


def _bind_tcp(bench: Bench) -> None:
    bench.client("tcp").bind((LOOPBACK, 0))


def _connect_unix_path(bench: Bench) -> None:
    with bench.inside():
        bench.client("path").connect(STREAM_NAME)


def _connect_unix_abstract(bench: Bench) -> None:
    bench.client("abstract").connect(bench.abstract.getsockname())


def _send_datagram(bench: Bench) -> None:
    with bench.inside():
        bench.client("datagram").sendto(b"out", DATAGRAM_NAME)


def _listen(bench: Bench) -> None:
    bench.tcp.listen()


def _accept(bench: Bench) -> None:
    bench.abstract.accept()[0].close()


def _execute_file(bench: Bench) -> None:
    _execute(bench.program)


def _execute_memfd(_: Bench) -> None:
    descriptor = os.memfd_create("program")
    try:
        os.write(descriptor, NO_PROGRAM)
        _execute(descriptor)
    finally:
        os.close(descriptor)


def _execute(program: "Path | int") -> None:
    """Start what is no program: with permission the kernel opens it, reads it and says ENOEXEC, which is success."""
    try:
        os.execve(program, ["program"], {})  # noqa: S606 - the attempt is the purpose
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise


def _fork(_: Bench) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _trace(bench: Bench) -> None:
    """Seize another process, then let it go."""
    syscalls.call("ptrace", _PTRACE_SEIZE, bench.victim, 0, 0)
    syscalls.call("ptrace", _PTRACE_INTERRUPT, bench.victim, 0, 0)
    os.waitpid(bench.victim, _WALL)
    syscalls.call("ptrace", _PTRACE_DETACH, bench.victim, 0, 0)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _read_memory(bench: Bench) -> None:
    """Read a word of a forked process at an address that both have."""
    here, there = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    vectors = [_IoVector(ctypes.addressof(buffer), 8) for buffer in (here, there)]
    vectors[1].base = id(None)  # a static object of the interpreter: mapped in both
    syscalls.call("process_vm_readv", bench.victim, vectors[0], 1, vectors[1], 1, 0)


def _read_memory_file(bench: Bench) -> None:
    os.close(os.open(f"/proc/{bench.victim}/mem", os.O_RDONLY | os.O_CLOEXEC))


def _signal(bench: Bench) -> None:
    os.kill(bench.victim, 0)


def _signal_owner(bench: Bench) -> None:
    fcntl.fcntl(bench.pipe, fcntl.F_SETOWN, bench.victim)


def _process_handle(bench: Bench) -> None:
    os.close(syscalls.call("pidfd_open", bench.victim, 0))


def _io_uring(_: Bench) -> None:
    parameters = ctypes.create_string_buffer(120)  # struct io_uring_params
    os.close(syscalls.call("io_uring_setup", 1, parameters))


def _userfaultfd(_: Bench) -> None:
    os.close(syscalls.call("userfaultfd", os.O_CLOEXEC | _UFFD_USER_MODE_ONLY))


def _keyring(_: Bench) -> None:
    syscalls.call("keyctl", _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING, 0, 0, 0)


def _personality(_: Bench) -> None:
    syscalls.call("personality", _PERSONALITY_QUERY)


def _file_handle(bench: Bench) -> None:
    handle, mount_id = ctypes.create_string_buffer(136), ctypes.create_string_buffer(4)
    handle[0] = b"\x80"  # handle_bytes of struct file_handle: room for the largest
    syscalls.call("name_to_handle_at", _AT_FDCWD, os.fsencode(bench.folder), handle, mount_id, 0)


def _read_outside(bench: Bench) -> None:
    os.close(os.open(bench.outside_file, os.O_RDONLY | os.O_CLOEXEC))


def _see_outside(bench: Bench) -> None:
    bench.outside_file.stat()


def _list_root(_: Bench) -> None:
    os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _write_outside(bench: Bench) -> None:
    path = bench.outside_folder / bench.folder.name
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.unlink()


def _truncate(bench: Bench) -> None:
    syscalls.call("truncate", os.fsencode(bench.program), len(NO_PROGRAM))


def _change_mode(bench: Bench) -> None:
    bench.program.chmod(0o700)


def _symbolic_link(bench: Bench) -> None:
    path = bench.folder / "link"
    path.symlink_to("/")
    path.unlink()


def _hard_link(bench: Bench) -> None:
    path = bench.folder / "hard"
    path.hardlink_to(bench.program)
    path.unlink()


def _named_pipe(bench: Bench) -> None:
    path = bench.folder / "pipe"
    os.mkfifo(path)
    path.unlink()


_S: Final = frozenset({Layer.SECCOMP})
_L: Final = frozenset({Layer.LANDLOCK})
_M: Final = frozenset({Layer.MOUNT_NAMESPACE})

#: In the order in which they are tried: no attempt that works spoils the target of a later one.
FORBIDDEN: Final = (
    Probe("open an IPv4 socket", lambda _: _new_socket(socket.AF_INET, socket.SOCK_STREAM), _S),
    Probe("open an IPv6 socket", lambda _: _new_socket(socket.AF_INET6, socket.SOCK_DGRAM), _S),
    Probe("open a unix socket", lambda _: _new_socket(socket.AF_UNIX, socket.SOCK_STREAM), _S),
    Probe("open a netlink socket", lambda _: _new_socket(socket.AF_NETLINK, socket.SOCK_RAW), _S),
    Probe("open a vsock socket", _vsock, _S),
    Probe("make a pair of datagram sockets", _datagram_pair, _S),
    Probe("reach a TCP listener with a new socket", _reach_tcp, _S | {Layer.NETWORK_NAMESPACE}),
    Probe("bind a TCP port", _bind_tcp, _S),
    Probe("connect to a TCP listener", _connect_tcp, _S),
    Probe("connect to a unix socket by path", _connect_unix_path, _S),
    Probe("connect to an abstract unix socket", _connect_unix_abstract, _S),
    Probe("send a datagram to a unix socket", _send_datagram, _S),
    Probe("listen", _listen, _S),
    Probe("accept a connection", _accept, _S),
    Probe("execute a file", _execute_file, _S | _L),
    Probe("execute a memfd", _execute_memfd, _S),
    Probe("fork", _fork, _S),
    Probe("trace another process", _trace, _S),
    Probe("read another process's memory", _read_memory, _S),
    Probe("open another process's memory", _read_memory_file, _L | _M),
    Probe("signal another process", _signal, _S),
    Probe("have a descriptor signal another process", _signal_owner, _S),
    Probe("take a handle on another process", _process_handle, _S),
    Probe("set up io_uring", _io_uring, _S),
    Probe("handle page faults", _userfaultfd, _S),
    Probe("look at a keyring", _keyring, _S),
    Probe("ask for the personality", _personality, _S),
    Probe("take a file handle", _file_handle, _S),
    Probe("read a file outside", _read_outside, _L | _M),
    Probe("see that a file outside exists", _see_outside, _M),
    Probe("list the root folder", _list_root, _L),
    Probe("write a file outside", _write_outside, _L | _M),
    Probe("truncate a file by its path", _truncate, _S),
    Probe("change the mode of a file", _change_mode, _S),
    Probe("make a symbolic link in scratch", _symbolic_link, _S | _L),
    Probe("make a hard link in scratch", _hard_link, _S),
    Probe("make a named pipe in scratch", _named_pipe, _S | _L),
)
