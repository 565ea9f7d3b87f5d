"""Members that show others different facts: another history, another context, another shape, another vector.

After Pasquini et al. (CCS 2022): a node that is shown another model gives another vector, and the difference shows it.
Here such nodes refuse each other's signatures, and no sum comes of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from protocols.core import Send
from protocols.message import Payload
from protocols.secagg.mask import segment_digest
from protocols.secagg.messages import Offer, Root, Segment
from protocols.secagg.signing import RoundId, context0
from simulations.adversaries.adversary import Behaviour


class ModelInconsistency(Behaviour):
    """Signs its offers over another history than its hub's, for some members or for all."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own offers, over the history that the receiver is shown."""
        message, here = send.message, self.round(getattr(send.message, "job", b""))
        if here is None or not (isinstance(message, Offer) and self.spoils(message, Offer)):
            return (send,)
        others = self.others(message.job)
        if send.to not in self.once("whom", lambda: self.chance.choice((others, self.some(others)))):
            return (send,)
        self.did("other history")
        place = RoundId(message.round, self.once(message.round, lambda: self.draw(32)))
        other = context0(here.cohort, place, message.attempt)
        return (dataclasses.replace(send, message=self.resigned(message, context0=other)),)


class ContextInconsistency(Behaviour):
    """Signs its root over a context that nobody else has, for some members; the rest get the true one."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own roots, over the context that the receiver is shown."""
        message = send.message
        if not (isinstance(message, Root) and self.spoils(message, Root)):
            return (send,)
        if send.to not in self.once("whom", lambda: self.some(self.others(message.job))):
            return (send,)
        self.did("other context")
        other = self.once((message.round, message.attempt), lambda: self.draw(32))
        return (dataclasses.replace(send, message=self.resigned(message, context=other)),)


class ShapeInconsistency(Behaviour):
    """Says that its vector has another length or another bound, to some members or to all."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own roots, of another shape."""
        message = send.message
        if not (isinstance(message, Root) and self.spoils(message, Root)):
            return (send,)
        others = self.others(message.job)
        if send.to not in self.once("whom", lambda: self.chance.choice((others, self.some(others)))):
            return (send,)
        self.did("other shape")
        words, bound = self.once("shape", lambda: (self.chance.choice((-1, 0, 1, 1 << 20)), self.chance.choice((1, 7))))
        shape = {"words": max(1, message.words + words), "bound": message.bound + bound}
        return (dataclasses.replace(send, message=self.resigned(message, **shape)),)


class VectorEquivocation(Behaviour):
    """Roots and sends one vector to some members and another to the rest, both with masks that cancel."""

    honest_input: ClassVar[bool] = False

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its roots and segments, as the receiver's side is shown them."""
        message = send.message
        if not (self.spoils(message, Root) or self.spoils(message, Segment)):
            return (send,)
        if send.to not in self.deceived(message.job):  # type: ignore[attr-defined]
            return (send,)
        if isinstance(message, Segment) and send.payload is not None:
            return (dataclasses.replace(send, payload=shifted(send.payload)),)
        seen = self.transcript(message.job) if isinstance(message, Root) else None
        if not isinstance(message, Root) or seen is None:
            return (send,)
        mine = seen.cohort.members.index(self.me)
        if (mine, 0) not in seen.inputs:
            return (send,)
        self.did("other vector")
        digests = tuple(segment_digest(shifted(seen.inputs[mine, s])) for s in range(len(message.digests)))
        return (dataclasses.replace(send, message=self.resigned(message, digests=digests)),)

    def deceived(self, job: bytes) -> list[str]:
        """Who is shown the other vector."""
        return self.once(("deceived", job), lambda: [*self.some(self.others(job))])


def shifted(payload: Payload) -> Payload:
    """The words with one added to the first: of masked ones, the masks cancel all the same."""
    words = payload.copy()
    first = words[:8].view("<u8")
    first += np.uint64(1)
    return words
