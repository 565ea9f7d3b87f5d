"""Payloads on their way to and from one peer: offered, taken at an offset, sent in chunks, acknowledged.

Theory of operation. The sender offers a payload on the control stream; the receiver, once its caps and `expects` agree,
makes room for it and answers `Take` with the offset from which it wants it: 0, or what it has already. The sender then
writes `Begin` and the chunks to the bulk stream. When the payload is complete the receiver says `Take` once more, with
the size, and only then the sender lets go of it. A few payloads are offered ahead, so no round trip is lost.

Both boxes outlive the link. After a new one the sender offers everything again that was not acknowledged, under the
same numbers, and the receiver answers with what it kept. A number means something within one process of the sender
only; its hello tells the receiver whether it is still the same. What the receiver has got by another way meanwhile it
declines, which the sender takes for an acknowledgement.

What this cannot express: an order between payloads and messages, or among payloads. Cores do not need one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protocols import wire
from protocols.errors import LocalError, PeerError
from protocols.identity import NodeId
from protocols.message import Message, Payload
from secured_node.net import limits
from secured_node.net.closing import ViolationError
from secured_node.net.frames import Begin, Decline, Offer, Take

Expects = Callable[[NodeId, Message, int], bool]
"""`expects(sender, message, size)`: whether a payload of this many bytes is wanted now. Asked before memory is."""


@dataclass(slots=True)
class Outgoing:
    """A payload to send. view: its bytes, not copied. offered, taken: how far it got over the present link."""

    number: int
    message: bytes
    payload: Payload
    view: memoryview
    offered: bool = False
    taken: bool = False


class Outbox:
    """Payloads for one peer."""

    def __init__(self) -> None:
        """Empty."""
        self._items: dict[int, Outgoing] = {}
        self._bytes = 0
        self._numbered = 0
        self._ready: deque[tuple[Outgoing, int]] = deque()
        self._woken = asyncio.Event()

    def add(self, message: bytes, payload: Payload) -> bool:
        """Take up a payload; False if the box is full. The same message with the same payload is taken up once.

        Raises `LocalError` if the payload is not one-dimensional, contiguous and of bytes.
        """
        if payload.dtype != np.uint8 or payload.ndim != 1 or not payload.flags.c_contiguous:
            raise LocalError("a payload is a contiguous, one-dimensional array of bytes")
        if any(item.payload is payload and item.message == message for item in self._items.values()):
            return True
        full = self._bytes + len(payload) > limits.BULK_QUEUE_BYTES_MAX
        if full or len(self._items) >= limits.BULK_QUEUE_ITEMS_MAX:
            return False
        self._numbered += 1
        self._items[self._numbered] = Outgoing(self._numbered, message, payload, payload.data)
        self._bytes += len(payload)
        return True

    def offers(self) -> list[Offer]:
        """The offers to make now; each is returned once per link."""
        ahead = limits.OFFERS_AHEAD_MAX - sum(item.offered for item in self._items.values())
        fresh = [item for item in self._items.values() if not item.offered][: max(ahead, 0)]
        for item in fresh:
            item.offered = True
        return [Offer(item.number, len(item.view), item.message) for item in fresh]

    def taken(self, take: Take) -> None:
        """The peer wants a payload from an offset, or has all of it. Raises `ViolationError`."""
        item = self._items.get(take.number)
        if item is None:
            return
        if not item.offered or take.offset > len(item.view):
            raise ViolationError("bad_take", "an answer to no offer, or beyond its size")
        if take.offset == len(item.view):
            self._forget(item)
        elif item.taken:
            raise ViolationError("bad_take", "the same payload taken twice over one link")
        else:
            item.taken = True
            self._ready.append((item, take.offset))
            self._woken.set()

    def declined(self, decline: Decline) -> None:
        """The peer does not want a payload."""
        item = self._items.get(decline.number)
        if item is not None:
            self._forget(item)

    async def ready(self) -> tuple[Outgoing, int]:
        """Wait for the next payload to send, and the offset to send it from."""
        while not self._ready:
            self._woken.clear()
            await self._woken.wait()
        return self._ready.popleft()

    def lost(self) -> None:
        """The link is gone: everything is to be offered again."""
        self._ready.clear()
        for item in self._items.values():
            item.offered = item.taken = False

    def clear(self) -> None:
        """Give up on everything."""
        self._ready.clear()
        self._items.clear()
        self._bytes = 0

    def _forget(self, item: Outgoing) -> None:
        del self._items[item.number]
        self._bytes -= len(item.view)


@dataclass(slots=True)
class Incoming:
    """A payload that is coming in. encoded: its message as sent. filled: bytes of it that are here."""

    number: int
    encoded: bytes
    message: Message
    payload: Payload
    filled: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.filled == len(self.payload)


def _reserve(size: int) -> Payload:
    """Room for a payload. Its pages come into being as chunks are written, so an offer alone takes no memory."""
    try:
        return np.empty(size, dtype=np.uint8)
    except MemoryError:
        raise PeerError("no_memory", f"there is no room here for a payload of {size} bytes") from None


class Inbox:
    """Payloads from one peer."""

    def __init__(self, peer: NodeId, expects: Expects) -> None:
        """peer: the sender. expects: asked for each payload before memory is set aside."""
        self._peer = peer
        self._expects = expects
        self._process = b""
        self._items: dict[int, Incoming] = {}
        self._current: Incoming | None = None

    @property
    def receiving(self) -> bool:
        """Whether the next frame of the bulk stream is a chunk."""
        return self._current is not None

    def greeted(self, process: bytes) -> None:
        """A new link to this process of the peer: what another one began is of no use."""
        if process != self._process:
            self._items.clear()
            self._process = process

    def offered(self, offer: Offer) -> Take | Decline | Incoming:
        """Judge an offer. An `Incoming` is complete already: an empty payload.

        Raises `PeerError` if it has to be refused, `ViolationError` if the link has to be closed too.
        """
        message = wire.decode(offer.message)
        cap = wire.type_of(message).payload_bytes_max
        if offer.size > cap or not cap:
            raise PeerError("oversize", f"{type(message).__name__} with {offer.size} bytes beside it; at most {cap}")
        item = self._items.get(offer.number)
        if item is not None and (item.encoded != offer.message or len(item.payload) != offer.size):
            raise ViolationError("bad_offer", "another payload under the same number")
        if not self._expects(self._peer, message, offer.size):
            self._items.pop(offer.number, None)
            return Decline(offer.number)
        if item is None:
            if len(self._items) >= limits.PARTIALS_MAX:
                raise ViolationError("bad_offer", f"more than {limits.PARTIALS_MAX} payloads at once")
            item = Incoming(offer.number, offer.message, message, _reserve(offer.size))
            self._items[offer.number] = item
        return self._items.pop(offer.number) if item.complete else Take(offer.number, item.filled)

    def begun(self, begin: Begin) -> None:
        """Chunks follow. Raises `ViolationError` if they were not asked for."""
        item = self._items.get(begin.number)
        if item is None or item.filled != begin.offset:
            raise ViolationError("bad_begin", "chunks of a payload that was not taken, or from another offset")
        self._current = item

    def chunk(self, data: bytes) -> Incoming | None:
        """Take the next chunk; the payload, if that was its last. Raises `ViolationError` for more than was offered."""
        item = self._current
        if item is None or not data or item.filled + len(data) > len(item.payload):
            raise ViolationError("oversize", "more bytes than were offered")
        item.payload[item.filled : item.filled + len(data)] = np.frombuffer(data, dtype=np.uint8)
        item.filled += len(data)
        if not item.complete:
            return None
        self._current = None
        self._items.pop(item.number, None)
        return item

    def lost(self) -> None:
        """The link is gone: keep what has begun."""
        self._current = None
        self._items = {number: item for number, item in self._items.items() if item.filled}

    def clear(self) -> None:
        """Give up on everything."""
        self._current = None
        self._items.clear()
