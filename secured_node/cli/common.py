"""What all commands share: where the hub is, how to ask it, how to print, what the exit codes mean."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import textwrap
from collections.abc import Callable
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from protocols.errors import PeerError
from protocols.membership.endpoint import check_endpoint
from secured_node.state import API_SOCKET, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STATE_DEFAULT: Final = Path("/var/lib/secured-node")
STATE_VARIABLE: Final = "SECURED_NODE_STATE"
CONFIG_VARIABLE: Final = "SECURED_NODE_CONFIG"
ANSWER_TIMEOUT_S: Final = 3700.0
"""A little more than the longest a worker may take to check a data set by default."""

NAME_CHARS: Final = 11
"""Of a name before its value, so that values stand below each other."""

F = TypeVar("F", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes; docs/exit-codes.md says the same, and a test compares them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    REFUSED = 4
    CONFIG = 5
    STATE = 6
    NOT_FOUND = 7
    PROOF = 8


_CODES: Final = {
    HTTPStatus.BAD_REQUEST: Exit.USAGE,
    HTTPStatus.FORBIDDEN: Exit.REFUSED,
    HTTPStatus.NOT_FOUND: Exit.NOT_FOUND,
}
"""What an answer's status means for the exit code; any other: FAILED."""


class CommandError(Exception):
    """An error for the person at the screen: what, why, what to do, and the exit code."""

    def __init__(self, what: str, why: str = "", todo: str = "", exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(what)
        self.what, self.why, self.todo, self.exit_code = what, why, todo, exit_code


def report(failure: CommandError) -> None:
    """Print a failure; as JSON where the command was asked for that."""
    if "--json" in sys.argv:
        body = {"what": failure.what, "why": failure.why, "todo": failure.todo, "exit_code": int(failure.exit_code)}
        click.echo(msgspec.json.encode({"error": body}).decode(), err=True)
        return
    console = screen(stderr=True)
    console.print("error:", style="red", end=" ")
    console.print(plain(f"{failure.what}{': ' if failure.why else ''}{failure.why}"))
    if failure.todo:
        console.print(plain(f"  try: {failure.todo}"))


def plain(text: str) -> Text:
    """Text of a peer to print: no markup in it is read, nothing in it steers the terminal."""
    from rich.text import Text  # noqa: PLC0415 - as in `screen`

    return Text(safe(text))


def safe(text: str) -> str:
    """Text of a peer as a terminal may show it: what would steer the terminal is written out."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def with_state(command: F) -> F:
    """The option that says which hub is meant."""
    option = click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        default=STATE_DEFAULT,
        envvar=STATE_VARIABLE,
        show_default=True,
        help=f"The hub's state folder (or ${STATE_VARIABLE}).",
    )
    return option(command)


def _check_endpoints(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            check_endpoint(value)
        except PeerError as error:
            raise click.BadParameter(f"{value!r}: {error.detail}") from None
    return values


def with_endpoints(text: str) -> Callable[[F], F]:
    """The option that says where a hub is reached, checked before anything is done. text: its help."""
    return click.option(
        "--endpoint", "endpoints", multiple=True, metavar="HOST:PORT", help=text, callback=_check_endpoints
    )


def hours(most: float) -> Callable[[click.Context, click.Parameter, float], float]:
    """The check of an option in hours: more than 0, at most `most`."""

    def check(_: click.Context, __: click.Parameter, value: float) -> float:
        if not 0 < value <= most:
            raise click.BadParameter(f"{value:g} hours; it is more than 0 and at most {most:g}")
        return value

    return check


def with_json(command: F) -> F:
    """The option to print JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")(command)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(state: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the running daemon. Raises `CommandError`."""
    connection = _UnixConnection(State(state).api_socket)
    try:
        connection.request(method, path, None if body is None else msgspec.json.encode(body))
        answer = connection.getresponse()
        data = answer.read()
    except (FileNotFoundError, ConnectionRefusedError):
        raise _silent(state) from None
    except PermissionError:
        why, todo = f"this user may not enter {state}", "ask its administrator; other users need mode 711 on it"
        raise CommandError("the hub cannot be asked", why, todo, Exit.NOT_RUNNING) from None
    except (OSError, http.client.HTTPException) as error:
        raise CommandError("the hub did not answer", str(error), "secured-node doctor", Exit.NOT_RUNNING) from None
    finally:
        connection.close()
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise _failure(answer.status, data)
    return msgspec.json.decode(data)


def _silent(state: Path) -> CommandError:
    """Why nothing listens: no such folder, no hub in it, or a hub whose daemon does not run."""
    if not os.path.isdir(state):  # noqa: PTH112 - Path.is_dir raises where it may not look
        why, todo = f"there is no folder {state}", f"name the hub's state folder with --state, or in ${STATE_VARIABLE}"
    elif not State(state).has_key and not (state / API_SOCKET).exists():
        why, todo = f"{state} holds no hub", "secured-node init or secured-node join make one; or name another --state"
    else:
        why = f"nothing listens in {state}"
        todo = f"systemctl start secured-node, or: secured-node run --state {state}"
    return CommandError("the hub is not running", why, todo, Exit.NOT_RUNNING)


def _failure(status: int, data: bytes) -> CommandError:
    try:
        error = msgspec.json.decode(data)["error"]
        parts = (error["what"], error["why"], error["todo"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return CommandError(f"the hub answered with status {status}", "", "look into its log")
    return CommandError(*parts, _CODES.get(HTTPStatus(status), Exit.FAILED))


def because(error: Exception) -> str:
    """Why a file could not be used, without the numbers of the operating system."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def put(as_json: bool, value: Any, human: Callable[[Console], None]) -> None:
    """Print a value: as JSON, or as `human` shows it."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
        return
    human(screen(width=None if sys.stdout.isatty() else 160))


def screen(**options: Any) -> Console:
    """A console that takes texts as they are: what looks like markup in them is text."""
    from rich.console import Console  # noqa: PLC0415 - the daemon, which is a command too, never prints a table

    return Console(highlight=False, emoji=False, markup=False, **options)


def table(console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A plain table; nothing where there are no rows but a line that says so."""
    if not rows:
        console.print(f"{title}: none")
        return
    from rich.table import Table  # noqa: PLC0415 - as above

    made = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else plain(str(cell)) for cell in row))
    console.print(made)


def fields(console: Console, *lines: tuple[str, str]) -> None:
    """Lines of a name and a text, which may be a peer's; those without text are left out."""
    for name, text in lines:
        first = f"  {name:<{NAME_CHARS}} "
        wrapped = textwrap.wrap(
            safe(text).replace("\n", " "),
            max(console.width, 2 * len(first)),
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in wrapped:  # an id or a path that is longer stays whole, to be copied
            console.print(line, markup=False, soft_wrap=True)


def spent(budget: dict[str, Any]) -> str:
    """A data set's privacy budget in a few words."""
    words = f"{budget['epsilon_spent']:.3g} of {budget['epsilon_max']:g} spent at delta {budget['delta']:g}"
    if budget["rho_set_aside"]:
        words += f", rho {budget['rho_set_aside']:.3g} set aside"
    exact = budget["exact_jobs"]
    return words + (f"; {exact} job{'s' if exact > 1 else ''} with exact sums beside that" if exact else "")


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 sum, 2 sums."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(node: str) -> str:
    """The end of an id, by which a person can name it."""
    return "…" + node[-8:]


def config_path(given: Path | None) -> Path | None:
    """The configuration file: as given, from the environment, or the usual place if there is one."""
    if given is not None:
        return given
    from_environment = os.environ.get(CONFIG_VARIABLE)
    if from_environment:
        return Path(from_environment)
    usual = Path("/etc/secured-node/config.toml")
    return usual if os.path.exists(usual) else None  # noqa: PTH110 - Path.exists raises where it may not look


def with_config(command: F) -> F:
    """The option that names the configuration file."""
    option = click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), help="The configuration file (TOML)."
    )
    return option(command)
