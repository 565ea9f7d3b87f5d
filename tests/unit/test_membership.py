"""Who is a member: the charter, votes, vouchers, revocations, and those who try to be what they are not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalError, PeerError
from protocols.identity import Identity, node_id
from protocols.kinds import KINDS
from protocols.membership.acts import admit, describe, revoke, vouch
from protocols.membership.bodies import Admission, Node, Revocation, Voucher
from protocols.membership.charter import Charter, Steward, federation_of, found, read_charter
from protocols.membership.endpoint import check_endpoint
from protocols.membership.kinds import ADMISSION, NODE, REVOCATION, VOUCHER
from protocols.membership.roster import Roster
from protocols.membership.store import open_store
from protocols.records.record import CHARTER, NO_FEDERATION, Record, sign_record
from protocols.records.store import Outcome, RecordStore
from tests.unit.membership_kit import charter_of, digests, identity, node_body, node_record

ONE, TWO, THREE = STEWARDS = tuple(identity(number) for number in range(1, 4))
BASEL, BERN = identity(10), identity(11)
TWO_OF_THREE = charter_of(STEWARDS, 2)


def opened(charter: Record = TWO_OF_THREE) -> tuple[RecordStore, Roster]:
    """A federation of three stewards of which two admit."""
    return open_store(charter, KINDS)


def take(store: RecordStore, *records: Record) -> None:
    """Records that must be accepted."""
    for record in records:
        assert store.add(record).outcome is Outcome.NEW


def code(store: RecordStore, record: Record) -> str:
    """With which code the store refuses a record."""
    added = store.add(record)
    assert added.outcome is Outcome.REFUSED
    return added.code


def admission(steward: Identity, roster: Roster, who: Identity, name: str = "Basel") -> Record:
    """A vote as anybody could sign it, without the help and the checks of `admit`."""
    body = Admission(bytes(32), name, f"Hospital {name}")
    return sign_record(steward, roster.federation, ADMISSION, who.node, body)


# --- The charter ------------------------------------------------------------------------------------------------------


def charter_body(**changes: object) -> Charter:
    """A charter that makes sense, but for what is changed."""
    stewards = tuple(Steward(one.node, f"Organisation {number}") for number, one in enumerate(STEWARDS))
    body = Charter("Federation", stewards, 2, 3, 1_700_000_000)
    return msgspec.structs.replace(body, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Other"},
        {"stewards": charter_body().stewards[:2]},
        {"admit_quorum": 1},
        {"min_cohort": 4},
        {"created_s": 1},
    ],
)
def test_a_federation_is_the_digest_of_its_charter(changes: dict[str, object]) -> None:
    """M1: change anything and it is another federation, whose charter is refused here; the signature does not count."""
    record, other = found(ONE, charter_body()), found(ONE, charter_body(**changes))
    assert federation_of(record) != federation_of(other)
    assert federation_of(record) != federation_of(found(TWO, charter_body()))
    assert federation_of(msgspec.structs.replace(record, signature=bytes(64))) == federation_of(record)
    store, roster = open_store(record, KINDS)
    assert roster.federation == federation_of(record)
    assert code(store, other) == "other_federation"


def test_a_charter_is_checked_by_its_signature() -> None:
    """M1: the founder signed it."""
    with pytest.raises(PeerError, match="bad_signature"):
        Roster(msgspec.structs.replace(TWO_OF_THREE, signature=bytes(64)))
    with pytest.raises(PeerError, match="not a charter"):
        Roster(node_record(ONE, opened()[1], "x"))


SMALL_ORDER = node_id((1).to_bytes(32, "little"))
ALL_ZERO = node_id(bytes(32))
SAME_NODE = (Steward(ONE.node, "A"), Steward(ONE.node, "B"))
SAME_ORGANISATION = (Steward(ONE.node, "Clinic"), Steward(TWO.node, "CLINIC"))
WEAK = (Steward(ONE.node, "A"), Steward(SMALL_ORDER, "B"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"admit_quorum": 4}, "4 stewards must admit"),
        ({"stewards": SAME_NODE}, "one organisation"),
        ({"stewards": SAME_ORGANISATION}, "one organisation"),
        ({"stewards": charter_body().stewards[1:]}, "founder is no steward"),
        ({"stewards": WEAK}, "the id of a steward"),
        ({"name": "a\u202eb"}, "cannot be shown"),
        ({"name": " a"}, "cannot be shown"),
        ({"min_cohort": 2}, "not a charter"),
        ({"admit_quorum": 0}, "not a charter"),
        ({"stewards": ()}, "not a charter"),
    ],
)
def test_a_charter_makes_sense(changes: dict[str, object], why: str) -> None:
    """M2: one steward per organisation, a quorum that can be reached, no cohort under three."""
    body = charter_body(**changes)
    with pytest.raises(LocalError, match=why):
        found(ONE, body)
    with pytest.raises(PeerError, match=why):
        read_charter(sign_record(ONE, NO_FEDERATION, CHARTER, "", body))


def test_stewards_are_members_by_the_charter() -> None:
    """M3: they need no votes."""
    _, roster = opened()
    assert roster.members() == tuple(sorted(one.node for one in STEWARDS))
    assert roster.member(ONE.node).organisation == "Organisation 0"


# --- Admission --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("voters", list(permutations(STEWARDS, 2)))
def test_two_of_three_stewards_admit(voters: Sequence[Identity]) -> None:
    """M3: with one vote a candidate, with two a member."""
    store, roster = opened()
    take(store, admission(voters[0], roster, BASEL))
    assert not roster.allowed(BASEL.node)
    assert roster.candidates() == (BASEL.node,)
    take(store, admission(voters[1], roster, BASEL))
    assert roster.allowed(BASEL.node)
    assert roster.candidates() == ()
    assert set(roster.votes(BASEL.node)) == {voter.node for voter in voters}


def test_one_steward_has_one_vote() -> None:
    """M3: repeated, superseded and contradicting votes of one steward are one vote."""
    store, roster = opened()
    take(store, admission(ONE, roster, BASEL))
    assert store.add(admission(ONE, roster, BASEL, "Other")).outcome is Outcome.FORK
    assert roster.votes(BASEL.node) == (ONE.node,)
    later = store.next_sequence(ADMISSION, ONE.node, BASEL.node)
    body = Admission(bytes(32), "Yet another", "Hospital")
    take(store, sign_record(ONE, roster.federation, ADMISSION, BASEL.node, body, sequence=later))
    assert roster.votes(BASEL.node) == (ONE.node,)
    assert not roster.allowed(BASEL.node)


def test_sybil_join() -> None:
    """M4 (sybil_join): any number of invented nodes, vouching and voting for each other, admit nobody."""
    store, roster = opened()
    sybils = [identity(number) for number in range(100, 130)]
    take(store, admission(ONE, roster, sybils[0]))
    for sybil in sybils:
        for other in sybils[:5]:
            if sybil != other:
                assert code(store, admission(sybil, roster, other)) == "not_a_member"
                voucher = sign_record(sybil, roster.federation, VOUCHER, other.node, Voucher(bytes(32)))
                assert code(store, voucher) == "not_a_member"
    assert roster.members() == tuple(sorted(one.node for one in STEWARDS))
    assert len(store) == 2


def test_members_that_are_no_stewards_do_not_vote() -> None:
    """M4: not even many members admit anybody."""
    store, roster = opened()
    members = [identity(number) for number in range(100, 110)]
    for member in members:
        take(store, admission(ONE, roster, member), admission(TWO, roster, member))
    for member in members:
        assert code(store, admission(member, roster, BASEL)) == "not_a_steward"
    assert not roster.known(BASEL.node)


def test_nobody_votes_or_vouches_for_itself() -> None:
    """M5: a steward cannot be admitted by itself, nor a member be its own voucher."""
    store, roster = opened()
    assert code(store, admission(ONE, roster, ONE)) == "own_admission"
    voucher = sign_record(ONE, roster.federation, VOUCHER, ONE.node, Voucher(bytes(32)))
    assert code(store, voucher) == "own_voucher"


def test_a_voucher_makes_a_candidate_that_stewards_can_admit() -> None:
    """M6: a member invites, stewards decide; the candidate's description is accepted once it was vouched for."""
    store, roster = opened()
    take(store, admission(ONE, roster, BERN, "Bern"), admission(TWO, roster, BERN, "Bern"))
    about = node_record(BASEL, roster, "Basel")
    assert code(store, about) == "not_known"
    take(store, vouch(BERN, store, about), about)
    assert roster.candidates() == (BASEL.node,)
    assert roster.member(BASEL.node).vouchers == (BERN.node,)
    assert not roster.allowed(BASEL.node)
    take(store, admit(TWO, roster, store, about), admit(THREE, roster, store, about))
    assert roster.allowed(BASEL.node)


