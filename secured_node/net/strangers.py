"""Unknown keys at the door, logged in a way that means something.

A hub that was just admitted may call before its admission has arrived here, or while all restart: it is refused like
any stranger, and calls again within a second. That is no news for long. So a key's first call gives one line that says
what it may be; a minute later there is a warning, with the number of its calls, unless the key is a member's by then.
Counters and audit learn of every refusal at once all the same (`refusals`): only the log is patient, never the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from protocols.identity import NodeId
from secured_node.net import limits

log = structlog.get_logger()


@dataclass(slots=True)
class _Caller:
    detail: str
    timer: asyncio.TimerHandle
    calls: int = 1


class Strangers:
    """Keys that called and are no member's, each for a minute."""

    def __init__(self, is_member: Callable[[NodeId], bool]) -> None:
        """is_member: whether a key is a member's now."""
        self._is_member = is_member
        self._callers: dict[NodeId, _Caller] = {}

    def called(self, key: NodeId, detail: str) -> bool:
        """A key that is unknown here was refused. False if too many are watched: then it is to be told of as usual."""
        caller = self._callers.get(key)
        if caller is not None:
            caller.calls, caller.detail = caller.calls + 1, detail
            return True
        if len(self._callers) >= limits.STRANGERS_MAX:
            return False
        timer = asyncio.get_running_loop().call_later(limits.STRANGER_S, self._judge, key)
        self._callers[key] = _Caller(detail, timer)
        meaning = (
            f"a newcomer whose admission has yet to arrive, or a stranger: then a warning in {limits.STRANGER_S:g} s"
        )
        log.info("unknown_caller", key=key, detail=detail, meaning=meaning)
        return True

    def close(self) -> None:
        """Say now what there is to say of those that are watched."""
        for key, caller in [*self._callers.items()]:
            caller.timer.cancel()
            self._judge(key)

    def _judge(self, key: NodeId) -> None:
        caller = self._callers.pop(key)
        if not self._is_member(key):
            log.warning("refused", peer=None, code="unknown_key", detail=caller.detail, calls=caller.calls)
