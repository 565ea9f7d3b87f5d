"""The composition root: builds a hub out of its parts and runs it. The only file that knows all the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from protocols.core import Event
from protocols.identity import NodeId
from protocols.job.restore import restore
from protocols.membership.acts import describe
from protocols.membership.kinds import ADMISSION, NODE, REVOCATION
from protocols.message import Message, Payload
from protocols.node import Node
from protocols.records.events import Dropped, Learned, Publish
from protocols.records.record import decode_record
from secured_node import VERSION
from secured_node.api.routes import routes
from secured_node.api.server import Api
from secured_node.budget import Budgets
from secured_node.config import Config, ConfigError, Log, Network, changes, load_config
from secured_node.datasets import DataSets
from secured_node.driver import Driver
from secured_node.founding import CHARTER, NAME, ORGANISATION, node_body
from secured_node.jobs import Jobs
from secured_node.listening import ListenError
from secured_node.logs import set_up_logs
from secured_node.membership import Membership
from secured_node.net.links import Links
from secured_node.net.server import Server
from secured_node.notify import Notifier
from secured_node.service import Service
from secured_node.state import State, StateError
from secured_node.store.store import SETTINGS, Store
from secured_node.work.supervisor import ChildLauncher, Launcher, SocketLauncher, Supervisor, WorkError

log = structlog.get_logger()

MEMBERSHIP_KINDS = frozenset({ADMISSION, REVOCATION, NODE})
"""Records after which the trust store may have to change."""


class Hub:
    """A running hub. Make it with `open`, then `run` until it is told to stop."""

    def __init__(self, state: State, config_path: Path | None, config: Config, store: Store, node: Node) -> None:
        """Use `open`."""
        self.config = config
        self._state, self._config_path, self._store, self._node = state, config_path, store, node
        self._stopping = asyncio.Event()
        self._refreshing = False

    @classmethod
    async def open(cls, state: State, config_path: Path | None) -> Hub:
        """Read configuration, key and database. Raises `ConfigError`, `StateError`, `DatabaseError`."""
        config = load_config(config_path)
        identity = state.identity()
        state.lock()
        store = Store(state.folder)
        charter = (await store.rows(SETTINGS)).get(CHARTER)
        if charter is None:
            await store.close()
            raise StateError(
                f"{state.folder} belongs to no federation: run 'secured-node init' or 'secured-node join'."
            )
        swept = await store.sweep()
        if swept:
            log.info("left_over_blobs_deleted", count=swept)
        records, facts = await store.records(), restore(await store.job_facts())
        hub = cls(state, config_path, config, store, Node(identity, decode_record(charter), os.urandom, records, facts))
        await hub._compose(hub._node)
        return hub

    async def _compose(self, node: Node) -> None:
        store, config, identity = self._store, self.config, node.identity
        self._membership = Membership(identity, node, store, await Membership.tickets(store), self._seeds)
        self._supervisor = Supervisor(self._launcher(), local_s=config.worker.timeout_s)
        data, budgets = await DataSets.load(store), await Budgets.load(store)
        self._jobs = Jobs(
            node,
            store,
            data,
            budgets,
            self._supervisor,
            lambda: self.config,
            post=self._post,
            on_record=self._on_record,
        )
        events = _NetEvents(self)
        self._links = Links(identity, node.federation, self._membership.contacts, events)
        self._driver = Driver(node, store, self._links, self._jobs)
        self._membership.driver = self._driver
        self._membership.on_change = self._refresh_soon
        self._server = Server(
            identity,
            self._membership.contacts,
            streams=self._links,
            join=self._membership.join,
            allowed=node.roster.allowed,
            on_refused=events.on_refused,
        )
        self.service = Service(
            node,
            self._driver,
            store,
            data,
            self._supervisor,
            lambda: self.config,
            self._links.status,
            approve=self._jobs.approve,
            budget=lambda name: budgets.shown(name, self.config.privacy, self._jobs.counted()),
            config_path=self._config_path.absolute() if self._config_path is not None else None,
        )
        endpoints = config.network.endpoints
        table = routes(self.service, self._membership, store, endpoints)
        self._api = Api(table, lambda: self.config.roles, self.service.words)

    def _seeds(self) -> tuple[str, ...]:
        return self.config.network.seeds

    def _launcher(self) -> Launcher:
        options = self.config.worker
        if options.socket:
            return SocketLauncher(Path(options.socket))
        self._state.make_scratch()
        return ChildLauncher(self._state.scratch, options.sandbox, min_rows=options.min_rows)

    # -- running -------------------------------------------------------------------------------------------------

    async def run(self, ready: Callable[[int], None] = lambda _: None) -> None:
        """Serve until SIGTERM or SIGINT. ready: called with the port once everything listens. Raises `ListenError`."""
        notifier = Notifier()
        self._handle_signals(notifier)
        tasks = [asyncio.create_task(self._driver.run()), asyncio.create_task(self._membership.watch())]
        tasks += [asyncio.create_task(notifier.watchdog()), asyncio.create_task(self._try_walls())]
        try:
            port = self._listen()
            await self._describe(port)
            self._links.refresh()
            self._supervisor.start()
            await self._api.start(self._state.api_socket)
            await self._driver.note("started", version=VERSION, node=self._node.identity.node)
            log.info("ready", node=self._node.identity.node, port=port, members=len(self._node.roster.members()))
            notifier.ready()
            ready(port)
            stop = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
        finally:
            notifier.stopping()
            await self._stop(tasks)

    def _listen(self) -> int:
        """Listen where the configuration says; the port. Raises `ListenError`."""
        address = self.config.network.listen
        host, _, port = address.rpartition(":")
        try:
            return self._server.listen(host.strip("[]"), int(port))
        except OSError as error:
            raise ListenError(address, error) from None

    async def _try_walls(self) -> None:
        """Find out once how a worker's walls stand here: `status` says it, and so does the log if they do not hold."""
        try:
            self.service.walls = await self._supervisor.try_walls()
        except WorkError as error:
            log.error("no_worker", reason=str(error))
        else:
            if not self.service.walls.sufficient:
                log.error("walls_insufficient", failed=self.service.walls.failed, open=self.service.walls.open)
        await asyncio.Event().wait()

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        """In the order in which they need each other: no new requests, no links, then what runs, last the store."""
        await self._api.stop()
        await self._links.stop()
        await self._server.stop()
        await self._jobs.stop()
        await self._supervisor.close()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._driver.stop()
        with contextlib.suppress(Exception):
            await self._driver.note("stopped")
        await self._store.close()
        for failure in results:
            if isinstance(failure, Exception):
                raise failure

    async def _describe(self, port: int) -> None:
        """Say where this hub is, if that changed since it last said so."""
        settings = await self._store.rows(SETTINGS)
        name, organisation = (settings[key].decode() for key in (NAME, ORGANISATION))
        endpoints = tuple(e.replace(":0", f":{port}") if e.endswith(":0") else e for e in self.config.network.endpoints)
        body = node_body(self._node.identity, name, organisation, endpoints)
        held = self._node.store.get(NODE, self._node.identity.node, self._node.identity.node)
        if held is not None and held.body == body:
            return
        sequence = self._node.store.next_sequence(NODE, self._node.identity.node, self._node.identity.node)
        record = describe(self._node.identity, self._node.federation, body, sequence=sequence)
        await self._driver.tell(Publish((record,)))

    def _handle_signals(self, notifier: Notifier) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._reload(notifier))

    def _reload(self, notifier: Notifier) -> None:
        """SIGHUP: take the new configuration if it is valid; say what needs a restart."""
        notifier.reloading()
        try:
            new = load_config(self._config_path)
        except ConfigError as error:
            log.error("reload_refused", reason=str(error), kept="the old configuration")
        else:
            live, restart = changes(self.config, new)
            self.config = msgspec.structs.replace(
                self.config,
                policy=new.policy,
                privacy=new.privacy,
                roles=new.roles,
                log=_level(self.config, new),
                network=_seeds(self.config, new),
            )
            set_up_logs(self.config.log)
            self._refresh_soon()
            log.info("reloaded", changed=live, need_restart=restart)
        notifier.ready()

    # -- wiring --------------------------------------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        self._driver.post(event)

    def _on_record(self, effect: Learned | Dropped) -> None:
        if effect.record.kind in MEMBERSHIP_KINDS:
            self._refresh_soon()

    def _refresh_soon(self) -> None:
        """One new trust store for many records that arrive together; before the next message is looked at."""
        if not self._refreshing:
            self._refreshing = True
            asyncio.get_running_loop().call_soon(self._refresh)

    def _refresh(self) -> None:
        self._refreshing = False
        self._server.refresh()
        self._links.refresh()


def _seeds(old: Config, new: Config) -> Network:
    return msgspec.structs.replace(old.network, seeds=new.network.seeds)


def _level(old: Config, new: Config) -> Log:
    return msgspec.structs.replace(old.log, level=new.log.level)


class _NetEvents:
    """What the links tell and ask (`net.events.Events`)."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def allowed(self, node: NodeId) -> bool:
        return self._hub._node.roster.allowed(node)

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        return self._hub._node.expects(sender, message, size)

    def on_message(self, peer: NodeId, message: Message, payload: Payload | None) -> None:
        self._hub._driver.received(peer, message, payload)

    def on_up(self, peer: NodeId) -> None:
        self._hub._driver.link_up(peer)

    def on_down(self, peer: NodeId, reason: str) -> None:
        """The links log it; asks to a peer that is gone are dropped there."""

    def on_progress(self, peer: NodeId) -> None:
        self._hub._driver.progressed(peer)

    def on_refused(self, peer: NodeId | None, code: str, detail: str) -> None:
        self._hub._driver.refused(peer, code, detail)

    def on_skew(self, peer: NodeId, skew_s: float) -> None:
        log.warning("clock_skew", peer=peer, skew_s=round(skew_s, 1))
