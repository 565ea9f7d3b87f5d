"""Jobs over four real daemons: results equal the pooled rows, people are asked, policies hold, proofs hold."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.hubs import Hub, wait_until
from tests.e2e.conftest import ROWS
from tests.hub_kit import (
    CLINIC,
    Table,
    assert_never_two,
    cli,
    done,
    patients,
    register,
    request,
    result,
    rows_of,
    submit,
    wait_ended,
    wait_offers,
)

pytestmark = pytest.mark.timeout(240)
NEWS_S = 100.0
"""News that was lost with a link comes with one of the next comparisons of records, every 30 s."""


def pooled() -> list[Table]:
    return [patients(number, rows) for number, rows in enumerate(ROWS)]


def column(name: str) -> np.ndarray:
    return np.concatenate([getattr(table, name) for table in pooled()])


def decision(shown: dict[str, Any], hub: str) -> dict[str, Any]:
    return next(d for d in shown["decisions"] if d["name"] == hub)


def decided(hub: Hub, job: str, who: str, answer: str) -> dict[str, Any]:
    """Wait until a hub knows of another's answer."""

    def known() -> Any:
        shown = hub.job(job)
        return next((d for d in shown["decisions"] if d["name"] == who and d["answer"] == answer), None)

    found: dict[str, Any] = wait_until(known, f"{hub.name} does not hear that {who} answers {answer}", NEWS_S)
    return found


# -- results -------------------------------------------------------------------------------------------------------


def test_summary_over_four_daemons_equals_numpy_on_the_pooled_rows(four: list[Hub]) -> None:
    job = submit(four[1], "summary", {"columns": ["age", "weight", "stage", "ill"]}, four, data="clinic")
    found = done([four[1], *four], job)["data"]
    assert found["rows"] == sum(ROWS)
    for name in ("age", "weight"):
        values = column(name)
        here = found["columns"][name]
        assert (here["count"], here["missing"]) == (np.isfinite(values).sum(), np.isnan(values).sum())
        np.testing.assert_allclose(here["mean"], np.nanmean(values), rtol=1e-11)
        np.testing.assert_allclose(here["variance"], np.nanvar(values, ddof=1), rtol=1e-9)
    stages = [stage for table in pooled() for stage in table.stage]
    assert found["columns"]["stage"]["levels"] == {level: stages.count(level) for level in ("one", "two", "three")}
    assert found["columns"]["ill"]["levels"]["true"] == int(column("ill").sum())
    assert_never_two(four)
    answers = [result(hub, job)["data"] for hub in four]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_glm_without_ridge_equals_statsmodels_on_the_pooled_rows(four: list[Hub], family: str) -> None:
    sm = pytest.importorskip("statsmodels.api")
    outcome = "ill" if family == "binomial" else "weight"
    covariates = ["age", "stage"] + (["weight"] if family == "binomial" else [])
    parameters = {"family": family, "outcome": outcome, "covariates": covariates, "ridge": 0}
    job = submit(four[0], "glm", parameters, four, data="clinic")
    found = done(four, job)["data"]["coefficients"]
    stage = np.array([stage for table in pooled() for stage in table.stage])
    terms = {"(intercept)": np.ones(len(stage)), "age": column("age")}
    terms |= {"stage=two": stage == "two", "stage=three": stage == "three"}
    terms |= {"weight": column("weight")} if family == "binomial" else {}
    design = np.column_stack(list(terms.values())).astype(float)
    y = column(outcome).astype(float)
    complete = np.isfinite(design).all(axis=1) & np.isfinite(y)
    kind = sm.families.Binomial() if family == "binomial" else sm.families.Gaussian()
    fit = sm.GLM(y[complete], design[complete], family=kind).fit(tol=1e-14, maxiter=200)
    assert set(found) == set(terms)
    for term, beta, error in zip(terms, fit.params, fit.bse, strict=True):
        np.testing.assert_allclose(found[term]["coefficient"], beta, rtol=1e-6)
        np.testing.assert_allclose(found[term]["standard_error"], error, rtol=1e-6)


