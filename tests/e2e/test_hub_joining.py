"""Coming into a federation, and being put out of it, through the commands that people type."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.hubs import PROGRAM, Hub, wait_until
from protocols.invitation.code import encode_invitation, parse_invitation
from tests.hub_kit import JOIN_ALL, alive, audited, cli, done, end_all, running, submit, wait_ended

pytestmark = pytest.mark.timeout(120)
CUT_S = 5.0
"""A revoked hub's link is cut within a second of the record's arrival; a busy machine gets more."""


class Screen:
    """`secured-node join` as a person sees it: a process, and what it has printed so far."""

    def __init__(self, code: str, hub: Hub, folder: Path) -> None:
        self._file = folder / f"{hub.name}-screen.txt"
        endpoint = f"127.0.0.1:{hub.port}"
        command = [*PROGRAM, "join", code, "--name", hub.name, "--endpoint", endpoint, "--state", str(hub.state)]
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    @property
    def text(self) -> str:
        return self._file.read_text()

    def words(self) -> list[str]:
        """The six words, once they are shown."""
        shown = wait_until(lambda: re.search(r"Words to compare: (.*)", self.text), f"no words: {self.text}")
        return str(shown[1]).split()

    def end(self) -> int:
        """Wait for the command's end; its exit code."""
        return self.process.wait(40)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A founder's hub that runs."""
    hub = Hub("north", tmp_path_factory.mktemp("joining"), JOIN_ALL)
    try:
        founded = cli(hub.state, "init", "--federation", "heart", "--name", "north", "--organisation", "North")
        assert founded.code == 0 and founded.value["node"].startswith("did:key:")
        hub.start()
        yield hub
    finally:
        end_all([hub])


def invited(north: Hub, *options: str) -> str:
    code: str = cli(north.state, "invite", *options).value["code"]
    return code


def waiting(north: Hub, name: str) -> dict[str, Any]:
    """The newcomer as the inviter's screen shows it."""

    def there() -> Any:
        return next((w for w in cli(north.state, "members").value["waiting"] if w["name"] == name), None)

    found: dict[str, Any] = wait_until(there, f"{name} does not come", every_s=0.2)
    return found


def test_join_shows_the_same_six_words_on_both_screens_and_approve_finishes_it(north: Hub, tmp_path: Path) -> None:
    """Then the code is used again from another folder: refused, named, alarmed."""
    east, thief = Hub("east", tmp_path, JOIN_ALL), Hub("thief", tmp_path, JOIN_ALL)
    code = invited(north)
    screen = Screen(code, east, tmp_path)
    try:
        words = screen.words()
        there = waiting(north, "east")
        assert len(words) == 6 and there["words"] == words
        table = cli(north.state, "members", as_json=False).out
        assert " ".join(words) in " ".join(table.split())
        # Nothing happens before somebody says that the words are the same.
        said_no = cli(north.state, "approve", "east", as_json=False, text="n\n")
        assert said_no.code != 0 and " ".join(words) in said_no.err
        assert waiting(north, "east") and screen.process.poll() is None
        approved = cli(north.state, "approve", "east", "--yes")
        assert approved.code == 0 and approved.value["member"] is True
        assert screen.end() == 0, screen.text
        assert "Joined heart" in screen.text

        again = cli(thief.state, "join", code, "--name", "thief")
        assert again.code == 4 and "used" in again.error["why"]
        alarms = audited(north, "alarm", code="already_used", first=there["node"])
        assert len(alarms) == 1 and alarms[0]["later"] != there["node"]
        assert "invitation_alarm" in north.log.read_text()
        assert "thief" not in json.dumps(cli(north.state, "members").value)

        east.start()
        wait_until(lambda: north.linked(1) and east.linked(1), "no link")
        south = Hub("south", tmp_path, JOIN_ALL)
        _join(north, south, tmp_path)
        try:
            south.start()
            names = {"north", "east", "south"}
            for hub in (north, east, south):
                wait_until(
                    lambda hub=hub: {m["name"] for m in hub.ask("GET", "/v1/members")["members"]} == names,
                    f"{hub.name} does not know all three",
                    10,
                )
                wait_until(lambda hub=hub: hub.linked(2), f"{hub.name} is not linked to both", 10)
            shown = cli(south.state, "members", as_json=False)
            assert all(name in shown.out for name in ("north", "east", "south"))
        finally:
            end_all([south])
    finally:
        screen.close()
        end_all([east])


def _join(north: Hub, hub: Hub, folder: Path) -> None:
    screen = Screen(invited(north), hub, folder)
    try:
        waiting(north, hub.name)
        assert cli(north.state, "approve", hub.name, "--yes").code == 0
        assert screen.end() == 0, screen.text
    finally:
        screen.close()


def test_a_newcomer_that_is_turned_away_reads_why(north: Hub, tmp_path: Path) -> None:
    stranger = Hub("stranger", tmp_path, JOIN_ALL)
    screen = Screen(invited(north), stranger, tmp_path)
    try:
        waiting(north, "stranger")
        assert cli(north.state, "approve", "stranger", "--refuse", "we do not know you").code == 0
        assert screen.end() == 4
        assert "we do not know you" in screen.text
        assert cli(north.state, "approve", "stranger", "--yes").code == 7
        started = cli(stranger.state, "run", as_json=False)
        assert started.code == 6 and "belongs to no federation" in " ".join(started.err.split())
    finally:
        screen.close()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda c: c[:40] + ("A" if c[40] != "A" else "B") + c[41:], 4, "typing error"),
        (lambda c: c[:-3], 4, "typing error"),
        (lambda c: "SN9" + c[3:], 4, "another version"),
        (lambda _: "hello", 4, "begins with SN1"),
        (lambda _: "", 4, "begins with SN1"),
    ],
)
def test_a_code_that_is_none_is_refused_in_words(
    north: Hub, tmp_path: Path, change: Any, code: int, words: str
) -> None:
    given = change(invited(north))
    tried = cli(tmp_path / "state", "join", given, "--name", "typist")
    assert tried.code == code and words in tried.error["why"] and tried.error["todo"]
    assert not given or given not in tried.err  # who reads over a shoulder, or a log, learns no code
    assert not (tmp_path / "state" / "key").exists()