def test_who_is_no_steward_is_told_so() -> None:
    """M4: our own mistakes are loud, and name those who may."""
    store, roster = opened()
    about = node_record(BASEL, roster, "Basel")
    with pytest.raises(LocalError, match=ONE.node):
        admit(BASEL, roster, store, about)
    with pytest.raises(LocalError, match="only stewards revoke"):
        revoke(BASEL, roster, store, ONE.node, "")
    with pytest.raises(LocalError, match="is not known"):
        revoke(ONE, roster, store, BASEL.node, "")
    take(store, revoke(ONE, roster, store, TWO.node, "left"))
    with pytest.raises(LocalError, match="already"):
        revoke(ONE, roster, store, TWO.node, "left")
    with pytest.raises(LocalError, match="one line"):
        revoke(TWO, roster, store, ONE.node, "two\nlines")


# --- Revocation -------------------------------------------------------------------------------------------------------


def test_revocation_is_final_and_cuts() -> None:
    """M7: at once, by any steward, and no vote, voucher or record brings the key back."""
    store, roster = opened()
    about = node_record(BASEL, roster, "Basel")
    take(store, admit(ONE, roster, store, about), admit(TWO, roster, store, about), about)
    version = roster.version
    take(store, revoke(THREE, roster, store, BASEL.node, "stolen laptop"))
    assert not roster.allowed(BASEL.node)
    assert roster.version > version
    (one,) = roster.revocations()
    assert (one.node, one.by, one.reason) == (BASEL.node, THREE.node, "stolen laptop")
    take(store, admission(THREE, roster, BASEL), vouch(ONE, store, about))
    assert code(store, node_record(BASEL, roster, "Basel again", sequence=2)) == "revoked"
    assert not roster.allowed(BASEL.node)
    assert roster.member(BASEL.node).name == "Basel"
    with pytest.raises(LocalError, match="never comes back"):
        admit(THREE, roster, store, about)


