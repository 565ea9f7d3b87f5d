"""Malicious submitters, members and readers of a job, races among honest hubs: what they cannot do, what ends."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from protocols.core import Compute, Computed, Effect, Persist, Received, Refused, Send
from protocols.groups import GROUP, GroupBody
from protocols.identity import NodeId
from protocols.job.clock import COHORT_LATE_S, Waited
from protocols.job.events import Decide, Joined, Moved, Serve, WorkFailed
from protocols.job.kinds import (
    CANCEL,
    COHORT,
    DECISION,
    JOB,
    OUTCOME,
    Answer,
    Cancel,
    CohortBody,
    Decision,
    JobSpec,
    Outcome,
)
from protocols.job.life import State
from protocols.job.restore import Restored, restore
from protocols.job.serving import CERTIFICATES_KEPT, SERVE_BYTES_BURST, Serving
from protocols.job.view import DECISIONS_LATE_S
from protocols.membership.bodies import Revocation
from protocols.membership.kinds import REVOCATION
from protocols.message import Message
from protocols.node import ForJob, InJob, StandAlone
from protocols.records.events import Publish
from protocols.records.record import Record, sign_record
from protocols.secagg.effects import Certified, Entered, Evidence, Paused, Resumed, Signed
from protocols.secagg.messages import Ask, Certificate, Offer, Vote
from protocols.secagg.signing import UNSIGNED, first_history, next_history, sign
from simulations.adversaries.groups import NeverGroup
from simulations.federation import join_all
from tests.hubs import DATA, Federation
from tests.kit import JOB as OTHER_JOB

FOUR = range(4)


def signed(federation: Federation, author: int, kind: str, subject: str, body: Message, sequence: int = 1) -> Record:
    """Any record that a member can sign, whatever its hub would do."""
    identity = federation.identities[author]
    return sign_record(identity, federation.hub(0).node.federation, kind, subject, body, sequence=sequence)


def digest(federation: Federation, record: Record) -> bytes:
    return federation.hub(0).node.store.digest_of(record)


def forged_job(federation: Federation, author: int, **changes: object) -> Record:
    spec = msgspec.structs.replace(JobSpec("numbers", b"{}", DATA, "a trap", collect_s=30.0), **changes)
    return signed(federation, author, JOB, "trap", spec)


def joining(federation: Federation, job: str, members: range) -> dict[int, Record]:
    return {m: signed(federation, m, DECISION, job, Decision(Answer.JOIN)) for m in members}


def cohort_of(federation: Federation, author: int, job: str, decisions: dict[int, Record]) -> Record:
    members = sorted(decisions, key=lambda m: federation.nodes[m])
    nodes = tuple(federation.nodes[m] for m in members)
    body = CohortBody(nodes, tuple(digest(federation, decisions[m]) for m in members))
    return signed(federation, author, COHORT, job, body)


def feed(federation: Federation, hub: int, *records: Record) -> None:
    federation.feed(hub, Publish(records))


def nobody_answers(federation: Federation) -> None:
    federation.policies = [lambda _: None] * len(federation.nodes)


# -- submitters --------------------------------------------------------------------------------------------------


def test_a_job_whose_parameters_cannot_hold_stops_no_hub_that_reads_along() -> None:
    """J12. Seven holders against one colluder: members failed the job, a reader's hub failed itself, at every start."""
    federation = Federation(5)
    nobody_answers(federation)
    federation.boot()
    job = forged_job(federation, 0, holders=7, readers=(federation.nodes[4],))
    name = digest(federation, job).hex()
    decisions = joining(federation, name, FOUR)
    feed(federation, 4, job, *decisions.values(), cohort_of(federation, 0, name, decisions))
    assert federation.job(4, bytes.fromhex(name)).state is State.FAILED
    federation.world.run(seconds=5)


def test_unsafe_parameters_are_refused_at_the_decision_and_by_the_submitters_own_hub() -> None:
    """J12."""
    federation = Federation(4)
    federation.boot()
    job = federation.submit(members=FOUR, holders=7)
    assert federation.run_until(job, State.CANCELLED)
    assert "holders" in federation.job(1, job).reason
    other = federation.submit(members=FOUR, colluders=2, holders=3)
    assert federation.run_until(other, State.CANCELLED)
    assert "not safe" in federation.job(1, other).reason


