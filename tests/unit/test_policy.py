"""The policy as a table: which jobs a site joins, asks its people about, or refuses, and in which words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from protocols.identity import Identity
from protocols.job.events import Decide
from protocols.job.kinds import Answer, DataRef, JobSpec
from protocols.job.kinds import Privacy as Noise
from protocols.privacy.accounting import rho_of
from secured_node.config import Policy, Privacy, Rule
from secured_node.policy import ROWS_MIN, Budget, DataFacts, decide

ALICE, BOB = Identity(b"\1" * 32).node, Identity(b"\2" * 32).node
DIGEST = bytes(32)
FACTS = DataFacts("1", DIGEST, 50)
JOIN, ASK, REFUSE = Answer.JOIN, Answer.ASK, Answer.REFUSE


def judged(rule: dict[str, Any] | list[dict[str, Any]], default: str = "ask", **spec: Any) -> Decide:
    """What a policy of these rules says to a job; data, facts, member and submitter may be given too."""
    rules = [rule] if isinstance(rule, dict) else rule
    policy = msgspec.convert({"rule": rules, "default": default}, Policy)
    given = FACTS if spec.get("data", True) is not None else None
    facts, member = spec.pop("facts", given), spec.pop("member", True)
    submitter, floor = spec.pop("submitter", ALICE), spec.pop("floor", ROWS_MIN)
    privacy, left = msgspec.convert(spec.pop("options", {}), Privacy), spec.pop("left", None)
    whole = Fraction(rho_of(privacy.epsilon_of("clinic"), privacy.delta))
    budget = Budget(whole, whole if left is None else Fraction(left))
    job = msgspec.structs.replace(JobSpec("summary", b"{}", DataRef("clinic", "1", DIGEST), "a study"), **spec)
    return decide(policy, privacy, submitter, job, facts, budget, member=member, floor=floor)


@pytest.mark.parametrize("default", ["join", "ask", "refuse"])
def test_without_a_rule_the_default_decides_and_it_is_to_ask(default: str) -> None:
    assert judged([], default).answer == default
    assert Policy().default == "ask"
    assert "no rule" in judged([], "ask").reason


@pytest.mark.parametrize(
    ("rule", "spec", "fits"),
    [
        ({"task": "summary"}, {}, True),
        ({"task": "glm"}, {}, False),
        ({"task": "sum*"}, {}, True),
        ({"task": "SUMMARY"}, {}, False),
        ({"data": "clinic"}, {}, True),
        ({"data": "clin"}, {}, False),
        ({"data": "clin*"}, {}, True),
        ({"data": "clinic"}, {"data": None}, False),
        ({"data": "*"}, {"data": None}, True),
        ({"submitter": str(ALICE)}, {}, True),
        ({"submitter": str(ALICE)}, {"submitter": BOB}, False),
        ({"purpose": "*study*"}, {}, True),
        ({"purpose": "study"}, {}, False),
        ({"task": "summary", "purpose": "other"}, {}, False),
    ],
)
def test_a_rule_fits_by_all_its_patterns(rule: dict[str, Any], spec: dict[str, Any], fits: bool) -> None:
    assert judged({"action": "join", **rule}, "refuse", **spec).answer == (JOIN if fits else REFUSE)


def test_the_first_rule_that_fits_decides() -> None:
    rules = [{"task": "glm", "action": "join"}, {"task": "*", "action": "refuse"}, {"task": "*", "action": "join"}]
    assert judged(rules).answer is REFUSE
    assert judged(rules, task="glm").answer is JOIN


@pytest.mark.parametrize(
    ("rule", "spec", "words"),
    [
        ({"min_nodes": 5}, {"min_nodes": 4}, "content with 4"),
        ({"max_rounds": 10}, {"rounds_max": 11}, "allows 10"),
        ({"min_rows": 51}, {}, "fewer than the 51"),
    ],
)
@pytest.mark.parametrize("action", ["join", "ask"])
def test_a_job_beyond_a_rules_numbers_is_refused(
    rule: dict[str, Any], spec: dict[str, Any], words: str, action: str
) -> None:
    answer = judged({"action": action, **rule}, "join", **spec)
    assert answer.answer is REFUSE and words in answer.reason


@pytest.mark.parametrize(
    ("rule", "spec"),
    [({"min_nodes": 5}, {"min_nodes": 5}), ({"max_rounds": 10}, {"rounds_max": 10}), ({"min_rows": 50}, {})],
)
def test_a_job_at_a_rules_numbers_is_joined(rule: dict[str, Any], spec: dict[str, Any]) -> None:
    assert judged({"action": "join", **rule}, "refuse", **spec).answer is JOIN


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "has no data set"),
        (DataFacts("2", DIGEST, 50), "version 2"),
        (DataFacts("1", b"\1" * 32, 50), "another schema"),
        (DataFacts("1", DIGEST, 9), "fewer than the 10 rows"),
    ],
)
@pytest.mark.parametrize("default", ["join", "ask"])
def test_data_that_does_not_fit_is_refused_whatever_the_rules_say(
    facts: DataFacts | None, words: str, default: str
) -> None:
    for rules in ([], [{"action": "join"}]):
        answer = judged(rules, default, facts=facts)
        assert answer.answer is REFUSE and words in answer.reason


def test_a_job_that_lists_others_is_none_of_ours() -> None:
    answer = judged({"action": "join"}, "join", member=False)
    assert answer.answer is REFUSE and "not one of them" in answer.reason


@pytest.mark.parametrize("default", ["join", "ask"])
@pytest.mark.parametrize("rules", [[], [{"action": "join"}], [{"action": "join", "min_rows": 1}]])
def test_disclosure_query_a_job_cannot_lower_the_fewest_rows(default: str, rules: list[dict[str, Any]]) -> None:
    """Only the site's own rule can: `min_rows = 1` is written out by its administrator."""
    facts = DataFacts("1", DIGEST, 5)
    lowered = rules == [{"action": "join", "min_rows": 1}]
    assert judged(rules, default, min_rows=1, facts=facts, floor=1).answer == (JOIN if lowered else REFUSE)
    held = judged(rules, default, min_rows=1, facts=facts)
    assert held.answer is REFUSE and "this site's worker wants 10" in held.reason, "the worker would refuse"


