"""What a check found: fine, doubtful or wrong, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How things stand. ok: as it should be. warn: a person should look. bad: something does not work, or is unsafe."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. check: its name. found: what is the case. todo: what to do; empty if it is fine."""

    check: str
    verdict: Verdict
    found: str
    todo: str = ""


def fine(check: str, found: str) -> Finding:
    """All is well with this."""
    return Finding(check, Verdict.OK, found)


def doubt(check: str, found: str, todo: str = "") -> Finding:
    """A person should look at this."""
    return Finding(check, Verdict.WARN, found, todo)


def wrong(check: str, found: str, todo: str = "") -> Finding:
    """This does not work, or is unsafe."""
    return Finding(check, Verdict.BAD, found, todo)


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst of all verdicts."""
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in (Verdict.BAD, Verdict.WARN) if v in verdicts), Verdict.OK)


def exit_code(findings: Iterable[Finding]) -> int:
    """0: all is well. 1: a person should look. 2: something is wrong."""
    return [Verdict.OK, Verdict.WARN, Verdict.BAD].index(overall(findings))
