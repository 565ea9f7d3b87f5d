"""Six words that two people compare on their screens, before one lets the other in.

The words spell the first 66 bits of a digest over (federation, invitation, inviter's key, newcomer's key, digest of the
newcomer's node record); each of 2,048 words stands for 11 bits. They agree exactly if both screens speak of the same
two keys and the same description.

The attacker's odds. Somebody else's key gives other words. An invitation takes one newcomer, so a thief of the code
who cannot choose has one try: 2^-66. One who knows the rightful newcomer's key and node record *before* using the code
may search for a record of its own that gives the same words: 2^66 digests on average, two centuries for a device that
does 10^10 a second. The words cannot be searched for afterwards: the inviter's screen shows those of the first user
for good. People who compare only the first three words leave 2^-33, and those who skip it rely on the code alone.
"""

from __future__ import annotations

from typing import Final

from protocols.digest import digest
from protocols.identity import NodeId, public_key_bytes
from protocols.wordlist import WORDS

WORDS_SHOWN: Final = 6
BITS_PER_WORD: Final = 11


def words_to_compare(
    federation: bytes, invitation: bytes, inviter: NodeId, joiner: NodeId, record: bytes
) -> tuple[str, ...]:
    """The six words. invitation: its id. record: the digest of the newcomer's node record."""
    spoken = digest("words", federation, invitation, public_key_bytes(inviter), public_key_bytes(joiner), record)
    bits = int.from_bytes(spoken, "big") >> (8 * len(spoken) - WORDS_SHOWN * BITS_PER_WORD)
    places = range((WORDS_SHOWN - 1) * BITS_PER_WORD, -1, -BITS_PER_WORD)
    return tuple(WORDS[(bits >> place) % len(WORDS)] for place in places)
