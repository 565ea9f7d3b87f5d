"""What a store of records accepts, refuses, keeps and lets fall."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalError, PeerError
from protocols.identity import Identity
from protocols.membership.acts import admit, revoke, vouch
from protocols.membership.kinds import MEMBERSHIP, REVOCATION
from protocols.membership.roster import Roster
from protocols.membership.store import open_store
from protocols.records import store as store_module
from protocols.records.kind import Kind, Kinds
from protocols.records.record import (
    BODY_BYTES_MAX,
    RECORD_BYTES_MAX,
    Record,
    check_signature,
    decode_record,
    encode_record,
    record_digest,
    sign_record,
)
from protocols.records.store import FORKS_PER_AUTHOR_MAX, Outcome, RecordStore
from tests.unit.membership_kit import NOTES, NOTES_MAX, Note, charter_of, digests, identity, node_record, note, site

STEWARD, OTHER, MEMBER, STRANGER = (identity(number) for number in range(1, 5))
CHARTER = charter_of((STEWARD, OTHER))


def opened() -> tuple[RecordStore, Roster]:
    """A store in which MEMBER is a member."""
    store, roster = open_store(CHARTER, NOTES)
    assert store.add(admit(STEWARD, roster, store, node_record(MEMBER, roster, "Basel"))).outcome is Outcome.NEW
    return store, roster


def code(store: RecordStore, record: Record) -> str:
    """With which code the store refuses a record."""
    before = digests(store)
    added = store.add(record)
    assert added.outcome is Outcome.REFUSED
    assert digests(store) == before
    return added.code


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "node"},
        {"author": STEWARD.node},
        {"subject": "b"},
        {"sequence": 2},
        {"body": msgspec.msgpack.encode(Note("other"))},
        {"signature": bytes(64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_covers_every_field(change: dict[str, object]) -> None:
    """R1: forged author, forged anything: the signature does not fit."""
    store, _ = opened()
    record = note(MEMBER, store, "a", "text")
    with pytest.raises(PeerError, match="bad_signature"):
        check_signature(store.authority.federation, msgspec.structs.replace(record, **change))


def test_a_forged_author_is_refused() -> None:
    """R1: a record that names a member who did not sign it changes nothing."""
    store, _ = opened()
    assert code(store, msgspec.structs.replace(note(MEMBER, store, "a", "x"), author=OTHER.node)) == "bad_signature"


def test_a_record_of_another_federation_is_refused() -> None:
    """R1: the same node's record for another federation is worth nothing here."""
    store, _ = opened()
    elsewhere, _ = open_store(charter_of((STEWARD, OTHER), 2), NOTES)
    assert code(store, note(MEMBER, elsewhere, "a", "x")) == "bad_signature"


def test_one_content_is_one_record_however_often_it_was_signed() -> None:
    """R2: a second signature of the same content is neither news nor a fork."""
    store, _ = opened()
    record = note(MEMBER, store, "a", "x")
    store.add(record)
    again = msgspec.structs.replace(record, signature=bytes(64))
    assert store.add(again).outcome is Outcome.KNOWN
    assert store.forks() == []


def test_a_body_has_one_encoding() -> None:
    """R3: a body that decodes but is encoded otherwise, or is not of its kind, is refused."""
    store, _ = opened()
    record = note(MEMBER, store, "a", "x")
    for body in (b"\x91\xd9\x01x", b"\x92\xa1x\xa1y", b"\x90", b"", b"\xc1"):
        assert code(store, msgspec.structs.replace(record, body=body)) == "malformed"


def test_an_unknown_kind_is_refused() -> None:
    """R3: what this version does not know it does not keep."""
    store, roster = opened()
    assert code(store, sign_record(MEMBER, roster.federation, "rumour", "a", Note("x"))) == "unknown_kind"


