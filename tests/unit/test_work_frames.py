"""Frames between daemon and worker: their way through bytes, and what is refused before it is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalError
from secured_node.work import frames
from secured_node.work.frames import TO_DAEMON, TO_WORKER, Failed, Frame, FrameError, Frames, Open, printable

JOB = "0f" * 32

ORDERS: tuple[Frame, ...] = (
    frames.Try(),
    frames.Forget(JOB),
    frames.Check(9, "/data/set.csv"),
    Open(9, JOB, "summary", "/data/set.csv", 4, 64, 10, 100),
    Open(9, JOB, "bench", None, 4096, 32, 1, 100_000),
    Open(9, JOB, "summary", None, 4, 64, 10, 1, frames.Noise("record", 0.1, 1e-6, 1)),
    frames.Local(1, False),
    frames.Local(100_000, True),
    frames.Apply(8 << 30, 3),
    frames.Finish(),
)
ANSWERS: tuple[Frame, ...] = (
    frames.Ready(4711),
    frames.Forgotten(),
    frames.Walled("strict", True, ("seccomp",), {"landlock": "too old"}, ("see a file",), ()),
    frames.Checked(100),
    frames.Opened(300, 2, 61, False),
    frames.Vector(4, 1, 2**63 - 1),
    frames.Applied(1, True),
    frames.Finished(100, 40),
    Failed("data", "this site's data: fewer than 10 rows", "this site cannot take part"),
)
BOTH = [(TO_WORKER, frame) for frame in ORDERS] + [(TO_DAEMON, frame) for frame in ANSWERS]


@pytest.mark.parametrize(("table", "frame"), BOTH, ids=lambda value: type(value).__name__)
def test_frame_survives_its_way(table: Frames, frame: Frame) -> None:
    assert table.decode(table.encode(frame)) == frame


def test_every_type_is_tried_here() -> None:
    for table, samples in ((TO_WORKER, ORDERS), (TO_DAEMON, ANSWERS)):
        assert {row.kind for row in table.rows} == {type(frame) for frame in samples}
    numbers = [row.number for table in (TO_WORKER, TO_DAEMON) for row in table.rows]
    assert len(set(numbers)) == len(numbers)
    assert all(row.bytes_max <= frames.FRAME_BYTES_MAX for table in (TO_WORKER, TO_DAEMON) for row in table.rows)


@pytest.mark.parametrize(("table", "frame"), BOTH, ids=lambda value: type(value).__name__)
def test_frame_of_the_other_direction_is_refused(table: Frames, frame: Frame) -> None:
    other = TO_DAEMON if table is TO_WORKER else TO_WORKER
    with pytest.raises(LocalError):
        other.encode(frame)
    with pytest.raises(FrameError) as caught:
        other.decode(table.encode(frame))
    assert caught.value.code == "unknown_type"


def test_size_is_judged_before_anything_is_decoded() -> None:
    for table in (TO_WORKER, TO_DAEMON):
        for row in table.rows:
            with pytest.raises(FrameError) as caught:
                table.decode(bytes((frames.VERSION, row.number)) + b"\xc1" * row.bytes_max)
            assert caught.value.code == "oversize"


def test_announced_size_has_a_limit_for_its_type() -> None:
    body = msgspec.msgpack.encode((frames.DOCUMENT_BYTES_MAX + 1, "/data/set.csv"))
    with pytest.raises(FrameError) as caught:
        TO_WORKER.decode(bytes((frames.VERSION, 0x03)) + body)
    assert caught.value.code == "oversize"


def test_another_version_is_told_as_such() -> None:
    data = TO_WORKER.encode(frames.Finish())
    with pytest.raises(FrameError, match="version 9; this side speaks 1") as caught:
        TO_WORKER.decode(b"\x09" + data[1:])
    assert caught.value.code == "bad_version"


@pytest.mark.parametrize(
    "frame",
    [
        frames.Forget("../" + JOB[3:]),
        frames.Forget(JOB[:-1]),
        frames.Forget(JOB + "\n"),
        frames.Check(9, "set.csv"),
        frames.Check(0, "/data/set.csv"),
        frames.Check(9, "/data/\x00"),
        Open(9, JOB, "Summary", None, 4, 64, 10, 1),
        Open(9, JOB, "summary", None, 0, 64, 10, 1),
        Open(9, JOB, "summary", None, 4, 16, 10, 1),  # type: ignore[arg-type]
        Open(9, JOB, "summary", None, 4, 64, 10, 1, frames.Noise("record", 0.0, 1e-6, 1)),
        Open(9, JOB, "summary", None, 4, 64, 10, 1, frames.Noise("record", float("nan"), 1e-6, 1)),
        Open(9, JOB, "summary", None, 4, 64, 10, 1, frames.Noise("record", 1.0, 1.0, 1)),
        Open(9, JOB, "summary", None, 4, 64, 10, 1, frames.Noise("ward", 1.0, 1e-6, 1)),  # type: ignore[arg-type]
        frames.Local(0, False),
        frames.Local(1, 1),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_field_that_is_not_allowed_is_neither_sent_nor_taken(frame: Frame) -> None:
    with pytest.raises(LocalError):
        TO_WORKER.encode(frame)
    number = next(row.number for row in TO_WORKER.rows if row.kind is type(frame))
    with pytest.raises(FrameError):
        TO_WORKER.decode(bytes((frames.VERSION, number)) + msgspec.msgpack.encode(frame))


def test_fields_more_or_fewer_are_refused() -> None:
    for fields in ([1], [1, False, None], {"round": 1, "again": False}, None):
        with pytest.raises(FrameError) as caught:
            TO_WORKER.decode(b"\x01\x05" + msgspec.msgpack.encode(fields))
        assert caught.value.code == "malformed"


def test_words_for_people_hold_no_control_characters() -> None:
    with pytest.raises(LocalError):
        TO_DAEMON.encode(Failed("data", "two\nlines", ""))
    assert printable("two\nlines\x1b[2J") == "two?lines?[2J"
    assert len(printable("x" * 10_000)) == frames.TEXT_CHARS_MAX
    TO_DAEMON.encode(Failed("data", printable("ü\u2028" * 10_000), printable("\U0001f600" * 10_000)))


@given(st.binary(max_size=400))
def test_any_bytes_give_a_frame_or_a_frame_error(data: bytes) -> None:
    for table in (TO_WORKER, TO_DAEMON):
        for candidate in (data, b"\x01" + data):
            _decode(table, candidate)


@given(st.sampled_from(BOTH), st.data())
def test_damaged_frame_gives_a_frame_or_a_frame_error(sample: tuple[Frames, Frame], data: st.DataObject) -> None:
    table, frame = sample
    damaged = bytearray(table.encode(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    _decode(table, bytes(damaged[: data.draw(st.integers(0, len(damaged)))] + data.draw(st.binary(max_size=3))))


def test_deeply_nested_bytes_are_refused() -> None:
    with pytest.raises(FrameError):
        TO_WORKER.decode(b"\x01\x05" + b"\x91" * 8000)


def _decode(table: Frames, data: bytes) -> None:
    """Either outcome is fine; any other exception is not. What is taken can be sent again."""
    try:
        frame = table.decode(data)
    except FrameError:
        return
    assert table.decode(table.encode(frame)) == frame
