"""A rule was broken."""

from __future__ import annotations


class ViolationError(Exception):
    """A run in which something happened that never may. rule: its fixed name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