def test_a_submitter_without_data_follows_and_gets_the_result(four: list[Hub], tmp_path: Path) -> None:
    """The data set is registered at three of the four: the fourth proposes, and reads along."""
    tables = [patients(10 + number, 40) for number in range(3)]
    for hub, table in zip(four[:3], tables, strict=True):
        register(hub, tmp_path, table, "three-only")
    wait_offers(four, "three-only", 3)
    west = four[3]
    job = submit(west, "summary", {"columns": ["weight"]}, four[:3], data="three-only")
    found = done([west, *four[:3]], job)
    weights = np.concatenate([table.weight for table in tables])
    np.testing.assert_allclose(found["data"]["columns"]["weight"]["mean"], np.nanmean(weights), rtol=1e-11)
    assert found["cohort"] and "west" not in found["cohort"]
    out = tmp_path / "followed"
    assert cli(west.state, "job", "result", job, "--out", str(out)).code == 0
    assert cli(None, "job", "verify", str(out)).code == 0


# -- people --------------------------------------------------------------------------------------------------------


def test_a_job_that_is_asked_about_waits_for_the_data_manager_and_then_runs(four: list[Hub]) -> None:
    north, east, south, west = four
    job = submit(north, "summary", {"columns": ["age"]}, four, data="clinic", purpose="question")
    for hub in four:
        asked = decided(north, job, hub.name, "ask")
        assert "no rule" in asked["reason"]
    shown = cli(north.state, "job", "show", job).value
    assert shown["state"] == "collecting"
    assert sorted(shown["waiting_for"]) == ["east", "north", "south", "west"]
    assert "Only sums over all members" in shown["consent"]
    for hub in (north, east, south):
        assert cli(hub.state, "job", "approve", job).code == 0
    wait_until(lambda: north.job(job)["waiting_for"] == ["west"], "it does not wait for west alone")
    text = cli(north.state, "job", "show", job, as_json=False).out
    assert "waits for" in text and "west" in text
    assert cli(west.state, "job", "approve", job).code == 0
    assert done(four, job)["rounds"] == 2
    late = cli(west.state, "job", "refuse", job, "--reason", "too late")
    assert late.code == 1 and "change nothing" in late.error["why"]


def test_a_refusal_ends_a_job_and_its_reason_is_shown_at_the_submitter(four: list[Hub]) -> None:
    north, _, south, _ = four
    job = submit(north, "summary", {"columns": ["age"]}, four, data="clinic", purpose="question two")
    decided(south, job, "south", "ask")
    reason = "the ethics board has not met"
    assert cli(south.state, "job", "refuse", job, "--reason", reason).code == 0
    for shown in wait_ended(four, job):
        assert shown["state"] == "cancelled" and shown["reason"] == f"south refused: {reason}"
    assert decision(north.job(job), "south")["reason"] == reason
    assert reason in cli(north.state, "job", "show", job, as_json=False).out
    wait = cli(north.state, "job", "result", job, "--wait")
    assert wait.code == 4 and reason in wait.error["why"]


def test_only_the_submitter_cancels_and_everybody_hears_why(four: list[Hub]) -> None:
    north, east, _, _ = four
    job = submit(north, "summary", {"columns": ["age"]}, four, data="clinic", purpose="question three")
    wait_until(lambda: east.knows(job), "east does not know of the job")
    foreign = cli(east.state, "job", "cancel", job, "--reason", "no")
    assert foreign.code == 4 and "north's to cancel" in foreign.error["why"]
    assert cli(north.state, "job", "cancel", job, "--reason", "wrong column").code == 0
    for shown in wait_ended(four, job):
        assert shown["state"] == "cancelled" and "wrong column" in shown["reason"]
    again = cli(north.state, "job", "cancel", job, "--reason", "again")
    assert again.code == 1 and "cancelled" in again.error["why"]


def test_a_running_job_can_be_cancelled(four: list[Hub]) -> None:
    north = four[0]
    job = submit(north, "bench", {"length": 2000, "rounds": 5000}, four, rounds_max=5000, word_bits=32)
    wait_until(lambda: north.job(job)["rounds"] >= 2, "the job does not run", every_s=0.005)
    north.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "enough"})
    assert {shown["state"] for shown in wait_ended(four, job)} == {"cancelled"}
    assert result_code(north, job) == "no_result"


def result_code(hub: Hub, job: str) -> str:
    return request(hub.state / "api.sock", "GET", f"/v1/jobs/{job}/result").code


# -- policy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "changes", "words"),
    [
        ("never mind", {}, "refuses such jobs"),
        ("big study", {}, "wants 5"),
        ("short study", {"rounds_max": 3}, "allows 2"),
        ("research", {"min_rows": 100}, "fewer than the 100 rows"),
        ("rows study", {}, "fewer than the 100 rows that its policy wants"),
    ],
)
def test_a_site_refuses_what_its_policy_does_not_allow(
    four: list[Hub], purpose: str, changes: dict[str, Any], words: str
) -> None:
    north = four[0]
    job = submit(north, "summary", {"columns": ["age"]}, four, data="clinic", purpose=purpose, **changes)
    for shown in wait_ended(four, job):
        assert shown["state"] == "cancelled" and words in shown["reason"]
    assert words in cli(north.state, "job", "show", job, as_json=False).out.replace("\n", " ")


