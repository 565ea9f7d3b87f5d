"""What the network layer asks of, and tells, whoever stands above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.identity import NodeId
from protocols.message import Message, Payload


class Events(Protocol):
    """Implemented by the driver. All are called on the event loop's thread, and none may block."""

    def allowed(self, node: NodeId) -> bool:
        """Whether this node is a member now. Asked for every message received."""

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a payload of `size` bytes beside this message is wanted from this sender now."""

    def on_message(self, peer: NodeId, message: Message, payload: Payload | None) -> None:
        """A message arrived, decoded and within its limits; with its payload, if it came over the bulk stream."""

    def on_up(self, peer: NodeId) -> None:
        """A link to the peer came into being, or a new one took the old one's place."""

    def on_down(self, peer: NodeId, reason: str) -> None:
        """The link to the peer is gone: one word, see `closing`."""

    def on_progress(self, peer: NodeId) -> None:
        """A chunk of a payload arrived."""

    def on_refused(self, peer: NodeId | None, code: str, detail: str) -> None:
        """Something was refused: a message, an offer, or a stranger at the door (peer: None)."""

    def on_skew(self, peer: NodeId, skew_s: float) -> None:
        """The peer's clock is further from ours than `CLOCK_SKEW_S_MAX`; positive: it is ahead."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How things stand with one member.

    up: whether there is a link. dialled: whether this node opened it; None without one. since_s: seconds since it came
    up or went down, or since the member is known. trouble: why the last call failed, in words for people; empty if it
    did not. skew_s: how far the peer's clock is ahead, as of the last hello. sent_bytes, received_bytes: contents of
    frames over all links to it since the start.
    """

    peer: NodeId
    up: bool
    dialled: bool | None
    since_s: float
    trouble: str
    skew_s: float | None
    sent_bytes: int
    received_bytes: int