def test_a_revocation_that_comes_before_the_votes_holds() -> None:
    """M7: whatever the order, a revoked node is never allowed."""
    store, roster = opened()
    body = Revocation("stolen", ())
    take(store, sign_record(ONE, roster.federation, REVOCATION, BASEL.node, body))
    take(store, admission(TWO, roster, BASEL), admission(THREE, roster, BASEL))
    assert not roster.allowed(BASEL.node)
    assert roster.candidates() == ()


def test_a_node_revokes_itself_and_nobody_else() -> None:
    """M7: members and candidates may leave; only stewards send away; strangers cannot even fill the store."""
    store, roster = opened()
    farewell = sign_record(BASEL, roster.federation, REVOCATION, BASEL.node, Revocation("", ()))
    assert code(store, farewell) == "not_known"
    take(store, admission(ONE, roster, BASEL), admission(TWO, roster, BASEL))
    attack = sign_record(BASEL, roster.federation, REVOCATION, ONE.node, Revocation("", ()))
    assert code(store, attack) == "not_a_steward"
    take(store, revoke(BASEL, roster, store, BASEL.node, "moving to a new key"))
    assert not roster.allowed(BASEL.node)


def test_stewards_that_revoke_each_other_are_revoked_everywhere() -> None:
    """M8: at the same time, in any order of arrival: the same roster, without either."""
    revocations = []
    for by, node in ((ONE, TWO), (TWO, ONE)):
        store, roster = opened()
        revocations.append(revoke(by, roster, store, node.node, "you"))
    for order in permutations(revocations):
        store, roster = opened()
        take(store, *order)
        assert roster.members() == (THREE.node,)


