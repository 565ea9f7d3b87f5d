"""The links to all other members: who there is, who calls, and what goes where.

No code above this file knows who dialled or which path a link takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from protocols.errors import PeerError
from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from secured_node.net import limits
from secured_node.net.calling import CallError
from secured_node.net.closing import Closing, LinkEnd
from secured_node.net.dialler import Called, Dialler
from secured_node.net.events import Events, LinkStatus
from secured_node.net.hello import Greeter, Heard
from secured_node.net.neighbour import Neighbour
from secured_node.net.refusals import Refusals
from secured_node.net.roster import Roster
from secured_node.net.server import Kind
from secured_node.net.stream import Stream


class Links:
    """All links of this node. Also takes the streams that the server was asked for (`server.Streams`)."""

    def __init__(
        self,
        identity: Identity,
        federation: bytes,
        roster: Callable[[], Roster],
        events: Events,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """federation: its id. roster: the present one. wall: the clock to compare with the peers'. Needs a loop."""
        self._own = identity.node
        self._roster = roster
        self._events = events
        self._refusals = Refusals(events.on_refused)  # of hellos; each neighbour has its own besides
        self._greeter = Greeter(federation, wall)
        self._dialler = Dialler(identity, self._greeter)
        self._neighbours: dict[NodeId, Neighbour] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._halves: dict[tuple[NodeId, bytes], asyncio.Future[tuple[Stream, asyncio.Future[None]]]] = {}
        self._stopped = False

    def refresh(self) -> None:
        """The roster has changed, or the effort is to begin: call whom it names, cut whom it does not."""
        if self._stopped:
            return
        members = {node for node in self._roster().members if node != self._own and self._events.allowed(node)}
        for node in self._neighbours.keys() - members:
            self.cut(node)
        for node in members:
            self._neighbour(node, called=False)

    def cut(self, node: NodeId) -> None:
        """The node is not a member any more: nothing it sends is delivered from now on, and its link is closed."""
        neighbour = self._neighbours.pop(node, None)
        if neighbour is not None:
            neighbour.cut(Closing.REVOKED)
            leaving = asyncio.create_task(neighbour.stop(Closing.REVOKED))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def send(self, peer: NodeId, message: Message, payload: Payload | None = None) -> bool:
        """Give a message to the link to `peer`. False if it was dropped: no link, or no room in its queue.

        The payload is not copied: it must not change until it is sent. A payload under way when the link breaks is
        resumed by the next link; a message is not. Raises `LocalError` for what the wire cannot carry.
        """
        neighbour = self._neighbours.get(peer)
        return neighbour is not None and neighbour.send(message, payload)

    def status(self) -> list[LinkStatus]:
        """How things stand with each other member."""
        return [neighbour.status() for _, neighbour in sorted(self._neighbours.items())]

    async def stop(self) -> None:
        """Say goodbye to everybody; returns when all is closed."""
        self._stopped = True
        neighbours = list(self._neighbours.values())
        self._neighbours.clear()
        await asyncio.gather(*(neighbour.stop(Closing.STOPPED) for neighbour in neighbours), *self._leaving)
        for half in self._halves.values():
            half.cancel()
        await self._dialler.close()

    async def serve(self, kind: Kind, peer: NodeId, stream: Stream) -> None:
        """A member opened a stream to us (`server.Streams`); returns when it is closed."""
        try:
            heard = await self._greeter.hear(stream)
            if kind == "control":
                await self._serve_control(peer, stream, heard)
            else:
                await self._serve_bulk(peer, stream, heard)
        except LinkEnd as end:
            if end.code in (Closing.WRONG_FEDERATION, Closing.WRONG_VERSION):
                self._refusals.tell(peer, end.reason, "a link from a member whose hello does not fit ours")
            await stream.close(end.code or Closing.STOPPED)
        except PeerError as error:
            self._refusals.tell(peer, error.code, error.detail)
            await stream.close(Closing.VIOLATION)

    async def _serve_control(self, peer: NodeId, control: Stream, heard: Heard) -> None:
        neighbour = self._neighbour(peer, called=True)
        refusal = await neighbour.judge_caller()
        if refusal is not None:
            raise LinkEnd(refusal)
        half: asyncio.Future[tuple[Stream, asyncio.Future[None]]] = asyncio.get_running_loop().create_future()
        self._halves[peer, heard.link] = half
        try:
            await self._greeter.say(control, heard.link)
            async with asyncio.timeout(limits.HELLO_S):
                bulk, over = await half
        except TimeoutError:
            raise LinkEnd(Closing.LATE) from None
        finally:
            del self._halves[peer, heard.link]
        try:
            await self._neighbour(peer, called=True).adopt(Called(control, bulk, heard), dialled=False).over
        finally:
            over.cancel()

    async def _serve_bulk(self, peer: NodeId, bulk: Stream, heard: Heard) -> None:
        half = self._halves.get((peer, heard.link))
        if half is None or half.done():
            raise LinkEnd(Closing.LATE)
        await self._greeter.say(bulk, heard.link)  # before the link lives: it must be the first frame
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if half.done():
            raise LinkEnd(Closing.LATE)
        half.set_result((bulk, over))
        await asyncio.wait((over,))

    def _neighbour(self, node: NodeId, *, called: bool) -> Neighbour:
        """The neighbour; a new one if it is a member. Raises `LinkEnd` if it is none, or everything is ending."""
        if self._stopped or not self._events.allowed(node):
            raise LinkEnd(Closing.STOPPED if self._stopped else Closing.REVOKED)
        neighbour = self._neighbours.get(node)
        if neighbour is None:
            neighbour = Neighbour(self._own, node, self._dial, self._events)
            self._neighbours[node] = neighbour
            neighbour.start(called=called)
        return neighbour

    async def _dial(self, node: NodeId) -> Called:
        contact = self._roster().members.get(node)
        if contact is None:
            raise CallError("no_endpoint", "nothing is known of it yet; it has to call")
        return await self._dialler.dial(node, contact)
