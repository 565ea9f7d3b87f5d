"""One other member: at most one link to it, and the endless effort to have it.

Theory of operation. Either side may dial. The lower node id dials at once, the higher gives it `DIAL_DELAY_S` first;
calls are repeated for ever with backoff and jitter. When both dialled nevertheless, both keep the link that the lower
one opened. The lower one, asked for a link while its own call is under way, waits `TIE_WAIT_S` for the outcome before
it answers, so that usually the other link does not even come up.

A peer that dials although there is a link may have lost it without our noticing. If it had opened that link itself, it
knows better, and the new one takes its place. If we had, being the lower, the old one is asked for a sign of life: if
it answers, the new one is refused; if not, it was dead.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from protocols import wire
from protocols.errors import LocalError
from protocols.identity import NodeId
from protocols.message import Message, Payload
from secured_node.net import limits
from secured_node.net.bulk import Inbox, Outbox
from secured_node.net.calling import CallError
from secured_node.net.closing import Closing
from secured_node.net.dialler import Called
from secured_node.net.events import Events, LinkStatus
from secured_node.net.frames import Inline, encode_frame
from secured_node.net.link import Link
from secured_node.net.refusals import Refusals

log = structlog.get_logger()

_JITTER: Final = random.SystemRandom()


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: full jitter, so that nobody calls in step."""
    return _JITTER.uniform(0, min(limits.BACKOFF_MAX_S, limits.BACKOFF_BASE_S * 2.0 ** min(failures - 1, 16)))


