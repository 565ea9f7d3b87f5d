"""A job's proof: what a simulated federation certified holds, and fails when any byte of it was changed."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest

from protocols.job.kinds import COHORT, DECISION, OUTCOME, Answer
from protocols.job.life import State
from secured_node.service import _plain
from secured_node.verify import ProofError, verify_chain
from tests.hubs import Federation
from tests.unit.job.test_succession import begun, wait_done

ROUNDS = 3


@functools.cache
def finished(purpose: str = "a test") -> tuple[Federation, bytes]:
    federation = Federation(4, rounds=ROUNDS)
    federation.boot()
    job = federation.submit(0, members=range(4), purpose=purpose)
    assert federation.run_until(job, State.DONE)
    federation.world.run(lambda: False, 5)
    return federation, job


def chain_of(federation: Federation, job: bytes, i: int = 0) -> dict[str, Any]:
    """As `Service.chain` makes it, from a simulated hub."""
    store = federation.hub(i).node.store
    records = [held.record for kind in (DECISION, COHORT, OUTCOME) for held in store.find(kind, subject=job.hex())]
    facts = {f.certificate.round: f for f in federation.certified(job)}
    proposal = store.by_digest(job)
    assert proposal is not None
    encode = msgspec.msgpack.encode
    return {
        "charter": encode(federation.charter).hex(),
        "job": encode(proposal.record).hex(),
        "records": [encode(record).hex() for record in records],
        "rounds": [[encode(_plain(facts[n].certificate)).hex(), facts[n].total.tobytes().hex()] for n in sorted(facts)],
    }


@functools.cache
def gone_on() -> tuple[Federation, bytes, bytes]:
    """A job that lost its last member, and its successor, done."""
    federation, job = begun()
    return federation, job, wait_done(federation, job)


@pytest.fixture
def chain() -> dict[str, Any]:
    made = chain_of(*finished())
    return msgspec.json.decode(msgspec.json.encode(made), type=dict[str, Any])


def fails(chain: dict[str, Any], words: str = "") -> bool:
    try:
        verify_chain(chain)
    except ProofError as error:
        return words in str(error)
    return False


def test_what_was_certified_is_proved(chain: dict[str, Any]) -> None:
    federation, job = finished()
    proved = verify_chain(chain)
    assert proved["job"] == job.hex() and proved["rounds"] == ROUNDS
    assert proved["members"] == sorted(federation.nodes) and proved["submitter"] == federation.nodes[0]
    assert proved["federation_id"] == federation.hub(0).node.federation.hex()
    assert proved["history"] == federation.job(0, job).history.hex()


def texts(chain: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """Every hexadecimal text in a chain: its name and the way to it."""
    found: list[tuple[str, list[Any]]] = [("charter", ["charter"]), ("job", ["job"])]
    found += [(f"record {i}", ["records", i]) for i in range(len(chain["records"]))]
    for i in range(len(chain["rounds"])):
        found += [(f"certificate {i + 1}", ["rounds", i, 0]), (f"sum {i + 1}", ["rounds", i, 1])]
    return found


def at(chain: Any, way: list[Any]) -> Any:
    for step in way:
        chain = chain[step]
    return chain


def put(chain: Any, way: list[Any], value: Any) -> None:
    at(chain, way[:-1])[way[-1]] = value


def test_no_byte_of_sum_certificate_record_or_charter_can_be_changed() -> None:
    """Every byte of every part, each with one of its bits turned over."""
    whole = msgspec.json.encode(chain_of(*finished()))
    for name, way in texts(msgspec.json.decode(whole)):
        chain = msgspec.json.decode(whole, type=dict[str, Any])
        data = bytes.fromhex(at(chain, way))
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << (place % 8)
            put(chain, way, changed.hex())
            assert fails(chain), f"byte {place} of {name} was changed, and nothing noticed"


def test_parts_that_are_cut_off_added_or_empty_are_noticed(chain: dict[str, Any]) -> None:
    whole = msgspec.json.encode(chain)
    for name, way in texts(chain):
        for change in (lambda t: t[:-2], lambda t: t + "00", lambda _: "", lambda _: "zz", lambda t: t[2:]):
            bad = msgspec.json.decode(whole, type=dict[str, Any])
            put(bad, way, change(at(bad, way)))
            assert fails(bad), name
    for key in ("charter", "job", "records", "rounds"):
        bad = msgspec.json.decode(whole, type=dict[str, Any])
        del bad[key]
        assert fails(bad, "incomplete"), key
        for junk in (None, 3, [], {}, [[]], [None], "00"):
            if key == "rounds" and junk in ([], {}):
                continue  # a job without sums proves nothing but its cohort: see below
            assert fails(bad | {key: junk}), (key, junk)


def test_rounds_cannot_be_reordered_left_out_or_repeated(chain: dict[str, Any]) -> None:
    one, two, three = chain["rounds"]
    for rounds in ([two, one, three], [one, three], [two, three], [one, one, two], [one, two, three, three]):
        assert fails(chain | {"rounds": rounds})
    crossed = [[one[0], two[1]], [two[0], one[1]], three]
    assert fails(chain | {"rounds": crossed})


def test_a_chain_without_its_end_says_how_many_sums_it_proves(chain: dict[str, Any]) -> None:
    shorter = verify_chain(chain | {"rounds": chain["rounds"][:1]})
    assert shorter["rounds"] == 1 and shorter["history"] != verify_chain(chain)["history"]


def test_a_certificate_needs_the_votes_of_enough_members(chain: dict[str, Any]) -> None:
    from protocols.secagg.messages import Certificate

    certificate = msgspec.msgpack.decode(bytes.fromhex(chain["rounds"][0][0]), type=Certificate)
    for votes in (certificate.votes[:1], (certificate.votes[0],) * 4):
        few = msgspec.msgpack.encode(msgspec.structs.replace(certificate, votes=votes)).hex()
        assert fails(chain | {"rounds": [[few, chain["rounds"][0][1]]]}, "bad_certificate")


def test_decisions_and_the_cohort_belong_to_the_job_and_to_the_submitter(chain: dict[str, Any]) -> None:
    other = chain_of(*finished("another job of the same hubs"))
    for part in ("job", "records", "rounds"):
        assert fails(chain | {part: other[part]}), part
    mixed = chain["records"] + other["records"]
    assert fails(chain | {"records": mixed}, "about another job")
    federation, job = finished()
    store = federation.hub(0).node.store
    cohorts = [msgspec.msgpack.encode(held.record).hex() for held in store.find(COHORT, subject=job.hex())]
    without = [text for text in chain["records"] if text not in cohorts]
    assert fails(chain | {"records": without}, "0 cohort records")
    decisions = [held.record for held in store.find(DECISION, subject=job.hex())]
    joined = msgspec.msgpack.encode(decisions[0]).hex()
    assert fails(chain | {"records": [text for text in chain["records"] if text != joined]}, "did not decide to join")


def test_a_cohort_that_names_a_hub_which_refused_is_none() -> None:
    """A submitter that lies: its own hub would not close such a cohort, so it is made by hand."""
    from protocols.job.kinds import CohortBody, Decision
    from protocols.records.record import record_digest, sign_record

    federation, job = finished()
    chain = chain_of(federation, job)
    node = federation.hub(0).node
    held = node.store.find(DECISION, subject=job.hex())
    me = federation.identities[3]
    refused = sign_record(
        me, node.federation, DECISION, job.hex(), Decision(Answer.REFUSE, "no", held[0].body.standing), sequence=9
    )
    digests = {one.record.author: one.digest for one in held} | {me.node: record_digest(node.federation, refused)}
    members = tuple(sorted(federation.nodes))
    body = CohortBody(members, tuple(digests[m] for m in members))
    lie = sign_record(federation.identities[0], node.federation, COHORT, job.hex(), body, sequence=1)
    records = [one.record for one in held] + [refused, lie]
    chain["records"] = [msgspec.msgpack.encode(record).hex() for record in records]
    assert fails(chain, "did not decide to join")


def test_the_proof_of_a_successor_holds_that_of_the_job_before_it() -> None:
    """J32."""
    federation, job, heir = gone_on()
    whole = chain_of(federation, heir) | {"before": chain_of(federation, job)}
    proved = verify_chain(whole)
    assert (proved["rounds"], proved["before"]) == (2, [[4, 1]])
    assert fails(chain_of(federation, heir))
    assert fails(whole | {"before": None})
    assert fails(whole | {"before": whole["before"] | {"rounds": []}}, "round 1 is not certified here")
    assert fails(whole | {"before": chain_of(*finished())}, "another job")
    assert fails(whole | {"before": whole})
    changed = msgspec.json.decode(msgspec.json.encode(whole), type=dict[str, Any])
    total = changed["before"]["rounds"][0][1]
    changed["before"]["rounds"][0][1] = ("0" if total[0] != "0" else "1") + total[1:]
    assert fails(changed, "round 1")
