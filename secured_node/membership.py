"""Membership at a running hub: invitations, approvals, revocations, and what the links need to know of it all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from protocols import wire
from protocols.core import Effect, Persist, Refused, Send
from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, NodeId
from protocols.invitation.desk import EXPIRES_S, Alarm, Announce, Asked, Desk, Forget
from protocols.invitation.messages import JoinReply, JoinRequest
from protocols.invitation.ticket import Ticket
from protocols.membership.acts import admit, revoke
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.kinds import NODE
from protocols.node import Node
from protocols.records.events import Publish
from protocols.records.record import Record
from secured_node.driver import Driver
from secured_node.net.certificate import sign_certificate
from secured_node.net.roster import Contact, Roster
from secured_node.stewards import lost_with
from secured_node.store.store import INVITATIONS, Row, Store

log = structlog.get_logger()


class Membership:
    """The people's side of a federation at one hub."""

    def __init__(
        self,
        identity: Identity,
        node: Node,
        store: Store,
        tickets: Sequence[Ticket],
        seeds: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """seeds: addresses at which any member may be; who answers there is told by its key."""
        self._identity, self._node, self._store, self._seeds = identity, node, store, seeds
        self._desk = Desk(identity, node.roster, node.store, tickets)
        self._turn = asyncio.Lock()
        self.driver: Driver | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when the trust store should be made anew."""

    @staticmethod
    async def tickets(store: Store) -> list[Ticket]:
        """The invitations that were durable."""
        return [msgspec.msgpack.decode(data, type=Ticket) for data in (await store.rows(INVITATIONS)).values()]

    # -- for the links -------------------------------------------------------------------------------------------

    def contacts(self) -> Roster:
        """Who may come in now, under which certificate, and where they are."""
        roster = self._node.roster
        members = {}
        for member in roster.members():
            held = self._node.store.get(NODE, member, member)
            if held is not None:
                about: NodeBody = held.body
                if about.certificate:
                    members[member] = Contact(
                        about.certificate, tuple(dict.fromkeys((*about.endpoints, *self._seeds())))
                    )
        revoked = frozenset(one.node for one in roster.revocations())
        return Roster(members, self._desk.trusted(), revoked)

    async def join(self, one_time: NodeId, body: bytes) -> bytes:
        """Serve `/join`: a newcomer with a one-time key asks. Raises `PeerError` for what is not a request."""
        request = wire.decode(body)
        if not isinstance(request, JoinRequest):
            raise PeerError("unexpected", "not a request to join")
        async with self._turn:
            effects = self._desk.receive(one_time, request, time.time())
            await self._carry_out(effects)
        replies = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, JoinReply)]
        return wire.encode(replies[0])

    # -- for people ----------------------------------------------------------------------------------------------

    async def invite(self, endpoints: tuple[str, ...], expires_s: float = EXPIRES_S) -> str:
        """A new invitation's code, shown once. Raises `LocalError`."""
        if self._node.roster.revoked(self._identity.node):
            raise LocalError("no invitation: this hub was revoked, and nobody can join through it")
        async with self._turn:
            code, effects = self._desk.issue(
                endpoints, time.time(), os.urandom, certify=sign_certificate, expires_s=expires_s
            )
            await self._carry_out(effects)
            return code

    def waiting(self) -> list[dict[str, Any]]:
        """Who waits for approval, here or at other hubs, and the words to compare."""
        shown = []
        for ticket in self._desk.tickets():
            if ticket.record is None or not ticket.pending:
                continue
            about = msgspec.msgpack.decode(ticket.record.body, type=NodeBody)
            row = {"node": ticket.record.author, "name": about.name, "organisation": about.organisation}
            shown.append({**row, "words": list(self._desk.words(ticket)), "invited_here": True})
        here = {row["node"] for row in shown}
        for node in self._node.roster.candidates():
            if node not in here:
                member = self._node.roster.member(node)
                row = {"node": node, "name": member.name, "organisation": member.organisation}
                shown.append({**row, "words": [], "invited_here": False, "votes": len(member.votes)})
        return shown

    async def approve(self, node: NodeId) -> dict[str, Any]:
        """Finish a newcomer's admission: as its inviter, or as another steward. Raises `LocalError`."""
        async with self._turn:
            if any(t.joiner == node and t.pending for t in self._desk.tickets()):
                await self._carry_out(self._desk.approve(node, time.time()))
            else:
                await self._vote(node)
        roster = self._node.roster
        votes, quorum = len(roster.votes(node)), roster.charter.admit_quorum
        return {"node": node, "member": roster.allowed(node), "votes": votes, "quorum": quorum}

    async def _vote(self, node: NodeId) -> None:
        held = self._node.store.get(NODE, node, node)
        if held is None:
            raise LocalError(f"{node} does not wait for approval here: 'secured-node members' shows who does")
        word = admit(self._identity, self._node.roster, self._node.store, held.record)
        await self._publish(word)

    async def refuse(self, node: NodeId, reason: str) -> None:
        """Turn a newcomer away. Raises `LocalError`."""
        async with self._turn:
            await self._carry_out(self._desk.refuse(node, reason, time.time()))

    async def revoke(self, node: NodeId, reason: str, *, last_steward: bool = False) -> None:
        """End a membership for good. Raises `LocalError`."""
        await self._publish(self.revocation(node, reason, last_steward=last_steward))

    def revocation(self, node: NodeId, reason: str, *, last_steward: bool = False) -> Record:
        """The record that would end a membership, published nowhere yet. Raises `LocalError` if it could not stand.

        last_steward: whether it is meant even where it leaves too few stewards to go on with.
        """
        record = revoke(self._identity, self._node.roster, self._node.store, node, reason)
        ends = self.ends_with(node)
        if ends and not last_steward:
            raise LocalError(f"nobody was revoked: afterwards {ends}. If that is meant, say so with --last-steward")
        return record

    def ends_with(self, node: NodeId) -> str:
        """What the federation can never do again once this node is revoked, in words; empty if nothing."""
        acting = self._node.roster.acting_stewards()
        return lost_with(self._node.roster, [one for one in acting if one != node]) if node in acting else ""

    def members(self) -> list[dict[str, Any]]:
        """All members, for people."""
        roster = self._node.roster
        found = (roster.member(node) for node in roster.members())
        names = ("node", "name", "organisation", "endpoints", "version", "steward")
        return [{name: getattr(member, name) for name in names} for member in found]

    async def watch(self) -> None:
        """Let invitations expire, for as long as the daemon runs."""
        while True:
            wake = self._desk.wake_at_s
            await asyncio.sleep(60.0 if wake is None else min(60.0, max(1.0, wake - time.time())))
            async with self._turn:
                await self._carry_out(self._desk.expire(time.time()))

    # -- effects -------------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(fact=Ticket() as ticket):
                    await self._store.commit((Row(INVITATIONS, ticket.id, msgspec.msgpack.encode(ticket)),))
                    self.on_change()
                case Forget():
                    await self._store.commit((Row(INVITATIONS, effect.invitation, None),))
                    self.on_change()
                case Announce():
                    await self._publish(*effect.records)
                case Asked():
                    log.info("newcomer", node=effect.joiner, name=effect.name, words=" ".join(effect.words))
                    await self._note("newcomer", node=effect.joiner, name=effect.name)
                case Alarm():
                    log.error("invitation_alarm", code=effect.code, first=effect.first, later=effect.later)
                    await self._note("alarm", code=effect.code, first=effect.first, later=effect.later)
                case Refused():
                    log.warning("join_refused", code=effect.code, detail=effect.detail)
                    await self._note("refused", peer=effect.peer, code=effect.code, detail=effect.detail)

    async def _publish(self, *records: Any) -> None:
        effects = await self._running().tell(Publish(tuple(records)))
        refused = [e for e in effects if isinstance(e, Refused) and e.peer is None]
        if refused:
            raise LocalError(f"the record does not stand: {refused[0].code}: {refused[0].detail}")

    async def _note(self, event: str, **about: Any) -> None:
        await self._running().note(event, **about)

    def _running(self) -> Driver:
        if self.driver is None:
            raise LocalError("the hub is not running yet")
        return self.driver