def test_disclosure_query_a_job_that_is_content_with_fewer_usable_rows_is_refused() -> None:
    """A site may have many rows, of which the job could use few."""
    for rules in ([], [{"action": "join"}], [{"action": "ask", "min_rows": 40}]):
        answer = judged(rules, "join", min_rows=9)
        assert answer.answer is REFUSE and "content with 9 rows" in answer.reason
    assert judged({"action": "join", "min_rows": 5}, min_rows=5, floor=5).answer is JOIN
    assert judged({"action": "join", "min_rows": 5}, min_rows=5, floor=6).answer is REFUSE
    assert judged({"action": "join"}, min_rows=1, data=None).answer is JOIN, "a task without data counts no rows"


@pytest.mark.parametrize("noise", ["none", "record"])
@pytest.mark.parametrize("rules", [[], [{"action": "refuse"}]])
def test_disclosure_query_a_site_that_refuses_says_nothing_of_its_data(noise: str, rules: list[dict[str, Any]]) -> None:
    """Not its rows, not its versions, not what is left of its budget: whatever the job asks, the answer is one."""
    facts = (None, FACTS, DataFacts("2", DIGEST, 50), DataFacts("1", DIGEST, 1237), DataFacts("1", DIGEST, 3))
    answers = {
        judged(rules, "refuse", facts=known, min_rows=asked, left=left, privacy=cost, options={"noise": noise})
        for known in facts
        for asked in (1, 10, 1237, 1238, 10**9)
        for left in (0, None)
        for cost in (None, Noise("record", 0.1, 1e-6))
    }
    assert len(answers) == 1 and answers.pop().answer is REFUSE


@pytest.mark.parametrize("cost", [None, Noise("record", 0.001, 1e-6)])
def test_disclosure_query_asking_for_rows_finds_the_published_number_and_no_finer_one(cost: Noise | None) -> None:
    """1,150 to 1,249 rows are published as 1,200: all of them give the same answers."""
    asked = (11, 1149, 1150, 1151, 1199, 1200, 1201, 1236, 1237, 1238, 1249, 1250, 2000)
    answers = {
        rows: tuple(
            judged({"action": "join"}, min_rows=n, privacy=cost, facts=DataFacts("1", DIGEST, rows)).answer
            for n in asked
        )
        for rows in (1150, 1199, 1200, 1237, 1249)
    }
    assert len(set(answers.values())) == 1
    assert [answer is JOIN for answer in answers[1237]] == [n <= 1200 for n in asked]


