"""Classic BPF as seccomp reads it: instructions, checks on arguments, and a decision tree over call numbers.

A *program* is a tuple of instructions. A *check* is a program that either returns a verdict or falls off its end;
a *block* is a program that always returns. `decide` arranges one block per call number as a binary search, so that
a call costs about eight comparisons however long the list is. Jumps in BPF only go forward and reach 255
instructions; the tree therefore steps over its left half with the 32-bit `JA`.

The kernel hands the filter `struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; }`. BPF loads 32 bits at a
time. An argument that the kernel itself truncates to 32 bits (flags, commands, process ids) is compared by its low
half alone: its high half is whatever the caller left in the register. A pointer is compared by both halves.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP: Final = 0x05  # BPF_JMP | BPF_JA
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER_EQUAL: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

OFFSET_NR: Final = 0
OFFSET_ARCH: Final = 4
_OFFSET_ARGS: Final = 16
#: The kernel's BPF_MAXINSNS.
INSTRUCTIONS_MAX: Final = 4096

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000


class Instruction(NamedTuple):
    """One `struct sock_filter`: code, jump if true, jump if false (both counted from the next one), constant."""

    code: int
    jt: int
    jf: int
    k: int


Program = tuple[Instruction, ...]


def errno_verdict(errno: int) -> int:
    """The verdict 'do nothing and fail with this errno'."""
    return 0x00050000 | errno


def verdict(value: int) -> Program:
    """The block that always answers `value`."""
    return (Instruction(_RETURN, 0, 0, value),)


def load(offset: int) -> Program:
    """Load 32 bits of `seccomp_data` into the accumulator."""
    return (Instruction(_LOAD, 0, 0, offset),)


def low(argument: int) -> int:
    """The offset of the low 32 bits of an argument, counted from 0, on a little-endian machine."""
    return _OFFSET_ARGS + 8 * argument


def unless_equal(value: int, otherwise: int) -> Program:
    """Check: the accumulator is `value`, else `otherwise`."""
    return (Instruction(_JUMP_EQUAL, 1, 0, value), *verdict(otherwise))


def if_at_least(value: int, then: int) -> Program:
    """Check: `then` if the accumulator is `value` or more (unsigned)."""
    return (Instruction(_JUMP_GREATER_EQUAL, 0, 1, value), *verdict(then))


def one_of(argument: int, values: Iterable[int], otherwise: int) -> Program:
    """Check: the argument is one of the values, else `otherwise`."""
    ordered = sorted(values)
    steps = [
        Instruction(_JUMP_EQUAL, len(ordered) - index, 0, value & 0xFFFFFFFF) for index, value in enumerate(ordered)
    ]
    return (*load(low(argument)), *steps, *verdict(otherwise))


def masked_is(argument: int, mask: int, value: int, otherwise: int) -> Program:
    """Check: the bits of the argument under `mask` are exactly `value`, else `otherwise`."""
    return (
        *load(low(argument)),
        Instruction(_AND, 0, 0, mask),
        *unless_equal(value, otherwise),
    )


def masked_is_not(argument: int, mask: int, value: int, otherwise: int) -> Program:
    """Check: the bits of the argument under `mask` are anything but `value`, else `otherwise`."""
    return (
        *load(low(argument)),
        Instruction(_AND, 0, 0, mask),
        Instruction(_JUMP_EQUAL, 0, 1, value),
        *verdict(otherwise),
    )


def no_bits(argument: int, mask: int, otherwise: int) -> Program:
    """Check: no bit of the argument's low half is set under `mask`, else `otherwise`."""
    return (*load(low(argument)), Instruction(_JUMP_ANY_BIT, 0, 1, mask), *verdict(otherwise))


def null(argument: int, otherwise: int) -> Program:
    """Check: all 64 bits of the argument are 0, else `otherwise`."""
    return (
        *load(low(argument)),
        *unless_equal(0, otherwise),
        *load(low(argument) + 4),
        *unless_equal(0, otherwise),
    )


def decide(blocks: Mapping[int, Program], default: Program) -> Program:
    """The block that dispatches on the number in the accumulator; `default` answers for every other number."""
    spans: list[tuple[int, Program]] = [(0, default)]
    for nr in sorted(blocks):
        for start, block in ((nr, blocks[nr]), (nr + 1, default)):
            if spans[-1][0] == start:
                spans.pop()
            if not spans or spans[-1][1] != block:
                spans.append((start, block))
    return _search(spans)


def _search(spans: list[tuple[int, Program]]) -> Program:
    """Binary search over spans of numbers, each given by its first number and its block."""
    if len(spans) == 1:
        return spans[0][1]
    middle = len(spans) // 2
    left, right = _search(spans[:middle]), _search(spans[middle:])
    at_least = Instruction(_JUMP_GREATER_EQUAL, 0, 1, spans[middle][0])
    return (at_least, Instruction(_JUMP, 0, 0, len(left)), *left, *right)


def assemble(program: Program) -> bytes:
    """The program as an array of `struct sock_filter`. Raises `ValueError` beyond the kernel's limit."""
    if len(program) > INSTRUCTIONS_MAX:
        raise ValueError(f"a filter of {len(program)} instructions, the kernel takes {INSTRUCTIONS_MAX}")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
