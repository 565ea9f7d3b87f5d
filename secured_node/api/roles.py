"""Who may do what over the local socket: the kernel says which user is at the other end, the configuration which role.

Root and the daemon's own user may do everything. Others have the roles of the Unix groups they are in. A route names
the role it needs; the default is that it needs one.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum

from secured_node.config import Roles


class Role(StrEnum):
    """What a local user is for this hub. anyone: whoever may open the socket."""

    ADMIN = "admin"
    DATA = "data"
    RESEARCH = "research"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class LocalUser:
    """A process at the other end of the socket, by the kernel's word."""

    uid: int
    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether the user has a role; an admin has all of them."""
        return role is Role.ANYONE or role in self.roles or Role.ADMIN in self.roles


def local_user(connection: socket.socket, roles: Roles) -> LocalUser:
    """The user at the other end (SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", credentials)
    name = _name(uid)
    if uid in (0, os.getuid()):
        return LocalUser(uid, name, frozenset({Role.ADMIN}))
    groups = _groups(name, gid)
    named = ((Role.ADMIN, roles.admin), (Role.DATA, roles.data), (Role.RESEARCH, roles.research))
    return LocalUser(uid, name, frozenset(role for role, group in named if group and group in groups))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _groups(name: str, gid: int) -> set[str]:
    names = set()
    for group in {gid, *_listed(name, gid)}:
        try:
            names.add(grp.getgrgid(group).gr_name)
        except KeyError:
            continue
    return names


def _listed(name: str, gid: int) -> list[int]:
    try:
        return os.getgrouplist(name, gid)
    except OSError:
        return []