def test_a_data_manager_cannot_approve_what_the_policy_refuses(four: list[Hub]) -> None:
    """The job lists nobody, so that it stays open after the refusals."""
    north, west = four[0], four[3]
    job = submit(north, "summary", {"columns": ["age"]}, data="clinic", purpose="never ever")
    decided(west, job, "west", "refuse")
    tried = cli(west.state, "job", "approve", job)
    assert tried.code == 4 and "refuses such jobs" in tried.error["why"]
    assert decision(west.job(job), "west")["answer"] == "refuse"
    north.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "tested"})


def test_a_site_without_the_data_set_cannot_be_made_to_join(four: list[Hub], tmp_path: Path) -> None:
    north, west = four[0], four[3]
    register(north, tmp_path, patients(20, 30), "north-only")
    wait_offers(four, "north-only", 1)
    job = submit(north, "summary", {"columns": ["age"]}, data="north-only", purpose="question four")
    assert "has no data set" in decided(north, job, "west", "refuse")["reason"]
    tried = cli(west.state, "job", "approve", job)
    assert tried.code == 4 and "has no data set" in tried.error["why"]
    assert decision(west.job(job), "west")["answer"] == "refuse"
    north.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "tested"})


def test_a_site_with_fewer_than_ten_rows_refuses(four: list[Hub], tmp_path: Path) -> None:
    for number, hub in enumerate(four):
        register(hub, tmp_path, patients(30 + number, 9 if hub.name == "south" else 30), "few")
    wait_offers(four, "few", 4)
    job = submit(four[0], "summary", {"columns": ["age"]}, four, data="few")
    assert "fewer than the 10 rows" in decided(four[0], job, "south", "refuse")["reason"]
    assert {shown["state"] for shown in wait_ended(four, job)} == {"cancelled"}


def test_a_job_cannot_lower_the_fewest_rows_of_a_site(four: list[Hub], tmp_path: Path) -> None:
    """The job lists nobody: one that lists its members ends with the first refusal, before the others have answered."""
    north = four[0]
    for number, hub in enumerate(four):
        register(hub, tmp_path, patients(40 + number, 5 if hub.name == "south" else 30), "fewer")
    wait_offers(four, "fewer", 4)
    job = submit(north, "summary", {"columns": ["age"]}, data="fewer", min_rows=1)
    for name in ("north", "east", "south", "west"):
        assert "content with 1 rows of a site" in decided(north, job, name, "refuse")["reason"]
    assert north.job(job)["rounds"] == 0
    north.ask("POST", f"/v1/jobs/{job}/cancel", {"reason": "tested"})


def test_columns_that_the_schema_lacks_end_a_job_in_words(four: list[Hub]) -> None:
    job = submit(four[0], "summary", {"columns": ["height"]}, four, data="clinic")
    shown = wait_ended(four, job)
    assert {one["state"] for one in shown} == {"failed"}
    assert any("do not fit the job" in one["reason"] for one in shown)
    assert not any("height" in one["reason"] or "did:key" in one["reason"] for one in shown), "others are told no names"
    here = [one["reason_here"] for one in shown if one["reason_here"]]
    assert here and all("height" in reason for reason in here), "this site's own people read what was wrong"
    text = cli(four[0].state, "job", "show", job, as_json=False).out
    assert "reason here" not in text or "height" in text


