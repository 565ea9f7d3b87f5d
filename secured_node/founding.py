"""A hub's beginning: founding a federation, or coming into one with an invitation. Both leave a state folder to run."""

from __future__ import annotations

import time
from pathlib import Path

from protocols import wire
from protocols.errors import PeerError
from protocols.identity import Identity
from protocols.invitation.code import Invitation
from protocols.invitation.messages import JoinReply
from protocols.invitation.redeem import Redemption, Welcome, check_reply, redeem
from protocols.kinds import KINDS
from protocols.membership.acts import describe
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.charter import Charter, Steward, federation_of, found
from protocols.records.record import Record, encode_record, record_digest
from secured_node import VERSION
from secured_node.net.certificate import sign_certificate
from secured_node.net.joining import ask_to_join
from secured_node.state import State
from secured_node.store.store import Kept, Setting, Store

CHARTER = "charter"
NAME = "name"
ORGANISATION = "organisation"


async def found_federation(
    state: State, federation: str, name: str, organisation: str, min_cohort: int, endpoints: tuple[str, ...] = ()
) -> tuple[Identity, Record]:
    """Make a key and a charter with this hub as the only steward. Raises `StateError`, `LocalError`."""
    state.make()
    identity = state.make_identity()
    steward = Steward(identity.node, organisation)
    charter = found(identity, Charter(federation, (steward,), 1, min_cohort, int(time.time())))
    about = describe(identity, federation_of(charter), node_body(identity, name, organisation, endpoints))
    await _keep(state.folder, name, organisation, charter, (charter, about))
    return identity, charter


def node_body(identity: Identity, name: str, organisation: str, endpoints: tuple[str, ...]) -> NodeBody:
    """How a hub describes itself."""
    return NodeBody(name, organisation, endpoints, VERSION, sign_certificate(identity))


def begin_joining(
    state: State, invitation: Invitation, name: str, organisation: str, endpoints: tuple[str, ...]
) -> Redemption:
    """Make a key, unless there is one from an earlier try, and the request. Raises `StateError`, `LocalError`."""
    state.make()
    identity = state.identity() if state.has_key else state.make_identity()
    return redeem(invitation, identity, node_body(identity, name, organisation, endpoints))


async def ask(redemption: Redemption) -> tuple[JoinReply, Welcome | None]:
    """Ask the inviter once. Raises `CallError` if it cannot be reached, `PeerError` if it refuses."""
    body = wire.encode(redemption.request)
    invitation = redemption.invitation
    reply = wire.decode(await ask_to_join(redemption.one_time, invitation.endpoints, invitation.inviter, body))
    if not isinstance(reply, JoinReply):
        raise PeerError("bad_reply", "the inviter's answer is of another kind")
    return reply, check_reply(redemption, reply, KINDS)


async def finish_joining(state: State, name: str, organisation: str, welcome: Welcome) -> None:
    """Keep what the hub needs to start. Raises `DatabaseError`."""
    await _keep(state.folder, name, organisation, welcome.charter, welcome.records)


async def _keep(folder: Path, name: str, organisation: str, charter: Record, records: tuple[Record, ...]) -> None:
    federation = federation_of(charter)
    facts: list[object] = [Kept(record_digest(federation, record), record) for record in records]
    facts += [Setting(CHARTER, encode_record(charter)), Setting(NAME, name.encode())]
    facts.append(Setting(ORGANISATION, organisation.encode()))
    store = Store(folder)
    try:
        await store.commit(facts)
    finally:
        await store.close()
