"""The configuration file: what may be set, in which unit, with which default, and whether a reload changes it.

`config.example.toml` shows every option with its default; a test compares the two. Unknown keys are errors. Options
under `LIVE` change on SIGHUP; the rest needs a restart, and a reload that touches it says so.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from protocols.errors import PeerError
from protocols.membership.endpoint import check_endpoint
from secured_node.data.strict import allowed, why_and_key

LIVE: Final = ("network.seeds", "policy", "privacy", "roles", "log.level")
"""Options that a reload changes in a running daemon."""
CONFIG_BYTES_MAX: Final = 1 << 20
ENDPOINTS_MAX: Final = 3
VALUE_CHARS_MAX: Final = 80
"""Of a value that is shown in an error."""


NoiseLevel = Literal["none", "record", "site"]
"""What noise hides, the weakest first: nothing, one record (a row), all that a site puts in."""
NOISE_LEVELS: Final = ("none", "record", "site")
Epsilon = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class ConfigError(Exception):
    """A configuration that cannot be used. The text names file, key, value and what is allowed."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: strict."""


class Network(Options, frozen=True):
    """How others reach this hub, and it them.

    listen: address and port to listen on. endpoints: where others should dial, up to three; none: this hub only dials
    out. seeds: addresses to try besides those in records (hints; keys are pinned).
    """

    listen: str = "0.0.0.0:7443"
    endpoints: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()


class WorkerOptions(Options, frozen=True):
    """The process that reads data. socket: systemd's socket to connect to; empty: start it as a child.

    sandbox: strict, or none on machines without seccomp and Landlock (never with patients). timeout_s: how long one
    computation may take. min_rows: the least rows of this site that a job may be content with, whatever the policy's
    rules say; a worker of systemd holds the number on its own command line.
    """

    socket: str = ""
    sandbox: Literal["strict", "none"] = "strict"
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)] = 3600.0
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 10


class Rule(Options, frozen=True):
    """One rule of the policy. A pattern may hold ``*``; an empty one fits everything. The first rule that fits decides.

    task, data, submitter, purpose: of the job. min_nodes: it must ask for at least so many. max_rounds: and at most so
    many sums. min_rows: this site must have at least so many. noise: what it must hide at least. epsilon_max: what it
    may cost at most, at `privacy.delta`. action: join, ask or refuse.
    """

    action: Literal["join", "ask", "refuse"]
    task: str = "*"
    data: str = "*"
    submitter: str = "*"
    purpose: str = "*"
    min_nodes: Annotated[int, msgspec.Meta(ge=3)] = 3
    max_rounds: Annotated[int, msgspec.Meta(ge=1)] = 100
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 10
    noise: NoiseLevel = "none"
    epsilon_max: Epsilon = 1000.0


class Policy(Options, frozen=True):
    """What this site allows. default: for jobs that no rule fits. allow_isolation: a data manager may let this site be
    seen alone in sums with others (off: nobody here can choose it)."""

    rule: tuple[Rule, ...] = ()
    default: Literal["join", "ask", "refuse"] = "ask"
    allow_isolation: bool = False


class Privacy(Options, frozen=True):
    """Noise and what it may cost. noise: what every job on a data set must hide at least. epsilon_max, delta: all that
    is ever spent on one data set, unless `budget` names another epsilon for it."""

    noise: NoiseLevel = "none"
    epsilon_max: Epsilon = 10.0
    delta: Annotated[float, msgspec.Meta(gt=0, le=0.1)] = 1e-6
    budget: dict[str, Epsilon] = {}

    def epsilon_of(self, data: str) -> float:
        """The budget of a data set."""
        return self.budget.get(data, self.epsilon_max)


class Roles(Options, frozen=True):
    """Unix groups whose members may do what over the local socket. Root and the daemon's own user may do everything."""

    admin: str = ""
    data: str = ""
    research: str = ""


class Log(Options, frozen=True):
    """level: debug, info, warning or error. format: json or text."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "text"


class Config(Options, frozen=True):
    """All options."""

    network: Network = msgspec.field(default_factory=Network)
    worker: WorkerOptions = msgspec.field(default_factory=WorkerOptions)
    policy: Policy = msgspec.field(default_factory=Policy)
    privacy: Privacy = msgspec.field(default_factory=Privacy)
    roles: Roles = msgspec.field(default_factory=Roles)
    log: Log = msgspec.field(default_factory=Log)


def load_config(path: Path | None) -> Config:
    """Read a file; without one, the defaults. Raises `ConfigError`."""
    if path is None:
        return Config()
    try:
        raw = path.read_bytes()
        if len(raw) > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path} has {len(raw)} bytes; at most {CONFIG_BYTES_MAX} are read")
        return parse_config(tomllib.loads(raw.decode()), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def parse_config(raw: dict[str, Any], name: str) -> Config:
    """Options from plain values. Raises `ConfigError`; name: of the file, for its text."""
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        why, key = why_and_key(error)
        about = f"{key} = {_value(raw, key)!r}: {why}" if key else why
        raise ConfigError("; ".join(part for part in (f"{name}: {about}", allowed(Config, key)) if part)) from None
    _check_listen(name, config.network.listen)
    if len(config.network.endpoints) > ENDPOINTS_MAX:
        raise ConfigError(f"{name}: network.endpoints lists {len(config.network.endpoints)}; at most {ENDPOINTS_MAX}")
    for key, addresses in (("endpoints", config.network.endpoints), ("seeds", config.network.seeds)):
        for address in addresses:
            _check_address(name, f"network.{key}", address)
    return config


def _value(raw: Any, key: str) -> Any:
    """What stands at a key, shortened; for a whole section, its keys."""
    for part in re.findall(r"[^.\[\]]+", key):
        raw = raw[int(part)] if isinstance(raw, list) else raw.get(part)
    return sorted(raw) if isinstance(raw, dict) else raw if isinstance(raw, int | float) else str(raw)[:VALUE_CHARS_MAX]


def _check_listen(name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        usable = int(port) in range(1 << 16)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{name}: network.listen = {address!r}: it is an IP address of this machine and a port")


def _check_address(name: str, key: str, address: str) -> None:
    try:
        check_endpoint(address)
    except PeerError as error:
        raise ConfigError(f"{name}: {key} = {address!r}: {error.detail}; it is host:port") from None


def changes(old: Config, new: Config) -> tuple[list[str], list[str]]:
    """Names of options that differ: those that a reload changes, and those that need a restart."""
    live: list[str] = []
    restart: list[str] = []
    for section in Config.__struct_fields__:
        before, after = getattr(old, section), getattr(new, section)
        for field in before.__struct_fields__:
            if getattr(before, field) == getattr(after, field):
                continue
            name = f"{section}.{field}"
            (live if name in LIVE or section in LIVE else restart).append(name)
    return live, restart
