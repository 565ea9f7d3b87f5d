"""The configuration: the example is the defaults, errors help, a reload knows what it can change."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from secured_node.config import CONFIG_BYTES_MAX, LIVE, Config, ConfigError, Rule, changes, load_config, parse_config

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
TEXT = EXAMPLE.read_text()
OPTION = r"^# Default: (.+)\. Changes: on (reload|restart)\.\n(\w+) = (.*)$"
"""The last line of an option's comment, and the option."""


def options() -> set[str]:
    """Every option that the code knows, as section.key."""
    found = set()
    for section in Config.__struct_fields__:
        found |= {f"{section}.{key}" for key in getattr(Config(), section).__struct_fields__}
    return found


def example_rules() -> list[dict[str, Any]]:
    """The rules that the example shows as comments."""
    blocks = re.findall(r"^# \[\[policy\.rule\]\]\n(?:# \w+ = .*\n)+", TEXT, re.MULTILINE)
    text = re.sub(r"^# ", "", "".join(blocks), flags=re.MULTILINE)
    rules: list[dict[str, Any]] = tomllib.loads(text)["policy"]["rule"]
    return rules


# --- the example and the defaults (house rule 12) ---------------------------------------------------------------------


def test_example_is_the_defaults() -> None:
    assert load_config(EXAMPLE) == Config()


def test_example_shows_every_option_and_no_other() -> None:
    shown = {f"{section}.{key}" for section, values in tomllib.loads(TEXT).items() for key in values}
    assert shown | {"policy.rule"} == options()
    assert "policy.rule" not in shown  # rules are shown as comments: there are none by default


def test_example_says_each_default_and_whether_it_is_live() -> None:
    """The comment above each option, against the value beside it and against `LIVE`."""
    told, section = set(), ""
    for block in re.split(r"\n(?=\[)|\n\n", TEXT):
        header = re.match(r"\[(\w+)\]\n", block)
        section = header[1] if header else section
        for default, when, key, value in re.findall(OPTION, block, re.MULTILINE):
            name = f"{section}.{key}"
            assert default == value, name
            assert (when == "reload") == (name in LIVE or section in LIVE), name
            told.add(name)
    assert told | {"policy.rule"} == options()


def test_example_rules_are_rules() -> None:
    rules = example_rules()
    config = parse_config({"policy": {"rule": rules}}, "example")
    assert len(config.policy.rule) == len(rules) >= 2
    assert set().union(*rules) == set(Rule.__struct_fields__)


def test_example_tells_the_defaults_of_a_rule() -> None:
    for field in msgspec.structs.fields(Rule):
        told = re.search(rf"^#   {field.name} .*  (?:default (\S+)|no default)$", TEXT, re.MULTILINE)
        assert told is not None, field.name
        assert (json.loads(told[1]) if told[1] else msgspec.NODEFAULT) == field.default, field.name


def test_the_example_of_a_strict_site_means_what_it_says() -> None:
    config = load_config(EXAMPLE.parent / "examples" / "privacy" / "config.toml")
    assert config.privacy.noise == "record"
    assert (config.privacy.epsilon_of("rare-diseases"), config.privacy.epsilon_of("heart-disease")) == (1.0, 4.0)
    assert [(rule.action, rule.epsilon_max) for rule in config.policy.rule] == [("join", 0.5)]


# --- what is wrong with a file ----------------------------------------------------------------------------------------

