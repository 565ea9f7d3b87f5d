"""What somebody meets who uses the program for the first time: every mistake is answered in words, nothing is lost."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.hubs import PROGRAM, Hub
from tests.hub_kit import CLINIC, Ran, cli, end_all, found_hubs, patients, submit

pytestmark = pytest.mark.timeout(90)
ASK = '[policy]\ndefault = "ask"\n'


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A newcomer's own federation of one."""
    (made,) = found_hubs(tmp_path_factory.mktemp("newcomer"), ("home",), ASK)
    try:
        made.start()
        yield made
    finally:
        end_all([made])


def typed(state: Path, *arguments: str, answer: str = "n\n") -> Ran:
    """A command as a person types it, and what they answer to its question."""
    return cli(state, *arguments, as_json=False, text=answer)


def flat(text: str) -> str:
    return " ".join(text.split())


# -- data sets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """A data set of this test's own name: its schema, two tables, and the first one registered."""
    name = f"set-{tmp_path.name}".replace("_", "-").lower()[:60]
    schema, other = tmp_path / "schema.toml", tmp_path / "other.toml"
    schema.write_text(CLINIC.format(name=name, version=1))
    other.write_text(CLINIC.format(name=name, version=2))
    paths = {rows: str(patients(rows, rows).write(tmp_path / f"{rows}.csv")) for rows in (30, 50)}
    assert cli(hub.state, "data", "add", name, paths[30], "--schema", str(schema), "--yes").code == 0
    return {"name": name, "schema": str(schema), "other": str(other), "30": paths[30], "50": paths[50]}


def registered(hub: Hub, name: str) -> dict[str, Any]:
    (found,) = (d for d in cli(hub.state, "data", "list").value["data"] if d["name"] == name)
    return dict(found)


def test_another_file_under_a_registered_name_is_never_taken_in_silence(hub: Hub, files: dict[str, str]) -> None:
    add = ("data", "add", files["name"], files["50"], "--schema", files["schema"])
    refused = cli(hub.state, *add, "--yes")
    assert refused.code == 1 and "--replace" in refused.error["todo"]
    assert "version 1, 30 rows" in refused.error["why"] and files["30"] in refused.error["why"]
    asked = typed(hub.state, *add)
    assert asked.code == 130
    for words in ("replaces what is registered", "the same schema", "30; from now on 50", files["30"]):
        assert words in flat(asked.err), words
    assert registered(hub, files["name"])["rows"] == 30
    assert cli(hub.state, *add, "--yes", "--replace").value["rows"] == 50
    assert registered(hub, files["name"])["path"] == files["50"]
    assert (
        typed(hub.state, "data", "add", files["name"], files["30"], "--schema", files["other"], answer="y\n").code == 0
    )
    assert registered(hub, files["name"])["version"] == "2"


def test_the_same_file_is_read_anew_without_a_question_about_replacing(hub: Hub, files: dict[str, str]) -> None:
    patients(9, 40).write(Path(files["30"]))
    assert cli(hub.state, "data", "add", files["name"], files["30"], "--schema", files["schema"], "--yes").code == 0
    assert registered(hub, files["name"])["rows"] == 40


def test_who_replaces_a_data_set_reads_which_jobs_rest_on_it(hub: Hub, files: dict[str, str]) -> None:
    job = submit(hub, "summary", {"columns": ["age"]}, data=files["name"])
    add = ("data", "add", files["name"], files["50"], "--schema", files["schema"])
    assert job[:8] in cli(hub.state, *add, "--yes").error["why"]
    asked = typed(hub.state, *add)
    assert asked.code == 130 and job[:8] in asked.err and "rest on it" in asked.err
    assert cli(hub.state, "job", "cancel", job).code == 0
    assert job[:8] not in typed(hub.state, *add).err


def test_a_table_with_semicolons_is_recognised_and_the_mapping_named(
    hub: Hub, files: dict[str, str], tmp_path: Path
) -> None:
    table = tmp_path / "export.csv"
    table.write_text(Path(files["30"]).read_text().replace(",", ";"))
    checked = cli(hub.state, "data", "check", str(table), "--schema", files["schema"])
    assert checked.code == 1 and "semicolons" in checked.error["what"] and 'delimiter = ";"' in checked.error["todo"]
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[text]\ndelimiter = ";"\n')
    again = cli(hub.state, "data", "check", str(table), "--schema", files["schema"], "--mapping", str(mapping))
    assert again.code == 0 and again.value["rows"] == 30


# -- joining -------------------------------------------------------------------------------------------------------