def test_a_code_that_has_expired_is_refused_in_words(north: Hub, tmp_path: Path) -> None:
    code = invited(north, "--expires", "0.0002")
    issued = time.monotonic()
    wait_until(lambda: time.monotonic() > issued + 0.8, "the clock stands still")
    tried = cli(tmp_path / "state", "join", code, "--name", "late")
    assert tried.code == 4 and "expired" in tried.error["why"]


def test_a_guessed_secret_lets_nobody_in_and_burns_nothing(north: Hub, tmp_path: Path) -> None:
    code = invited(north)
    invitation = parse_invitation(code)
    guessed = encode_invitation(
        type(invitation)(invitation.id, bytes(16), invitation.federation, invitation.inviter, invitation.endpoints)
    )
    guesser = Hub("guesser", tmp_path, JOIN_ALL)
    screen = Screen(guessed, guesser, tmp_path)
    try:
        wait_until(lambda: "cannot be reached" in screen.text or screen.process.poll() is not None, "no word of it")
        assert screen.process.poll() != 0
    finally:
        screen.close()
    honest = Hub("honest", tmp_path, JOIN_ALL)
    screen = Screen(code, honest, tmp_path)
    try:
        waiting(north, "honest")
        assert cli(north.state, "approve", "honest", "--refuse", "only a test").code == 0
        assert screen.end() == 4
    finally:
        screen.close()


def test_invite_join_init_say_what_is_wrong_and_end_with_their_codes(north: Hub, tmp_path: Path) -> None:
    assert cli(north.state, "invite", "--expires", "9999").code == 2
    assert cli(tmp_path / "nowhere", "invite").code == 3
    again = cli(north.state, "init", "--federation", "other", "--name", "north")
    assert again.code == 6 and "has an identity" in again.error["why"]
    small = cli(tmp_path / "small", "init", "--federation", "x", "--min-cohort", "2", "--name", "small")
    assert small.code == 2
    nobody = cli(north.state, "revoke", "nobody", "--reason", "x", "--yes")
    assert nobody.code == 7 and "no hub here has this name or id" in nobody.error["why"]
    unasked = subprocess.run(
        [
            sys.executable,
            "-m",
            "secured_node",
            "revoke",
            "north",
            "--reason",
            "x",
            "--last-steward",
            "--state",
            str(north.state),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert unasked.returncode == 130, "revoking asks first"


def test_revoke_spreads_cuts_live_links_and_lasts_through_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, ("north", "east", "south", "west")) as hubs:
        north, east, south, west = hubs
        job = submit(west, "bench", {"length": 500, "rounds": 40, "word_bits": 32}, hubs, word_bits=32)
        wait_until(lambda: north.knows(job) and north.job(job)["state"] != "proposed", "no job")
        node = west.ask("GET", "/v1/status")["node"]
        revoked = cli(east.state, "revoke", "west", "--reason", "its key was stolen", "--yes")
        if revoked.code:  # a hub that is no steward cannot revoke another
            assert revoked.code == 1
            revoked = cli(north.state, "revoke", "west", "--reason", "its key was stolen", "--yes")
        assert revoked.code == 0, revoked.err
        for hub in (north, east, south):
            wait_until(lambda hub=hub: _cut(hub, node), f"{hub.name} still has a link to west", CUT_S)
            assert "west" not in {m["name"] for m in cli(hub.state, "members").value["members"]}
        ends = wait_ended([north, east, south], job)
        assert all(end["state"] in ("failed", "done") for end in ends)
        if ends[0]["state"] == "failed":
            assert "revoked" in ends[0]["reason"]
        west.stop()
        west.start()
        wait_until(
            lambda: any(
                audited(hub, "refused", peer=node) or "revoked" in hub.log.read_text() for hub in (north, east, south)
            ),
            "nobody says that west was refused",
        )
        for hub in (north, east, south):
            assert _cut(hub, node)
        others = submit(north, "bench", {"length": 50, "word_bits": 32}, hubs[:3], word_bits=32)
        assert done(hubs[:3], others)["rounds"] == 1
        with contextlib.suppress(Exception):  # it may not even be able to say anything
            assert west.ask("GET", "/v1/status")["links_up"] == 0
        assert west.process is not None and alive(west.process.pid)


def test_a_hub_that_was_revoked_invites_nobody_and_says_what_it_is(tmp_path: Path) -> None:
    hub = Hub("alone", tmp_path, JOIN_ALL)
    try:
        assert cli(hub.state, "init", "--federation", "heart", "--name", "alone").code == 0
        hub.start()
        assert cli(hub.state, "revoke", "alone", "--reason", "moving", "--last-steward", "--yes").value["ends"]
        invitation = cli(hub.state, "invite")
        assert invitation.code == 1 and "this hub was revoked" in invitation.error["what"]
        assert "no member any more" in cli(hub.state, "status", as_json=False).out
    finally:
        end_all([hub])


def _cut(hub: Hub, node: str) -> bool:
    return not any(link["peer"] == node and link["up"] for link in hub.ask("GET", "/v1/status")["links"])
