"""The audit's chain: whatever is changed, deleted, put in or moved, the first bad entry is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secured_node.store.audit import BODY_CHARS_MAX, EVENT_CHARS_MAX, Audit, Entry, first_bad_entry

COUNT = 8


def chain(count: int = COUNT) -> list[Entry]:
    audit = Audit(None)
    entries: list[Entry] = []
    for number in range(count):
        linked = audit.linked([audit.entry(f"2026-01-01T00:00:{number:02}Z", "step", {"n": number})])
        audit.written(linked)
        entries += linked
    return entries


def test_a_chain_that_nobody_touched_is_whole() -> None:
    assert first_bad_entry(chain()) is None
    assert first_bad_entry([]) is None


def test_the_chain_goes_on_after_a_restart() -> None:
    entries = chain(3)
    audit = Audit(entries[-1])
    assert first_bad_entry([*entries, *audit.linked([audit.entry("t", "e", {})] * 2)]) is None


def test_entries_that_were_not_written_leave_no_gap() -> None:
    audit = Audit(None)
    audit.linked([audit.entry("t", "lost", {})] * 3)
    kept = audit.linked([audit.entry("t", "kept", {})])
    assert kept[0].sequence == 1 and first_bad_entry(kept) is None


@given(
    st.integers(0, COUNT - 1),
    st.sampled_from(["time", "event", "body", "digest", "sequence"]),
    st.text(min_size=1, max_size=20),
)
def test_an_edited_entry_is_named(at: int, field: str, text: str) -> None:
    entries = chain()
    old = getattr(entries[at], field)
    new: object = {"digest": b"\0" * 32, "sequence": entries[at].sequence + 100}.get(field, text)
    if new == old:
        return
    entries[at] = replace(entries[at], **{field: new})
    bad = first_bad_entry(entries)
    assert bad is not None and bad[0] == at + 1


@given(st.integers(0, COUNT - 2))
def test_a_deleted_entry_is_named(at: int) -> None:
    entries = chain()
    del entries[at]
    assert first_bad_entry(entries) == (at + 1, f"entry {at + 1} is missing")


@given(st.integers(0, COUNT - 2))
def test_two_entries_that_changed_places_are_noticed_at_the_first(at: int) -> None:
    entries = chain()
    one, two = entries[at], entries[at + 1]
    entries[at], entries[at + 1] = replace(two, sequence=one.sequence), replace(one, sequence=two.sequence)
    bad = first_bad_entry(entries)
    assert bad is not None and bad[0] == at + 1


@given(st.integers(0, COUNT))
def test_an_entry_that_was_put_in_is_noticed(at: int) -> None:
    entries = chain()
    forged = Entry(at + 1, "t", "forged", "{}", b"\1" * 32)
    later = [replace(entry, sequence=entry.sequence + 1) for entry in entries[at:]]
    bad = first_bad_entry([*entries[:at], forged, *later])
    assert bad is not None and bad[0] == at + 1


def test_a_shorter_chain_has_another_end() -> None:
    """What the chain itself cannot show; hence the advice to keep the last digest elsewhere."""
    entries = chain()
    assert first_bad_entry(entries[:-1]) is None
    assert entries[-1].digest != entries[-2].digest


def test_an_entry_is_of_limited_size() -> None:
    told = Audit.entry("t", "e" * 1000, {"name": "x" * (BODY_CHARS_MAX + 1), "other": 1})
    assert len(told.event) == EVENT_CHARS_MAX
    assert told.body == '{"too_long":["name","other"]}'


@pytest.mark.parametrize("text", ["\n", '"', "\x1b[2J", "\u202e"])
def test_text_of_a_peer_stays_within_its_entry(text: str) -> None:
    told = Audit.entry("t", "refused", {"detail": text})
    assert "\n" not in told.body and "\x1b" not in told.body