def test_a_cohort_that_names_decisions_nobody_has_ends_and_says_whose() -> None:
    """J2, J8."""
    federation = Federation(5)
    nobody_answers(federation)
    federation.boot()
    job = forged_job(federation, 4)
    name = digest(federation, job).hex()
    decisions = joining(federation, name, FOUR)
    feed(federation, 1, job, *(decisions[m] for m in (1, 2, 3)), cohort_of(federation, 4, name, decisions))
    federation.world.run(seconds=10)
    here = federation.job(1, bytes.fromhex(name))
    assert here.waiting_for() == (federation.nodes[0],)
    federation.world.run(seconds=DECISIONS_LATE_S + 60)
    assert here.state is State.FAILED and federation.nodes[0] in here.reason


def test_a_collection_that_its_submitter_never_closes_ends() -> None:
    """J8."""
    federation = Federation(4)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, members=FOUR)
    federation.world.run(seconds=5)
    federation.world.crash(federation.nodes[0])
    federation.world.run(seconds=COHORT_LATE_S + 60)
    assert federation.states(job, (1, 2, 3)) == [State.FAILED] * 3
    assert federation.hub(1).node.wake_at is not None


def test_many_silent_members_do_not_make_the_cancel_too_long_to_be_signed() -> None:
    """J8. Nine names are longer than a reason may be: the record was refused, and the job stayed open for ever."""
    federation = Federation(12)
    federation.policies[1:] = [lambda _: Decide(Answer.ASK)] * 11
    federation.boot()
    job = federation.submit(0, members=range(12))
    assert federation.run_until(job, State.CANCELLED, seconds=100)


def test_two_cohorts_of_one_job_known_before_joining_let_nobody_join_either() -> None:
    """J1."""
    federation = Federation(5)
    nobody_answers(federation)
    federation.boot()
    job = forged_job(federation, 4)
    name = digest(federation, job).hex()
    decisions = joining(federation, name, FOUR)
    feed(federation, 1, job)
    cohorts = [cohort_of(federation, 4, name, {m: decisions[m] for m in some}) for some in ((0, 1, 2), (0, 1, 2, 3))]
    feed(federation, 1, *cohorts)
    feed(federation, 1, *decisions.values())
    here = federation.job(1, bytes.fromhex(name))
    assert here.state is State.FAILED and "two cohorts" in here.reason
    assert not [f for f in federation.world.hosts[federation.nodes[1]].disk if isinstance(f, Joined)]


def test_a_submitter_that_is_revoked_with_its_records_ends_the_job() -> None:
    """J7."""
    federation = Federation(5, rounds=500)
    federation.boot()
    job = federation.submit(4, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING, FOUR)
    feed(federation, 0, signed(federation, 0, REVOCATION, federation.nodes[4], Revocation("left", ())))
    assert federation.run_until(job, State.FAILED, FOUR, seconds=60)


# -- consent and groups ------------------------------------------------------------------------------------------


def test_a_hub_that_took_its_decision_back_is_bound_to_the_group_but_takes_no_part() -> None:
    """GR8, J10.

    The submitter names the older decision; the others sign the group, which is final: it must become complete.
    """
    federation = Federation(5)
    nobody_answers(federation)
    federation.boot()
    job = forged_job(federation, 4)
    name = digest(federation, job).hex()
    decisions = joining(federation, name, FOUR)
    feed(federation, 4, job, *decisions.values())
    federation.world.run(seconds=3)
    feed(federation, 0, signed(federation, 0, DECISION, name, Decision(Answer.REFUSE, "no more"), 2))
    feed(federation, 4, cohort_of(federation, 4, name, decisions))
    federation.world.run(seconds=60)
    assert federation.states(bytes.fromhex(name), FOUR) == [State.FAILED] * 4
    assert "took its decision" in federation.job(3, bytes.fromhex(name)).reason
    assert not [f for f in federation.world.hosts[federation.nodes[0]].disk if isinstance(f, Joined)]
    again = federation.submit(1, members=FOUR)
    federation.world.run(seconds=3)
    for m in FOUR:
        federation.decide(m, again, Answer.JOIN)
    assert federation.run_until(again, State.DONE, FOUR)