def test_an_oversize_record_is_refused_before_it_is_decoded() -> None:
    """R3: each kind has its cap, and so has any record."""
    store, roster = opened()
    assert code(store, note(MEMBER, store, "a", "x" * 65536)) == "oversize"
    with pytest.raises(PeerError, match="oversize"):
        decode_record(bytes(RECORD_BYTES_MAX + 1))
    with pytest.raises(LocalError):
        sign_record(MEMBER, roster.federation, "note", "a", Note("x" * BODY_BYTES_MAX))


def test_a_record_cannot_be_signed_with_fields_out_of_bounds() -> None:
    """R3: our own mistakes are loud."""
    for kind, subject in (("note", "with space"), ("note", "x" * 129), ("Not a kind", "a"), ("note", "\n")):
        with pytest.raises(LocalError):
            sign_record(MEMBER, bytes(32), kind, subject, Note("x"))


def test_the_highest_sequence_wins_and_an_old_record_replayed_is_ignored() -> None:
    """R4: replayed old records change nothing."""
    store, _ = opened()
    first, second = note(MEMBER, store, "a", "1"), note(MEMBER, store, "a", "2", 2)
    store.add(first)
    added = store.add(second)
    assert [held.record for held in added.superseded] == [first]
    assert store.add(first).outcome is Outcome.STALE
    assert [held.record for held in store.find("note")] == [second]
    assert store.next_sequence("note", MEMBER.node, "a") == 3


def test_forks_are_kept_as_evidence() -> None:
    """R5: both records of a fork stand, stay as evidence when superseded, and prove what their author signed."""
    store, roster = opened()
    first, second = note(MEMBER, store, "a", "yes"), note(MEMBER, store, "a", "no")
    store.add(first)
    added = store.add(second)
    assert added.outcome is Outcome.FORK
    assert {held.record for held in store.heads("note", MEMBER.node, "a")} == {first, second}
    later = store.add(note(MEMBER, store, "a", "perhaps", 2))
    assert later.outcome is Outcome.NEW
    assert later.superseded == ()
    (fork,) = store.forks()
    for record in (fork.first, fork.second):
        check_signature(roster.federation, record)
    assert fork.first.sequence == fork.second.sequence
    assert fork.first.body != fork.second.body


@given(order=st.permutations(range(5)))
def test_of_many_forks_every_node_keeps_the_same_two(order: list[int]) -> None:
    """R5: the two of the lowest digests hold the slot, whatever came first."""
    store, roster = opened()
    records = [note(MEMBER, store, "a", str(number)) for number in range(5)]
    for number in order:
        store.add(records[number])
    lowest = sorted(record_digest(roster.federation, record) for record in records)[:2]
    assert [held.digest for held in store.heads("note", MEMBER.node, "a")] == lowest
    assert len(store.forks()) == 1


def test_evidence_is_bounded_by_author() -> None:
    """R5: an author that forks without end fills no disk."""
    kinds = Kinds((*MEMBERSHIP, Kind("note", Note, 64, 100)))
    store, roster = open_store(CHARTER, kinds)
    store.add(admit(STEWARD, roster, store, node_record(MEMBER, roster, "Basel")))
    for number in range(FORKS_PER_AUTHOR_MAX + 10):
        store.add(note(MEMBER, store, str(number), "yes"))
        store.add(note(MEMBER, store, str(number), "no"))
    assert len(store.forks()) == FORKS_PER_AUTHOR_MAX


def test_a_stranger_is_refused_until_it_is_a_member() -> None:
    """R6: refused as `not_a_member`, and accepted unchanged once it is one."""
    store, roster = opened()
    record = note(STRANGER, store, "a", "x")
    assert code(store, record) == "not_a_member"
    store.add(admit(STEWARD, roster, store, node_record(STRANGER, roster, "Zurich")))
    assert store.add(record).outcome is Outcome.NEW


