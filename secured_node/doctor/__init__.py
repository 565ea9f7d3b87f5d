"""Finding out what is wrong with a hub, with its daemon or without.

Each check is a function from what it needs to findings, writes nothing, and never raises for what it finds. With a
running daemon its own word is taken for links, clocks and walls; without one they are tried from here. What a check
cannot see, because this user may not, it says.
"""

from __future__ import annotations

from pathlib import Path

from protocols.identity import NodeId
from secured_node.doctor.daemon import ask_daemon, check_daemon
from secured_node.doctor.database import check_database, check_federation, read_roster
from secured_node.doctor.finding import Finding, Verdict, exit_code, overall
from secured_node.doctor.machine import check_clock, check_service, check_worker, find_unit, synchronised
from secured_node.doctor.network import check_members, check_port
from secured_node.doctor.site import check_configuration, check_disk, check_key, check_state_folder, owner_of
from secured_node.state import State

__all__ = ["Finding", "Verdict", "examine", "exit_code", "overall"]


async def examine(
    folder: Path, config_path: Path | None, *, otherwise: Path | None = None, usual_state: bool = False
) -> list[Finding]:
    """All checks. folder: the state folder. usual_state: whether it is the one that the service uses.

    config_path: the configuration to look at; None: the running daemon's own, or `otherwise` if none runs.
    """
    state = State(folder)
    daemon = ask_daemon(state.api_socket)
    running = NodeId(daemon.status.node) if daemon.status is not None else None
    if config_path is None:
        told = daemon.status.config if daemon.status is not None else None
        config_path = otherwise if daemon.status is None else Path(told) if told is not None else None
    config, findings = check_configuration(config_path, owner_of(folder), running=daemon.status is not None)
    findings.append(check_state_folder(folder, config))
    if owner_of(folder) is None:
        return findings
    unit = find_unit() if usual_state else None
    own, key = check_key(state, running, credential=unit is not None and unit.gives_key)
    contents, database = check_database(folder)
    roster = read_roster(contents)
    findings += [key, *database, *check_federation(contents, roster, own)]
    findings += [check_disk(folder), *check_clock(daemon, synchronised()), check_daemon(daemon)]
    findings.append(await check_port(config.network.listen, own, running=daemon.status is not None))
    findings += check_service(config, unit)
    findings += await check_worker(config, daemon)
    findings += await check_members(daemon, roster, own)
    return findings