def test_two_first_jobs_at_once_leave_a_group_that_works() -> None:
    """GR6. Each hub heard of the other job first; half of them signed one group, half another, and all were barred."""
    federation = Federation(5)
    federation.boot()
    one = federation.submit(3, members=(0, 1, 2, 3))
    two = federation.submit(4, members=(0, 1, 2, 4))
    federation.world.run(seconds=200)
    states = {*federation.states(one, (0, 1, 2, 3)), *federation.states(two, (0, 1, 2, 4))}
    assert states <= {State.DONE, State.CANCELLED}
    again = federation.submit(3, members=(0, 1, 2, 3))
    federation.world.run(seconds=200)
    assert State.DONE in [federation.job(0, job).state for job in (one, two, again)]


def test_an_answer_that_waited_for_another_job_is_given_when_that_ends() -> None:
    """GR6."""
    federation = Federation(5)
    federation.policies[3] = lambda job: Decide(Answer.ASK) if job.author == federation.nodes[3] else join_all(job)
    federation.boot()
    one = federation.submit(3, members=FOUR, collect_s=3000.0)
    federation.world.run(seconds=5)
    two = federation.submit(4, members=FOUR, collect_s=3000.0)
    federation.world.run(seconds=5)
    assert "in another job" in federation.job(0, two).decisions[federation.nodes[0]].decision.reason
    assert federation.hub(0).node.groups.pledged("heart") == one
    with pytest.raises(Exception, match="part of a group"):
        federation.hub(0).handle(StandAlone("heart"), federation.world.now)
    feed(federation, 3, signed(federation, 3, CANCEL, one.hex(), Cancel("another time")))
    assert federation.run_until(two, State.DONE)


@pytest.mark.parametrize("settled_meanwhile", [True, False])
def test_an_answer_that_waits_for_another_job_outlives_a_restart(settled_meanwhile: bool) -> None:
    """GR6. Seed 15 of the trial "faults": that it waited was known in memory alone, and nobody was ever answered."""
    federation = Federation(5)
    federation.policies[3] = lambda job: Decide(Answer.ASK) if job.author == federation.nodes[3] else join_all(job)
    federation.boot()
    one = federation.submit(3, members=FOUR, collect_s=3000.0)
    federation.world.run(seconds=5)
    two = federation.submit(4, members=FOUR, collect_s=3000.0)
    federation.world.run(seconds=5)
    assert federation.job(0, two).decisions[federation.nodes[0]].decision.answer is Answer.WAIT
    cancel = signed(federation, 3, CANCEL, one.hex(), Cancel("another time"))
    federation.world.crash(federation.nodes[0])
    if not settled_meanwhile:
        federation.world.boot(federation.nodes[0])
        federation.world.run(seconds=5)
        assert federation.job(0, two).decisions[federation.nodes[0]].decision.answer is Answer.WAIT
    feed(federation, 3, cancel)
    if settled_meanwhile:
        federation.world.run(seconds=5)
        federation.world.boot(federation.nodes[0])
    assert federation.run_until(two, State.DONE)


def test_a_group_that_a_member_tore_is_told_and_left_by_all() -> None:
    """GR7. Member 3 joins as free and signs another group: the others waited for its signature for ever."""
    federation = Federation(4)
    federation.policies[3] = lambda _: None
    federation.boot()
    job = federation.submit(0, members=FOUR)
    decision = signed(federation, 3, DECISION, job.hex(), Decision(Answer.JOIN))
    alone = signed(federation, 3, GROUP, "heart", GroupBody((federation.nodes[3],)))
    federation.world.run(seconds=3)
    federation.world.crash(federation.nodes[3])
    feed(federation, 1, alone, decision)
    assert federation.run_until(job, State.FAILED, range(3), seconds=60)
    assert "signed another group" in federation.job(0, job).reason


# -- members -----------------------------------------------------------------------------------------------------


def test_an_own_decision_that_comes_back_late_moves_nothing() -> None:
    """J16. A hub restored from a backup learns its own later decision from a peer, in the middle of a job."""
    federation = Federation(4, rounds=200)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING)
    feed(federation, 2, signed(federation, 1, DECISION, job.hex(), Decision(Answer.REFUSE, "later"), 9))
    assert federation.run_until(job, State.DONE)