def test_an_author_has_bounded_room() -> None:
    """R7: one author cannot fill the store; superseding its own records is always possible."""
    store, _ = opened()
    for number in range(NOTES_MAX):
        store.add(note(MEMBER, store, str(number), "x"))
    assert code(store, note(MEMBER, store, "more", "x")) == "author_full"
    assert store.add(note(MEMBER, store, "0", "y", 2)).outcome is Outcome.NEW
    assert store.add(note(STEWARD, store, "more", "x")).outcome is Outcome.NEW


def test_a_final_kind_is_said_once() -> None:
    """R8: a revocation is never superseded, not even by its author."""
    store, roster = opened()
    revocation = revoke(STEWARD, roster, store, MEMBER.node, "left")
    store.add(revocation)
    later = msgspec.structs.replace(revocation, sequence=2)
    assert code(store, later) == "final"
    assert roster.revoked(MEMBER.node)


def test_nothing_is_verified_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """R9: known, stale, malformed, unauthorised: all judged without a signature."""
    store, _ = opened()
    held = note(MEMBER, store, "a", "2", 2)
    store.add(held)

    def never(_federation: bytes, _record: Record) -> None:
        raise AssertionError("a signature was verified without need")

    monkeypatch.setattr(store_module, "check_signature", never)
    outcomes = [
        store.add(record).outcome
        for record in (
            held,
            note(MEMBER, store, "a", "1"),
            note(STRANGER, store, "a", "x"),
            msgspec.structs.replace(held, sequence=3, body=b"\xc1"),
        )
    ]
    assert outcomes == [Outcome.KNOWN, Outcome.STALE, Outcome.REFUSED, Outcome.REFUSED]


def test_a_revocation_cuts_what_it_does_not_keep() -> None:
    """R10: what the revoker knew stands; what comes later is refused, whatever it says of its age."""
    store, roster = opened()
    known = note(MEMBER, store, "known", "x")
    store.add(known)
    store.add(revoke(STEWARD, roster, store, MEMBER.node, "left"))
    assert store.by_digest(record_digest(roster.federation, known)) is not None
    assert code(store, note(MEMBER, store, "unknown", "x")) == "revoked"


def test_what_the_revoker_did_not_know_falls() -> None:
    """R10: the same records stand at all nodes, also where more had arrived before the revocation."""
    store, roster = opened()
    revocation = revoke(STEWARD, roster, store, MEMBER.node, "left")
    unknown = note(MEMBER, store, "unknown", "x")
    store.add(unknown)
    added = store.add(revocation)
    assert [held.record for held in added.fallen] == [unknown]
    assert store.find("note") == []


def test_of_two_revocations_only_what_both_keep_stands() -> None:
    """R10: each revoker may cut more, none may bring back."""
    store, roster = opened()
    records = [note(MEMBER, store, subject, "x") for subject in "abc"]
    store.add(records[0])
    first = revoke(STEWARD, roster, store, MEMBER.node, "left")
    store.add(records[1])
    second = revoke(OTHER, roster, store, MEMBER.node, "left")
    store.add(records[2])
    store.add(second)
    store.add(first)
    assert [held.record for held in store.find("note")] == [records[0]]


def test_what_stood_only_by_a_cut_vote_falls_with_it() -> None:
    """R10: a member admitted only by a vote that was cut is no member, and its records fall."""
    store, roster = opened()
    revocation = revoke(STEWARD, roster, store, OTHER.node, "stolen")
    store.add(admit(OTHER, roster, store, node_record(STRANGER, roster, "Sybil")))
    store.add(note(STRANGER, store, "a", "x"))
    assert roster.allowed(STRANGER.node)
    added = store.add(revocation)
    assert not roster.allowed(STRANGER.node)
    assert {held.record.author for held in added.fallen} == {OTHER.node, STRANGER.node}


