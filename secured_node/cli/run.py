"""`secured-node run`: the daemon. What it is made of is imported when it runs, without what only screens need."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from protocols.errors import PeerError
from secured_node.cli.common import CommandError, Exit, config_path, with_config, with_state
from secured_node.config import ConfigError, load_config
from secured_node.hiding import hidden
from secured_node.listening import ListenError
from secured_node.state import State, StateError
from secured_node.store.database import DatabaseError, StorageError


@click.command("run")
@with_state
@with_config
def command(state: Path, config: Path | None) -> None:
    """Run the daemon until it is told to stop (SIGTERM). SIGHUP reloads the configuration."""
    path = config_path(config)
    try:
        asyncio.run(_run(state, path))
    except ConfigError as error:
        todo = "mend the file; config.example.toml shows every option"
        raise CommandError("the configuration", str(error), todo, Exit.CONFIG) from None
    except (StateError, DatabaseError) as error:
        raise CommandError("the state", str(error), f"secured-node doctor --state {state}", Exit.STATE) from None
    except PeerError as error:
        raise CommandError("the state", f"its charter does not hold: {error}", "restore it", Exit.STATE) from None
    except StorageError as error:
        raise CommandError("the daemon stopped", str(error), "secured-node doctor", Exit.FAILED) from None
    except ListenError as error:
        raise CommandError("the daemon cannot listen", str(error), error.todo, Exit.FAILED) from None
    except OSError as error:
        raise CommandError(
            "the daemon stopped", f"{error.strerror or error}", "secured-node doctor", Exit.FAILED
        ) from None


async def _run(state: Path, config: Path | None) -> None:
    with hidden("rich"):
        import structlog  # noqa: F401, PLC0415 - before whoever else imports it
    from secured_node.app import Hub  # noqa: PLC0415
    from secured_node.logs import set_up_logs  # noqa: PLC0415

    set_up_logs(load_config(config).log)
    hub = await Hub.open(State(state), config)
    await hub.run(lambda port: print(f"listening on port {port}", file=sys.stderr))  # noqa: T201 - for people