def test_a_member_that_is_revoked_before_it_signed_its_group_ends_the_job() -> None:
    """J7. Nobody had joined yet: the job waited for the signature of who was no member any more, for ever."""
    federation = Federation(4)
    federation.corrupt[3] = NeverGroup
    federation.boot()
    job = federation.submit(0, members=FOUR)
    federation.world.run(seconds=100)
    assert federation.job(1, job).waiting_for() == (federation.nodes[3],)
    federation.revoke(3)
    assert federation.run_until(job, State.FAILED, range(3), seconds=60)
    assert "revoked" in federation.job(1, job).reason


@pytest.mark.parametrize("listed", [True, False])
def test_a_member_that_is_revoked_during_the_collection_is_in_no_cohort(listed: bool) -> None:
    """J7. It had joined: the cohort named it, and waited for it for ever."""
    federation = Federation(5)
    federation.policies[4] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, range(5)) if listed else federation.submit(0, max_nodes=5)
    federation.world.run(seconds=5)
    assert federation.nodes[3] in federation.job(0, job).decisions
    federation.revoke(3)
    federation.world.run(seconds=1)
    federation.decide(4, job, Answer.JOIN)
    honest = (0, 1, 2, 4)
    assert federation.run_until(job, State.FAILED if listed else State.DONE, honest, seconds=600)
    if not listed:
        federation.assert_result(job, honest)


def test_a_revocation_ends_the_job_of_a_hub_that_died_on_it() -> None:
    """J7. The revocation was durable, its consequences were not."""
    federation = Federation(4, rounds=500)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING)
    for other in federation.nodes[1:]:
        federation.world.network.partition([federation.nodes[0]], [other])
    host = federation.world.hosts[federation.nodes[0]]
    host.crash_after = lambda effect: isinstance(effect, Persist) and getattr(effect.fact, "kind", "") == REVOCATION
    federation.revoke(3)
    assert not federation.up(0)
    federation.world.boot(federation.nodes[0])
    federation.world.run(seconds=1)
    assert federation.job(0, job).state is State.FAILED and "revoked" in federation.job(0, job).reason


def test_a_job_that_is_done_stays_done_though_a_member_was_revoked_since() -> None:
    """J7."""
    federation = Federation(4)
    federation.boot()
    job = federation.submit(0, members=FOUR)
    assert federation.run_until(job, State.DONE)
    federation.revoke(3)
    federation.world.run(seconds=10)
    federation.world.crash(federation.nodes[1])
    federation.world.boot(federation.nodes[1])
    federation.world.run(seconds=40)
    assert federation.states(job, range(3)) == [State.DONE] * 3


def test_a_decision_superseded_after_the_start_does_not_lock_out_who_restarts() -> None:
    """J11.

    The decisions that a cohort names are judged once: a member could have them forgotten, and every restart hung.
    """
    federation = Federation(4, rounds=60)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING)
    feed(federation, 1, signed(federation, 1, DECISION, job.hex(), Decision(Answer.JOIN, "again"), 9))
    federation.world.run(seconds=1)
    for node in federation.nodes[2:]:
        federation.world.crash(node)
    federation.boot()
    assert federation.run_until(job, State.DONE)


def test_a_failure_that_came_before_the_cohort_ends_the_job_all_the_same() -> None:
    """J6."""
    federation = Federation(5)
    nobody_answers(federation)
    federation.boot()
    job = forged_job(federation, 4)
    name = digest(federation, job).hex()
    decisions = joining(federation, name, FOUR)
    outcome = Outcome(False, 0, bytes(32), "the disk is full")
    feed(federation, 1, job, *decisions.values(), signed(federation, 2, OUTCOME, name, outcome))
    feed(federation, 1, cohort_of(federation, 4, name, decisions))
    here = federation.job(1, bytes.fromhex(name))
    assert here.state is State.FAILED and "the disk is full" in here.reason


def test_a_hub_that_failed_while_the_collection_was_open_says_so_when_it_is_named() -> None:
    """J6."""
    federation = Federation(4)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, members=FOUR)
    federation.world.run(seconds=3)
    federation.feed(1, ForJob(job, WorkFailed("the data set was withdrawn")))
    federation.decide(3, job, Answer.JOIN)
    assert federation.run_until(job, State.FAILED, seconds=60)
    assert "withdrawn" in federation.job(2, job).reason


