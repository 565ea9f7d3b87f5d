"""Raising the walls, layer by layer, and proving each one before the next can hide its faults."""

import os
from collections.abc import Callable, Mapping
from typing import Final

from . import landlock, namespaces, process, seccomp
from .attempts import FORBIDDEN
from .bench import Bench
from .grants import Grant, grants
from .needs import needs
from .probe import compare, run
from .report import Layer, LayerFailedError, WallReport, Walls, errno_name

_LEFT_OUT: Final = "left out by the caller"


def raise_walls(walls: Walls, *, without: frozenset[Layer] = frozenset()) -> WallReport:
    """Raise every layer that this machine allows, for good, prove each, and report.

    To be called once, by a process with a single thread, before it imports numpy and before it opens any data. It
    takes some tens of milliseconds, closes every descriptor that `walls` does not keep, and makes the first scratch
    folder the working folder. `without` leaves layers out, for tests and for a site that must.

    Raises `WallsError` for paths that no walls can serve (see `grants`), and `OSError` if scratch cannot be written.
    A layer that cannot be raised is no error here: `require_walls` decides.
    """
    granted = grants(walls)
    failed = {layer: _LEFT_OUT for layer in Layer if layer in without}
    _step(Layer.DESCRIPTORS, lambda: process.close_descriptors(walls.descriptors), failed)
    leaks = _leaks()
    with Bench(walls) as bench:
        before = run(FORBIDDEN, bench)
        able = run(needs(walls), bench)
    with Bench(walls) as bench:
        _raise_in_order(granted, failed, before, bench)
        behind = run(FORBIDDEN, bench)
        still_able = run(needs(walls), bench)
        os.chdir(walls.write[0])
    _judge(Layer.SECCOMP, before, behind, failed)
    return WallReport(
        raised=frozenset(Layer) - failed.keys(),
        failed=failed,
        attempts=compare(before, behind),
        leaks=leaks,
        blocked=tuple(
            f"{name}: {errno_name(result)}{' (before the walls too)' if able[name] else ''}"
            for name, result in still_able.items()
            if result
        ),
    )


def _raise_in_order(
    granted: tuple[Grant, ...], failed: dict[Layer, str], before: Mapping[str, int], bench: Bench
) -> None:
    """Raise all layers after the descriptors, and judge each as soon as it stands.

    Namespaces first: they need capabilities, /proc and no other thread. Seccomp last: it refuses what the others need;
    it is judged by the attempts that close the whole.
    """
    threads = process.threads()
    wanted = [layer for layer in namespaces.NAMESPACE_LAYERS if layer not in failed]
    try:
        failed |= namespaces.enter(granted, wanted, threads=threads)
    except (LayerFailedError, OSError) as error:
        failed |= dict.fromkeys(wanted, str(error))
    for layer in wanted:
        _judge(layer, before, _try_claims(layer, before, bench), failed)
    _step(Layer.HIDDEN_MEMORY, process.hide_memory, failed)
    _step(Layer.CAPABILITIES, process.drop_capabilities, failed)
    _step(Layer.NO_NEW_PRIVS, process.forbid_new_privileges, failed)
    _step(Layer.LANDLOCK, lambda: landlock.restrict(granted, threads=threads), failed)
    _judge(Layer.LANDLOCK, before, _try_claims(Layer.LANDLOCK, before, bench), failed)
    _step(Layer.SECCOMP, seccomp.install, failed)


def _step(layer: Layer, raise_layer: Callable[[], None], failed: dict[Layer, str]) -> None:
    """Raise one layer, unless it is left out; note the reason if it cannot be raised."""
    if layer in failed:
        return
    try:
        raise_layer()
    except (LayerFailedError, OSError) as error:
        failed[layer] = str(error)


def _try_claims(layer: Layer, before: Mapping[str, int], bench: Bench) -> dict[str, int]:
    """Try again what the layer claims to stop and what worked before the walls."""
    return run((probe for probe in FORBIDDEN if layer in probe.stopped_by and not before[probe.name]), bench)


def _judge(layer: Layer, before: Mapping[str, int], now: Mapping[str, int], failed: dict[Layer, str]) -> None:
    """A layer stands only if it stopped everything it claims to stop, and at least one thing provably."""
    if layer in failed:
        return
    claims = [probe.name for probe in FORBIDDEN if layer in probe.stopped_by and not before[probe.name]]
    if still_open := [name for name in claims if now[name] == 0]:
        failed[layer] = f"raised, and yet it did not stop: {', '.join(still_open)}"
    elif not claims:
        failed[layer] = "raised, but not proven: all that it forbids was impossible before"


def _leaks() -> tuple[str, ...]:
    """The ways out among the open descriptors; not to know them is one."""
    try:
        return process.leaks()
    except OSError as error:
        return (f"open descriptors cannot be examined without /proc: {error}",)
