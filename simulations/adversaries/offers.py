"""Members that lie in their offers: two keys in one attempt, another member's key, a key of low order.

No segment may leave over such offers, and two signed keys of one attempt convict their author.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from protocols.core import Send
from protocols.secagg.messages import Offer
from simulations.adversaries.adversary import Behaviour

WEAK_KEYS: Final = tuple(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""X25519 points of small order, and encodings that are not canonical (RFC 7748, section 6.1)."""


class _Offers(Behaviour, ABC):
    """Whoever offers another key than its hub's."""

    def say(self, send: Send, now: float) -> Iterable[Send]:
        """Its own offers, changed."""
        message = send.message
        if not (isinstance(message, Offer) and self.spoils(message, Offer)):
            return (send,)
        key = self.key(send, message)
        if key is None:
            return ()
        if key == message.key:
            return (send,)
        self.did(type(self).__name__)
        return (dataclasses.replace(send, message=self.resigned(message, key=key)),)

    @abstractmethod
    def key(self, send: Send, offer: Offer) -> bytes | None:
        """The key that the receiver is shown; None: not yet any."""


class OfferEquivocation(_Offers):
    """Shows some members another key than the rest: one other for all of them, or one for each."""

    def key(self, send: Send, offer: Offer) -> bytes | None:
        """Another one for some, the same in all of an attempt."""
        attempt = (offer.round, offer.attempt)
        if send.to not in self.once(attempt, lambda: self.some(self.others(offer.job))):
            return offer.key
        alike = self.once("alike", lambda: self.chance.random() < 0.5)
        return self.once((*attempt, None if alike else send.to), self.other_key)


class RepeatedKey(_Offers):
    """Offers the key of another member, as soon as it has seen one."""

    def key(self, send: Send, offer: Offer) -> bytes | None:
        """Somebody else's; until one is here it keeps silent."""
        seen = self.transcript(offer.job)
        if seen is None or seen.number != offer.attempt:
            return None
        keys = [o.key for o in seen.offers.values() if o.author != self.me]
        return self.once((offer.round, offer.attempt), lambda: self.chance.choice(keys)) if keys else None


class WeakKey(_Offers):
    """Offers a key of low order, or one that is not canonical: the secret shared with it is no secret."""

    def key(self, send: Send, offer: Offer) -> bytes | None:
        """One of the list."""
        return self.once((offer.round, offer.attempt), lambda: self.chance.choice(WEAK_KEYS))
