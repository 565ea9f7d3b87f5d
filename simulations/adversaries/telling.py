"""The means of those who lie in records: what each peer is told in place of a record of theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from protocols.core import Send
from protocols.identity import NodeId
from protocols.message import Message
from protocols.records.messages import Records
from protocols.records.record import Record
from simulations.adversaries.adversary import Behaviour

Body = TypeVar("Body", bound=Message)


def body_of(record: Record, kind: type[Body]) -> Body:
    """The body of a record that its own hub made."""
    return msgspec.msgpack.decode(record.body, type=kind)


class Teller(Behaviour):
    """Its own records go through `told` whenever they leave: as news, or when they are pulled."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """The same message with what this peer is told."""
        message = send.message
        if not isinstance(message, Records):
            return (send,)
        told: list[Record] = []
        for record in message.records:
            told += self.told(record, send.to, now) if record.author == self.me else (record,)
        if not told:
            return ()
        return (send,) if tuple(told) == message.records else (_records(send, told),)

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """What a peer is told instead of a record: it, another, or nothing."""
        return (record,)

    def to_all(self, *records: Record) -> list[Send]:
        """Records to everybody, past its own hub."""
        return [Send(node, Records(records)) for node in self.others()]


def _records(send: Send, told: list[Record]) -> Send:
    return dataclasses.replace(send, message=Records(tuple(told)))