BAD: list[Any] = [
    pytest.param('[network]\nlisten = "localhost:7443"', "network.listen", "'localhost:7443'", "IP address", id="name"),
    pytest.param('[network]\nlisten = "0.0.0.0:70000"', "network.listen", "'0.0.0.0:70000'", "a port", id="port"),
    pytest.param("[network]\nlisten = 7443", "network.listen", "int", "str", id="type"),
    pytest.param('[network]\nendpoints = ["Hub:1"]', "network.endpoints", "'Hub:1'", "host:port", id="endpoint"),
    pytest.param('[network]\nseeds = ["hub"]', "network.seeds", "'hub'", "host:port", id="seed"),
    pytest.param(
        '[network]\nendpoints = ["a:1", "b:1", "c:1", "d:1"]', "network.endpoints", "4", "at most 3", id="too-many"
    ),
    pytest.param("[policy]\nallow_isolation = 1", "policy.allow_isolation", "int", "bool", id="flag"),
    pytest.param('[[policy.rule]]\ntask = "glm"', "policy.rule[0]", "missing", "action", id="no-action"),
    pytest.param('[log]\nlevel = "loud"', "log.level", "'loud'", "", id="level"),
    pytest.param('[log]\nlevel = "loud"', "log.level", "'loud'", "warning", id="level-allowed"),
    pytest.param("[worker]\ntimeout_s = 0", "worker.timeout_s", "", "> 0", id="timeout"),
    pytest.param("[worker]\nmin_rows = 0", "worker.min_rows", "0", ">= 1", id="floor"),
    pytest.param("[worker]\ntimeout_s = -3", "worker.timeout_s", "-3", "> 0", id="timeout-value"),
    pytest.param(
        '[[policy.rule]]\naction = "join"\nmin_nodes = 2', "policy.rule[0].min_nodes", "", ">= 3", id="min-nodes"
    ),
    pytest.param('[privacy]\nnoise = "some"', "privacy.noise", "'some'", "record", id="noise"),
    pytest.param("[privacy]\nepsilon_max = 0", "privacy.epsilon_max", "0", "> 0", id="epsilon"),
    pytest.param("[privacy]\nbudget = { clinic = -1 }", "privacy.budget", "", "> 0", id="budget"),
    pytest.param('[network]\nlisen = "x"', "network", "lisen", "", id="unknown"),
    pytest.param('[network]\nlisen = "x"', "network", "lisen", "listen", id="unknown-allowed"),
    pytest.param("[netwrk]", "", "netwrk", "", id="section"),
]


@pytest.mark.parametrize(("text", "key", "value", "allowed"), BAD)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, key: str, value: str, allowed: str) -> None:
    """The error names the file, the key, the value and what is allowed."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    words = str(error.value)
    assert str(path) in words
    for part in (key, value, allowed):
        assert part in words


def test_what_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for content in (b"listen = = 1", b"\xff\xfe", b"[network\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is not TOML") as error:
            load_config(path)
        assert str(path) in str(error.value)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as error:
            load_config(path)
        assert str(path) in str(error.value)


def test_size_cap(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("#" * CONFIG_BYTES_MAX)
    assert load_config(path) == Config()
    path.write_text("#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match=f"at most {CONFIG_BYTES_MAX}"):
        load_config(path)


def test_no_file_is_the_defaults() -> None:
    assert load_config(None) == Config()


# --- reload -----------------------------------------------------------------------------------------------------------


def changed(**sections: dict[str, Any]) -> Config:
    return parse_config(sections, "test")


def test_a_reload_without_changes_changes_nothing() -> None:
    assert changes(Config(), changed()) == ([], [])


def test_a_reload_tells_live_options_from_those_that_need_a_restart() -> None:
    new = changed(
        network={"listen": "127.0.0.1:1", "seeds": ["a:1"]},
        policy={"default": "refuse", "rule": [{"action": "join"}]},
        roles={"data": "datamanagers"},
        log={"level": "debug", "format": "json"},
        worker={"socket": "/run/x"},
    )
    live, restart = changes(Config(), new)
    assert set(live) == {"network.seeds", "policy.default", "policy.rule", "roles.data", "log.level"}
    assert set(restart) == {"network.listen", "log.format", "worker.socket"}
    assert changes(new, Config()) == (live, restart)


def test_live_names_exist() -> None:
    assert set(LIVE) <= options() | set(Config.__struct_fields__)
