"""What lies on this machine's disk: configuration, state folder, key, room. Who may read and write it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import Final

from protocols.identity import NodeId
from secured_node.config import Config, ConfigError, load_config
from secured_node.doctor.finding import Finding, doubt, fine, wrong
from secured_node.state import KEY, State, StateError

FREE_BAD_BYTES: Final = 256 << 20
"""Less room than this and one vector of 10^7 words with its sum may not fit: rounds stop."""
FREE_LOW_BYTES: Final = 2 << 30
"""Each certified sum is kept for good: room for some ten more of the largest is a time to act, not an emergency."""
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
OTHERS_LIST: Final = stat.S_IRGRP | stat.S_IROTH


def check_configuration(
    path: Path | None, daemon_uid: int | None, *, running: bool = False
) -> tuple[Config, list[Finding]]:
    """The configuration, the defaults where it cannot be used. daemon_uid: who must be able to read it, if known.

    running: whether a daemon said that it has none, where path is None.
    """
    if path is None:
        where = "the running daemon has no file" if running else "no file was named, and none is in the usual place"
        return Config(), [fine("configuration", f"{where}: every option has its default")]
    try:
        config = load_config(path)
        status = path.stat()
    except (ConfigError, OSError) as error:
        return Config(), [wrong("configuration", str(error), f"mend {path}; config.example.toml shows every option")]
    findings = [_unknown_group(role, group) for role, group in _role_groups(config) if not _group_exists(group)]
    if status.st_mode & OTHERS_WRITE:
        why = (
            f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):o}): they decide what this site joins"
        )
        findings.append(wrong("configuration", why, f"chmod go-w {path}"))
    elif daemon_uid is not None and status.st_uid not in (0, daemon_uid):
        why = f"{path} belongs to {_user(status.st_uid)}, who decides with it what this site joins"
        findings.append(doubt("configuration", why, f"chown root {path}"))
    if daemon_uid is not None and not _readable_by(status, daemon_uid):
        why = f"{path} cannot be read by the daemon's user {_user(daemon_uid)}"
        findings.append(wrong("configuration", why, f"chmod 644 {path}"))
    return config, findings or [fine("configuration", f"{path} is valid")]


def _role_groups(config: Config) -> list[tuple[str, str]]:
    names = config.roles.__struct_fields__
    return [(name, getattr(config.roles, name)) for name in names if getattr(config.roles, name)]


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _unknown_group(role: str, group: str) -> Finding:
    why = f"roles.{role} = {group!r}: this machine has no such group"
    return doubt("configuration", why, f"groupadd {group}, or name another")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _readable_by(status: os.stat_result, uid: int) -> bool:
    if uid == 0 or status.st_mode & stat.S_IROTH:
        return True
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IRUSR)
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return bool(status.st_mode & stat.S_IRGRP) and status.st_gid in os.getgrouplist(user.pw_name, user.pw_gid)


def owner_of(folder: Path) -> int | None:
    """The user to whom the state folder belongs, as whom the daemon runs; None if it cannot be seen."""
    try:
        return folder.stat().st_uid
    except OSError:
        return None


def check_state_folder(folder: Path, config: Config) -> Finding:
    """The folder, its owner and its mode."""
    try:
        status = folder.stat()
    except OSError as error:
        todo = "secured-node init, or secured-node join; another place is named with --state"
        return wrong("state folder", f"{folder}: {error.strerror}", todo)
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode):
        return wrong("state folder", f"{folder} is no folder", "name another with --state")
    if mode & (OTHERS_WRITE | OTHERS_LIST):
        why = f"{folder} can be listed or written by others (mode {mode:o})"
        return wrong("state folder", why, f"chmod 711 {folder}")
    if _role_groups(config) and not mode & stat.S_IXOTH:
        why = f"{folder} has mode {mode:o}: nobody else reaches the socket in it, and so the roles of [roles] are void"
        return doubt("state folder", why, f"chmod 711 {folder}")
    return fine("state folder", f"{folder}, of {_user(status.st_uid)}, mode {mode:o}")


def check_key(state: State, running: NodeId | None, *, credential: bool) -> tuple[NodeId | None, Finding]:
    """This hub's id as its key says, and how the key lies there. running: the id that the running daemon has.

    credential: whether the unit hands the key over, so that it is nowhere to be seen while the daemon does not run.
    """
    path = state.folder / KEY
    try:
        node = state.identity().node
    except StateError as error:
        return running, _without_key(path, str(error), running, credential)
    if running is not None and running != node:
        todo = f"remove {path}, or the credential; then restart"
        return running, wrong("key", f"the daemon runs with another key than {path} holds: {running}", todo)
    owner, status = owner_of(state.folder), path.stat() if path.exists() else None
    if status is not None and owner is not None and status.st_uid != owner:
        why = f"{path} belongs to {_user(status.st_uid)}, the folder to {_user(owner)}"
        return node, wrong("key", why, f"chown {_user(owner)} {path}")
    where = f"{path}, mode {stat.S_IMODE(status.st_mode):o}" if status is not None else "a credential of systemd"
    return node, fine("key", f"{node}; {where}")


def _without_key(path: Path, why: str, running: NodeId | None, credential: bool) -> Finding:
    if path.exists():
        if not os.access(path, os.R_OK):
            return doubt(
                "key", f"{path} is out of this user's reach, as it should be", "run this as root to look at it"
            )
        return wrong("key", why)
    if running is not None:
        return fine("key", f"{running}; the running daemon has it, as a credential of systemd")
    if credential:
        return doubt("key", "systemd hands it over as a credential, which is seen only while the daemon runs")
    return wrong("key", why)


def check_disk(folder: Path) -> Finding:
    """Room in the state folder."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return wrong("disk", f"{folder}: {error.strerror}")
    found = f"{free / (1 << 30):.1f} GiB free in {folder}"
    todo = "make room: without it rounds stop, with nothing lost"
    if free < FREE_BAD_BYTES:
        return wrong("disk", found, todo)
    return doubt("disk", found, todo) if free < FREE_LOW_BYTES else fine("disk", found)
