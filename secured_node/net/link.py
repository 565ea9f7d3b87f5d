"""A link: the pair of streams between this node and one other, and the five tasks that keep it going.

Small messages and the talk about payloads go over the control stream, the payloads' chunks over the bulk stream; each
has its own TCP connection, so no small message ever waits behind a large one. A link ends as a whole: when either
stream ends, when the peer breaks a rule or is not allowed any more, when its queue is full, when nothing was heard for
too long, or when somebody cuts it. After that nothing of it is delivered, not even what had arrived.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine

import numpy as np
import structlog

from protocols import wire
from protocols.errors import PeerError
from protocols.identity import NodeId
from secured_node.net import limits
from secured_node.net.bulk import Inbox, Incoming, Outbox
from secured_node.net.closing import Closing, LinkEnd, ViolationError
from secured_node.net.events import Events
from secured_node.net.frames import Begin, Decline, Hello, Inline, Offer, Take, decode_frame, encode_frame, is_frame
from secured_node.net.refusals import Refusals
from secured_node.net.stream import Stream

log = structlog.get_logger()


class Link:
    """One link. `run` drives it; the boxes are the neighbour's and outlive it."""

    def __init__(
        self,
        peer: NodeId,
        *,
        dialled: bool,
        streams: tuple[Stream, Stream],
        boxes: tuple[Outbox, Inbox],
        events: Events,
        refusals: Refusals,
    ) -> None:
        """peer: proved by TLS on both streams. dialled: whether this node opened it. The hellos are behind them."""
        self.peer = peer
        self.dialled = dialled
        self._control, self._bulk = streams
        self._outbox, self._inbox = boxes
        self._events = events
        self._refusals = refusals
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._queued = asyncio.Event()
        self._cut: asyncio.Future[LinkEnd] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def sent_bytes(self) -> int:
        """Contents of the frames sent over both streams."""
        return self._control.sent_bytes + self._bulk.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Contents of the frames received over both streams."""
        return self._control.received_bytes + self._bulk.received_bytes

    @property
    def closed(self) -> bool:
        """Whether it was cut: nothing is sent or delivered any more."""
        return self._cut.done()

    def send(self, data: bytes) -> bool:
        """Queue a control frame; False if the link is over. A full queue ends the link: the peer will have to ask."""
        if self.closed:
            return False
        if (
            len(self._queue) >= limits.CONTROL_QUEUE_MESSAGES_MAX
            or self._queued_bytes + len(data) > limits.CONTROL_QUEUE_BYTES_MAX
        ):
            self.cut(Closing.OVERFLOW)
            return False
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._queued.set()
        return True

    def offer(self) -> None:
        """Offer what the outbox has and the peer does not know of yet."""
        if not self.closed:
            for offer in self._outbox.offers():
                self.send(encode_frame(offer))

    def cut(self, code: Closing) -> None:
        """End the link now. Its sockets follow within `CLOSE_S`."""
        self._end(LinkEnd(code))

    async def answers(self) -> bool:
        """Whether the peer is still there: asked when it dials although there is a link."""
        return await self._control.answers(limits.PROBE_S)

    async def run(self) -> str:
        """Drive the link until it is over; returns the reason. The sockets may take `CLOSE_S` longer: see `close`."""
        works = (self._read_control(), self._write_control(), self._read_bulk(), self._write_bulk(), self._watch())
        tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        self.offer()
        try:
            end = await self._cut
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._queue.clear()
        return end.reason

    async def close(self) -> None:
        """Say goodbye on both streams and hang up. After `run`."""
        code = self._cut.result().code or Closing.STOPPED
        await asyncio.gather(self._control.close(code), self._bulk.close(code))
        if not self.over.done():
            self.over.set_result(None)

    def _end(self, end: LinkEnd) -> None:
        if not self._cut.done():
            self._cut.set_result(end)

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except LinkEnd as end:
            self._end(end)
        except PeerError as error:
            self._refusals.tell(self.peer, error.code, error.detail)
            self._end(LinkEnd(Closing.VIOLATION))
        except Exception:
            log.exception("link_failed", peer=self.peer)
            self._end(LinkEnd(Closing.FAILED))

    def _admit(self) -> None:
        """The allow-list, before anything that was received is looked at."""
        if self.closed:
            raise LinkEnd(None)
        if not self._events.allowed(self.peer):
            self._refusals.tell(self.peer, "revoked", "a message from a node that is not a member any more")
            raise LinkEnd(Closing.REVOKED)

    async def _read_control(self) -> None:
        while True:
            for _ in range(limits.MESSAGES_PER_TURN):
                data = await self._control.receive()
                self._admit()
                if is_frame(data):
                    self._heed(data)
                else:
                    self._deliver(data)
            await asyncio.sleep(0)

    def _deliver(self, data: bytes) -> None:
        try:
            message = wire.decode(data)
        except PeerError as error:  # refused, and that is all: the peer may be of a newer version
            self._refusals.tell(self.peer, error.code, error.detail)
        else:
            self._events.on_message(self.peer, message, None)

    def _deliver_inline(self, inline: Inline) -> None:
        try:
            message = wire.decode(inline.message)
            if len(inline.payload) > wire.type_of(message).payload_bytes_max:
                raise PeerError("oversize", f"{len(inline.payload)} bytes beside a {type(message).__name__}")
        except PeerError as error:
            self._refusals.tell(self.peer, error.code, error.detail)
        else:
            self._events.on_message(self.peer, message, np.frombuffer(inline.payload, np.uint8))

    def _heed(self, data: bytes) -> None:
        match decode_frame(data):
            case Inline() as inline:
                self._deliver_inline(inline)
            case Offer() as offer:
                self._judge(offer)
            case Take() as take:
                self._outbox.taken(take)
                self.offer()
            case Decline() as decline:
                self._outbox.declined(decline)
                self.offer()
            case Begin() | Hello():
                raise ViolationError("bad_frame", "not on this stream")

    def _judge(self, offer: Offer) -> None:
        try:
            answer = self._inbox.offered(offer)
        except ViolationError:
            raise
        except PeerError as error:
            self._refusals.tell(self.peer, error.code, error.detail)
            answer = Decline(offer.number)
        if isinstance(answer, Incoming):
            self._complete(answer)
        else:
            self.send(encode_frame(answer))

    def _complete(self, item: Incoming) -> None:
        self.send(encode_frame(Take(item.number, len(item.payload))))
        self._events.on_message(self.peer, item.message, item.payload)

    async def _read_bulk(self) -> None:
        while True:
            data = await self._bulk.receive()
            self._admit()
            if self._inbox.receiving:
                self._events.on_progress(self.peer)
                item = self._inbox.chunk(data)
                if item is not None:
                    self._complete(item)
            else:
                begin = decode_frame(data)
                if not isinstance(begin, Begin):
                    raise ViolationError("bad_frame", "not on this stream")
                self._inbox.begun(begin)
            await asyncio.sleep(0)

    async def _write_control(self) -> None:
        while True:
            while not self._queue:
                self._queued.clear()
                await self._queued.wait()
            data = self._queue.popleft()
            self._queued_bytes -= len(data)
            await self._control.send(data)

    async def _write_bulk(self) -> None:
        while True:
            item, offset = await self._outbox.ready()
            await self._bulk.send(encode_frame(Begin(item.number, offset)))
            for start in range(offset, len(item.view), limits.CHUNK_BYTES):
                await self._bulk.send(item.view[start : start + limits.CHUNK_BYTES])
                self._bulk.progressed()
                await asyncio.sleep(0)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(limits.HEARTBEAT_S)
            for stream in (self._control, self._bulk):
                if stream.silent_s > limits.DEAD_S:
                    raise LinkEnd(Closing.DEAD)
                await stream.ping()
