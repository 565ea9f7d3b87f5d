"""How links end: WebSocket close codes, and the exception that carries one to whoever holds the link."""

from __future__ import annotations

from enum import IntEnum

from protocols.errors import PeerError


class Closing(IntEnum):
    """Why a link was closed, as told to the peer (codes 4000 to 4999 are for private use, RFC 6455 section 7.4.2)."""

    STOPPED = 4000
    """This node stops."""
    WRONG_FEDERATION = 4001
    """The hello names another federation."""
    WRONG_VERSION = 4002
    """The hello names a protocol version that is not spoken here."""
    REVOKED = 4003
    """The peer is not, or not any more, on the allow-list."""
    DUPLICATE = 4004
    """There is a link already, and it stays."""
    REPLACED = 4005
    """A newer link takes this one's place."""
    OVERFLOW = 4006
    """The peer reads too slowly: the queue towards it is full."""
    VIOLATION = 4007
    """The peer broke a rule of the link."""
    DEAD = 4008
    """Nothing came for too long."""
    LATE = 4009
    """A hello or the second stream did not come in time."""
    FAILED = 4010
    """An error of our own; our log has it."""


class LinkEnd(Exception):  # noqa: N818 - most ends are no errors
    """A link or stream is over.

    code: why, if either side said so; None if it was just lost. by_peer: whether the peer closed it.
    """

    def __init__(self, code: Closing | None, *, by_peer: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.by_peer = by_peer

    @property
    def reason(self) -> str:
        """One word for logs and `on_down`: ``lost``, ``revoked``, ``peer_stopped``, ..."""
        word = self.code.name.lower() if self.code else "lost"
        return f"peer_{word}" if self.by_peer else word


class ViolationError(PeerError):
    """The peer broke a rule of the link; unlike a refused message, this ends the link."""
