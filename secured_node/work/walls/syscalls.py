"""System calls by name: the numbers on the two machines the walls know, and one way to make a call.

Python's standard library has no wrapper for seccomp, Landlock or the mount calls used here, and no portable table
of numbers. The numbers below are the kernel's stable ABI (`arch/x86/entry/syscalls/syscall_64.tbl` and, for
aarch64, `include/uapi/asm-generic/unistd.h`); `None` means that the machine never had the call.

Errors: `UnknownMachineError` on any other processor, and `OSError` with the kernel's errno for a call that failed.
"""

import ctypes
import errno
import os
import platform
import sys
from typing import Final, NamedTuple

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class UnknownMachineError(OSError):
    """This processor is neither x86_64 nor little-endian aarch64, so no number below may be used."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.ENOSYS, text)


class Machine(NamedTuple):
    """One processor family: its name, its column in `NUMBERS`, and its `AUDIT_ARCH_*` value for seccomp."""

    name: str
    column: int
    audit_arch: int


X86_64: Final = Machine("x86_64", 0, 0xC000003E)
AARCH64: Final = Machine("aarch64", 1, 0xC00000B7)

#: Every call from here on is younger than this table (Linux 6.17): a caller must cope with its absence.
NEWEST_KNOWN: Final = 469

NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "access": (21, None),
    "alarm": (37, None),
    "arch_prctl": (158, None),
    "brk": (12, 214),
    "capget": (125, 90),
    "capset": (126, 91),
    "chdir": (80, 49),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "epoll_wait": (232, None),
    "eventfd2": (290, 19),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fadvise64": (221, 223),
    "fallocate": (285, 47),
    "fchdir": (81, 50),
    "fcntl": (72, 25),
    "fdatasync": (75, 83),
    "flock": (73, 32),
    "fstat": (5, 80),
    "fstatfs": (138, 44),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getitimer": (36, 102),
    "getpeername": (52, 205),
    "getpgid": (121, 155),
    "getpgrp": (111, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpriority": (140, 141),
    "getrandom": (318, 278),
    "getresgid": (120, 150),
    "getresuid": (118, 148),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getsid": (124, 156),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "memfd_create": (319, 279),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mlock": (149, 228),
    "mlock2": (325, 284),
    "mmap": (9, 222),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "msync": (26, 227),
    "munlock": (150, 229),
    "munmap": (11, 215),
    "name_to_handle_at": (303, 264),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "open": (2, None),
    "open_tree": (428, 428),
    "openat": (257, 56),
    "openat2": (437, 437),
    "pause": (34, None),
    "personality": (135, 92),
    "pidfd_open": (434, 434),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "pivot_root": (155, 41),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "pselect6": (270, 72),
    "ptrace": (101, 117),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "restart_syscall": (219, 128),
    "rmdir": (84, None),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "select": (23, None),
    "sendfile": (40, 71),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "setitimer": (38, 103),
    "setrlimit": (160, 164),
    "shutdown": (48, 210),
    "sigaltstack": (131, 132),
    "socketpair": (53, 199),
    "stat": (4, None),
    "statfs": (137, 43),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "tgkill": (234, 131),
    "time": (201, None),
    "times": (100, 153),
    "truncate": (76, 45),
    "umask": (95, 166),
    "uname": (63, 160),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "userfaultfd": (323, 282),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "write": (1, 64),
    "writev": (20, 66),
}


def this_machine() -> Machine:
    """The machine this process runs on. A 32-bit interpreter on a 64-bit kernel is not known either."""
    if sys.byteorder == "little" and sys.maxsize > 2**32:
        for machine in (X86_64, AARCH64):
            if platform.machine() == machine.name:
                return machine
    raise UnknownMachineError(f"the walls know x86_64 and aarch64, not {platform.machine()} ({sys.byteorder})")


def number(name: str, machine: Machine) -> int | None:
    """The number of a call on a machine, or None where that machine never had it."""
    return NUMBERS[name][machine.column]


def call(name: str, *arguments: "int | bytes | ctypes.Array[ctypes.c_char] | ctypes.Structure | None") -> int:
    """Make one system call and return its result. A structure or an array is passed by address.

    Raises `OSError` with the kernel's errno, and `UnknownMachineError` where no number is known.
    """
    nr = number(name, this_machine())
    if nr is None:
        raise UnknownMachineError(f"{name} does not exist on {platform.machine()}")
    ctypes.set_errno(0)
    result: int = _LIBC.syscall(ctypes.c_long(nr), *(_as_register(argument) for argument in arguments))
    if result == -1:
        failure = ctypes.get_errno()
        raise OSError(failure, os.strerror(failure), name)
    return result


def _as_register(
    argument: "int | bytes | ctypes.Array[ctypes.c_char] | ctypes.Structure | None",
) -> "ctypes.c_long | ctypes.c_char_p | ctypes.c_void_p":
    """One argument as a full 64-bit register: a bare Python int would be passed to a variadic C call as 32 bits."""
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return ctypes.cast(ctypes.pointer(argument), ctypes.c_void_p)
