"""The specification of records, membership and joining: named by tests, and pinned by vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import protocols
from protocols.identity import node_id
from protocols.invitation.code import Invitation, encode_invitation, parse_invitation
from protocols.invitation.keys import proof_key
from protocols.invitation.redeem import redeem
from protocols.membership.bodies import Node
from protocols.membership.charter import Charter, Steward, federation_of, found
from protocols.records.record import (
    Key,
    Record,
    check_signature,
    decode_record,
    encode_record,
    key_digest,
    record_digest,
)
from tests.unit.membership_kit import identity

ROOT = Path(protocols.__file__).parent
TESTS = Path(__file__).parent
VECTORS = ROOT.parent / "vectors" / "membership.json"
MUSTS = re.findall(r"^- \*\*([RMI]\d+)\*\*", (ROOT / "SPEC-membership.md").read_text(), re.MULTILINE)


def named() -> set[str]:
    """The numbers that the docstrings of tests name."""
    files = ("records_store", "records_exchange", "membership", "invitation_*", "words")
    text = "".join(path.read_text() for name in files for path in sorted(TESTS.glob(f"test_{name}.py")))
    docstrings = re.findall(r'^    """((?:[RMI]\d+(?:, )?)+)[ :(]', text, re.MULTILINE)
    return {number for found in docstrings for number in found.split(", ")}


@pytest.mark.parametrize("number", MUSTS)
def test_every_must_is_named_by_a_test(number: str) -> None:
    """A rule without a test is a wish."""
    assert number in named()


def test_tests_name_no_must_that_is_not_there() -> None:
    """And a test without a rule is a riddle."""
    assert named() <= set(MUSTS)
    assert len(MUSTS) == len(set(MUSTS))


def made() -> dict[str, object]:
    """What the vectors say, worked out from their parameters."""
    founder, newcomer = identity(1), identity(2)
    charter = found(founder, Charter("Vectors", (Steward(founder.node, "Basel"),), 1, 3, 1_700_000_000))
    federation = federation_of(charter)
    invitation = Invitation(bytes(range(8)), bytes(range(16)), federation, founder.node, ("a.example:1", "[::1]:2"))
    one = redeem(invitation, newcomer, Node("Zurich", "Hospital", ("b.example:3",), "0.1.0", bytes(64)))
    record = one.request.record
    return {
        "founder_seed": (1).to_bytes(32, "big").hex(),
        "newcomer_seed": (2).to_bytes(32, "big").hex(),
        "charter": encode_record(charter).hex(),
        "federation": federation.hex(),
        "invitation_id": invitation.id.hex(),
        "invitation_secret": invitation.secret.hex(),
        "endpoints": list(invitation.endpoints),
        "code": encode_invitation(invitation),
        "one_time_node": one.one_time.node,
        "proof_key": proof_key(invitation).hex(),
        "node_record": encode_record(record).hex(),
        "node_record_digest": record_digest(federation, record).hex(),
        "node_record_key_digest": key_digest(federation, Key(record.kind, record.author, record.subject)).hex(),
        "proof": one.request.proof.hex(),
        "words": list(one.words),
    }


def test_the_vectors() -> None:
    """R1, R2, M1, I1, I3, I7, I14: encodings, digests, derivations and words are as they were published."""
    assert json.loads(VECTORS.read_text()) == made()


def test_the_vectors_verify() -> None:
    """The published bytes decode to records whose signatures fit."""
    vectors = json.loads(VECTORS.read_text())
    federation = bytes.fromhex(vectors["federation"])
    for name in ("charter", "node_record"):
        record = decode_record(bytes.fromhex(vectors[name]))
        assert isinstance(record, Record)
        check_signature(federation, record)
    assert parse_invitation(vectors["code"]).federation == federation
    assert parse_invitation(vectors["code"]).inviter == decode_record(bytes.fromhex(vectors["charter"])).author
    assert node_id(bytes(32))[:9] == vectors["one_time_node"][:9]
