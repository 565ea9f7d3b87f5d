"""The messages of one round between hubs, over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from simulations.report.look import BAD, INK, MUTED, figure, rows_of, spread, tall
from simulations.report.plots.plot import Plot, is_narrow, note, stripe
from simulations.report.plots.units import SECONDS, tick_texts
from simulations.report.view import View
from simulations.report.words import Sentence, count, label, size
from simulations.study.result import SentMessage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARROWS_MAX: Final = 160
HUBS_MAX: Final = 9
"""More messages or hubs than an eye can follow are drawn by type."""
BINS: Final = 60
"""Of time, in the drawing by type."""


def sequence(view: View) -> Plot | None:
    """Arrows from hub to hub; with many messages, how many of each type when."""
    repetition = view.shown
    if repetition is None or not repetition.messages:
        return None
    messages = sorted(repetition.messages, key=lambda message: (message.sent_s, message.sender, message.to))
    hubs = _hubs(view, messages)
    lost = sum(message.lost for message in messages)
    single = len(messages) <= ARROWS_MAX and len(hubs) <= HUBS_MAX

    def draw(width_in: float) -> Figure:
        if single:
            return _arrows(view, messages, hubs, width_in)
        return _by_type(messages, width_in)

    how = (
        "Time runs downwards; an arrow has the colour of its sender, and the names on the left stand where a type of "
        "message was first sent. A dashed line that ends in a cross was lost."
        if single
        else "There are too many messages for arrows: the height of a column is the number of messages of one type "
        "that were sent at about that time, red those of them that were lost."
    )
    caption: Sentence = (
        f"Round {repetition.sequence_round} of repetition {view.shown_number}. ", *_what(messages, lost), how,
    )  # fmt: skip
    return Plot("sequence", "The messages of a round", caption, _what(messages, lost)[:-1], draw, shared="")


def _what(messages: Sequence[SentMessage], lost: int) -> Sentence:
    total = sum(message.size for message in messages)
    gone: Sentence = (", ", count(lost), " of them lost") if lost else (", none lost",)
    return (count(len(messages)), " messages, ", size(total), *gone, ". ")


def _hubs(view: View, messages: Sequence[SentMessage]) -> list[str]:
    """Those that take part, known hospitals first."""
    seen = dict.fromkeys(name for message in messages for name in (message.sender, message.to))
    return [name for name in view.hospitals if name in seen] + [name for name in seen if name not in view.hospitals]


def _arrows(view: View, messages: Sequence[SentMessage], hubs: list[str], width_in: float) -> Figure:
    narrow = is_narrow(width_in)
    drawn, (axes,) = figure(width_in, 4.4 if narrow else 5.2)
    zero = min(message.sent_s for message in messages)
    end = max(message.received_s or message.sent_s for message in messages) - zero
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    for place, hub in enumerate(hubs):
        axes.axvline(place, color=view.look(hub).colour, linewidth=1.6, alpha=0.55, zorder=1)
    for message in messages:
        _arrow(axes, view, message, hubs, zero, end)
    axes.set_xlim(-0.35, len(hubs) - 0.65)
    axes.set_ylim((end or 1.0) * 1.03, -(end or 1.0) * 0.03)
    axes.xaxis.tick_top()
    axes.set_xlabel("virtual time since the first message, downwards")
    axes.set_xticks(range(len(hubs)), [label(hub, 9 if narrow else 14) for hub in hubs], color=INK)
    if narrow or len(hubs) > 6:
        for tick in axes.get_xticklabels():
            tick.set(rotation=35, ha="left", rotation_mode="anchor")
    _phases(axes, messages, zero, end or 1.0)
    axes.spines["right"].set_visible(False)
    axes.secondary_yaxis("right").set(yticks=_times(end), yticklabels=tick_texts(_times(end), SECONDS))
    for child in axes.child_axes:
        child.tick_params(labelcolor=MUTED, labelsize=7.5, length=0)
        child.spines["right"].set_visible(False)
    return drawn


def _arrow(axes: Axes, view: View, message: SentMessage, hubs: list[str], zero: float, end: float) -> None:
    start, x, to = message.sent_s - zero, hubs.index(message.sender), hubs.index(message.to)
    colour = view.look(message.sender).colour
    if message.lost or message.received_s is None:
        stop = (x + (to - x) * 0.62, start + end * 0.02)
        axes.plot([x, stop[0]], [start, stop[1]], color=BAD, linewidth=1, linestyle=(0, (3, 2)), zorder=3)
        axes.plot(*stop, "x", color=BAD, markersize=5, markeredgewidth=1.6, zorder=4)
        return
    axes.annotate(
        "", (to, message.received_s - zero), (x, start), zorder=2,
        arrowprops={"arrowstyle": "-|>,head_width=0.14,head_length=0.28", "color": colour, "linewidth": 0.8,
                    "alpha": 0.75, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _phases(axes: Axes, messages: Sequence[SentMessage], zero: float, end: float) -> None:
    """The types of messages where they were first sent."""
    first: dict[str, float] = {}
    for message in messages:
        first.setdefault(message.type, message.sent_s - zero)
    places = spread(list(first.values()), end * 0.045)
    axes.set_yticks(places, [label(name, 16) for name in first])
    axes.tick_params(axis="y", labelsize=7.5, labelcolor=MUTED)


def _times(end: float) -> list[float]:
    """Round times up to the end."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    return [float(time) for time in MaxNLocator(5).tick_values(0, end or 1.0) if 0 <= time <= (end or 1.0)]


def _by_type(messages: Sequence[SentMessage], width_in: float) -> Figure:
    zero = min(message.sent_s for message in messages)
    end = max(message.sent_s for message in messages) - zero
    step = end / BINS or 1.0
    types = list(dict.fromkeys(message.type for message in messages))
    drawn, (axes,) = figure(width_in, tall(len(types), 0.42))
    stripe(axes, len(types))
    sent = Counter((m.type, int((m.sent_s - zero) / step)) for m in messages)
    lost = Counter((m.type, int((m.sent_s - zero) / step)) for m in messages if m.lost)
    most = max(sent.values())
    for counted, colour in ((sent, MUTED), (lost, BAD)):
        places = sorted(counted)
        axes.bar(
            [(place + 0.5) * step for _, place in places], [-0.78 * counted[key] / most for key in places], 0.9 * step,
            bottom=[types.index(kind) + 0.36 for kind, _ in places], color=colour, zorder=2,
        )  # fmt: skip
    for row, kind in enumerate(types):
        of_kind = [message for message in messages if message.type == kind]
        gone = sum(message.lost for message in of_kind)
        text = f"{count(len(of_kind))}, {size(sum(m.size for m in of_kind))}" + (f", {gone} lost" if gone else "")
        note(axes, row, str(count(len(of_kind))) if is_narrow(width_in) else text, BAD if gone else MUTED)
    rows_of(axes, [label(kind, 16) for kind in types])
    axes.set_xlim(0, (end or 1.0) * 1.02)
    ticks = _times(end)
    axes.set_xticks(ticks, tick_texts(ticks, SECONDS))
    axes.set_xlabel("since the first message of the round")
    return drawn
