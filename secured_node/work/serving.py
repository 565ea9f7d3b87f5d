"""The worker's life: orders in, answers out; the walls first, then the data, then one job. See the package's text.

Whatever fails, the daemon gets exactly one `Failed` and the worker ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from secured_node.work import frames
from secured_node.work.channel import Channel, Packet
from secured_node.work.documents import Description, decode_document
from secured_node.work.failures import WorkerError, failed
from secured_node.work.frames import Frame, Sandbox, printable
from secured_node.work.kept import Kept, sync_folder
from secured_node.work.memfd import Part, seal
from secured_node.work.surroundings import Voice, end_with
from secured_node.work.walls import Outcome, WallReport, Walls, raise_walls, require_walls

if TYPE_CHECKING:
    from secured_node.work.computation import Computation

WITHOUT_JOB: Final = "without-job"
"""Scratch for checks, which keep nothing. Not 64 hexadecimal digits, so it is no job's."""
_WHY_CHARS_MAX: Final = 500
"""Of the reason why a layer failed: eight of them fit into a frame."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the worker was started with; no frame can change it.

    scratch: folder that holds one folder a job. sandbox: whether walls are required. data: folders that may hold data
    sets; none named, any file that this user can read may be one. rows_floor: jobs that are content with fewer rows of
    this site are refused, whatever the daemon's policy says.
    """

    scratch: Path
    sandbox: Sandbox = "strict"
    data: tuple[Path, ...] = ()
    rows_floor: int = frames.ROWS_FLOOR


class Server:
    """Serves one daemon until it or the work ends."""

    def __init__(self, channel: Channel, settings: Settings, voice: Voice) -> None:
        self._channel, self._settings, self._voice = channel, settings, voice

    def serve(self) -> bool:
        """Take orders until the end. False if it was a failure."""
        try:
            self._channel.send(frames.Ready(os.getpid()))
            while (packet := self._channel.receive()) is not None:
                if not isinstance(packet.frame, frames.Forget):
                    self._begin(packet)
                    break
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self._settings.scratch / packet.frame.job)
                self._channel.send(frames.Forgotten())
        except BaseException as error:  # noqa: BLE001 - the one seam: a task may raise anything, SystemExit too
            self._fail(error)
            return False
        return True

    def _fail(self, error: BaseException) -> None:
        failure = failed(error)
        if self._channel.alive:  # a daemon that had enough of this worker is no failure to tell of
            self._voice.say(f"failed ({failure.code}): {failure.reason}")
        with contextlib.suppress(OSError):
            self._channel.send(failure)

    def _begin(self, packet: Packet) -> None:
        """The order that raises the walls, and all that follows from it."""
        match packet.frame:
            case frames.Try():
                self._raise_walls(None, self._folder(WITHOUT_JOB))
            case frames.Check() as order:
                description = _description(packet)
                self._raise_walls(Path(order.path), self._folder(WITHOUT_JOB))
                self._check(Path(order.path), description)
            case frames.Open() as order:
                description = _description(packet)
                folder = self._folder(order.job)
                self._raise_walls(None if order.path is None else Path(order.path), folder)
                self._run(order, description, Kept(folder))
            case _:
                raise _out_of_order(packet.frame)

    def _folder(self, name: str) -> Path:
        folder = self._settings.scratch / name
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._settings.scratch)
        return folder

    def _raise_walls(self, data: Path | None, folder: Path) -> None:
        """Raise the walls for exactly this data set and folder, tell how they stand, and refuse too few."""
        if data is not None and self._settings.data:
            place = data.resolve()
            if not any(place.is_relative_to(served.resolve()) for served in self._settings.data):
                raise WorkerError(
                    "data",
                    f"{data} lies in none of the folders that this worker serves",
                    "move the data set there, or name its folder with --data in the worker's unit",
                )
        read = () if data is None else (data,)
        report = raise_walls(Walls(read, (folder,), (self._channel.fileno(), self._voice.descriptor)))
        self._channel.send(_walled(report, self._settings.sandbox))
        require_walls(report, self._settings.sandbox)
        end_with(self._channel.fileno())

    def _check(self, path: Path, description: Description) -> None:
        # Imported here because a worker that was started cold must have its walls before numpy.
        from secured_node.data.check import check  # noqa: PLC0415
        from secured_node.work.parsing import parse_data  # noqa: PLC0415

        schema, mapping = parse_data(description)
        if schema is None:
            raise WorkerError("data", "a data set is checked against a schema, and there is none", "give one")
        report = check(path, schema, mapping)
        with _sealed("report", msgspec.json.encode(report)) as (descriptor, size):
            self._channel.send(frames.Checked(size), descriptor)

    def _run(self, order: frames.Open, description: Description, kept: Kept) -> None:
        from secured_node.work.computation import Computation  # noqa: PLC0415 - as above

        computation = Computation(order, description, kept, self._settings.rows_floor)
        if computation.remark:
            self._voice.say(computation.remark)
        self._channel.send(computation.opened)
        while (packet := self._channel.receive()) is not None:
            if self._step(computation, packet):
                break

    def _step(self, computation: Computation, packet: Packet) -> bool:
        """One order to an open job; whether it was the last."""
        match packet.frame:
            case frames.Local(number, again):
                words, bound = computation.local(number, again=again)
                with _sealed("vector", words) as (descriptor, size):
                    self._channel.send(frames.Vector(size, number, bound), descriptor)
            case frames.Apply(_, number) if packet.attached is not None:
                done = computation.apply(number, memoryview(packet.attached))
                self._channel.send(frames.Applied(number, done))
            case frames.Finish():
                document, arrays = computation.result()
                with _sealed("result", document, arrays) as (descriptor, size):
                    self._channel.send(frames.Finished(size, len(document)), descriptor)
                return True
            case _:
                raise _out_of_order(packet.frame)
        return False


def _description(packet: Packet) -> Description:
    attached = packet.attached
    return Description() if attached is None else decode_document(attached, Description)


def _out_of_order(frame: Frame) -> WorkerError:
    return WorkerError("order", f"{type(frame).__name__} makes no sense now", "tell the developers")


def _walled(report: WallReport, sandbox: Sandbox) -> frames.Walled:
    unproven = [attempt.name for attempt in report.attempts if attempt.outcome is Outcome.UNPROVEN]
    return frames.Walled(
        sandbox,
        report.sufficient,
        tuple(sorted(report.raised)),
        {str(layer): printable(why, _WHY_CHARS_MAX) for layer, why in sorted(report.failed.items())},
        report.still_open(),
        tuple(unproven),
    )


@contextlib.contextmanager
def _sealed(name: str, *parts: Part) -> Iterator[tuple[int, int]]:
    """A sealed memfd for the time of sending it: its descriptor and size."""
    descriptor, size = seal(name, parts)
    try:
        yield descriptor, size
    finally:
        os.close(descriptor)