def test_a_data_set_replaced_after_joining_ends_the_job_and_only_its_own_site_reads_why(
    four: list[Hub], tmp_path: Path
) -> None:
    north, *others = four
    for number, hub in enumerate(four):
        register(hub, tmp_path, patients(80 + number, 30), "swapped")
    wait_offers(four, "swapped", 4)
    job = submit(north, "summary", {"columns": ["age"]}, four, data="swapped", purpose="question five")
    for hub in four:
        decided(north, job, hub.name, "ask")
    for hub in four[:3]:
        assert cli(hub.state, "job", "approve", job).code == 0
    table, schema = tmp_path / "north-swapped.csv", tmp_path / "two.toml"
    schema.write_text(CLINIC.format(name="swapped", version=2))
    swap = ("data", "add", "swapped", str(table), "--schema", str(schema), "--yes")
    assert job[:8] in cli(north.state, *swap).error["why"]
    assert cli(north.state, *swap, "--replace").code == 0
    assert cli(others[-1].state, "job", "approve", job).code == 0
    at_north, *elsewhere = wait_ended(four, job)
    assert at_north["state"] == "failed" and "was replaced since this site joined" in at_north["reason_here"]
    for shown in (at_north, *elsewhere):
        assert "its data or settings do not fit" in shown["reason"] and "replaced" not in shown["reason"]
    for shown in elsewhere:
        assert shown["state"] == "failed" and shown["reason"].startswith("north: ") and not shown["reason_here"]
    text = cli(north.state, "job", "show", job, as_json=False).out
    assert "reason here" in text and "was replaced since" in " ".join(text.split())
    records = [data for hub in four for (data,) in rows_of(hub, "SELECT data FROM record")]
    assert records and not any(b"was replaced" in data for data in records)


# -- groups --------------------------------------------------------------------------------------------------------


def test_groups_shows_whom_a_hub_may_only_be_summed_with(four: list[Hub]) -> None:
    job = submit(four[0], "summary", {"columns": ["age"]}, four, data="clinic")
    done(four, job)
    for hub in four:
        shown = {g["data"]: g for g in cli(hub.state, "groups").value["groups"]}
        assert shown["clinic"]["standing"] == "grouped"
        assert sorted(shown["clinic"]["members"]) == ["east", "north", "south", "west"]
    # Three of the four cannot be summed without the fourth.
    cut = submit(four[0], "summary", {"columns": ["age"]}, four[:3], data="clinic")
    ends = wait_ended(four[:3], cut)
    assert {end["state"] for end in ends} == {"cancelled"}
    assert any("would be missing" in end["reason"] for end in ends)


def test_a_hub_that_comes_later_is_refused_until_its_data_manager_chooses_to_stand_alone(
    four: list[Hub], tmp_path: Path
) -> None:
    """Three form a group; set beside their sums, a sum with the fourth would show it alone."""
    west = four[3]
    tables = [patients(60 + number, 30) for number in range(4)]
    for hub, table in zip(four[:3], tables, strict=False):
        register(hub, tmp_path, table, "later")
    wait_offers(four, "later", 3)
    done(four[:3], submit(four[0], "summary", {"columns": ["age"]}, four[:3], data="later"))
    register(west, tmp_path, tables[3], "later")
    wait_offers(four, "later", 4)
    refused = submit(four[0], "summary", {"columns": ["age"]}, four, data="later")
    assert all("alone" in end["reason"] for end in wait_ended(four, refused))

    forbidden = cli(west.state, "groups", "alone", "later", "--yes")
    assert forbidden.code == 4 and "policy does not allow it" in forbidden.error["why"]
    before = west.config.read_text()
    try:
        west.config.write_text(before.replace("[policy]", "[policy]\nallow_isolation = true"))
        assert west.process is not None
        west.process.send_signal(signal.SIGHUP)
        asked = wait_until(
            lambda: (ran := cli(west.state, "groups", "alone", "later", "--yes")).code == 0 and ran, "no"
        )
    finally:
        west.config.write_text(before)
        if west.process is not None:
            west.process.send_signal(signal.SIGHUP)
    assert {g["data"]: g["standing"] for g in asked.value["groups"]}["later"] == "alone"
    wait_until(lambda: _stands_alone(four, "later"), "not all know that west stands alone")
    found = done(four, submit(four[0], "summary", {"columns": ["age"]}, four, data="later"))
    ages = np.concatenate([table.age for table in tables])
    np.testing.assert_allclose(found["data"]["columns"]["age"]["mean"], np.nanmean(ages), rtol=1e-11)
    again = cli(west.state, "groups", "alone", "later", "--yes")
    assert again.code != 0, "it was settled before, and allowing it was taken back"


def _stands_alone(hubs: list[Hub], name: str) -> bool:
    everywhere = [hub.ask("GET", "/v1/groups?of=west")["groups"] for hub in hubs]
    return all(any((g["data"], g["standing"]) == (name, "alone") for g in groups) for groups in everywhere)


