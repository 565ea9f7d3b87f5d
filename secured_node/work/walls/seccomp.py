"""Seccomp: the list of system calls a walled worker may make. Everything else fails.

**An allow list, not a deny list.** A deny list must name every dangerous call of every kernel to come; an allow list
must name what Python, numpy, OpenBLAS and Arrow use, which changes slowly, is tested, and fails loudly when it is too
short. It holds about 130 plain calls (open descriptors, memory, threads, own signals, clocks, files by path, which
Landlock and the mount namespace then judge) and the ones below, which are allowed only with harmless arguments.

| call | allowed | because |
|---|---|---|
| clone | a thread, no new namespace | fork, vfork and namespaces are refused |
| clone3, openat2 | never: ENOSYS | their flags lie in memory that BPF cannot read; libc falls back |
| sendto | without an address | on a datagram socket an address reaches anyone |
| socketpair | unix, stream | asyncio wakes itself with one; a datagram pair could address any socket by path |
| open, openat | not truncating while reading, not access mode 3 | before ABI 3 Landlock lets both truncate a file |
| fcntl | copies, flags, locks, seals, pipe size | F_SETOWN and F_SETSIG send any signal to any process of the user |
| ioctl | terminal mode and size (read), pending bytes, close-on-exec, non-blocking; else ENOTTY | TIOCSTI, drivers |
| prctl | names, and questions | no dumpable, no tracer, no memory map edits |
| kill, tgkill | to this process | no signal to others |
| prlimit64 | on this process | |
| memfd_create | not marked executable, no huge pages | vectors travel in memfds |

A refusal is EPERM, so that a library sees an ordinary error and a probe can prove the wall. A call younger than our
table is ENOSYS: that is what a library's own feature test expects. Only a call through another ABI (32-bit int 0x80,
x32) kills the process: no honest library makes one, its number would mean something else, and the SIGSYS tells the
supervisor that code in the worker is hostile.

New sockets of every family, bind, listen, accept, connect, ptrace, process_vm_*, pidfd_*, execve, io_uring, bpf,
userfaultfd, perf, keys, mounts, namespaces, chroot, modules, kexec, file handles, System V and POSIX queues and
memory, splice, inotify, chmod, chown, links, device nodes, xattrs and identity changes are thus all refused.
"""

import ctypes
import errno
import os
from typing import Final

from . import bpf, syscalls
from .report import LayerFailedError
from .syscalls import Machine, UnknownMachineError

_EPERM: Final = bpf.errno_verdict(errno.EPERM)
_ENOSYS: Final = bpf.errno_verdict(errno.ENOSYS)
_ENOTTY: Final = bpf.errno_verdict(errno.ENOTTY)

_DESCRIPTORS: Final = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3
    fstat statfs fstatfs getdents64 ftruncate fallocate fsync fdatasync fadvise64 flock sendfile fchdir
    pipe pipe2 eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6
    sendmsg recvmsg recvfrom shutdown getsockopt getsockname getpeername
"""
_PATHS: Final = """
    newfstatat stat lstat statx access faccessat faccessat2 readlink readlinkat getcwd chdir umask
    mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2
"""
_MEMORY: Final = "mmap munmap mprotect mremap brk madvise msync mlock mlock2 munlock membarrier"
_THREADS: Final = """
    futex set_robust_list set_tid_address rseq arch_prctl exit exit_group wait4 waitid restart_syscall
    gettid getpid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups getresuid getresgid capget
    sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    getpriority getrlimit setrlimit getrusage uname sysinfo getcpu getrandom
"""
_SIGNALS_AND_CLOCKS: Final = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times setitimer getitimer alarm
"""
_PLAIN: Final = (_DESCRIPTORS + _PATHS + _MEMORY + _THREADS + _SIGNALS_AND_CLOCKS).split()