def test_with_noise_the_sites_floor_applies_to_the_published_rows_alone() -> None:
    cost = Noise("record", 0.001, 1e-6)
    answers = [judged({"action": "join"}, privacy=cost, facts=DataFacts("1", DIGEST, rows)) for rows in (5, 9, 10, 14)]
    assert {answer.answer for answer in answers} == {JOIN}
    assert judged({"action": "join"}, privacy=cost, facts=DataFacts("1", DIGEST, 4)).answer is REFUSE
    assert judged({"action": "join"}, facts=DataFacts("1", DIGEST, 9)).answer is REFUSE


def test_a_rule_never_asks_for_fewer_than_three_hubs_or_a_row() -> None:
    for wrong in ({"min_nodes": 2}, {"max_rounds": 0}, {"min_rows": 0}, {"action": "perhaps"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"action": "join", **wrong}, Rule)


# --- noise ------------------------------------------------------------------------------------------------------------

RECORD, SITE = Noise("record", 0.01, 1e-6), Noise("site", 0.01, 1e-6)


@pytest.mark.parametrize("where", ["the site", "the rule"])
@pytest.mark.parametrize(
    ("wanted", "noise", "allowed"),
    [
        ("none", None, True),
        ("none", RECORD, True),
        ("record", None, False),
        ("record", RECORD, True),
        ("record", SITE, True),
        ("site", None, False),
        ("site", RECORD, False),
        ("site", SITE, True),
    ],
)
def test_policy_downgrade_a_job_without_the_noise_that_this_site_wants_is_refused(
    where: str, wanted: str, noise: Noise | None, allowed: bool
) -> None:
    """J21. Whatever the job says, and whoever submits it: only the site's own configuration decides."""
    rule = {"action": "join"} | ({"noise": wanted} if where == "the rule" else {})
    answer = judged(rule, privacy=noise, options={"noise": wanted} if where == "the site" else {})
    assert answer.answer is (JOIN if allowed else REFUSE)
    assert allowed or f"wants noise that hides one {wanted}" in answer.reason


def test_policy_downgrade_holds_where_no_rule_fits_and_for_jobs_on_data_alone() -> None:
    options = {"noise": "record"}
    assert judged([], "join", options=options).answer is REFUSE
    assert judged([], "ask", options=options).answer is REFUSE
    assert judged([], "join", options=options, data=None).answer is JOIN


def test_a_job_that_costs_more_than_is_left_is_refused_with_the_numbers() -> None:
    """J21."""
    options = {"epsilon_max": 2.0, "delta": 1e-5, "budget": {"clinic": 1.0}}
    whole = rho_of(1.0, 1e-5)
    noise = Noise("record", whole, 1e-6)
    assert judged([], "join", options=options, privacy=noise).answer is JOIN
    answer = judged([], "join", options=options, privacy=noise, left=whole / 2)
    assert answer.answer is REFUSE
    for number in (f"rho {whole:.3g}", "epsilon 1)", f"{whole / 2:.3g}", "'clinic'"):
        assert number in answer.reason
    # A rule that would join does not help, nor does one that asks a person.
    assert judged({"action": "join"}, options=options, privacy=noise, left=0).answer is REFUSE
    assert judged({"action": "ask"}, options=options, privacy=noise, left=0).answer is REFUSE


def test_a_rule_may_allow_less_than_the_budget_to_one_job() -> None:
    noise = Noise("record", rho_of(1.0, 1e-6), 1e-3)  # the job's own delta changes nothing
    assert judged({"action": "join", "epsilon_max": 1.0}, privacy=noise).answer is JOIN
    answer = judged({"action": "join", "epsilon_max": 0.9}, privacy=noise)
    assert answer.answer is REFUSE
    assert "epsilon 1 " in answer.reason and "0.9" in answer.reason
