"""The seccomp filter, instruction by instruction: an interpreter of classic BPF asks it about both machines.

What the kernel does with the filter is in test_walls.py; here the calls need not exist on this machine.
"""

import ctypes
import errno
import os
import random
import struct
import threading

import pytest

from secured_node.work.walls import bpf, syscalls
from secured_node.work.walls.seccomp import compile_filter

PID = 4321
ALLOW, KILL = bpf.ALLOW, bpf.KILL_PROCESS
EPERM, ENOSYS, ENOTTY = (bpf.errno_verdict(number) for number in (errno.EPERM, errno.ENOSYS, errno.ENOTTY))
MACHINES = [syscalls.X86_64, syscalls.AARCH64]


def evaluate(program: bpf.Program, nr: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """Run a filter as the kernel does. Raises if it jumps outside or uses an instruction it should not."""
    words = [value & (2**64 - 1) for value in (*arguments, *([0] * (6 - len(arguments))))]
    data = struct.pack("<IIQ6Q", nr & 0xFFFFFFFF, arch, 0, *words)
    accumulator, at = 0, 0
    for _ in range(len(program)):
        code, jt, jf, k = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        elif code == 0x05:
            at += k
        elif code == 0x06:
            return k
        else:
            true = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            at += jt if true else jf
    raise AssertionError("the filter does not end")


#: Numbers (x86_64, aarch64) of calls that must be refused with any arguments, whatever else the list allows.
DANGEROUS = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "setsockopt": (54, 208),
    "sendmmsg": (307, 269),
    "recvmmsg": (299, 243),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "timer_create": (222, 107),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "personality": (135, 92),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setfsuid": (122, 151),
    "capset": (126, 91),
    "seccomp": (317, 277),
    "landlock_restrict_self": (446, 446),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "splice": (275, 76),
    "tee": (276, 77),
    "vmsplice": (278, 75),
    "truncate": (76, 45),
    "creat": (85, None),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "setxattr": (188, 5),
    "fsetxattr": (190, 7),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "ioperm": (173, None),
    "iopl": (172, None),
    "modify_ldt": (154, None),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "open_tree_attr": (467, 467),
}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_dangerous_call_is_refused_with_any_arguments(machine: syscalls.Machine) -> None:
    program = compile_filter(machine, PID)
    for name, numbers in DANGEROUS.items():
        if (nr := numbers[machine.column]) is not None:
            for arguments in ((), (2**64 - 1,) * 6, (PID, 1, 0, 0, 0, 0)):
                assert evaluate(program, nr, machine.audit_arch, arguments) == EPERM, name


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_calls_are_allowed_only_with_harmless_arguments(machine: syscalls.Machine) -> None:
    program = compile_filter(machine, PID)
    high = 1 << 32
    cases: list[tuple[str, tuple[int, ...], int]] = [
        ("read", (3,), ALLOW),
        ("futex", (), ALLOW),
        ("mmap", (), ALLOW),
        ("sendmsg", (0,), ALLOW),
        ("recvmsg", (0,), ALLOW),
        ("clone", (0x3D0F00,), ALLOW),  # what glibc's pthread_create passes
        ("clone", (0x7D0F00,), ALLOW),  # and musl's
        ("clone", (17,), EPERM),
        ("clone", (0x4111,), EPERM),  # posix_spawn: CLONE_VM | CLONE_VFORK
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),  # a thread in a new user namespace
        ("clone", (0x3D0F00 | 0x2000,), EPERM),  # traced
        ("clone3", (), ENOSYS),
        ("openat2", (), ENOSYS),
        ("sendto", (0, 1, 5, 0, 0, 0), ALLOW),
        ("sendto", (0, 1, 5, 0, 0x7000, 16), EPERM),
        ("sendto", (0, 1, 5, 0, high, 16), EPERM),  # a pointer whose low half is 0
        ("socketpair", (1, 1 | 0o2004000), ALLOW),
        ("socketpair", (1, 2), EPERM),
        ("socketpair", (1, 5), EPERM),
        ("socketpair", (2, 1), EPERM),
        ("kill", (PID, 15), ALLOW),
        ("kill", (PID + 1, 15), EPERM),
        ("kill", (0, 15), EPERM),
        ("kill", (-1, 9), EPERM),
        ("kill", (-PID, 9), EPERM),
        ("tgkill", (PID, 99, 6), ALLOW),
        ("tgkill", (1, 1, 6), EPERM),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), EPERM),
        ("openat", (-100, 1, os.O_RDONLY), ALLOW),
        ("openat", (-100, 1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), ALLOW),
        ("openat", (-100, 1, os.O_RDONLY | os.O_TRUNC), EPERM),
        ("openat", (-100, 1, 3), EPERM),
        ("openat", (-100, 1, 3 | os.O_TRUNC | high), EPERM),
        ("fcntl", (3, 2, 1), ALLOW),
        ("fcntl", (3, 1033, 15), ALLOW),  # F_ADD_SEALS
        ("fcntl", (3, 8, 1), EPERM),  # F_SETOWN
        ("fcntl", (3, 10, 9), EPERM),  # F_SETSIG
        ("fcntl", (3, 15, 0), EPERM),  # F_SETOWN_EX
        ("fcntl", (3, 1024, 0), EPERM),  # F_SETLEASE
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), ENOTTY),  # TIOCSTI
        ("ioctl", (0, 0x541C), ENOTTY),  # TIOCLINUX
        ("ioctl", (0, high | 0x5412), ENOTTY),
        ("ioctl", (0, 0x8901), ENOTTY),  # FIOSETOWN
        ("prctl", (15,), ALLOW),
        ("prctl", (4, 1), EPERM),  # PR_SET_DUMPABLE
        ("prctl", (35,), EPERM),  # PR_SET_MM
        ("prctl", (0x59616D61,), EPERM),  # PR_SET_PTRACER
        ("memfd_create", (1, 3), ALLOW),
        ("memfd_create", (1, 0x10), EPERM),  # MFD_EXEC
        ("memfd_create", (1, 4), EPERM),  # huge pages
    ]
    for name, arguments, expected in cases:
        nr = syscalls.number(name, machine)
        assert nr is not None
        assert evaluate(program, nr, machine.audit_arch, arguments) == expected, (name, arguments)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_another_architecture_is_killed_and_an_unknown_call_does_not_exist(machine: syscalls.Machine) -> None:
    program = compile_filter(machine, PID)
    for arch in (0x40000003, 0x40000028, *(other.audit_arch for other in MACHINES if other != machine)):
        assert evaluate(program, 0, arch) == KILL
    assert evaluate(program, syscalls.NEWEST_KNOWN + 1, machine.audit_arch) == ENOSYS
    foreign = evaluate(program, 0x40000000 | 41, machine.audit_arch)
    assert foreign == (KILL if machine == syscalls.X86_64 else ENOSYS)


