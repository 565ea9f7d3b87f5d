"""Telling about refused strangers, without letting them fill log and audit."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from protocols.identity import NodeId
from secured_node.net import limits

log = structlog.get_logger()

MINUTE_S = 60.0


class Refusals:
    """Logs and reports at most `REFUSALS_PER_MINUTE_MAX` of them a minute; the first after that names how many more."""

    def __init__(
        self, report: Callable[[NodeId | None, str, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """report: `Events.on_refused`. clock: seconds."""
        self._report = report
        self._clock = clock
        self._minute_at = clock()
        self._told = 0
        self._untold = 0

    def stranger(self, address: str, code: str, detail: str) -> None:
        """Somebody whom TLS has not proved to be a member was refused."""
        if self._clock() - self._minute_at >= MINUTE_S:
            if self._untold:
                log.warning("refused_more", count=self._untold)
                self._report(None, "refused_more", f"{self._untold} further strangers were refused in a minute")
            self._minute_at, self._told, self._untold = self._clock(), 0, 0
        if self._told >= limits.REFUSALS_PER_MINUTE_MAX:
            self._untold += 1
            return
        self._told += 1
        log.warning("refused_stranger", address=address, code=code, detail=detail)
        self._report(None, code, f"{address}: {detail}")
