"""What daemon and worker say to each other: the orders, the answers, their bytes, and a limit for each.

A frame is one packet of a SOCK_SEQPACKET socket: a version byte, a type byte, a strict msgpack array. The type comes
first so that the size limit of that type is judged before anything is decoded. A frame that derives from `Attached`
comes with exactly one descriptor, of a sealed memfd of `size` bytes (`memfd`); every other frame comes with none.

Each side decodes only what is meant for it: `TO_WORKER` holds the orders, `TO_DAEMON` the answers. Numbers are never
used again for something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from protocols.errors import LocalError

VERSION: Final = 1
HEADER_BYTES: Final = 2

FRAME_BYTES_MAX: Final = 64 * 1024
"""No frame is larger. Well below what any Linux lets into a socket's buffer (at least 128 KiB), so a frame always goes
out whole."""
SMALL_BYTES_MAX: Final = 8 * 1024
"""Frames with a path (4 KiB at most) or a few sentences."""
DOCUMENT_BYTES_MAX: Final = 16 << 20
"""Schema, mapping and parameters (4 MiB each at most in `data.strict`), or a report on 10,000 columns."""
VECTOR_BYTES_MAX: Final = 8 << 30
"""A vector, a sum, a result: the largest vector that `protocols.encoding` makes."""

TEXT_CHARS_MAX: Final = 2000
"""Characters of a reason: a paragraph. Four bytes each at most."""
ROUNDS_MAX: Final = 100_000
MEMBERS_MAX: Final = 4096
ROWS_MAX: Final = 10**9
RHO_MAX: Final = 10_000.0
"""As `protocols.privacy.accounting`; not imported from there, since a worker has its walls before numpy."""
ROWS_FLOOR: Final = 10
"""Sums over fewer rows of a site say too much of each of them. A worker that was not told otherwise on its own command
line refuses jobs that are content with fewer."""
PATH_CHARS_MAX: Final = 4095
"""PATH_MAX of Linux."""
LINE_MAX: Final = 128
"""Jobs that one may continue: each has fewer members than the one before."""
LAYERS_MAX: Final = 16
PROBES_MAX: Final = 100
"""Walls, and things that are tried behind them; there are 8 and about 40."""

Round = Annotated[int, msgspec.Meta(ge=1, le=ROUNDS_MAX)]
Members = Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)]
Taken = Annotated[int, msgspec.Meta(ge=0, le=ROUNDS_MAX)]
Rows = Annotated[int, msgspec.Meta(ge=0, le=ROWS_MAX)]
Size = Annotated[int, msgspec.Meta(ge=1, le=VECTOR_BYTES_MAX)]
Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z", max_length=TEXT_CHARS_MAX)]
"""Words for logs and terminals, so without control characters, which could forge lines or move a cursor."""
Code = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,32}\Z")]
TaskName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
AbsolutePath = Annotated[str, msgspec.Meta(pattern=r"\A/[^\x00]*\Z", max_length=PATH_CHARS_MAX)]
JobName = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A job's id in hexadecimal; also the name of its folder in scratch, so nothing else is let through."""
Sandbox = Literal["strict", "none"]
"""Whether a worker refuses to work behind too few walls. Said on its command line, never in a frame."""


class FrameError(Exception):
    """What arrived is not a frame that the receiver takes.

    `code` is a short, fixed word: bad_version, unknown_type, oversize, malformed, descriptor, seals or size; `detail`
    is a sentence for people and never holds what arrived.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A packet; unknown, missing or mistyped fields are refused."""


class Attached(Frame, frozen=True):
    """A packet with one sealed memfd beside it. size: of the memfd, in bytes."""

    size: Size


