"""The worker's walls: a sandbox that the process which opens patient data raises around itself, and then proves.

The worker runs plugins and native libraries next to the raw data. It is taken to be hostile in full: code in it may
call the kernel directly, so no check in Python counts. What counts is what the kernel refuses. Before the first byte
of data, and before numpy, the worker calls

    report = raise_walls(Walls(read=(data_set,), write=(scratch,), descriptors=(daemon_socket,)))
    require_walls(report)

Standard library only, no privilege, Linux on x86_64 and aarch64. Every layer is for good, and each is raised even where
another already stops the same thing.

| layer | stops | needs |
|---|---|---|
| descriptors | whatever was inherited: open sockets, files, folders | /proc |
| network-namespace | any socket made later reaching anyone | a user namespace, or CAP_SYS_ADMIN |
| mount-namespace | opening, writing, even seeing any file not granted | the same, Linux 5.12 |
| hidden-memory | core dumps; other processes of the user reading the worker's memory | nothing |
| capabilities | what root in a container could do | nothing |
| no-new-privileges | set-uid programs | nothing |
| landlock | opening, writing, executing any file not granted; other processes' memory | Linux 5.13, one thread |
| seccomp | sockets, connecting, programs, processes, tracing, signals to others, rare kernel calls | seccomp filters |

**Required** are seccomp and one file-system layer, and no descriptor that leads out; `require_walls` refuses below that
unless the site wrote `sandbox = "none"`. Seccomp alone cannot tell one path from another; a file-system layer alone
leaves the network. The rest is depth.

**Proof.** No layer is believed. Each forbidden thing (`attempts`) is tried before the walls, where it has to work, and
behind them, where it has to fail, against a target that is really there (`bench`): a listener that listens, another
process that lives. What did not work before is *unproven* and supports no layer. Each layer is judged right after it
was raised, before the next can hide its faults, and one that let through what it claims to stop counts as failed. What
the worker needs (`needs`) is tried too, so that a wall too many is named at once.

**With a service manager.** Its own filters must answer with an error, not kill, for the attempts are real: in a systemd
unit, `SystemCallErrorNumber=EPERM` beside any `SystemCallFilter=`. Standard error should be a pipe or the journal: a
log file handed over as descriptor 2 can be truncated.

**What the walls do not stop.** Whoever holds the socket to the daemon can send it anything: that only frames with
integers get through is the daemon's check. Standard error reaches whatever the supervisor connected. The sizes, names
and times of files outside can be seen where no mount namespace stands. Processor time and memory are limited by the
service manager, not here. Timing, cache and power channels, and holes in the kernel itself, are out of reach.

Modules: `report` (the types), `raising` (the order), one per wall (`process`, `namespaces` and `mounts`, `landlock`,
`seccomp` on `bpf`), `grants` (which files), `probe` with `bench`, `attempts` and `needs`, `syscalls` (numbers).
"""

from .raising import raise_walls
from .report import Attempt, Layer, Outcome, WallReport, Walls, WallsError, require_walls

__all__ = [
    "Attempt",
    "Layer",
    "Outcome",
    "WallReport",
    "Walls",
    "WallsError",
    "raise_walls",
    "require_walls",
]