def test_restoring_gives_the_same_content_and_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """R19: from what was made durable, in any order, without verifying again."""
    one = site(STEWARD, CHARTER, NOTES)
    written = [
        admit(STEWARD, one.roster, one.store, node_record(MEMBER, one.roster, "Basel")),
        node_record(MEMBER, one.roster, "Basel"),
        note(MEMBER, one.store, "a", "yes"),
        note(MEMBER, one.store, "a", "no"),
        note(MEMBER, one.store, "a", "no", 2),
        vouch(STEWARD, one.store, node_record(STRANGER, one.roster, "Zurich")),
    ]
    for record in written:
        one.store.add(record)
    written.append(revoke(OTHER, one.roster, one.store, MEMBER.node, "left"))
    one.store.add(written[-1])
    again = site(STEWARD, CHARTER, NOTES)
    monkeypatch.setattr(store_module, "check_signature", None)
    assert again.store.restore(reversed(written)) == ()
    assert digests(again.store) == digests(one.store)
    assert again.roster.revocations() == one.roster.revocations()
    (fork,) = again.store.forks()
    assert {fork.first, fork.second} == {written[2], written[3]}
    assert again.store.buckets.digests() == one.store.buckets.digests()


def test_restoring_lets_fall_what_a_crash_left_behind() -> None:
    """R19: the revocation was durable, the deletion of what it cuts was not."""
    store, roster = opened()
    vote = store.find("admission")[0].record
    revocation = revoke(STEWARD, roster, store, MEMBER.node, "left")
    cut = note(MEMBER, store, "a", "x")
    again, _ = open_store(CHARTER, NOTES)
    fallen = again.restore([cut, vote, revocation])
    assert [held.record for held in fallen] == [cut]
    assert again.find(REVOCATION)[0].record == revocation


def test_a_table_of_kinds_refuses_nonsense() -> None:
    """R3: our own mistakes are loud."""
    with pytest.raises(LocalError, match="two kinds"):
        Kinds((Kind("note", Note, 1, 1), Kind("note", Note, 1, 1)))
    with pytest.raises(LocalError, match="no record has over"):
        Kinds((Kind("note", Note, BODY_BYTES_MAX + 1, 1),))
    with pytest.raises(LocalError, match="no kind"):
        NOTES["rumour"]


@given(data=st.binary(max_size=400))
def test_decoding_a_record_raises_peer_errors_only(data: bytes) -> None:
    """R18: arbitrary bytes."""
    try:
        record = decode_record(data)
    except PeerError:
        return
    assert decode_record(encode_record(record)) == record


@given(data=st.data())
def test_a_store_never_raises_for_what_was_sent(data: st.DataObject) -> None:
    """R18: arbitrary well-typed records change nothing unless their author signed them."""
    store, _ = opened()
    kinds = st.sampled_from(["charter", "admission", "revocation", "voucher", "node", "note", "rumour"])
    nodes = st.sampled_from([who.node for who in (STEWARD, MEMBER, STRANGER)])
    bodies = st.binary(max_size=64) | st.builds(Note, st.text(max_size=8)).map(msgspec.msgpack.encode)
    record = Record(
        data.draw(kinds),
        data.draw(nodes),
        data.draw(nodes | st.just("") | st.just("x")),
        data.draw(st.integers(1, 2**62)),
        data.draw(bodies),
        data.draw(st.binary(min_size=64, max_size=64)),
    )
    before = digests(store)
    assert store.add(record).outcome in (Outcome.REFUSED, Outcome.STALE)
    assert digests(store) == before


def test_finding_by_any_combination() -> None:
    """Records are found by kind, author and subject, membership first."""
    store, roster = opened()
    mine, yours = note(MEMBER, store, "a", "x"), note(STEWARD, store, "a", "y")
    store.add(mine)
    store.add(yours)
    assert {held.record for held in store.find(subject="a")} == {mine, yours}
    assert [held.record for held in store.find("note", MEMBER.node)] == [mine]
    assert [held.record for held in store.find("note", MEMBER.node, "b")] == []
    assert [held.record.kind for held in store.find()] == ["charter", "admission", "note", "note"]
    assert store.find(author=Identity(bytes(32)).node) == []
    assert len(store) == 4
    assert roster.federation == record_digest(b"", CHARTER)
