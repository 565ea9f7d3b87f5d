"""With which stewards a federation cannot go on, and what it says then."""

from __future__ import annotations

import pytest

from protocols.kinds import KINDS
from protocols.membership.acts import admit, revoke
from protocols.membership.roster import Roster
from protocols.membership.store import open_store
from secured_node.doctor.database import Contents, check_federation
from secured_node.doctor.finding import Verdict
from secured_node.stewards import lost_with
from tests.unit.membership_kit import charter_of, identity, node_record


@pytest.mark.parametrize(("quorum", "left"), [(1, 1), (2, 2), (2, 3)])
def test_nothing_is_lost_while_a_quorum_is_left(quorum: int, left: int) -> None:
    stewards = [identity(number) for number in range(1, 4)]
    roster = Roster(charter_of(stewards, quorum))
    assert lost_with(roster, [one.node for one in stewards[:left]]) == ""


@pytest.mark.parametrize(("left", "words"), [(0, "admits or revokes anybody"), (1, "2 stewards must admit")])
def test_below_the_quorum_nobody_is_ever_admitted_again(left: int, words: str) -> None:
    stewards = [identity(number) for number in range(1, 4)]
    roster = Roster(charter_of(stewards, 2))
    assert words in lost_with(roster, [one.node for one in stewards[:left]])


def test_doctor_warns_once_the_last_steward_went() -> None:
    steward, member = identity(1), identity(2)
    store, roster = open_store(charter_of([steward]), KINDS)
    about = node_record(member, roster, "beta")
    store.restore([about, admit(steward, roster, store, about)])
    contents = Contents(1, True, (), b"charter", (), 0, b"", "")
    assert [found.check for found in check_federation(contents, roster, member.node)] == ["federation"]
    store.restore([revoke(steward, roster, store, steward.node, "moving")])
    belongs, stewards = check_federation(contents, roster, member.node)
    assert belongs.verdict is Verdict.OK and stewards.verdict is Verdict.WARN
    assert "no steward is left" in stewards.found
