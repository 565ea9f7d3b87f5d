"""Numbers and texts as people read them, each number with the value it stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TEXT_CHARS_MAX: Final = 2000
"""Of a reason, an error or a title: longer ones are cut."""
LABEL_CHARS_MAX: Final = 24
"""Of a name beside an axis: what leaves room for the plot."""
NONE: Final = "not defined"
"""In place of a value that cannot be had."""
NOTHING: Final = "\N{EN DASH}"
"""In place of a value that does not apply."""
METRICS: Final = {
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "accuracy": "accuracy",
    "rmse": "RMSE",
    "r2": "R²",
    "coefficient_error": "coefficient error",
}
"""Names of metrics in sentences and on axes; others are shown as they are."""


@dataclass(frozen=True)
class Shown:
    """A number in a text. value: as it was computed. text: as it is printed."""

    value: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Code:
    """A text to be typed or compared letter by letter: a command, a hash, a file."""

    text: str

    def __str__(self) -> str:
        return self.text


Part = str | Shown | Code
Sentence = tuple[Part, ...]


def plain(sentence: Sequence[Part]) -> str:
    """A sentence without its values."""
    return "".join(map(str, sentence))


def clean(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """A text that can be drawn: characters that cannot be printed (controls, direction marks) become U+FFFD."""
    seen = "".join(char if char.isprintable() else "\ufffd" for char in text[: chars_max + 1])
    return seen if len(seen) <= chars_max else seen[: chars_max - 1] + "…"


def label(text: str, chars_max: int = LABEL_CHARS_MAX) -> str:
    """A name beside an axis."""
    return clean(text, chars_max)


def metric_name(metric: str) -> str:
    """As in "an AUC of"."""
    return METRICS.get(metric, clean(metric, LABEL_CHARS_MAX))


def minus(text: str) -> str:
    """A number's text with the sign that is as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def count(value: float) -> Shown:
    """A number of things; a mean of counts has one digit after the point."""
    return Shown(value, f"{value:,.0f}" if value == round(value) else f"{value:,.1f}")


def number(value: float, digits: int = 3) -> Shown:
    """A score or an estimate: so many digits after the point, fewer if it is large, powers of ten if it is tiny."""
    if not math.isfinite(value):
        return Shown(value, str(value))
    size = abs(value)
    if value == 0:
        return Shown(value, "0")
    if size < 0.5 * 10**-digits:
        text = f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    elif size >= 100:
        text = f"{value:,.1f}" if size < 1e6 else f"{value:.2e}"
    else:
        text = f"{value:.{digits}f}"
    return Shown(value, minus(text))


def difference(value: float) -> Shown:
    """With its sign."""
    shown = number(value)
    return shown if value <= 0 else Shown(value, "+" + shown.text)


def share(value: float) -> Shown:
    """A part of one in percent."""
    return Shown(value, f"{100 * value:.3g} %")


def size(value: float) -> Shown:
    """Bytes, in powers of 1000."""
    if abs(value) < 1000:
        return Shown(value, f"{value:.0f} B")
    power = min(4, int(math.log10(abs(value)) // 3))
    return Shown(value, f"{_three(value / 1000**power)} {' kMGT'[power]}B")


def span(value: float) -> Shown:
    """Seconds as a person says them."""
    if abs(value) < 1:
        return Shown(value, f"{_three(1000 * value)} ms" if value else "0 s")
    if abs(value) < 120:
        return Shown(value, f"{_three(value)} s")
    unit, name = (60, "min") if abs(value) < 7200 else (3600, "h") if abs(value) < 172_800 else (86_400, "days")
    return Shown(value, f"{_three(value / unit)} {name}")


def _three(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def plural(value: int, one: str, many: str = "") -> Sentence:
    """ "1 hospital", "3 hospitals"."""
    return (count(value), f" {one if value == 1 else many or one + 's'}")


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