def test_the_quorum_is_not_lowered_when_stewards_go() -> None:
    """M8: one steward cannot revoke the others and then admit whom it likes; who is a member stays one."""
    store, roster = opened()
    take(store, admission(ONE, roster, BERN), admission(TWO, roster, BERN))
    take(store, revoke(ONE, roster, store, TWO.node, "x"), revoke(ONE, roster, store, THREE.node, "x"))
    take(store, admission(ONE, roster, BASEL))
    assert code(store, admission(TWO, roster, BASEL)) == "revoked"
    assert not roster.allowed(BASEL.node)
    assert roster.allowed(BERN.node)
    take(store, revoke(ONE, roster, store, ONE.node, "closed"))
    assert roster.members() == (BERN.node,)


def test_the_charter_outlives_its_founder() -> None:
    """M8, R10: a revocation that keeps nothing leaves the charter where it is, and the other stewards in office."""
    store, roster = opened()
    take(store, sign_record(TWO, roster.federation, REVOCATION, ONE.node, Revocation("stolen", ())))
    assert [held.digest for held in store.find(CHARTER)] == [roster.federation]
    take(store, admission(TWO, roster, BASEL), admission(THREE, roster, BASEL))
    assert roster.allowed(BASEL.node)


def test_votes_of_a_revoked_steward_stand_as_far_as_they_were_known() -> None:
    """M9: who was admitted before stays; a stolen key admits nobody after, whatever date it claims."""
    store, roster = opened(charter_of(STEWARDS, 1))
    take(store, admission(ONE, roster, BERN))
    take(store, revoke(TWO, roster, store, ONE.node, "stolen"))
    assert roster.allowed(BERN.node)
    assert code(store, admission(ONE, roster, BASEL)) == "revoked"
    assert not roster.allowed(BASEL.node)


def test_a_revoked_steward_cannot_revoke_members_in_revenge() -> None:
    """M9: its revocations of members stand only if they were known before its own; another steward may repeat them."""
    store, roster = opened(charter_of(STEWARDS, 1))
    take(store, admission(TWO, roster, BERN), admission(TWO, roster, BASEL))
    take(store, revoke(ONE, roster, store, BASEL.node, "with reason"))
    revenge = revoke(ONE, roster, store, BERN.node, "revenge")
    take(store, revoke(TWO, roster, store, ONE.node, "dismissed"))
    assert code(store, revenge) == "revoked"
    assert roster.allowed(BERN.node)
    assert not roster.allowed(BASEL.node)


# --- Descriptions -----------------------------------------------------------------------------------------------------


def test_a_member_is_shown_under_the_name_it_was_admitted_with() -> None:
    """M10: renaming itself after another hospital deceives nobody; its endpoints follow its latest record."""
    store, roster = opened()
    about = node_record(BASEL, roster, "Basel")
    take(store, admit(ONE, roster, store, about), admit(TWO, roster, store, about), about)
    renamed = describe(BASEL, roster.federation, node_body("Bern", "bern.example:1"), sequence=2)
    take(store, renamed)
    member = roster.member(BASEL.node)
    assert (member.name, member.organisation) == ("Basel", "Hospital Basel")
    assert member.endpoints == ("bern.example:1",)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (Node("a", "b", ("c:1", "c:1"), "1"), "twice"),
        (Node("a", "b", ("c",), "1"), "host:port"),
        (Node("a\nb", "b", (), "1"), "cannot be shown"),
        (Node("e\u0301", "b", (), "1"), "cannot be shown"),
        (Node("a", "b", (), "1", b"x"), "64 bytes"),
    ],
)
def test_a_description_makes_sense(body: Node, why: str) -> None:
    """M11: names that can be shown, endpoints that can be dialled, a certificate's signature of its length."""
    store, roster = opened()
    with pytest.raises(LocalError, match=why):
        describe(ONE, roster.federation, body)
    added = store.add(sign_record(ONE, roster.federation, NODE, ONE.node, body))
    assert added.code == "malformed"
    assert why in added.detail


