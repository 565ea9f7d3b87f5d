"""A hub's beginning: founding a federation, or coming into one with an invitation. Both leave a state folder to run."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from protocols import wire
from protocols.errors import LocalError, PeerError
from protocols.identity import Identity
from protocols.invitation.code import Invitation
from protocols.invitation.messages import JoinReply
from protocols.invitation.redeem import Redemption, Welcome, check_reply, redeem
from protocols.kinds import KINDS
from protocols.membership.acts import describe
from protocols.membership.bodies import NAME_CHARS_MAX, is_plain
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.charter import Charter, Steward, federation_of, found, read_charter
from protocols.records.record import Record, decode_record, encode_record, record_digest
from secured_node import VERSION
from secured_node.net.certificate import sign_certificate
from secured_node.net.joining import ask_to_join
from secured_node.state import State, StateError
from secured_node.store.database import reading
from secured_node.store.store import DATABASE, Kept, Setting, Store

CHARTER = "charter"
NAME = "name"
ORGANISATION = "organisation"


async def found_federation(
    state: State, federation: str, name: str, organisation: str, min_cohort: int, endpoints: tuple[str, ...] = ()
) -> tuple[Identity, Record]:
    """Make a key and a charter with this hub as the only steward. Raises `StateError`, `LocalError`."""
    _check_names(federation, name, organisation)
    state.make()
    identity = state.make_identity()
    steward = Steward(identity.node, organisation)
    charter = found(identity, Charter(federation, (steward,), 1, min_cohort, int(time.time())))
    about = describe(identity, federation_of(charter), node_body(identity, name, organisation, endpoints))
    await _keep(state.folder, name, organisation, charter, (charter, about))
    return identity, charter


def _check_names(*names: str) -> None:
    """Raise `LocalError` for what is no name, before anything is made."""
    for name in names:
        if not (1 <= len(name) <= NAME_CHARS_MAX and is_plain(name)):
            shown = f"{name[:NAME_CHARS_MAX]!r}" + (" and more" if len(name) > NAME_CHARS_MAX else "")
            raise LocalError(
                f"{shown} is no name: it has 1 to {NAME_CHARS_MAX} printable characters, no space at its ends"
            )


def node_body(identity: Identity, name: str, organisation: str, endpoints: tuple[str, ...]) -> NodeBody:
    """How a hub describes itself."""
    return NodeBody(name, organisation, endpoints, VERSION, sign_certificate(identity))


def begin_joining(
    state: State, invitation: Invitation, name: str, organisation: str, endpoints: tuple[str, ...]
) -> Redemption:
    """Make a key, unless there is one from an earlier try, and the request. Raises `StateError`, `LocalError`."""
    _check_names(name, organisation)
    name_there = federation_there(state)
    if name_there is not None:
        raise StateError(
            f"{state.folder} is a hub of the federation {name_there!r} already, and a hub is in one. "
            "Another hub needs another --state."
        )
    state.make()
    identity = state.identity() if state.has_key else state.make_identity()
    return redeem(invitation, identity, node_body(identity, name, organisation, endpoints))


def federation_there(state: State) -> str | None:
    """The name of the federation that a state folder's hub belongs to; None without one. Raises `StateError`."""
    path = state.folder / DATABASE
    try:
        if not path.exists():
            return None
        with reading(path) as db:
            row = db.execute("SELECT value FROM setting WHERE name = ?", (CHARTER,)).fetchone()
        return read_charter(decode_record(row[0])).name if row is not None else None
    except (OSError, sqlite3.Error, PeerError) as error:
        raise StateError(f"{path} cannot be read: {error}. Restore it from your backup, or name another.") from None


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
