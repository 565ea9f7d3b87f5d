"""Many seeds of many trials, on all cores, with a tally that a later run goes on from."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Final

import msgspec

from simulations.checkers.violation import ViolationError
from simulations.trace import Trace
from simulations.trials.catalogue import TRIALS
from simulations.trials.stage import Setting
from simulations.trials.telling import Tell
from simulations.verification import remembered

CHUNK: Final = 10
"""Seeds that a process plays before it reports."""
FAILURES_KEPT: Final = 20
"""Failures of one trial that a tally lists; more say nothing new."""


class FailedSeed(msgspec.Struct, frozen=True):
    """A seed that broke a rule, or the program. rule: of `ViolationError`, else the exception's name."""

    seed: int
    rule: str
    detail: str


class Count(msgspec.Struct):
    """What is known of one trial. next: the first seed that was not played yet; all below were, from 0 on."""

    next: int = 0
    events: int = 0
    seconds: float = 0.0
    failed: int = 0
    failures: list[FailedSeed] = msgspec.field(default_factory=list)


class Tally(msgspec.Struct):
    """By trial. version: of the code that played, for people."""

    trials: dict[str, Count] = msgspec.field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """How many runs there were in all."""
        return sum(count.next for count in self.trials.values())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(count.failed for count in self.trials.values())


class Chunk(msgspec.Struct, frozen=True):
    """Some seeds of one trial, played."""

    trial: str
    first: int
    seeds: int
    events: int
    seconds: float
    failures: list[FailedSeed]


def play_seed(
    trial: str, seed: int, skip: frozenset[int] = frozenset(), tell: Tell | None = None
) -> tuple[Trace, FailedSeed | None]:
    """Play one seed; its trace, and how it failed if it did. skip, tell: see `Setting`."""
    trace = Trace()
    try:
        with remembered():
            TRIALS[trial].play(Setting(seed, trace, skip, tell))
    except ViolationError as error:
        return trace, FailedSeed(seed, error.rule, error.detail)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a run is what it is there to find
        return trace, FailedSeed(seed, type(error).__name__, str(error))
    return trace, None


def play_chunk(trial: str, first: int, seeds: int) -> Chunk:
    """Play some seeds of a trial, one after the other."""
    began, events, failures = time.process_time(), 0, []
    for seed in range(first, first + seeds):
        trace, failure = play_seed(trial, seed)
        events += trace.events
        if failure is not None:
            failures.append(failure)
    return Chunk(trial, first, seeds, events, time.process_time() - began, failures)


def sweep(trials: Iterable[str], seeds: int, tally: Tally, workers: int | None = None) -> Iterator[Chunk]:
    """Play the next seeds of each trial, so many more of each, and add them to the tally as they come.

    Chunks are counted in order, so that a tally that was kept at any moment can be gone on from.
    """
    chunks = _chunks(list(trials), seeds, tally)
    waiting: dict[tuple[str, int], Chunk] = {}
    count = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(count) as pool:
        running: set[Future[Chunk]] = {pool.submit(play_chunk, *next_) for next_ in itertools.islice(chunks, 2 * count)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = future.result()
                waiting[chunk.trial, chunk.first] = chunk
                running |= {pool.submit(play_chunk, *next_) for next_ in itertools.islice(chunks, 1)}
                while (ready := waiting.pop((chunk.trial, _count(tally, chunk.trial).next), None)) is not None:
                    _add(tally, ready)
                    yield ready


def _chunks(trials: list[str], seeds: int, tally: Tally) -> Iterator[tuple[str, int, int]]:
    starts = {trial: _count(tally, trial).next for trial in trials}
    for first in range(0, seeds, CHUNK):
        for trial in trials:
            yield trial, starts[trial] + first, min(CHUNK, seeds - first)


def _count(tally: Tally, trial: str) -> Count:
    return tally.trials.setdefault(trial, Count())


def _add(tally: Tally, chunk: Chunk) -> None:
    count = _count(tally, chunk.trial)
    count.next += chunk.seeds
    count.events += chunk.events
    count.seconds += chunk.seconds
    count.failed += len(chunk.failures)
    count.failures += chunk.failures[: FAILURES_KEPT - len(count.failures)]


def load_tally(path: Path) -> Tally:
    """The tally that was kept, or an empty one."""
    return msgspec.json.decode(path.read_bytes(), type=Tally) if path.exists() else Tally()


def keep_tally(path: Path, tally: Tally) -> None:
    """Write the tally, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(tally)) + b"\n")
    fresh.replace(path)