def test_the_decision_tree_answers_like_a_table() -> None:
    drawn = random.Random(7)
    for size in (0, 1, 2, 3, 40, 300):
        table = {drawn.randrange(1000): bpf.verdict(drawn.choice([ALLOW, EPERM, 5])) for _ in range(size)}
        program = (*bpf.load(bpf.OFFSET_NR), *bpf.decide(table, bpf.verdict(ENOSYS)))
        for nr in (*range(1001), 2**32 - 1):
            assert evaluate(program, nr, 0) == table.get(nr, bpf.verdict(ENOSYS))[0].k


def test_a_filter_stays_within_the_kernels_limit_and_reads_only_its_own_data() -> None:
    for machine in MACHINES:
        program = compile_filter(machine, PID)
        assert len(bpf.assemble(program)) == 8 * len(program) <= 8 * bpf.INSTRUCTIONS_MAX
        assert all(step.k < 64 and step.k % 4 == 0 for step in program if step.code == 0x20)
    with pytest.raises(ValueError, match="instructions"):
        bpf.assemble(bpf.verdict(ALLOW) * (bpf.INSTRUCTIONS_MAX + 1))


def test_numbers_agree_with_this_kernel() -> None:
    pid, own_thread = syscalls.call("getpid"), syscalls.call("gettid")
    assert (pid, own_thread) == (os.getpid(), threading.get_native_id())
    with pytest.raises(OSError, match="openat") as refused:
        syscalls.call("openat", -100, b"/nowhere", os.O_RDONLY, 0)
    assert refused.value.errno == errno.ENOENT
    buffer = ctypes.create_string_buffer(8)
    assert syscalls.call("getrandom", buffer, 8, 0) == 8
