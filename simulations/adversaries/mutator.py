"""A fuzzer inside the protocol: a member whose messages are changed at random, signed again or not.

Whatever it makes still decodes, so it reaches whoever checks what a message says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from protocols import wire
from protocols.core import Send
from protocols.errors import ProtocolError
from protocols.message import Message, Payload
from protocols.records.messages import Listing, Pull, Records, Summary
from protocols.secagg.messages import Offer, Root, Sum, Vote
from simulations.adversaries.adversary import Behaviour

OF_RECORDS = Summary | Listing | Pull | Records


class Mutator(Behaviour):
    """Changes some fields of some of its messages of rounds: how many of them it drew."""

    fuzzed: Any = Offer | Root | Sum | Vote

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The message, changed if it is its turn."""
        rate = self.once("rate", lambda: self.chance.choice((0.1, 0.3, 0.6)))
        if not self.fuzzes(send.message) or self.chance.random() > rate:
            return (send,)
        message = self._decodable(self._changed(send.message))
        payload = self._spoilt(send.payload) if send.payload is not None else None
        if message is None or (message == send.message and payload is send.payload):
            return (send,)
        self.did("mutation")
        changed = dataclasses.replace(send, message=message, payload=payload)
        return (changed, send) if self.chance.random() < 0.3 else (changed,)

    def fuzzes(self, message: Message) -> bool:
        """Whether messages of this kind are changed."""
        return not isinstance(message, OF_RECORDS)

    def _changed(self, message: Message) -> Message:
        fields = [name for name in message.__struct_fields__ if self.chance.random() < 0.3]
        changes = {name: self._value(getattr(message, name)) for name in fields}
        changed = msgspec.structs.replace(message, **changes)
        if isinstance(changed, Offer | Root | Sum | Vote) and self.chance.random() < 0.6:
            return self.resigned(changed)
        return changed

    def _value(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int():
                return self.chance.choice((value + 1, max(0, value - 1), 0, 2**20, 2**62, value ^ 1))
            case bytes():
                return self._bytes(value)
            case str():
                return self.chance.choice([*self.others(), self.me])
            case tuple() if value:
                return self._list(value)
        return value

    def _bytes(self, value: bytes) -> bytes:
        if not value or self.chance.random() < 0.5:
            return self.draw(len(value)) if value else value
        at = self.chance.randrange(len(value))
        return value[:at] + bytes((value[at] ^ (1 << self.chance.randrange(8)),)) + value[at + 1 :]

    def _list(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        items = list(value)
        match self.chance.randrange(4):
            case 0:
                self.chance.shuffle(items)
            case 1:
                items.append(self.chance.choice(items))
            case 2:
                items.pop(self.chance.randrange(len(items)))
            case _:
                place = self.chance.randrange(len(items))
                one = items[place]
                items[place] = self._changed(one) if isinstance(one, Message) else self._value(one)
        return tuple(items)

    def _decodable(self, message: Message) -> Message | None:
        """The message if its receivers can decode it: what they cannot, a link refuses before anybody sees it."""
        try:
            return wire.decode(wire.encode(message))
        except (ProtocolError, OverflowError):
            return None

    def _spoilt(self, payload: Payload) -> Payload:
        way = self.chance.randrange(3)
        if way == 0:
            return payload
        words = payload.copy()
        if way == 1:
            words[self.chance.randrange(words.nbytes)] ^= np.uint8(1 << self.chance.randrange(8))
            return words
        return words[: self.chance.randrange(1, words.nbytes + 1)]


class RecordMutator(Mutator):
    """Changes messages of the exchange of records instead, and the records in them, mostly without a fitting
    signature."""

    def fuzzes(self, message: Message) -> bool:
        """Those of the exchange."""
        return isinstance(message, OF_RECORDS)
