"""How records reach everybody: news, comparison, convergence, and the bounds that hold against rubbish."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import wire
from protocols.core import Effect, LinkUp, Persist, Received, Refused, Send, Tick
from protocols.digest import digest
from protocols.identity import Identity, NodeId
from protocols.membership.acts import admit, revoke, vouch
from protocols.membership.bodies import Revocation
from protocols.membership.kinds import MEMBERSHIP, REVOCATION
from protocols.message import Message
from protocols.records.buckets import BUCKETS
from protocols.records.events import Dropped, Forked, Learned, Publish
from protocols.records.exchange import (
    ANSWER_BYTES_BURST,
    EXCHANGE_PEERS,
    EXCHANGE_S,
    NEWS_PEERS_MAX,
    SUPERSEDE_BURST,
    Exchange,
)
from protocols.records.kind import Kind, Kinds
from protocols.records.messages import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    ENTRIES_MAX,
    Entry,
    Listing,
    Pull,
    Records,
    Summary,
)
from protocols.records.record import RECORD_BYTES_MAX, Record, record_digest, sign_record
from tests.unit.membership_kit import (
    NOTES,
    Note,
    Pump,
    Site,
    charter_of,
    digests,
    identity,
    node_record,
    note,
    site,
)

STEWARDS = tuple(identity(number) for number in range(1, 6))
A, B, C, OLD, LOST = STEWARDS
MEMBERS = tuple(identity(number) for number in range(10, 14))
STRANGER = identity(99)
CHARTER = charter_of(STEWARDS, 2)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def three(kinds: Kinds = NOTES) -> tuple[Pump, Site, Site, Site]:
    """Three linked sites that are stewards."""
    one, two, other = (site(who, CHARTER, kinds) for who in (A, B, C))
    pump = Pump((one, two, other))
    pump.link_all()
    pump.run()
    return pump, one, two, other


def sends(effects: object) -> list[Send]:
    """What is sent."""
    assert isinstance(effects, list | tuple)
    return [effect for effect in effects if isinstance(effect, Send)]


def received(one: Site, sender: Identity, message: Message, now: float = 0.0) -> list[Effect]:
    """What a site does about a message."""
    return list(one.exchange.handle(Received(sender.node, message), now))


# --- Convergence ------------------------------------------------------------------------------------------------------


def universe(draw: st.DrawFn) -> list[Record]:
    """Records that contradict, supersede, revoke and depend on each other, in any amount."""
    _, roster = site(A, CHARTER, NOTES).store, site(A, CHARTER, NOTES).roster
    federation = roster.federation
    doubtful = (OLD, LOST, *MEMBERS)
    plain: list[Record] = [node_record(who, roster, f"Site {number}") for number, who in enumerate(doubtful)]
    for steward in STEWARDS:
        for member in draw(st.sets(st.sampled_from(MEMBERS))):
            store = site(steward, CHARTER, NOTES).store
            plain.append(admit(steward, roster, store, node_record(member, roster, "Site")))
    for author in draw(st.lists(st.sampled_from(doubtful), max_size=4)):
        subject = draw(st.sampled_from(MEMBERS))
        if subject != author:
            plain.append(vouch(author, site(A, CHARTER, NOTES).store, node_record(subject, roster, "Site")))
    for author in draw(st.lists(st.sampled_from((*STEWARDS, *MEMBERS)), max_size=10)):
        text, sequence = draw(st.sampled_from("xyz")), draw(st.integers(1, 3))
        about = draw(st.sampled_from("ab"))
        plain.append(sign_record(author, federation, "note", about, Note(text), sequence=sequence))
    names = [record_digest(federation, record) for record in plain]
    for author in draw(st.lists(st.sampled_from(STEWARDS), max_size=5)):
        node = draw(st.sampled_from(doubtful))
        kept = draw(st.sets(st.sampled_from(names)))
        body = Revocation(draw(st.sampled_from(["left", "stolen"])), tuple(sorted(kept)))
        plain.append(sign_record(author, federation, REVOCATION, node.node, body))
        names.append(record_digest(federation, plain[-1]))
    for node in draw(st.sets(st.sampled_from(doubtful))):
        kept = draw(st.sets(st.sampled_from(names)))
        plain.append(
            sign_record(node, federation, REVOCATION, node.node, Revocation("moved away", tuple(sorted(kept))))
        )
    return plain


def agreed(one: Site) -> set[bytes]:
    """What must be the same everywhere: all but farewells of nodes for which nobody speaks any more.

    These are never let fall, so that they hold should somebody speak for the node again, and nobody takes them anew.
    """
    return {
        held.digest
        for held in one.store.find()
        if held.record.kind != REVOCATION
        or held.record.author != held.record.subject
        or one.roster.known(held.record.author)
    }


records = st.composite(universe)()


@SLOW
@given(everything=records, data=st.data())
def test_stores_converge_whatever_the_order_loss_and_repetition(everything: list[Record], data: st.DataObject) -> None:
    """R11: sites that learned different parts in different orders, over lossy links, end with the same content."""
    sites = [site(who, CHARTER, NOTES) for who in (A, B, C)]
    pump = Pump(sites, seed=data.draw(st.integers(0, 2**16)))
    for one in sites:
        pump.carry_out(one, one.exchange.handle(Publish(tuple(data.draw(st.permutations(everything)))), 0.0))
    pump.loss, pump.repeat = 0.4, 0.2
    pump.link_all()
    for record in everything:
        pump.publish(data.draw(st.sampled_from((A, B, C))), record)
    pump.rounds(3)
    pump.loss, pump.repeat = 0.0, 0.1
    pump.rounds(8)
    first, *others = sites
    for other in others:
        assert agreed(other) == agreed(first)
        assert other.roster.members() == first.roster.members()
        assert other.roster.candidates() == first.roster.candidates()


@SLOW
@given(everything=records, data=st.data())
def test_what_stands_does_not_depend_on_the_order_of_arrival(everything: list[Record], data: st.DataObject) -> None:
    """R11: each store, given everything again until nothing changes, holds the same; and a restart changes nothing."""
    one, other = (site(A, CHARTER, NOTES) for _ in range(2))
    for where in (one, other):
        for _ in range(6):
            for record in data.draw(st.permutations(everything)):
                where.store.add(record)
    assert agreed(one) == agreed(other)
    again = site(A, CHARTER, NOTES)
    again.store.restore(held.record for held in one.store.find())
    assert digests(again.store) == digests(one.store)
    assert again.roster.members() == one.roster.members()


def test_the_largest_record_fits_into_a_batch() -> None:
    assert RECORD_BYTES_MAX < BATCH_BYTES_MAX


def test_a_newcomer_gets_everything_in_one_exchange() -> None:
    """R11: thousands of records over several listings, though most depend on votes that are listed later."""
    kinds = Kinds((*MEMBERSHIP, Kind("note", Note, 64 * 1024, 1000)))
    full, empty = site(A, CHARTER, kinds), site(B, CHARTER, kinds)
    pump = Pump((full, empty))
    members = [identity(number) for number in range(100, 200)]
    for member in members:
        about = node_record(member, full.roster, "Member")
        pump.publish(A, admit(A, full.roster, full.store, about), admit(C, full.roster, full.store, about), about)
        pump.publish(A, *(note(member, full.store, str(number), "x") for number in range(20)))
    for number in range(20):
        pump.publish(A, note(A, full.store, str(number), "x" * 60_000))
    assert len(full.store) > ENTRIES_MAX
    pump.link_all()
    pump.run()
    assert digests(empty.store) == digests(full.store)
    assert empty.roster.members() == full.roster.members()
    assert {effect.code for effect in empty.effects if isinstance(effect, Refused)} == {"not_a_member", "not_known"}


def test_a_listing_that_does_not_fit_is_continued() -> None:
    """R11: more records than one listing holds."""
    kinds = Kinds((*MEMBERSHIP, Kind("note", Note, 64, 5000)))
    full, empty = site(A, CHARTER, kinds), site(B, CHARTER, kinds)
    signed = note(A, full.store, "0", "x")
    records = [msgspec.structs.replace(signed, subject=str(number)) for number in range(ENTRIES_MAX + 500)]
    full.store.restore(records)
    summary = received(empty, A, Records((signed,))) and next(
        effect.message for effect in sends(empty.exchange.handle(LinkUp(A.node), 0.0))
    )
    (first,) = sends(received(full, B, summary))
    assert isinstance(first.message, Listing)
    assert first.message.following is not None
    (second,) = sends(received(full, B, Summary(bytes(32 * BUCKETS), first.message.following)))
    assert isinstance(second.message, Listing)
    assert second.message.following is None
    listed = {entry.digest for entry in (*first.message.entries, *second.message.entries)}
    assert listed == digests(full.store)
    wire.encode(first.message)


def test_a_talk_goes_on_where_the_listing_ended() -> None:
    """R11: nothing more to pull, more to list: the next summary starts there."""
    _, one, _, _ = three()
    (ask,) = sends(received(one, B, Listing((), 77)))
    assert isinstance(ask.message, Summary)
    assert ask.message.start == 77


def test_a_peer_cannot_draw_summaries_without_end() -> None:
    """R14: a listing leads to a next summary only if it goes on behind the last; until the next round."""
    _, one, _, _ = three()
    assert len(sends(received(one, B, Listing((), 77)))) == 1
    for following in (0, 5, 77):
        assert received(one, B, Listing((), following)) == []
    one.exchange.handle(LinkUp(B.node), 0.0)
    assert len(sends(received(one, B, Listing((), 5)))) == 1


# --- News -------------------------------------------------------------------------------------------------------------


def test_a_fact_is_durable_before_anybody_hears_of_it() -> None:
    """R12: persist, then learn, then send."""
    _, one, _, _ = three()
    effects = one.exchange.handle(Publish((note(A, one.store, "a", "x"),)), 0.0)
    assert [type(effect) for effect in effects] == [Persist, Learned, Send, Send]


def test_news_reach_all_peers_at_once_but_the_one_they_came_from() -> None:
    """R13: one hop, without waiting for a comparison."""
    pump, one, two, other = three()
    record = note(A, one.store, "a", "x")
    targets = {effect.to for effect in sends(received(one, B, Records((record,))))}
    assert targets == {C.node}
    pump.publish(B, note(B, two.store, "b", "x"))
    pump.run()
    assert all(one.store.find(subject="b") for one in (one, two, other))


def test_a_revocation_reaches_every_peer_at_once_however_many() -> None:
    """R13: urgent news go to all; other news to a bounded number, from which they spread on."""
    one = site(A, CHARTER, NOTES)
    members = [identity(number) for number in range(200, 200 + NEWS_PEERS_MAX + 20)]
    for member in members:
        for steward in (A, B):
            about = node_record(member, one.roster, "Member")
            one.store.add(admit(steward, one.roster, one.store, about))
        one.exchange.handle(LinkUp(member.node), 0.0)
    calm = one.exchange.handle(Publish((note(A, one.store, "a", "x"),)), 0.0)
    assert len(sends(calm)) == NEWS_PEERS_MAX
    urgent = one.exchange.handle(Publish((revoke(A, one.roster, one.store, members[0].node, "stolen"),)), 0.0)
    assert {effect.to for effect in sends(urgent)} == {member.node for member in members[1:]}


def test_a_pulled_revocation_is_told_on_though_other_pulled_records_are_not() -> None:
    """R13: what one peer missed the others mostly have; a revocation is worth telling twice."""
    _, one, two, _ = three()
    calm = note(B, two.store, "b", "x")
    urgent = revoke(B, two.roster, two.store, OLD.node, "stolen")
    entries = []
    for record in (calm, urgent):
        held = two.store.add(record).held
        assert held is not None
        entries.append(Entry(record.kind, held.key_digest, 1, held.digest))
    received(one, B, Listing(tuple(entries)))
    told = [effect.message for effect in sends(received(one, B, Records((calm, urgent)))) if effect.to == C.node]
    assert told == [Records((urgent,))]


def test_effects_name_forks_and_what_falls() -> None:
    """R5, R10: the driver hears of evidence, of superseded records and of those that a revocation cut."""
    _, one, _, _ = three()
    effects = received(one, B, Records((note(OLD, one.store, "a", "yes"), note(OLD, one.store, "a", "no"))))
    assert len([effect for effect in effects if isinstance(effect, Forked)]) == 1
    body = Revocation("stolen", ())
    revocation = sign_record(B, one.roster.federation, REVOCATION, OLD.node, body)
    dropped = [effect for effect in received(one, B, Records((revocation,))) if isinstance(effect, Dropped)]
    assert [effect.reason for effect in dropped] == ["revoked", "revoked"]
    one.exchange.handle(Publish((note(A, one.store, "a", "1"),)), 0.0)
    effects = one.exchange.handle(Publish((note(A, one.store, "a", "2", 2),)), 0.0)
    assert [effect.reason for effect in effects if isinstance(effect, Dropped)] == ["superseded"]


def test_a_record_made_here_that_does_not_stand_is_told() -> None:
    """R6: publishing is judged like everything else; the refusal names no peer."""
    _, one, _, _ = three()
    (refused,) = one.exchange.handle(Publish((note(STRANGER, one.store, "a", "x"),)), 0.0)
    assert isinstance(refused, Refused)
    assert (refused.peer, refused.code) == (None, "not_a_member")


# --- Rounds -----------------------------------------------------------------------------------------------------------


def test_each_round_compares_with_a_few_peers_in_turn() -> None:
    """R13: every peer has its turn, none is asked twice before."""
    one = site(A, CHARTER, NOTES)
    assert one.exchange.wake_at is None
    assert one.exchange.handle(Tick(), 0.0) == ()
    asked: list[NodeId] = []
    for peer in STEWARDS[1:]:
        one.exchange.handle(LinkUp(peer.node), 0.0)
    assert one.exchange.wake_at == EXCHANGE_S
    assert one.exchange.handle(Tick(), EXCHANGE_S / 2) == ()
    for number in range(1, 5):
        effects = sends(one.exchange.handle(Tick(), number * EXCHANGE_S))
        assert len(effects) == EXCHANGE_PEERS
        asked += [effect.to for effect in effects]
    assert {peer: asked.count(peer) for peer in asked} == {peer.node: 3 for peer in STEWARDS[1:]}


def test_a_revoked_peer_is_neither_told_nor_asked_nor_answered() -> None:
    """R17: records are exchanged between members only."""
    _, one, _, _ = three()
    one.exchange.handle(Publish((revoke(A, one.roster, one.store, C.node, "stolen"),)), 0.0)
    assert {effect.to for effect in sends(one.exchange.handle(Tick(), 100.0))} == {B.node}
    for who in (C, STRANGER):
        (refused,) = received(one, who, Summary(bytes(32 * BUCKETS)))
        assert isinstance(refused, Refused)
        assert refused.code == "not_a_member"
        assert one.exchange.handle(LinkUp(who.node), 0.0) == ()


# --- Bounds -----------------------------------------------------------------------------------------------------------


def test_small_questions_do_not_draw_large_answers_without_end() -> None:
    """R14: after its allowance a peer is counted and not answered; with time it is answered again."""
    kinds = Kinds((*MEMBERSHIP, Kind("note", Note, 64 * 1024, 1000)))
    one = site(A, CHARTER, kinds)
    large = [note(A, one.store, str(number), "x" * 60_000) for number in range(3)]
    one.exchange.handle(Publish(tuple(large)), 0.0)
    pull = Pull(tuple(record_digest(one.roster.federation, record) for record in large))
    drawn = 0
    while effects := sends(received(one, B, pull)):
        drawn += len(wire.encode(effects[0].message))
        assert drawn < ANSWER_BYTES_BURST + BATCH_BYTES_MAX
    (refused,) = received(one, B, pull)
    assert isinstance(refused, Refused)
    assert refused.code == "too_fast"
    assert sends(received(one, C, pull))
    assert sends(received(one, B, pull, 60.0))


def test_an_author_may_supersede_its_records_only_so_often() -> None:
    """R15: no endless news; what was refused for that is accepted later."""
    _, one, two, _ = three()
    record = note(B, two.store, "a", "x")
    received(one, B, Records((record,)))
    codes: list[str] = []
    for sequence in range(2, SUPERSEDE_BURST + 4):
        record = note(B, two.store, "a", "x", sequence)
        effects = received(one, B, Records((record,)))
        codes += [effect.code for effect in effects if isinstance(effect, Refused)]
    assert codes == ["too_often"] * 2
    assert sends(received(one, C, Records((note(C, one.store, "a", "x"),))))
    assert any(isinstance(effect, Learned) for effect in received(one, B, Records((record,)), 60.0))


def test_a_forger_cannot_use_up_an_authors_allowance() -> None:
    """R15: only what its author signed counts."""
    _, one, two, _ = three()
    received(one, B, Records((note(B, two.store, "a", "x"),)))
    for sequence in range(2, SUPERSEDE_BURST + 10):
        forged = msgspec.structs.replace(note(B, two.store, "a", "x", sequence), signature=bytes(64))
        received(one, C, Records((forged,)))
    genuine = note(B, two.store, "a", "y", 2)
    assert any(isinstance(effect, Learned) for effect in received(one, B, Records((genuine,))))


def test_a_wrong_signature_ends_the_reading_of_a_message() -> None:
    """R16: nobody honest passes one on; a liar makes us verify one signature per message."""
    _, one, two, _ = three()
    good = [note(B, two.store, str(number), "x") for number in range(4)]
    forged = msgspec.structs.replace(good[1], signature=bytes(64))
    effects = received(one, B, Records((good[0], forged, *good[2:])))
    (refused,) = [effect for effect in effects if isinstance(effect, Refused)]
    assert (refused.peer, refused.code) == (B.node, "bad_signature")
    assert [held.record for held in one.store.find("note")] == [good[0]]


def test_refusals_are_told_once_per_message_and_reason() -> None:
    """R16: a full message of rubbish is one line in the audit."""
    _, one, _, _ = three()
    rubbish = tuple(note(STRANGER, one.store, str(number), "x") for number in range(BATCH_RECORDS_MAX))
    (refused,) = received(one, B, Records(rubbish))
    assert isinstance(refused, Refused)
    assert refused.code == "not_a_member"
    assert f"({BATCH_RECORDS_MAX})" in refused.detail


def test_what_was_refused_is_not_pulled_again_until_the_roster_changes() -> None:
    """R20: no bandwidth for what cannot be accepted; no loss of what can."""
    _, one, _, _ = three()
    early = note(MEMBERS[0], one.store, "a", "x")
    received(one, B, Records((early,)))
    entry = Entry("note", digest("any"), 1, record_digest(one.roster.federation, early))
    assert received(one, B, Listing((entry,))) == []
    about = node_record(MEMBERS[0], one.roster, "Member")
    received(one, B, Records((admit(A, one.roster, one.store, about), admit(B, one.roster, one.store, about))))
    (pull,) = sends(received(one, B, Listing((entry,))))
    assert pull.message == Pull((entry.digest,))


def test_kinds_that_are_not_known_are_not_pulled() -> None:
    """R20: a newer version may have more kinds."""
    _, one, _, _ = three()
    assert received(one, B, Listing((Entry("rumour", digest("any"), 1, digest("other")),))) == []


@pytest.mark.parametrize("count", [1, BATCH_RECORDS_MAX, BATCH_RECORDS_MAX + 1, 3 * BATCH_RECORDS_MAX])
def test_every_message_fits_its_limits(count: int) -> None:
    """R21: however much is published at once, what is sent can be encoded and decoded."""
    kinds = Kinds((*MEMBERSHIP, Kind("note", Note, 64 * 1024, 1000)))
    one = site(A, CHARTER, kinds)
    one.exchange.handle(LinkUp(B.node), 0.0)
    published = tuple(note(A, one.store, str(number), "x" * 3000) for number in range(count))
    told: list[Record] = []
    for effect in sends(one.exchange.handle(Publish(published), 0.0)):
        message = wire.decode(wire.encode(effect.message))
        assert isinstance(message, Records)
        told += message.records
    assert tuple(told) == published


@given(data=st.binary(max_size=300), number=st.sampled_from([0x20, 0x21, 0x22, 0x23]))
def test_decoding_raises_peer_errors_only(data: bytes, number: int) -> None:
    """R18: arbitrary bytes under the exchange's type bytes."""
    try:
        message = wire.decode(bytes((wire.VERSION, number)) + data)
    except wire.PeerError:
        return
    assert wire.decode(wire.encode(message)) == message


