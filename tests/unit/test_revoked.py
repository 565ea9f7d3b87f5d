"""A hub that was revoked, and knows it or not: what it is told, and what not."""

from __future__ import annotations

import pytest

from protocols.kinds import KINDS
from protocols.membership.acts import revoke
from protocols.membership.store import open_store
from secured_node import VERSION
from secured_node.doctor.daemon import Daemon, LinkTold, Status, perhaps_revoked
from secured_node.doctor.network import check_members, judge_links
from tests.unit.membership_kit import charter_of, identity

HUNG_UP = "closed_early: beta:7443 closed the connection after the TLS handshake"
SILENT = "timeout: gamma:7443: no answer within 10 s"


def down(trouble: str) -> LinkTold:
    return LinkTold("other", False, 5.0, trouble, None)


@pytest.mark.parametrize("troubles", [(HUNG_UP, HUNG_UP), (HUNG_UP, ""), (HUNG_UP, "no_endpoint: it has to call")])
def test_a_hub_on_which_all_hang_up_hears_that_it_was_perhaps_revoked(troubles: tuple[str, ...]) -> None:
    links = tuple(down(trouble) for trouble in troubles)
    assert perhaps_revoked(links)
    assert "perhaps this hub was revoked" in judge_links(links)[-1].todo


@pytest.mark.parametrize("troubles", [(HUNG_UP, SILENT), (SILENT,), ("",)])
def test_silence_is_the_networks(troubles: tuple[str, ...]) -> None:
    links = tuple(down(trouble) for trouble in troubles)
    assert not perhaps_revoked(links)
    assert "revoked" not in judge_links(links)[-1].todo and "firewall" in judge_links(links)[-1].todo


def test_one_link_is_enough_to_know_better() -> None:
    assert not perhaps_revoked((down(HUNG_UP), LinkTold("other", True, 5.0, "", 0.0)))


async def test_a_hub_that_knows_it_was_revoked_gets_no_advice_about_firewalls() -> None:
    steward, other = identity(1), identity(2)
    store, roster = open_store(charter_of([steward, other]), KINDS)
    daemon = Daemon(Status(steward.node, VERSION, 1, 1.0, (down(SILENT),)))
    assert await check_members(daemon, roster, steward.node)
    store.restore([revoke(steward, roster, store, steward.node, "moved away")])
    assert await check_members(daemon, roster, steward.node) == []
