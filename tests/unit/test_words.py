"""The six words that people compare."""

from __future__ import annotations

import re

import pytest

from protocols.wordlist import WORDS
from protocols.words import BITS_PER_WORD, WORDS_SHOWN, words_to_compare
from tests.unit.membership_kit import identity


def slips(word: str) -> tuple[set[str], set[str]]:
    """A word with one letter left out, and with one letter that may be any."""
    places = range(len(word))
    return {word[:at] + word[at + 1 :] for at in places}, {word[:at] + "?" + word[at + 1 :] for at in places}


def test_the_words_are_distinct_and_unlike_each_other() -> None:
    """I14: 2,048 words of 4 to 7 letters, no two of them one letter apart."""
    assert len(set(WORDS)) == len(WORDS) == 2**BITS_PER_WORD
    assert all(re.fullmatch("[a-z]{4,7}", word) for word in WORDS)
    assert list(WORDS) == sorted(WORDS)
    blurred: set[str] = set()
    for word in WORDS:
        shorter, replaced = slips(word)
        assert not shorter & set(WORDS), word
        assert not replaced & blurred, word
        blurred |= replaced


def test_the_words_are_the_first_bits_of_the_digest() -> None:
    """I14: six times eleven bits, known by an example (also in the vectors)."""
    inviter, joiner = identity(1).node, identity(2).node
    words = words_to_compare(bytes(32), bytes(8), inviter, joiner, bytes(32))
    assert len(words) == WORDS_SHOWN
    assert words == words_to_compare(bytes(32), bytes(8), inviter, joiner, bytes(32))


@pytest.mark.parametrize("changed", range(5))
def test_everything_that_is_agreed_on_changes_the_words(changed: int) -> None:
    """I14: federation, invitation, both keys, the newcomer's description."""
    same = [bytes(32), bytes(8), identity(1).node, identity(2).node, bytes(32)]
    other = [b"\x01" * 32, b"\x01" * 8, identity(3).node, identity(4).node, b"\x01" * 32]
    arguments = [other[place] if place == changed else same[place] for place in range(5)]
    assert words_to_compare(*same) != words_to_compare(*arguments)  # type: ignore[arg-type]


def test_all_words_are_used() -> None:
    """I14: no word is favoured beyond chance."""
    inviter, joiner = identity(1).node, identity(2).node
    shown: list[str] = []
    for number in range(4000):
        shown += words_to_compare(bytes(32), bytes(8), inviter, joiner, number.to_bytes(32, "big"))
    counts = [shown.count(word) for word in WORDS[::64]]
    assert min(counts) > 0
    assert max(counts) < 40