@SLOW
@given(data=st.data())
def test_rubbish_that_is_well_formed_changes_nothing(data: st.DataObject) -> None:
    """R18: whatever well-typed messages a member sends, nothing stands but what its author signed."""
    one = site(A, CHARTER, NOTES)
    one.exchange.handle(LinkUp(B.node), 0.0)
    before = digests(one.store)
    some = st.binary(min_size=32, max_size=32)
    entries = st.builds(Entry, st.sampled_from(["note", "node", "rumour"]), some, st.integers(0, 2**62), some)
    messages = st.one_of(
        st.builds(Summary, some.map(lambda one: one * BUCKETS), st.integers(0, 255)),
        st.builds(Listing, st.lists(entries, max_size=5).map(tuple), st.none() | st.integers(0, 255)),
        st.builds(Pull, st.lists(some, min_size=1, max_size=5).map(tuple)),
    )
    for message in data.draw(st.lists(messages, max_size=6)):
        for effect in sends(received(one, B, message)):
            wire.encode(effect.message)
    assert digests(one.store) == before


def test_an_event_of_others_is_ignored() -> None:
    """A core is handed what concerns it; everything else has no effect."""
    one = site(A, CHARTER, NOTES)
    assert Exchange(A.node, one.store).handle(Dropped(CHARTER, b"", ""), 0.0) == ()  # type: ignore[arg-type]
