"""The two families of errors: what we did wrong, and what a peer did wrong.

A `LocalError` is a bug or a misuse on this side: it is loud and stops what it concerns. A `PeerError` is what somebody
else sent: it changes no state, is counted under its `code`, answered or ignored, and never carries a secret.
"""


class ProtocolError(Exception):
    """Base of everything that `protocols` raises on purpose."""


class LocalError(ProtocolError):
    """Our own bug or misuse."""


class PeerError(ProtocolError):
    """A peer's message was refused.

    `code` is a short, fixed word for counters and audit (for example ``bad_signature``); `detail` is a sentence for
    people. Neither holds payload bytes, keys or data.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class EarlyError(PeerError):
    """Nothing is wrong with the message, but it cannot be judged yet: dropped in silence, asked for again later."""

    def __init__(self, detail: str) -> None:
        super().__init__("early", detail)