def test_a_task_that_ends_at_one_member_and_goes_on_at_another_is_a_failure_with_words() -> None:
    """J13."""
    federation = Federation(4)
    federation.numbers[2].rounds = 5
    federation.boot()
    job = federation.submit(0, members=FOUR)
    assert federation.run_until(job, State.FAILED, (2,), seconds=60)
    assert "not exact" in federation.job(2, job).reason
    assert federation.run_until(job, State.DONE, (0, 1, 3), seconds=60)


def certificate(federation: Federation, job: bytes, number: int, history: bytes, voters: range) -> Certificate:
    votes = []
    for v in voters:
        unsigned = Vote(job, number, 1, federation.nodes[v], history, UNSIGNED)
        votes.append(sign(federation.identities[v], unsigned))
    return Certificate(job, number, history, tuple(votes))


@pytest.mark.parametrize("running", [True, False])
def test_a_second_certificate_for_a_past_round_ends_the_job_and_convicts(running: bool) -> None:
    """S17, J5."""
    federation = Federation(4, rounds=200 if running else 3)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING if running else State.DONE)
    federation.world.run(lambda: federation.job(1, job).rounds_done > 2, seconds=60)
    false = certificate(federation, job, federation.job(1, job).rounds_done, bytes(32), range(3))
    effects = federation.hub(1).handle(Received(federation.nodes[0], false), federation.world.now)
    told = [e.effect for e in effects if isinstance(e, InJob)]
    assert {e.author for e in told if isinstance(e, Evidence) and e.kind == "two_certificates"}
    assert federation.job(1, job).state is (State.FAILED if running else State.DONE)


def test_a_false_certificate_for_a_past_round_is_refused_and_changes_nothing() -> None:
    """J5."""
    federation = Federation(4)
    federation.boot()
    job = federation.submit(0, members=FOUR)
    assert federation.run_until(job, State.DONE)
    false = certificate(federation, job, 2, bytes(32), range(2))
    (effect,) = federation.hub(1).handle(Received(federation.nodes[0], false), federation.world.now)
    assert isinstance(effect, Refused) and effect.code == "bad_certificate"


def test_pauses_and_resumes_out_of_turn_move_nothing() -> None:
    """J16."""
    federation = Federation(4, rounds=200)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING)
    here = federation.job(1, job)
    assert [e for e in here._after([Resumed(1)], 0.0) if isinstance(e, Moved)] == []
    twice = here._after([Paused(1, (federation.nodes[0],)), Paused(1, (federation.nodes[0],))], 0.0)
    assert [e.state for e in twice if isinstance(e, Moved)] == [State.PAUSED]


# -- readers and past rounds ---------------------------------------------------------------------------------------


def test_past_sums_are_served_within_an_allowance_of_bytes() -> None:
    """J14."""
    serving = Serving(OTHER_JOB)
    peer, total = NodeId("p"), np.zeros(1 << 20, np.uint8)
    serving.certified(Certified(Certificate(OTHER_JOB, 1, bytes(32), ()), total))
    effects: list[Effect] = []
    for number in range(1, 1000):
        effects += serving.serve(peer, Ask(OTHER_JOB, number, 0, certificate=True), number, 0.0)
    assert sum(isinstance(e, Serve) for e in effects) == SERVE_BYTES_BURST >> 20
    assert {e.code for e in effects if isinstance(e, Refused)} == {"too_fast"}
    assert serving.serve(peer, Ask(OTHER_JOB, 7, 0, certificate=True), 7, 60.0)


def test_memory_of_past_rounds_is_bounded() -> None:
    """S24."""
    serving = Serving(OTHER_JOB)
    for number in range(1, 1000):
        serving.certified(Certified(Certificate(OTHER_JOB, number, bytes(32), ()), np.zeros(8, np.uint8)))
        serving.ask_back(NodeId("p"), number, number / 1000)
    assert len(serving._certificates) == CERTIFICATES_KEPT


