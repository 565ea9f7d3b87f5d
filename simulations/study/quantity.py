"""Numbers with units, as people write them in a scenario: ``"50 ms"``, ``"100 Mbit/s"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Quantity = str | int | float
"""What may stand in a file; a bare number is refused, but with words that say so."""

TIMES: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
RATES: Final = {"kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
_WRITTEN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z/]*)\s*")


def seconds(value: Quantity, key: str) -> float:
    """A time in seconds. Raises `ValueError` that names the key and the units."""
    return _number(value, key, "a time", "50 ms", TIMES)


def bits_per_second(value: Quantity, key: str) -> float:
    """A rate in bit/s, above 0. Raises `ValueError` that names the key and the units."""
    rate = _number(value, key, "a rate", "100 Mbit/s", RATES)
    if not rate > 0:
        raise ValueError(f"{key} must be above 0; leave it out for a line without limit")
    return rate


def _number(value: Quantity, key: str, noun: str, example: str, units: Mapping[str, float]) -> float:
    found = _WRITTEN.fullmatch(str(value))
    if found is None or found[2] not in units:
        missing = found is not None and not found[2]
        why = "has no unit" if missing else f"is not {noun}"
        raise ValueError(f'{key} = {value!r} {why}: write for example "{example}"; units: {", ".join(units)}')
    return float(found[1]) * units[found[2]]