_X32_BIT: Final = 0x40000000
_CLONE_MASK: Final = 0x7E83_2100  # every CLONE_NEW*, CLONE_UNTRACED, CLONE_THREAD, CLONE_PTRACE, CLONE_VM
_CLONE_THREAD: Final = 0x0001_0100  # CLONE_THREAD | CLONE_VM
_AF_UNIX: Final = 1
_SOCK_TYPE_MASK: Final = 0xF
_SOCK_STREAM: Final = 1
_O_ACCMODE: Final = 3
_O_TRUNC: Final = 0o1000
_MFD_REFUSED: Final = 0xFFFFFFFF & ~0b1011  # all but CLOEXEC, ALLOW_SEALING and NOEXEC_SEAL
_FCNTL: Final = (
    *range(8),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW
    *(36, 37, 38),  # F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW
    *(1027, 1030, 1031, 1032, 1033, 1034),  # F_DUPFD_QUERY, DUPFD_CLOEXEC, SETPIPE_SZ, GETPIPE_SZ, seals
)
_IOCTL: Final = (
    *(0x5401, 0x802C542A, 0x5413),  # TCGETS and TCGETS2 (isatty), TIOCGWINSZ
    *(0x541B, 0x5421, 0x5450, 0x5451),  # FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
)
_PRCTL: Final = (
    *(3, 15, 16, 21, 23, 39, 42, 51),  # GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, CAPBSET_READ, GET_NNP, THP, SVE
    0x53564D41,  # PR_SET_VMA: names of anonymous memory, set by allocators
)

_SET_MODE_FILTER: Final = 1
_FLAG_TSYNC: Final = 1


class _Filter(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def compile_filter(machine: Machine, pid: int) -> bpf.Program:
    """The whole filter for a machine and a process, which may signal nobody but itself."""
    allow = bpf.verdict(bpf.ALLOW)
    blocks = dict.fromkeys(_PLAIN, allow)
    blocks |= {name: (*checks, *allow) for name, checks in _conditional(pid).items()}
    blocks |= dict.fromkeys(("clone3", "openat2"), bpf.verdict(_ENOSYS))
    numbered = {nr: block for name, block in blocks.items() if (nr := syscalls.number(name, machine)) is not None}
    known = bpf.if_at_least(syscalls.NEWEST_KNOWN + 1, _ENOSYS)
    program = (
        *bpf.load(bpf.OFFSET_ARCH),
        *bpf.unless_equal(machine.audit_arch, bpf.KILL_PROCESS),
        *bpf.load(bpf.OFFSET_NR),
    )
    if machine == syscalls.X86_64:
        program += bpf.if_at_least(_X32_BIT, bpf.KILL_PROCESS)
    return (*program, *known, *bpf.decide(numbered, bpf.verdict(_EPERM)))


def _conditional(pid: int) -> dict[str, bpf.Program]:
    """The checks of the calls that are allowed only with harmless arguments; see the table above."""
    itself = bpf.one_of(0, (pid,), _EPERM)
    checks = {
        "clone": bpf.masked_is(0, _CLONE_MASK, _CLONE_THREAD, _EPERM),
        "sendto": bpf.null(4, _EPERM),
        "socketpair": bpf.one_of(0, (_AF_UNIX,), _EPERM) + bpf.masked_is(1, _SOCK_TYPE_MASK, _SOCK_STREAM, _EPERM),
        "fcntl": bpf.one_of(1, _FCNTL, _EPERM),
        "ioctl": bpf.one_of(1, _IOCTL, _ENOTTY),
        "prctl": bpf.one_of(0, _PRCTL, _EPERM),
        "kill": itself,
        "tgkill": itself,
        "prlimit64": bpf.one_of(0, (0, pid), _EPERM),
        "memfd_create": bpf.no_bits(1, _MFD_REFUSED, _EPERM),
    }
    for name, flags in (("open", 1), ("openat", 2)):
        checks[name] = bpf.masked_is_not(flags, _O_ACCMODE | _O_TRUNC, _O_TRUNC, _EPERM) + bpf.masked_is_not(
            flags, _O_ACCMODE, _O_ACCMODE, _EPERM
        )
    return checks


def install() -> None:
    """Put the filter on every thread of this process, for good. Needs no_new_privs (or CAP_SYS_ADMIN).

    Raises `LayerFailedError` and changes nothing on a processor whose calls are not known, on a kernel without
    seccomp filters, or if a thread could not be brought behind the same filter.
    """
    try:
        program = compile_filter(syscalls.this_machine(), os.getpid())
        filter_ = _Filter(len(program), bpf.assemble(program))
        stray = syscalls.call("seccomp", _SET_MODE_FILTER, _FLAG_TSYNC, filter_)
    except UnknownMachineError as error:
        raise LayerFailedError(str(error.strerror)) from error
    except OSError as error:
        why = {
            errno.EINVAL: "this kernel was built without seccomp filters (CONFIG_SECCOMP_FILTER): use another",
            errno.EACCES: "no_new_privs was not set first",
            errno.EPERM: "a filter that is already in place refuses another one: start the worker without it",
        }
        raise LayerFailedError(why.get(error.errno or 0, f"the kernel says {error.strerror}")) from error
    if stray:
        raise LayerFailedError(f"thread {stray} is behind another filter: raise the walls before it starts")