def test_talk_of_rounds_far_ahead_draws_one_ask_a_second() -> None:
    """J14."""
    federation = Federation(4, rounds=200)
    federation.boot()
    job = federation.submit(0, members=FOUR, rounds_max=1000)
    assert federation.run_until(job, State.RUNNING)
    hub, sent = federation.hub(1), 0
    for number in range(10_000, 12_000):
        offer = Offer(job, number, 1, federation.nodes[0], bytes(32), bytes(32), bytes(64))
        effects = hub.handle(Received(federation.nodes[0], offer), federation.world.now)
        sent += sum(isinstance(e, Send) for e in effects)
    assert sent == 1


def test_a_reader_expects_only_certified_sums_and_is_not_kept_from_them_by_a_liar() -> None:
    """W3."""
    federation = Federation(5, rounds=3)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(4, members=FOUR)
    federation.world.run(seconds=3)
    reader = federation.nodes[4]
    federation.world.tamper = lambda s, t, m, p: [] if t == reader and isinstance(m, Certificate) else [(m, p)]
    federation.decide(3, job, Answer.JOIN)
    assert federation.run_until(job, State.DONE, FOUR)
    here, node = federation.job(4, job), federation.hub(4).node
    true = next(f for f in federation.certified(job) if f.certificate.round == 1)
    junk = certificate(federation, job, 1, bytes(32), range(2))
    assert here.expects(federation.nodes[0], true.certificate, true.total.nbytes)
    assert not here.expects(federation.nodes[0], true.certificate, 1 << 40)
    assert not here.expects(federation.nodes[0], junk, true.total.nbytes)
    false = np.zeros_like(true.total)
    effects = node.handle(Received(federation.nodes[0], true.certificate, false), federation.world.now)
    (compute,) = [e for e in effects if isinstance(e, Compute)]
    refused = node.handle(Computed(compute.token, compute.work()), federation.world.now)
    assert [(e.code, e.peer) for e in refused if isinstance(e, Refused)] == [("wrong_sum", federation.nodes[0])]
    again = node.handle(Received(federation.nodes[0], true.certificate, false), federation.world.now)
    assert [e.code for e in again if isinstance(e, Refused)] == ["wrong_sum"]
    federation.world.tamper = None
    assert federation.run_until(job, State.DONE)


# -- restart -----------------------------------------------------------------------------------------------------


def test_facts_say_the_same_in_any_order() -> None:
    """J15."""
    vote = Vote(OTHER_JOB, 3, 2, NodeId("a" * 56), bytes(32), bytes(64))
    words = np.zeros(8, np.uint8)
    facts = [
        Joined(OTHER_JOB, b"c"),
        Certified(Certificate(OTHER_JOB, 1, b"1" * 32, ()), words),
        Certified(Certificate(OTHER_JOB, 2, b"2" * 32, ()), words),
        Entered(OTHER_JOB, 2, 9),
        Entered(OTHER_JOB, 3, 1),
        Entered(OTHER_JOB, 3, 2),
        Signed(vote, (), (), (), (), words),
    ]
    expected = Restored(cohort=b"c", rounds=2, history=b"2" * 32, entered=2, signed=facts[-1])  # type: ignore[arg-type]
    assert restore([Waited(OTHER_JOB, 60.0), Waited(OTHER_JOB, 9.0)]) == {OTHER_JOB: Restored(waited_s=60.0)}
    for order in itertools.permutations(range(7)):
        assert restore([facts[k] for k in order]) == {OTHER_JOB: expected}


def test_offers_of_another_round_that_came_before_the_cohort_are_dropped_in_silence() -> None:
    """J16."""
    federation = Federation(4)
    federation.policies[3] = lambda _: Decide(Answer.ASK)
    federation.boot()
    job = federation.submit(0, members=FOUR)
    federation.world.run(seconds=3)
    offer = Offer(job, 5, 1, federation.nodes[0], bytes(32), bytes(32), bytes(64))
    federation.hub(1).handle(Received(federation.nodes[0], offer), federation.world.now)
    federation.decide(3, job, Answer.JOIN)
    assert federation.run_until(job, State.DONE)
    assert not [e for _, _, e in federation.world.observed if isinstance(e, Refused)]
    assert next_history(first_history(job, bytes(32)), 1, np.zeros(8, np.uint8))
