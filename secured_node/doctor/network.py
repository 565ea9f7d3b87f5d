"""The network: is our port ours, and does each member answer, with its own key?

Without a daemon, members are called up to the point of the TLS handshake at which they show their certificate; then the
connection is closed. Nothing is sent to them, but each call is one refused stranger in their audit log.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

from protocols.identity import SEED_BYTES, Identity, NodeId
from protocols.membership.roster import Member, Roster
from secured_node.doctor.daemon import Daemon, LinkTold, perhaps_revoked
from secured_node.doctor.finding import Finding, Verdict, doubt, fine, wrong
from secured_node.net.calling import CallError
from secured_node.net.certificate import Shown
from secured_node.net.joining import who_answers

CALLS_MAX: Final = 16
"""Members called at once."""
PRIVILEGED_PORT: Final = 1024
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one's own wildcard listener is called

_BIND_TROUBLE: Final = {
    errno.EADDRNOTAVAIL: ("this machine has no such address", "name one that it has, or 0.0.0.0"),
    errno.EACCES: ("ports below 1024 need a privilege that the daemon has not", "choose a port from 1024 on"),
}


def _nobody() -> Identity:
    """A key for one call: who is asked need not learn who asks."""
    return Identity(os.urandom(SEED_BYTES))


# --- our port ---------------------------------------------------------------------------------------------------------


async def check_port(listen: str, own: NodeId | None, *, running: bool) -> Finding:
    """Whether the port to listen on is free, or held by this hub. listen: valid, as the configuration has it."""
    host, _, port_text = listen.rpartition(":")
    host, port = host.strip("[]"), int(port_text)
    if port == 0:
        return fine("port", "any free one (port 0): others find it only by what this hub publishes")
    trouble = _bind(host, port)
    if trouble == errno.EADDRINUSE:
        return await _holder(listen, host, port, own, running=running)
    if trouble:
        why, todo = _BIND_TROUBLE.get(trouble, (os.strerror(trouble), "see network.listen"))
        return wrong("port", f"{listen}: {why}", todo)
    if running:
        why = f"the daemon runs and nothing listens at {listen}: the configuration was changed since it started"
        return doubt("port", why, "systemctl restart secured-node")
    if port < PRIVILEGED_PORT:
        return doubt(
            "port", f"{listen} is free, but the unit's daemon has no privilege to take it", "see network.listen"
        )
    return fine("port", f"{listen} is free")


def _bind(host: str, port: int) -> int:
    """0 if the address can be listened on, else an errno."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


async def _holder(listen: str, host: str, port: int, own: NodeId | None, *, running: bool) -> Finding:
    """Who listens at an address that is taken."""
    todo = "end that program, or choose another port (network.listen)"
    reached = _LOOPBACK.get(host, host)
    try:
        shown = await who_answers(_nobody(), f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}")
    except CallError as error:
        return wrong("port", f"{listen} is held by another program ({error.detail})", todo)
    if own is None:
        return doubt("port", f"{listen} is held by {shown}; whether that is this hub needs its key", "run this as root")
    if shown.node != own:
        return wrong("port", f"{listen} is held by another hub: {shown}", todo)
    if not running:
        why = f"a daemon with this hub's key listens at {listen}, but does not answer in this state folder"
        return wrong("port", why, "two daemons must never share a key: find it and end it")
    return fine("port", f"{listen} is held by this hub's daemon")


# --- the members ------------------------------------------------------------------------------------------------------


async def check_members(daemon: Daemon, roster: Roster | None, own: NodeId | None) -> list[Finding]:
    """Whether each other member can be reached: by the running daemon's links, else by calling."""
    if roster is not None and own is not None and roster.revoked(own):
        return []  # nobody talks to it any more: `check_federation` says so, and no firewall is to blame
    if daemon.status is not None:
        return judge_links(daemon.links)
    if roster is None:
        return []
    if own is None:
        return [doubt("members", "which of them this hub is needs its key: nobody was called", "start the daemon")]
    others = [roster.member(node) for node in roster.members() if node != own]
    limit = asyncio.Semaphore(CALLS_MAX)

    async def call(member: Member) -> Finding:
        async with limit:
            return await _call(member)

    found = await asyncio.gather(*(call(member) for member in others))
    return [*found, *_all_silent(len(others), [one.verdict is Verdict.OK for one in found], turned_away=False)]


def judge_links(links: tuple[LinkTold, ...]) -> list[Finding]:
    """The running daemon's links: one finding for each member."""
    found = []
    for link in links:
        name = f"member {link.name}"
        if link.up:
            found.append(fine(name, f"linked for {link.since_s:.0f} s"))
            continue
        why = f"no link for {link.since_s:.0f} s: {link.trouble or 'it has not called'}"
        intercepted = link.trouble.startswith("intercepted")
        todo = "something between the two sites breaks TLS open: have it let port and address pass"
        found.append(wrong(name, why, todo) if intercepted else doubt(name, why, "is it up? do firewalls let it pass?"))
    return [*found, *_all_silent(len(links), [link.up for link in links], turned_away=perhaps_revoked(links))]


def _all_silent(members: int, reached: list[bool], *, turned_away: bool) -> list[Finding]:
    """turned_away: whether those who were called hung up after the TLS handshake."""
    if not members or any(reached):
        return []
    found = f"none of the {members} other members is reached"
    if turned_away:
        found += ": whoever was called hung up after the TLS handshake"
        todo = "perhaps this hub was revoked: ask another site; else something between the sites ends connections"
        return [wrong("members", found, todo)]
    return [wrong("members", found, "most likely it is this site's network: firewall, routes, name server")]


async def _call(member: Member) -> Finding:
    name = f"member {member.name or member.node}"
    if not member.endpoints:
        return doubt(name, "it publishes no address: it calls, and whether it does is seen by a running daemon")
    trouble = ""
    for endpoint in member.endpoints:
        try:
            return _judge_answer(name, member, endpoint, await who_answers(_nobody(), endpoint))
        except CallError as error:
            trouble = str(error)
    return doubt(name, trouble, "is it up? do firewalls let it pass?")


def _judge_answer(name: str, member: Member, endpoint: str, shown: Shown) -> Finding:
    if shown.node != member.node:
        todo = "something between the two sites breaks TLS open, or the address is another machine's now"
        return wrong(name, f"at {endpoint} answers {shown}, which is not its key", todo)
    if shown.signature != member.certificate:
        return wrong(name, f"at {endpoint} it shows another certificate than it published", "ask that site to restart")
    return fine(name, f"answers at {endpoint} with its own key")