class Neighbour:
    """The link to one member, and what outlives it: payloads under way, counters, trouble."""

    def __init__(self, own: NodeId, peer: NodeId, dial: Callable[[NodeId], Awaitable[Called]], events: Events) -> None:
        """own: this node. dial: makes one call; raises `CallError`. `start` begins the effort."""
        self.peer = peer
        self.link: Link | None = None
        self._lower = own < peer
        self._patience_s = 0.0 if self._lower else limits.DIAL_DELAY_S
        self._dial = dial
        self._events = events
        self._refusals = Refusals(events.on_refused)
        self._outbox = Outbox()
        self._inbox = Inbox(peer, events.expects)
        self._turn = asyncio.Lock()
        self._linked = asyncio.Event()
        self._unlinked = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[bool] | None = None
        self._lives: set[asyncio.Task[None]] = set()
        self._forgetting: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._trouble: CallError | None = None
        self._skew_s: float | None = None
        self._bytes = (0, 0)

    def start(self, *, called: bool) -> None:
        """Begin to call. called: the peer was first; it gets the higher node's share of patience."""
        wait_s = limits.DIAL_DELAY_S if called else self._patience_s
        self._keeping = asyncio.create_task(self._keep_linked(wait_s))

    async def stop(self, code: Closing) -> None:
        """Cut the link at once, call no more; returns when everything is closed."""
        self.cut(code)
        tasks = [task for task in (self._keeping, self._calling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._lives, return_exceptions=True)
        self._forget()

    def cut(self, code: Closing) -> None:
        """End the present link; the effort goes on."""
        if self.link is not None:
            self.link.cut(code)

    def send(self, message: Message, payload: Payload | None) -> bool:
        """Queue a message; False if there is no link or no room. Raises `LocalError` for what the wire cannot carry."""
        data = wire.encode(message)
        cap = wire.type_of(message).payload_bytes_max
        if payload is not None and (not cap or len(payload) > cap):
            raise LocalError(f"{type(message).__name__} with {len(payload)} bytes beside it; at most {cap} may be sent")
        link = self.link
        if link is None or link.closed:
            return False
        if payload is None:
            return link.send(data)
        if len(payload) <= limits.INLINE_BYTES_MAX:
            return link.send(encode_frame(Inline(data, payload.tobytes())))
        accepted = self._outbox.add(data, payload)
        link.offer()
        return accepted

    def status(self) -> LinkStatus:
        """How things stand."""
        link = self.link
        return LinkStatus(
            peer=self.peer,
            up=link is not None,
            dialled=None if link is None else link.dialled,
            since_s=self._loop.time() - self._since,
            trouble=str(self._trouble) if self._trouble is not None and link is None else "",
            skew_s=self._skew_s,
            sent_bytes=self._bytes[0] + (link.sent_bytes if link else 0),
            received_bytes=self._bytes[1] + (link.received_bytes if link else 0),
        )

    async def judge_caller(self) -> Closing | None:
        """The peer wants to open a link: None if it may, otherwise the code to refuse it with."""
        if self._lower and self.link is None and self._calling is not None:
            await asyncio.wait((self._calling,), timeout=limits.TIE_WAIT_S)
        link = self.link
        if link is None or not link.dialled or not self._lower:
            return None
        if await link.answers():
            return Closing.DUPLICATE
        link.cut(Closing.DEAD)
        return None

    def adopt(self, called: Called, *, dialled: bool) -> Link:
        """Take over the streams of a link that has been opened; it is cut at once if there is a better one."""
        link = Link(
            self.peer,
            dialled=dialled,
            streams=(called.control, called.bulk),
            boxes=(self._outbox, self._inbox),
            events=self._events,
            refusals=self._refusals,
        )
        present = self.link
        contested = present is not None and not present.closed and present.dialled != dialled
        if contested and dialled != self._lower:
            link.cut(Closing.DUPLICATE)
        else:
            self.cut(Closing.REPLACED)
            self.link = link
            self._unlinked.clear()
            self._linked.set()
        self._skew_s = called.heard.skew_s
        life = asyncio.create_task(self._live(link, called))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return link

    async def _live(self, link: Link, called: Called) -> None:
        try:
            if not link.closed:
                async with self._turn:  # the boxes are one link's at a time; the one before has been cut
                    if not link.closed:
                        await self._serve(link, called)
        except Exception:  # of whoever listens to our events: it must not leave a link that nobody drives
            log.exception("link_failed", peer=self.peer)
            link.cut(Closing.FAILED)
        self._drop(link)
        await link.close()

    async def _serve(self, link: Link, called: Called) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._inbox.greeted(called.heard.process)
        self._since = self._loop.time()
        self._trouble = None
        log.info("link_up", peer=self.peer, dialled=link.dialled)
        self._events.on_up(self.peer)
        if abs(called.heard.skew_s) > limits.CLOCK_SKEW_S_MAX:
            log.warning("clock_skew", peer=self.peer, skew_s=round(called.heard.skew_s, 1))
            self._events.on_skew(self.peer, called.heard.skew_s)
        reason = await link.run()
        self._outbox.lost()
        self._inbox.lost()
        self._forgetting = self._loop.call_later(limits.RESUME_S, self._forget)
        self._bytes = (self._bytes[0] + link.sent_bytes, self._bytes[1] + link.received_bytes)
        self._since = self._loop.time()
        self._drop(link)
        log.info("link_down", peer=self.peer, reason=reason)
        self._events.on_down(self.peer, reason)

    def _drop(self, link: Link) -> None:
        if self.link is link:
            self.link = None
            self._linked.clear()
            self._unlinked.set()

    def _forget(self) -> None:
        """Too long without a link, or for good: what was under way is given up."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._outbox.clear()
        self._inbox.clear()

    async def _keep_linked(self, wait_s: float) -> None:
        failures = 0
        while True:
            if not await self._linked_within(wait_s):
                self._calling = asyncio.create_task(self._call())
                if not await self._calling:
                    failures += 1
                    wait_s = backoff_s(failures)
                    continue
            linked_at = self._loop.time()
            await self._unlinked.wait()
            failures = 0 if self._loop.time() - linked_at > limits.STABLE_S else failures + 1
            wait_s = self._patience_s + (backoff_s(failures) if failures else 0.0)

    async def _linked_within(self, wait_s: float) -> bool:
        if not self._linked.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._linked.wait()
        return self._linked.is_set()

    async def _call(self) -> bool:
        """Make one call. Whether there is a link now, be it another one."""
        try:
            called = await self._dial(self.peer)
        except CallError as error:
            if self._trouble is None or self._trouble.code != error.code:
                log.info("call_failed", peer=self.peer, code=error.code, detail=error.detail)
            self._trouble = error
        except Exception:  # a bug of ours must not end the effort
            log.exception("call_broke", peer=self.peer)
            self._trouble = CallError("failed", "an error of our own; the log has it")
        else:
            self.adopt(called, dialled=True)
        return self._linked.is_set()
