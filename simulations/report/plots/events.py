"""What went wrong, or was made to: faults, pauses, retries, refusals, attacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from simulations.report.look import BAD, GOOD, INK, MUTED, figure, rows_of, tall
from simulations.report.plots.plot import Plot, is_narrow, key, note, stripe, whole_axis
from simulations.report.plots.units import SECONDS, unit_axis
from simulations.report.view import View
from simulations.report.words import Sentence, count, label, listed, plain, plural
from simulations.study.result import Repetition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: Final = {
    "fault": ("x", BAD),
    "failure": ("X", BAD),
    "attack": ("*", BAD),
    "evidence": ("D", INK),
    "refusal": ("s", INK),
    "pause": ("|", INK),
    "retry": (">", INK),
    "alone": ("p", MUTED),
    "move": ("o", MUTED),
}
"""Mark and colour of each kind of moment."""
OTHER: Final = ("8", MUTED)
"""Of a kind that is not known here."""
NETWORK: Final = "network"
"""The lane of what happens to no hub in particular."""


def timeline(view: View) -> Plot | None:
    """Moments of the repetition that is shown, a lane for each hub."""
    repetition = view.shown
    if repetition is None or not repetition.moments:
        return None
    lanes = _lanes(view, repetition)
    counted = Counter(moment.kind for moment in repetition.moments)
    kinds = [*(kind for kind in KINDS if kind in counted), *sorted(set(counted) - set(KINDS))]

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(lanes), 0.27, 1.35 if is_narrow(width_in) else 0.95))
        stripe(axes, len(lanes))
        for kind in kinds:
            here = [moment for moment in repetition.moments if moment.kind == kind]
            mark, colour = KINDS.get(kind, OTHER)
            axes.plot(
                [moment.at_s for moment in here], [lanes.index(moment.node or NETWORK) for moment in here], mark,
                color=colour, markersize=6, markeredgewidth=1.5 if mark in "x|" else 0.4, linestyle="none", alpha=0.9,
                zorder=3, clip_on=False,
            )  # fmt: skip
        rows_of(axes, [label(lane, 14 if is_narrow(width_in) else 24) for lane in lanes])
        end = max(repetition.virtual_s, *(m.at_s for m in repetition.moments)) or 1.0
        axes.set_xlim(-0.02 * end, 1.02 * end)
        unit_axis(axes, "x", SECONDS)
        axes.set_xlabel("virtual time")
        key(
            axes,
            [(label(kind, 12), KINDS.get(kind, OTHER)[1], KINDS.get(kind, OTHER)[0], True) for kind in kinds],
            3 if is_narrow(width_in) else 0,
        )
        return drawn

    named: list[Sentence] = [plural(counted[kind], kind) for kind in kinds]
    caption: Sentence = (
        f"Repetition {view.shown_number}, seed {repetition.seed}: what happened when, and to whom. "
        "The table of moments says it in words.",
    )
    return Plot("timeline", "Timeline", caption, (f"{listed([plain(n) for n in named])}.",), draw, shared="")


def refusals(view: View) -> Plot | None:
    """Messages and proposals that hubs refused, by code, over all repetitions."""
    counted: Counter[str] = Counter()
    for repetition in view.result.repetitions:
        counted.update(repetition.refusals)
    rows = [(code, number) for code, number in counted.most_common(40) if number]
    if not rows:
        return None

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(rows), 0.27))
        axes.barh(range(len(rows)), [number for _, number in rows], height=0.5, color=MUTED)
        for row, (_, number) in enumerate(rows):
            note(axes, row, str(count(number)))
        rows_of(axes, [label(code, 18 if is_narrow(width_in) else 30) for code, _ in rows])
        whole_axis(axes)
        axes.set_xlabel("refusals in all repetitions")
        return drawn

    caption: Sentence = (
        "What hubs refused, by the code they gave, over all repetitions. A refusal is a hub doing its duty: late, "
        "repeated or forged messages are dropped and counted.",
    )
    parts = [f"{label(code)} {count(number)}" for code, number in rows]
    return Plot("refusals", "Refusals", caption, (f"{listed(parts)}.",), draw)


def attacks(view: View) -> Plot | None:
    """How often each attack got what it wanted."""
    tried = [attack for repetition in view.result.repetitions for attack in repetition.attacks]
    if not tried:
        return None
    names = list(dict.fromkeys(attack.name for attack in tried))
    won = {name: sum(a.succeeded for a in tried if a.name == name) for name in names}
    of = {name: sum(a.name == name for a in tried) for name in names}

    def draw(width_in: float) -> Figure:
        drawn, (axes,) = figure(width_in, tall(len(names), 0.32, 0.95))
        for row, name in enumerate(names):
            axes.barh(row, won[name], height=0.5, color=BAD)
            axes.barh(row, of[name] - won[name], left=won[name], height=0.5, color=GOOD)
            note(axes, row, f"{won[name]} of {of[name]}")  # no more: a long note is cut off at the edge
        rows_of(axes, [label(name, 18 if is_narrow(width_in) else 30) for name in names])
        whole_axis(axes)
        axes.set_xlabel("attempts in all repetitions")
        key(axes, [("had no success", GOOD, "s", True), ("succeeded", BAD, "s", True)])
        return drawn

    caption: Sentence = (
        "Each attack that the scenario makes, over all repetitions; on the right how often it got what it wanted.",
    )
    parts = [f"{label(name)} succeeded {won[name]} of {of[name]} times" for name in names]
    return Plot("attacks", "Attacks", caption, (f"{listed(parts)}.",), draw, shared="")


def _lanes(view: View, repetition: Repetition) -> list[str]:
    seen = {moment.node or NETWORK for moment in repetition.moments}
    known = [node.name for node in repetition.nodes]
    named = [name for name in view.hospitals if name in known or name in seen]
    return [*([NETWORK] if NETWORK in seen else []), *named, *sorted(seen - {NETWORK, *named})]
