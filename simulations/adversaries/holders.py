"""Holders of long vectors' segments that lie about the sum, differently to each, or say nothing.

Another holder differs, the sum is computed again from inputs that match the roots, and the liar's signature names it.
Only if all h holders of a segment lie alike is a false sum taken: the stated limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from protocols.core import Send
from protocols.secagg.messages import Sum, SumWords
from simulations.adversaries.adversary import Behaviour


class LyingHolder(Behaviour):
    """Signs another digest than that of the sum, for some of the segments that it holds, the same to all."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own sums, false."""
        message = send.message
        if not (isinstance(message, Sum) and self.spoils(message, Sum)):
            return (send,)
        if not self.once((message.segment, message.round), lambda: self.chance.random() < 0.7 or not self.deeds):
            return (send,)
        self.did("false sum")
        digest = self.once((message.round, message.attempt, message.segment), lambda: self.draw(32))
        return (dataclasses.replace(send, message=self.resigned(message, digest=digest)),)


class EquivocatingHolder(Behaviour):
    """Signs the sum for some members, and something else for each of the others."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own sums, as the receiver is shown them."""
        message = send.message
        if not (isinstance(message, Sum) and self.spoils(message, Sum)):
            return (send,)
        if send.to not in self.once((message.round, message.segment), lambda: self.some(self.others(message.job))):
            return (send,)
        self.did("other sum")
        return (dataclasses.replace(send, message=self.resigned(message, digest=self.draw(32))),)


class SilentHolder(Behaviour):
    """Sums nothing for others: neither its word nor the words."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Neither sums nor words."""
        if self.spoils(send.message, Sum) or isinstance(send.message, SumWords):
            self.did("silent")
            return ()
        return (send,)


class WrongWords(Behaviour):
    """Signs the true digest of its sums and sends other words."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its summed words, replaced."""
        if not isinstance(send.message, SumWords) or send.payload is None:
            return (send,)
        self.did("wrong words")
        words = self.chance.choice((np.zeros_like(send.payload), send.payload[::-1].copy()))
        return (dataclasses.replace(send, payload=words),)
