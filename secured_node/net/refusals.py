"""Telling about what was refused, without letting anybody fill log and audit."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from protocols.identity import NodeId
from secured_node.net import limits

log = structlog.get_logger()

MINUTE_S = 60.0


class Refusals:
    """Logs and reports so many of them a minute; the first one after that minute is preceded by a count of the rest.

    Each member has its own, and all strangers share one: nobody can hide what others do.
    """

    def __init__(
        self, report: Callable[[NodeId | None, str, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """report: `Events.on_refused`. clock: seconds."""
        self._report = report
        self._clock = clock
        self._minute_at = clock()
        self._told = 0
        self._untold = 0

    def tell(self, peer: NodeId | None, code: str, detail: str, *, logged: bool = False) -> None:
        """Something by this peer, or by a stranger, was refused. logged: by somebody else, who knows more of it."""
        if self._clock() - self._minute_at >= MINUTE_S:
            untold, self._minute_at, self._told, self._untold = self._untold, self._clock(), 0, 0
            if untold:
                self._pass_on(peer, "refused_more", f"{untold} further refusals within a minute")
        if self._told >= limits.REFUSALS_PER_MINUTE_MAX:
            self._untold += 1
        else:
            self._told += 1
            self._pass_on(peer, code, detail, logged=logged)

    def _pass_on(self, peer: NodeId | None, code: str, detail: str, *, logged: bool = False) -> None:
        if not logged:
            log.warning("refused", peer=peer, code=code, detail=detail)
        self._report(peer, code, detail)