def test_text_of_a_peer_steers_no_terminal_and_forges_no_line_of_a_log(four: list[Hub]) -> None:
    north, east = four[0], four[1]
    evil = "question \x1b[2J\x1b]0;owned\x07 \u202egnp.exe\n2026-01-01T00:00:00Z [error    ] forged"
    job = submit(north, "summary", {"columns": ["age"]}, four, data="clinic", purpose=evil)
    decided(north, job, "east", "ask")
    east.ask("POST", f"/v1/jobs/{job}/refuse", {"reason": evil})
    wait_ended(four, job)
    for hub in four:
        assert hub.job(job)["purpose"] == evil
        for words in (("job", "show", job), ("job", "list"), ("audit", "show")):
            shown = cli(hub.state, *words, as_json=False)
            assert shown.code == 0 and not set(shown.out) & {"\x1b", "\x07", "\u202e"}, words
        assert not [line for line in hub.log.read_text().splitlines() if line.startswith("2026-01-01T00:00:00Z")]


# -- proofs --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def proof(four: list[Hub], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `job result --out` made."""
    out = tmp_path_factory.mktemp("proof")
    job = submit(four[0], "summary", {"columns": ["age"]}, four, data="clinic")
    done(four, job)
    assert cli(four[0].state, "job", "result", job, "--out", str(out)).code == 0
    return out


def test_a_result_is_written_as_card_arrays_and_chain(proof: Path) -> None:
    from safetensors.numpy import load_file

    card = json.loads((proof / "card.json").read_text())
    arrays = load_file(proof / "result.safetensors")
    assert card["data"]["columns"]["age"]["mean"] == arrays["mean"][0]
    assert card["proved"]["rounds"] == 2 and len(card["proved"]["members"]) == 4
    checked = cli(None, "job", "verify", str(proof))
    assert checked.code == 0 and checked.value == card["proved"] | {"result_checked": True}
    assert cli(None, "job", "verify", str(proof / "chain.json"), as_json=False).code == 0


def test_verify_makes_the_result_again_and_refuses_another_card_or_arrays(proof: Path, tmp_path: Path) -> None:
    for name in ("card", "arrays", "schema"):
        shutil.copytree(proof, tmp_path / name)
    card = json.loads((proof / "card.json").read_text())
    card["data"]["columns"]["age"]["mean"] += 0.5
    (tmp_path / "card" / "card.json").write_text(json.dumps(card))
    (tmp_path / "arrays" / "result.safetensors").write_bytes((proof / "result.safetensors").read_bytes() + b"x")
    chain = json.loads((proof / "chain.json").read_text())
    chain["schema"] = chain["schema"].replace("maximum", "minimum")
    (tmp_path / "schema" / "chain.json").write_text(json.dumps(chain))
    for name, words in (("card", "card.json is not"), ("arrays", "safetensors"), ("schema", "not the one")):
        checked = cli(None, "job", "verify", str(tmp_path / name))
        assert checked.code == 8 and words in checked.error["why"], name


def test_verify_refuses_a_chain_in_which_anything_was_changed(proof: Path, tmp_path: Path) -> None:
    """One change of each part through the command line; every byte is `tests/unit/test_verify.py`'s."""
    chain = json.loads((proof / "chain.json").read_text())

    def flipped(text: str, at: int) -> str:
        return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]

    certificate, total = chain["rounds"][1]
    changes = {
        "sum": {"rounds": [chain["rounds"][0], [certificate, flipped(total, 5)]]},
        "certificate": {"rounds": [chain["rounds"][0], [flipped(certificate, len(certificate) - 9), total]]},
        "record": {"records": [flipped(chain["records"][0], 250), *chain["records"][1:]]},
        "charter": {"charter": flipped(chain["charter"], 120)},
        "job": {"job": flipped(chain["job"], 200)},
    }
    for part, change in changes.items():
        bad = tmp_path / f"{part}.json"
        bad.write_text(json.dumps(chain | change))
        checked = cli(None, "job", "verify", str(bad))
        assert checked.code == 8, f"a changed {part} was not noticed"
        assert checked.error["exit_code"] == 8
    (tmp_path / "no.json").write_text("not JSON")
    assert cli(None, "job", "verify", str(tmp_path / "no.json")).code == 8


def test_sums_on_disk_are_what_the_chain_proves(four: list[Hub], proof: Path) -> None:
    chain = json.loads((proof / "chain.json").read_text())
    job = json.loads((proof / "card.json").read_text())["job"]
    for hub in four:
        rows = rows_of(hub, "SELECT round, total FROM certified WHERE job = ? ORDER BY round", bytes.fromhex(job))
        for (number, blob), (_, total) in zip(rows, chain["rounds"], strict=True):
            assert (hub.state / "blobs" / blob).read_bytes().hex() == total, f"{hub.name}, round {number}"
