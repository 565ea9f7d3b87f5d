"""A proposed job in words: what in it can never work is said to who asks, before all hubs read the record."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from protocols.job.kinds import JobSpec
from protocols.secagg.cohort import safe_against
from protocols.secagg.messages import MEMBERS_MAX

_PLACE: Final = re.compile(r" - at `\$\[(\d+)\].*`$")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` (<=|>=) (\S+)$")
_LENGTH: Final = re.compile(r"Expected `\w+` of length (<=|>=) (\d+)$")
MIN_ROWS: Final = "min_rows"
_ENDS: Final = {"<=": "at most", ">=": "at least"}


def in_words(error: msgspec.ValidationError) -> str:
    """Why a job's fields, as a list, are none, by the field's name."""
    text = str(error)
    place = _PLACE.search(text)
    field = JobSpec.__struct_fields__[int(place[1])] if place else "the job"
    why = text[: place.start()] if place else text
    if bound := _BOUND.match(why):
        why = f"it is {_ENDS[bound[1]]} {float(bound[2]):g}"
    elif length := _LENGTH.match(why):
        why = f"it has {_ENDS[length[1]]} {length[2]} characters or items"
    return f"{field}: {why}"


def objection(raw: dict[str, Any], members: int, min_cohort: int) -> tuple[str, str] | None:
    """Why a job could never run, and what to do; None where nothing is known against it.

    raw: the job's fields. members: how many hubs it lists. min_cohort: the charter's fewest members of a job.
    """
    low, high = _whole(raw, "min_nodes", min_cohort), _whole(raw, "max_nodes", MEMBERS_MAX)
    fewest = f"this federation's charter wants at least {min_cohort} hubs in every job"
    if 0 < members < min_cohort:
        why = f"it lists {members} {'hub' if members == 1 else 'hubs'}, and {fewest}"
        return why, f"list {min_cohort} or more, this hub too if it shall take part; or none, for whoever joins"
    if low < min_cohort:
        return f"min_nodes = {low}: {fewest}", f"ask for {min_cohort} or more"
    if high < min_cohort:
        return f"max_nodes = {high}: {fewest}", f"allow {min_cohort} or more"
    if low > high:
        return f"min_nodes = {low} is above max_nodes = {high}", "raise max_nodes, or lower min_nodes"
    parameters = raw.get("parameters")
    if isinstance(parameters, dict) and MIN_ROWS in parameters:
        why = f"the task's parameters name {MIN_ROWS}, which is the job's own: sites judge that one alone"
        return why, f"name {MIN_ROWS} beside the parameters (job submit --min-rows)"
    colluders, most = _whole(raw, "colluders", 1), min(high, MEMBERS_MAX)
    if colluders >= 1 and not any(safe_against(size, colluders) for size in range(low, most + 1)):
        why = f"colluders = {colluders}: no cohort of {low} to {high} hubs is safe against so many"
        return why, "name fewer colluders, or ask for more hubs"
    return None


def _whole(raw: dict[str, Any], name: str, default: int) -> int:
    """A whole number among the fields; what is none is left to who checks types."""
    value = raw.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
