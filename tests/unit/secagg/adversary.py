"""What a malicious member can make, for the tests: signed lies, messages out of order, doubled vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from protocols.core import Effect, Received
from protocols.identity import Identity
from protocols.message import Message, Payload
from protocols.secagg.mask import segment_digest
from protocols.secagg.messages import Offer, Root, Segment, Sum, Vote
from protocols.secagg.round import Round
from protocols.secagg.signing import signed_frame
from tests.kit import Sums

Sent = Sequence[tuple[Message, Payload | None]]
LONG = 40_000
"""Words: above the limit under which everybody sums everything."""


def resigned(identity: Identity, message: Message, **changes: object) -> Message:
    """The message with other content, signed by its author for it: what a liar can do."""
    changed = msgspec.structs.replace(message, **changes)
    assert isinstance(changed, Offer | Root | Sum | Vote)
    return msgspec.structs.replace(changed, signature=identity.sign(signed_frame(changed)))


def lie(sums: Sums, liar: int, how: Callable[[int, Message, Payload | None], Sent]) -> None:
    """Member `liar` sends what `how(to, message, payload)` makes of its messages."""

    def tamper(sender: str, to: str, message: Message, payload: Payload | None) -> Sent:
        if sender == sums.nodes[liar]:
            return how(sums.nodes.index(to), message, payload)  # type: ignore[arg-type]
        return [(message, payload)]

    sums.world.tamper = tamper  # type: ignore[assignment]


def tell(
    sums: Sums, sender: int, to: int, message: Message, payload: Payload | None = None, now: float | None = None
) -> list[Effect]:
    """Hand a message to a member and carry out nothing of what follows."""
    at = sums.world.now if now is None else now
    return list(sums.round(to).handle(Received(sums.nodes[sender], message, payload), at))


def added(payload: Payload, delta: int) -> Payload:
    """The same masked words with `delta` added to the first: the masks still cancel, the sum differs by it."""
    words = payload.copy()
    words.view("<u8")[0] += np.uint64(delta)
    return words


def second_root(sums: Sums, member: int, root: Root, delta: int) -> Root:
    """Another root of the member in the same context, for its words with `delta` added to each segment."""
    inputs = sums.round(member)._attempt.transcript.inputs or _evidence(sums.round(member)).inputs
    digests = tuple(segment_digest(added(inputs[member, s], delta)) for s in range(len(root.digests)))
    made = resigned(sums.identities[member], root, digests=digests)
    assert isinstance(made, Root)
    return made


def _evidence(core: Round):  # type: ignore[no-untyped-def]
    assert core._evidence is not None
    return core._evidence


def second_vector(sums: Sums, member: int, delta: int) -> Callable[[Message, Payload | None], Sent]:
    """Makes of the member's roots and segments those of another vector."""

    def other(message: Message, payload: Payload | None) -> Sent:
        if isinstance(message, Root) and message.author == sums.nodes[member]:
            return [(second_root(sums, member, message, delta), payload)]
        if isinstance(message, Segment) and message.author == sums.nodes[member] and payload is not None:
            return [(message, added(payload, delta))]
        return [(message, payload)]

    return other


def convicted(sums: Sums) -> set[str]:
    """Whom evidence convicts, anywhere."""
    return {e.author for _, e in sums.evidence() if e.convicts}


def effects_of(effects: Sequence[Effect], kind: type) -> list[Effect]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]