def test_a_hub_that_is_a_member_already_does_not_ask_to_join_again(hub: Hub, tmp_path: Path) -> None:
    code = cli(hub.state, "invite").value["code"]
    began = cli(hub.state, "join", code, "--name", "twice")
    assert began.code == 6 and "a hub of the federation 'test' already" in began.error["why"]
    assert not cli(hub.state, "members").value["waiting"]
    hub_alone = tmp_path / "founder"
    assert cli(hub_alone, "init", "--federation", "mine", "--name", "x").code == 0
    assert "'mine' already" in cli(hub_alone, "join", code, "--name", "x").error["why"]


@pytest.mark.parametrize("code", ["hello", "SN1ABC", "SN1!!!!"])
def test_advice_about_a_garbled_code_is_to_copy_it_again(code: str, tmp_path: Path) -> None:
    tried = cli(tmp_path / "state", "join", code)
    assert tried.code == 4 and "copy the whole code again" in tried.error["todo"]
    assert "new invitation" not in tried.err and not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", [("invite",), ("join", "SN1ABC")])
def test_an_endpoint_without_a_port_is_named_before_anything_is_done(
    hub: Hub, tmp_path: Path, command: tuple[str, ...]
) -> None:
    state = hub.state if command[0] == "invite" else tmp_path / "state"
    tried = cli(state, *command, "--endpoint", "hub.example")
    assert tried.code == 2 and "'hub.example': it has no port" in tried.error["why"]
    assert command[0] == "invite" or not state.exists()