def printable(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """The text as a `Text`: without control characters, and cut."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"


# --- orders: daemon to worker -----------------------------------------------------------------------------------------


class Try(Frame, frozen=True):
    """Raise the walls without any data, tell how they stand (`Walled`), and end."""


class Forget(Frame, frozen=True):
    """Delete what is left of an ended job, its kept integers above all; answered by `Forgotten`."""

    job: JobName


class Check(Attached, frozen=True):
    """Read a data set and describe it (`Walled`, `Checked`), then end. Attached: a `Description` without parameters."""

    path: AbsolutePath


class Noise(Frame, frozen=True):
    """The noise of a job: see `tasks.base.Noise`."""

    unit: Literal["record", "site"]
    rho: Annotated[float, msgspec.Meta(gt=0, le=RHO_MAX)]
    delta: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    colluders: Annotated[int, msgspec.Meta(ge=0, le=MEMBERS_MAX)]


class Open(Attached, frozen=True):
    """Take up a job; answered by `Walled`, `Opened`. Attached: a `Description`.

    path: of the data set; None for a task that uses none, and for a node that only reads along (it applies sums and
    has the result, but makes no vectors). members: of the cohort. word_bits: of all vectors. min_rows: a site with
    fewer usable rows refuses; of the job record, so the same at all sites. rounds_max: that the job allows. noise: None
    for exact sums. before: of a successor, what it takes over from each earlier job, members and number of sums
    (`tasks.course`); its rounds are counted on from there.
    """

    job: JobName
    task: TaskName
    path: AbsolutePath | None
    members: Members
    word_bits: Literal[32, 64]
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)]
    rounds_max: Round
    noise: Noise | None = None
    before: Annotated[tuple[tuple[Members, Taken], ...], msgspec.Meta(max_length=LINE_MAX)] = ()


class Local(Frame, frozen=True):
    """Make this site's vector for a round; answered by `Vector`.

    again: this vector was handed over before: only the very same integers will do, and if they are lost the job fails.
    """

    round: Round
    again: bool


class Apply(Attached, frozen=True):
    """A round is certified; answered by `Applied`. Attached: the sum's words without the check words."""

    round: Round


class Finish(Frame, frozen=True):
    """Give the result (`Finished`) and end."""


# --- answers: worker to daemon ----------------------------------------------------------------------------------------


class Ready(Frame, frozen=True):
    """The first frame: the worker takes orders. process: its number, for logs."""

    process: Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class Forgotten(Frame, frozen=True):
    """Nothing of that job is left."""


class Walled(Frame, frozen=True):
    """How the walls stand, sent before the first byte of data is read.

    sandbox: what the worker was started with. sufficient: seccomp, a file-system layer and no way out among the open
    descriptors. raised: layers that were raised and held. failed: the others, with the reason. open: forbidden things
    that work. unproven: forbidden things that did not work before the walls either.
    """

    sandbox: Sandbox
    sufficient: bool
    raised: Annotated[tuple[Text, ...], msgspec.Meta(max_length=LAYERS_MAX)]
    failed: Annotated[dict[Text, Text], msgspec.Meta(max_length=LAYERS_MAX)]
    open: Annotated[tuple[Text, ...], msgspec.Meta(max_length=PROBES_MAX)]
    unproven: Annotated[tuple[Text, ...], msgspec.Meta(max_length=PROBES_MAX)]


class Checked(Attached, frozen=True):
    """Attached: a `DataReport` as JSON. It stays at the site."""


class Opened(Frame, frozen=True):
    """The job is taken up.

    rows: of the data set, rounded as they are published. problems: cells that do not fit the schema and count as
    missing. rounds_max: the most rounds that the task can take. done: whether the task has its result without any.
    """

    rows: Rows
    problems: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    rounds_max: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    done: bool


class Vector(Attached, frozen=True):
    """Attached: the encoded words, little-endian, without check words; kept on the worker's disk until `Apply`.

    bound: the largest absolute value of one site's word, from the layout alone and so the same at all sites.
    """

    round: Round
    bound: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Applied(Frame, frozen=True):
    """The state includes the sums of all rounds up to this one. done: whether the task has its result."""

    round: Round
    done: bool


class Finished(Attached, frozen=True):
    """Attached: a `ResultDocument` as JSON, then the arrays as safetensors. document_bytes: where they begin."""

    document_bytes: Annotated[int, msgspec.Meta(ge=1, le=DOCUMENT_BYTES_MAX)]


class Failed(Frame, frozen=True):
    """The worker cannot do it, and ends. code: a fixed word. reason, todo: for people, without any value of the data.

    codes: walls, data, encoding, lost (integers that were handed over are gone), order (what was asked makes no sense
    now), frame, busy (another worker has the job), system, memory, task (the task's own code raised something).
    """

    code: Code
    reason: Text
    todo: Text


# --- bytes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrameType:
    """One row of a table. number: the type byte. bytes_max: of the frame. attached_bytes_max: of its memfd, or 0."""

    number: int
    kind: type[Frame]
    bytes_max: int = SMALL_BYTES_MAX
    attached_bytes_max: int = 0


class Frames:
    """The frames of one direction."""

    def __init__(self, *rows: FrameType) -> None:
        self._by_kind = {row.kind: row for row in rows}
        self._by_number: dict[int, tuple[FrameType, msgspec.msgpack.Decoder[Any]]] = {
            row.number: (row, msgspec.msgpack.Decoder(row.kind)) for row in rows
        }

    @property
    def rows(self) -> tuple[FrameType, ...]:
        """The table."""
        return tuple(self._by_kind.values())

    def encode(self, frame: Frame) -> bytes:
        """The bytes of a frame. Raises `LocalError` for one that the other side would refuse."""
        row = self._by_kind.get(type(frame))
        if row is None:
            raise LocalError(f"{type(frame).__name__} is not a frame of this direction")
        data = bytes((VERSION, row.number)) + msgspec.msgpack.encode(frame)
        try:
            self.decode(data)  # fields are only checked here: a frame that the other side must refuse is our bug
        except FrameError as error:
            raise LocalError(f"{row.kind.__name__} cannot be sent: {error}") from None
        return data

    def decode(self, data: bytes) -> Frame:
        """The frame in `data`. Raises `FrameError`."""
        if len(data) < HEADER_BYTES:
            raise FrameError("malformed", "shorter than a header")
        if data[0] != VERSION:
            raise FrameError("bad_version", f"version {data[0]}; this side speaks {VERSION}")
        if data[1] not in self._by_number:
            raise FrameError("unknown_type", f"type {data[1]:#04x}")
        row, decoder = self._by_number[data[1]]
        if len(data) > row.bytes_max:
            raise FrameError("oversize", f"{row.kind.__name__} of {len(data)} bytes; at most {row.bytes_max}")
        try:
            frame: Frame = decoder.decode(memoryview(data)[HEADER_BYTES:])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise FrameError("malformed", f"not a {row.kind.__name__}") from None
        if isinstance(frame, Attached) and frame.size > row.attached_bytes_max:
            raise FrameError(
                "oversize", f"{row.kind.__name__} with {frame.size} bytes attached; at most {row.attached_bytes_max}"
            )
        return frame


TO_WORKER: Final = Frames(
    FrameType(0x01, Try),
    FrameType(0x02, Forget),
    FrameType(0x03, Check, 2 * SMALL_BYTES_MAX, DOCUMENT_BYTES_MAX),
    FrameType(0x04, Open, 2 * SMALL_BYTES_MAX, DOCUMENT_BYTES_MAX),
    FrameType(0x05, Local),
    FrameType(0x06, Apply, SMALL_BYTES_MAX, VECTOR_BYTES_MAX),
    FrameType(0x07, Finish),
)
TO_DAEMON: Final = Frames(
    FrameType(0x40, Ready),
    FrameType(0x41, Forgotten),
    FrameType(0x42, Walled, FRAME_BYTES_MAX),
    FrameType(0x43, Checked, SMALL_BYTES_MAX, DOCUMENT_BYTES_MAX),
    FrameType(0x44, Opened),
    FrameType(0x45, Vector, SMALL_BYTES_MAX, VECTOR_BYTES_MAX),
    FrameType(0x46, Applied),
    FrameType(0x47, Finished, SMALL_BYTES_MAX, VECTOR_BYTES_MAX),
    FrameType(0x4F, Failed, 2 * SMALL_BYTES_MAX + 2048),
)