def test_a_node_describes_nobody_but_itself() -> None:
    """M11: not even a steward describes another."""
    store, roster = opened()
    forged = sign_record(ONE, roster.federation, NODE, TWO.node, node_body("x"))
    assert code(store, forged) == "malformed"
    assert store.find(NODE) == []


@pytest.mark.parametrize("kind", [ADMISSION, VOUCHER, REVOCATION])
def test_the_subject_is_a_strong_key(kind: str) -> None:
    """M11 (small_order_key): records about ids that are none, or of weak keys, are refused."""
    bodies = {ADMISSION: Admission(bytes(32), "a", "b"), VOUCHER: Voucher(bytes(32)), REVOCATION: Revocation("", ())}
    store, roster = opened()
    for subject in ("", "did:key:zabc", "did:key:z" + "1" * 47, SMALL_ORDER, ALL_ZERO):
        assert code(store, sign_record(ONE, roster.federation, kind, subject, bodies[kind])) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        Revocation("a\nb", ()),
        Revocation("", (b"b" * 32, b"a" * 32)),
        Revocation("", (b"a" * 32, b"a" * 32)),
    ],
)
def test_a_revocation_has_one_form(body: Revocation) -> None:
    """M11: the digests kept ascend, the reason can be shown."""
    store, roster = opened()
    assert code(store, sign_record(ONE, roster.federation, REVOCATION, TWO.node, body)) == "malformed"


@pytest.mark.parametrize(
    "endpoint",
    ["h:1", "node-1.basel.example:65535", "10.0.0.1:7000", "127.0.0.1:1", "[::1]:7000", "[2001:db8::1]:443", "1a:1"],
)
def test_endpoints_that_can_be_dialled(endpoint: str) -> None:
    """M11: an address or a name, and a port."""
    check_endpoint(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "host",
        ":1",
        "host:",
        "host:0",
        "host:01",
        "host:65536",
        "host:٣",
        "HOST:1",
        "höst:1",
        "a..b:1",
        "-a:1",
        "a-:1",
        "a.:1",
        "a b:1",
        "a\n:1",
        "a:1\n",
        "user@a:1",
        "a/b:1",
        "1.2.3:1",
        "1.2.3.256:1",
        "01.2.3.4:1",
        "0x7f.1:1",
        "2130706433:1",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "[::]:1",
        "[ff02::1]:1",
        "[fe80::1%eth0]:1",
        "[::0001]:1",
        "[2001:DB8::1]:1",
        "[1.2.3.4]:1",
        "::1:1",
        "[a]:1",
        "a" * 127 + ":1",
    ],
)
def test_endpoints_that_cannot(endpoint: str) -> None:
    """M11: everything else, and whatever a resolver might read in more than one way."""
    with pytest.raises(PeerError, match="bad_endpoint"):
        check_endpoint(endpoint)


@given(text=st.text(max_size=40) | st.text("0123456789abcdef.:[]x-", max_size=40))
def test_an_endpoint_raises_peer_errors_only(text: str) -> None:
    """M11: arbitrary text."""
    try:
        check_endpoint(text)
    except PeerError:
        return
    assert text.isascii()


def test_asking_of_unknown_nodes_is_safe() -> None:
    """The roster answers for anybody."""
    store, roster = opened()
    member = roster.member(BASEL.node)
    assert (member.name, member.organisation, member.endpoints, member.steward) == ("", "", (), False)
    assert not roster.allowed(BASEL.node)
    assert digests(store) == {roster.federation}
