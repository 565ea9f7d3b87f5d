"""Malicious members: what they sign or send, and what becomes of it. Names are those of the cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.effects import Retried, RoundFailed
from protocols.secagg.messages import Offer, Root, Segment, Sum, SumWords
from protocols.secagg.signing import first_history, signed_frame
from tests.kit import BOUND, Sums, as_vector

LONG = 40_000
Sent = Sequence[tuple[Message, Payload | None]]


def resigned(identity: Identity, message: Message, **changes: object) -> Message:
    """The message with other content, signed by its author for it: what a liar can do."""
    changed = msgspec.structs.replace(message, **changes)
    return msgspec.structs.replace(changed, signature=identity.sign(signed_frame(changed)))


def lie(sums: Sums, liar: int, about: type, how: Callable[[int, Message, Payload | None], Sent]) -> None:
    """Member `liar` sends what `how(to, message, payload)` makes of its messages of one kind."""

    def tamper(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        if sender == sums.nodes[liar] and isinstance(message, about):
            return how(sums.nodes.index(to), message, payload)
        return [(message, payload)]

    sums.world.tamper = tamper


def other_key() -> bytes:
    return X25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()


def accepted(sums: Sums) -> int:
    return len(sums.sums())


def masked_words_left(sums: Sums) -> bool:
    return any(isinstance(message, Segment) for _, _, _, message in sums.world.sent)


def test_offer_equivocation_lets_no_segment_leave_and_leaves_both_signed_offers() -> None:
    """S8, S29, S39."""
    sums = Sums(4, start=False)
    lie(
        sums,
        0,
        Offer,
        lambda to, m, p: [(resigned(sums.identities[0], m, key=other_key()), p)] if to == 1 else [(m, p)],
    )
    sums.world.boot(*sums.nodes)
    assert not sums.run(9)
    assert accepted(sums) == 0
    assert not masked_words_left(sums)
    assert sums.evidence("other_context")
    proofs = [e for _, e in sums.evidence("two_offers")]
    assert proofs and all(len(e.proof) == 2 and e.author == sums.nodes[0] for e in proofs)
    assert {e.author for _, e in sums.evidence() if e.convicts} == {sums.nodes[0]}, "nobody honest is convicted"
    assert any(sums.nodes[0] in sums.round(i).waiting_for() for i in (1, 2, 3))


def _received(sender: NodeId, message: Message, payload: Payload | None = None):  # type: ignore[no-untyped-def]
    from protocols.core import Received

    return Received(sender, message, payload)


def test_key_substitution_in_transit_is_refused_and_the_true_offer_is_asked_for() -> None:
    """S6."""
    sums = Sums(4, start=False)
    state = {"hits": 0}

    def swap(to: int, message: Message, payload: Payload | None) -> Sent:
        state["hits"] += 1
        changed = msgspec.structs.replace(message, key=other_key())
        return [(changed, payload)] if state["hits"] <= 3 else [(message, payload)]

    lie(sums, 0, Offer, swap)
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    assert "bad_signature" in sums.codes()
    sums.assert_exact()


def test_duplicate_ids_and_keys_are_refused() -> None:
    """S7."""
    sums = Sums(4, start=False)
    stolen: dict[str, bytes] = {}

    def copy_key(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        if isinstance(message, Offer) and sender == sums.nodes[1]:
            stolen["key"] = message.key
        if isinstance(message, Offer) and sender == sums.nodes[2] and "key" in stolen:
            return [(resigned(sums.identities[2], message, key=stolen["key"]), payload)]
        return [(message, payload)]

    sums.world.tamper = copy_key
    sums.world.boot(*sums.nodes)
    assert not sums.run(9)
    assert "repeated_key" in sums.codes()
    assert accepted(sums) == 0


LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("key", LOW_ORDER)
def test_small_order_and_non_canonical_keys_are_refused(key: bytes) -> None:
    """S7."""
    sums = Sums(3, start=False)
    lie(sums, 0, Offer, lambda to, m, p: [(resigned(sums.identities[0], m, key=key), p)])
    sums.world.boot(*sums.nodes)
    assert not sums.run(9)
    assert "weak_key" in sums.codes()
    assert not masked_words_left(sums)


@pytest.mark.parametrize("case", ["model_inconsistency", "cohort_equivocation"])
def test_other_histories_or_records_give_no_sum_and_leave_evidence(case: str) -> None:
    """S8."""

    def history(i: int) -> bytes:
        records = (
            (b"job", b"cohort" if i != 1 else b"other cohort") if case == "cohort_equivocation" else (b"job", b"c")
        )
        return first_history(*records) if case == "cohort_equivocation" or i != 1 else first_history(b"other", b"c")

    sums = Sums(4, history=history)
    assert not sums.run(60)
    assert accepted(sums) == 0
    assert not masked_words_left(sums)
    assert sums.evidence("other_history")


def test_rushing_member_cannot_wait_for_others_segments_before_it_fixes_its_own() -> None:
    """S9."""
    sums = Sums(4, LONG, start=False)
    lie(sums, 0, Root, lambda to, m, p: [])
    sums.world.boot(*sums.nodes)
    assert not sums.run(60)
    left = {m.author for _, _, _, m in sums.world.sent if isinstance(m, Segment)}
    assert left <= {sums.nodes[0]}, "only its own words may leave, and nobody can use them"


def test_rushing_member_gets_no_segment_by_asking() -> None:
    """S9."""
    from protocols.secagg.messages import Ask

    sums = Sums(4, LONG, start=False)
    lie(sums, 0, Root, lambda to, m, p: [])
    sums.world.boot(*sums.nodes)
    sums.run(5)
    attempt = sums.round(1)._attempt.number
    everything = tuple((author, segment) for author in range(4) for segment in range(4))
    ask = Ask(sums.cohort.job, 1, attempt, segments=everything)
    effects = sums.round(1).handle(_received(sums.nodes[0], ask), sums.world.now)
    assert not [e for e in effects if isinstance(getattr(e, "message", None), Segment)]


def test_wrong_segment_is_refused_named_and_asked_for_again() -> None:
    """S10."""
    sums = Sums(5, LONG, start=False)
    spoiled: list[int] = []

    def spoil(to: int, message: Message, payload: Payload | None) -> Sent:
        assert payload is not None
        if len(spoiled) < 2:
            spoiled.append(to)
            payload = payload.copy()
            payload[5] ^= 1
        return [(message, payload)]

    lie(sums, 2, Segment, spoil)
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()
    refusals = [e for _, _, e in sums.world.observed if getattr(e, "code", "") == "wrong_segment"]
    assert refusals
    assert all(sums.nodes[2] in e.detail for e in refusals)


def test_holder_override_its_own_segment_replaced_is_a_wrong_segment() -> None:
    """S10."""
    sums = Sums(4, LONG, start=False)

    def replace(to: int, message: Message, payload: Payload | None) -> Sent:
        assert payload is not None
        return [(message, np.zeros_like(payload))]

    lie(sums, 0, Segment, replace)
    sums.world.boot(*sums.nodes)
    assert not sums.run(60)
    assert accepted(sums) == 0
    assert "wrong_segment" in sums.codes()


@pytest.mark.parametrize("liar", range(5))
def test_lying_holder_is_named_by_its_signature_and_the_sum_is_exact(liar: int) -> None:
    """S12."""
    sums = Sums(5, LONG, start=False)
    lie(sums, liar, Sum, lambda to, m, p: [(resigned(sums.identities[liar], m, digest=bytes(32)), p)])
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()
    named = {e.author for _, e in sums.evidence("false_sum")}
    assert named == {sums.nodes[liar]}


def test_equivocating_holder_tells_each_something_else_and_all_get_the_exact_sum() -> None:
    """S11."""
    sums = Sums(5, LONG, start=False)
    lie(sums, 1, Sum, lambda to, m, p: [(resigned(sums.identities[1], m, digest=bytes([to]) * 32), p)])
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()
    assert {e.author for _, e in sums.evidence("false_sum")} == {sums.nodes[1]}


def test_holder_that_sends_other_words_than_it_signed_is_bypassed() -> None:
    """S11."""
    sums = Sums(5, LONG, start=False)

    def spoil(to: int, message: Message, payload: Payload | None) -> Sent:
        assert payload is not None
        return [(message, np.zeros_like(payload))]

    lie(sums, 3, SumWords, spoil)
    sums.world.boot(*sums.nodes)
    assert sums.run(60)
    sums.assert_exact()


def test_silent_holder_is_replaced_by_the_other_and_by_the_inputs() -> None:
    """S11."""
    sums = Sums(5, LONG, start=False)
    lie(sums, 1, (Sum, SumWords), lambda to, m, p: [])  # type: ignore[arg-type]
    sums.world.boot(*sums.nodes)
    assert sums.run(120)
    sums.assert_exact()


def test_all_holders_of_a_segment_lying_alike_is_the_stated_limit_but_never_two_sums() -> None:
    """S11. With c = 1 two colluders exceed the promise: the sum may be wrong, yet members never differ about it."""
    sums = Sums(5, LONG, start=False)
    bad = {1, 2}

    def tamper(sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> Sent:
        index = sums.nodes.index(sender)
        if index in bad and isinstance(message, Sum) and message.segment == 1:
            return [(resigned(sums.identities[index], message, digest=bytes(32)), payload)]
        return [(message, payload)]

    sums.world.tamper = tamper
    sums.world.boot(*sums.nodes)
    sums.run(120)
    histories = {tuple(v.tolist()) for v in sums.sums().values()}
    assert len(histories) <= 1


def test_withheld_sum_gains_nothing_since_every_attempt_sums_the_same_integers() -> None:
    """S3."""
    sums = Sums(4, LONG, start=False)
    seen: list[int] = []

    def withhold(to: int, message: Message, payload: Payload | None) -> Sent:
        if message.attempt <= 2:  # type: ignore[attr-defined]
            seen.append(message.attempt)  # type: ignore[attr-defined]
            return []
        return [(message, payload)]

    lie(sums, 0, Segment, withhold)
    learned = keep_the_sum_to_itself(sums, 0, attempts=2)
    sums.world.boot(*sums.nodes)
    assert sums.run(300)
    assert set(seen) == {1, 2}
    assert set(learned) == {1, 2}
    for words in learned.values():
        np.testing.assert_array_equal(words.view("<i8")[: sums.length], sums.expected())
    sums.assert_exact()
    retried = [e for _, _, e in sums.world.observed if isinstance(e, Retried)]
    assert any(e.waited_for == (sums.nodes[0],) for e in retried), "the one that withheld is seen as missing"


def keep_the_sum_to_itself(sums: Sums, member: int, attempts: int) -> dict[int, Payload]:
    """The member does not vote in its first attempts, though it knows their sums, which are returned."""
    factory = sums.world.hosts[sums.nodes[member]].factory
    learned: dict[int, Payload] = {}

    def made(disk):  # type: ignore[no-untyped-def]
        core, begin = factory(disk)
        settle = core._settle

        def hold_back(attempt, total, now):  # type: ignore[no-untyped-def]
            if attempt.number > attempts:
                return settle(attempt, total, now)
            learned[attempt.number] = total.words
            return []

        core._settle = hold_back
        return core, begin

    sums.world.hosts[sums.nodes[member]].factory = made
    return learned


def test_garbage_vector_fails_the_attempt_and_the_second_time_the_job() -> None:
    """S13. A member that adds no masks: the sum is noise; the check words show it."""
    spoiled = Sums(4, 50, start=False)
    spoil_masks(spoiled, 2)
    spoiled.world.boot(*spoiled.nodes)
    assert not spoiled.run(200)
    assert accepted(spoiled) == 0
    failures = [e for _, _, e in spoiled.world.observed if isinstance(e, RoundFailed)]
    assert failures and all("2 times" in e.reason for e in failures)


def spoil_masks(sums: Sums, member: int) -> None:
    """The member masks with other keys than it offered."""
    factory = sums.world.hosts[sums.nodes[member]].factory

    def made(disk):  # type: ignore[no-untyped-def]
        core, begin = factory(disk)
        opened = core._enter

        def enter(now: float):  # type: ignore[no-untyped-def]
            effects = opened(now)
            part = core._attempt._part
            core._attempt._part = type(part)(
                part.identity, X25519PrivateKey.from_private_bytes(b"\x09" * 32), part.vector
            )
            return effects

        core._enter = enter
        return core, begin

    sums.world.hosts[sums.nodes[member]].factory = made


def test_coordinate_beyond_the_bound_fails_like_garbage() -> None:
    """S13."""
    sums = Sums(4, 50, start=False)
    sums.values[1][3] = 4 * BOUND + 4 * BOUND
    sums.supplied[1] = as_vector(sums.values[1], 64)
    sums.world.boot(*sums.nodes)
    assert not sums.run(200)
    assert accepted(sums) == 0
    assert [e for _, _, e in sums.world.observed if isinstance(e, RoundFailed)]


def test_vectors_of_different_lengths_are_refused_by_name() -> None:
    """S33."""
    sums = Sums(4, 50, start=False)
    sums.supplied[1] = as_vector(sums.values[1][:49], 64)
    sums.world.boot(*sums.nodes)
    assert not sums.run(30)
    assert "vector_shape" in sums.codes()
    assert not masked_words_left(sums)