def test_words_stay_on_one_line_of_a_narrow_terminal(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    code = cli(hub.state, "invite").value["code"]
    command = [*PROGRAM, "join", code, "--name", "narrow", "--organisation", "A" * 60, "--state", str(tmp_path / "s")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as joining:
        assert joining.stderr is not None
        words = joining.stderr.readline().removeprefix("Words to compare: ").split()
        assert len(words) == 6 and "waits" in joining.stderr.readline()
        assert " ".join(words) in shown_on_a_terminal("members", "--state", str(hub.state))
        assert cli(hub.state, "approve", "narrow", "--refuse", "a test").code == 0
        joining.wait(40)


def shown_on_a_terminal(*arguments: str) -> str:
    """What a command prints on a terminal."""
    master, slave = pty.openpty()
    try:
        subprocess.run([*PROGRAM, *arguments], stdout=slave, stderr=slave, check=True, timeout=60)
        os.set_blocking(master, False)
        return os.read(master, 1 << 16).decode()
    finally:
        os.close(master)
        os.close(slave)


def test_who_is_admitted_already_is_said_to_be(hub: Hub) -> None:
    again = cli(hub.state, "approve", "home")
    assert again.code == 1 and "home is a member already" in again.error["why"]
    assert "nobody waits" in cli(hub.state, "approve", "nobody").error["why"]


# -- questions and numbers -----------------------------------------------------------------------------------------


def test_nobody_is_asked_to_confirm_what_could_not_be_done(hub: Hub) -> None:
    nobody = typed(hub.state, "revoke", "nobody", "--reason", "x", answer="y\n")
    assert nobody.code == 7 and "no hub here has this name or id" in nobody.err and "[y/N]" not in nobody.err
    alone = typed(hub.state, "groups", "alone", "nothing", answer="y\n")
    assert alone.code == 4 and "policy does not allow it" in alone.err and "[y/N]" not in alone.err
    last = typed(hub.state, "revoke", "home", "--reason", "x", answer="y\n")
    assert last.code == 1 and "no steward is left" in flat(last.err) and "[y/N]" not in last.err
    assert cli(hub.state, "revoke", "home", "--reason", "x", "--yes").code == 1, "not even unasked"
    meant = typed(hub.state, "revoke", "home", "--reason", "x", "--last-steward")
    assert meant.code == 130 and "home (did:key:" in meant.err and cli(hub.state, "status").value["member"]
    assert "never admits or revokes anybody again" in flat(meant.err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--min-nodes", "2"), 2, "charter wants at least 3"),
        (("--max-nodes", "2"), 2, "charter wants at least 3"),
        (("--member", "home"), 2, "lists 1 hub"),
        (("--member", "nobody"), 7, "no hub here has this name or id"),
        (("--min-nodes", "9", "--max-nodes", "5"), 2, "above max_nodes"),
        (("--colluders", "50"), 2, "safe against so many"),
        (("--collect", "-1"), 2, "more than 0"),
        (("--min-rows", "0"), 2, "min_rows: it is at least 1"),
        (("--data", "nothing"), 7, "no hub offers it"),
    ],
)
def test_a_job_that_cannot_run_is_refused_in_the_words_of_its_options(
    hub: Hub, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = cli(hub.state, "job", "list").value
    tried = cli(hub.state, "job", "submit", "bench", "-p", "length=10", "--purpose", "x", *arguments)
    assert tried.code == code and words in tried.error["why"], tried.err
    assert "$[" not in tried.err and cli(hub.state, "job", "list").value == before


def test_a_task_that_needs_data_says_so_before_anybody_is_asked(hub: Hub) -> None:
    tried = cli(hub.state, "job", "submit", "summary", "-p", "columns=age", "--purpose", "x")
    assert tried.code == 2 and "needs a data set" in tried.error["why"]


@pytest.mark.parametrize(
    ("job", "words"), [("", "4 characters"), ("../x", "no job begins so"), ("a b", "4 characters")]
)
def test_whatever_is_typed_for_a_job_is_answered_in_words(hub: Hub, job: str, words: str) -> None:
    for command in ("show", "approve", "cancel", "result"):
        tried = cli(hub.state, "job", command, job)
        assert tried.code == 7 and words in tried.error["why"], tried.err


def test_a_reason_that_is_too_long_is_said_to_be(hub: Hub) -> None:
    job = submit(hub, "bench", {"length": 10}, purpose="a question")
    for command in ("refuse", "cancel"):
        tried = cli(hub.state, "job", command, job, "--reason", "x" * 501)
        assert tried.code == 2 and "at most 500" in tried.error["why"]
    assert cli(hub.state, "job", "cancel", job, "--reason", "x" * 500).code == 0


@pytest.mark.parametrize("name", ["", "x" * 300, "two\nlines", " space"])
def test_what_is_no_name_founds_nothing_and_leaves_no_key(tmp_path: Path, name: str) -> None:
    for command in (("init", "--federation", "f", "--name", name), ("init", "--federation", name, "--name", "n")):
        tried = cli(tmp_path / "state", *command)
        assert tried.code == 2 and "is no name" in tried.error["why"]
        assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("hours", ["-1", "0", "1000", "nan"])
def test_an_invitations_hours_are_named_with_their_bounds(hub: Hub, hours: str) -> None:
    tried = cli(hub.state, "invite", "--expires", hours)
    assert tried.code == 2 and "more than 0 and at most 336" in tried.error["why"]


def test_a_mistyped_option_is_json_too_where_json_was_asked_for(tmp_path: Path) -> None:
    tried = cli(tmp_path, "status", "--nonsense")
    assert tried.code == tried.error["exit_code"] == 2 and "--nonsense" in tried.error["why"]
    assert "Usage:" in typed(tmp_path, "status", "--nonsense").err


def test_what_is_no_hub_is_told_from_a_hub_that_does_not_run(tmp_path: Path) -> None:
    nowhere = cli(tmp_path / "nowhere", "status")
    assert nowhere.code == 3 and "there is no folder" in nowhere.error["why"] and "--state" in nowhere.error["todo"]
    empty = cli(tmp_path, "status")
    assert empty.code == 3 and "holds no hub" in empty.error["why"] and "join" in empty.error["todo"]
    (made,) = found_hubs(tmp_path, ("asleep",), ASK)
    asleep = cli(made.state, "status")
    assert asleep.code == 3 and "nothing listens" in asleep.error["why"] and "run --state" in asleep.error["todo"]


# -- jobs ----------------------------------------------------------------------------------------------------------


def test_waiting_for_a_result_tells_a_log_of_each_change(hub: Hub) -> None:
    job = submit(hub, "bench", {"length": 10}, purpose="a question")
    command = [*PROGRAM, "job", "result", job, "--wait", "--state", str(hub.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        first = waiting.stderr.readline()
        assert "collecting" in first and "It cannot begin as things stand" in first
        hub.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "enough"})
        rest = waiting.stderr.read()
        assert waiting.wait(30) == 4 and "enough" in rest and first not in rest


def test_parameters_are_shown_as_they_are_written(hub: Hub) -> None:
    job = submit(hub, "bench", {"length": 10, "rounds": 2, "text": ["é", True]})
    text = cli(hub.state, "job", "show", job, as_json=False).out
    lines = [line.split(maxsplit=1)[-1] if "parameters" in line else line.strip() for line in text.splitlines()]
    assert {"length = 10", "rounds = 2", 'text = ["é", true]'} <= set(lines)
    hub.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "tested"})


def test_the_doctor_looks_at_the_file_of_the_daemon_that_runs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECURED_NODE_CONFIG", raising=False)

    def found(*options: str) -> str:
        checks = cli(hub.state, "doctor", *options).value["checks"]
        return " ".join(c["found"] for c in checks if c["check"] in ("configuration", "port"))

    assert f"{hub.config} is valid" in found() and str(hub.port) in found()
    other = hub.config.with_name("other.toml")
    other.write_text("")
    assert f"{other} is valid" in found("--config", str(other))
