"""The boxes that hand payloads over: offers, resuming, refusing, and what a dishonest peer may try."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from protocols import wire
from protocols.errors import LocalError, PeerError
from protocols.message import Message, Payload
from secured_node.net import bulk, limits
from secured_node.net.bulk import Inbox, Incoming, Outbox
from secured_node.net.closing import ViolationError
from secured_node.net.frames import Begin, Decline, Offer, Take
from tests.net_kit import identity, payload, segment, small

PEER = identity(1).node


def inbox(wanted: Callable[..., bool] = lambda *_: True) -> Inbox:
    box = Inbox(PEER, wanted)
    box.greeted(b"p" * 16)
    return box


def offer(number: int, size: int, message: Message | None = None) -> Offer:
    return Offer(number, size, wire.encode(message or segment(number)))


async def test_an_outbox_offers_a_few_ahead_and_lets_go_when_acknowledged() -> None:
    box = Outbox()
    for number in range(limits.OFFERS_AHEAD_MAX + 2):
        assert box.add(wire.encode(segment(number)), payload(100, number))
    first = box.offers()
    assert [o.number for o in first] == list(range(1, limits.OFFERS_AHEAD_MAX + 1))
    assert box.offers() == []
    box.taken(Take(1, 0))
    item, offset = await box.ready()
    assert (item.number, offset) == (1, 0)
    assert box.offers() == []  # sent is not acknowledged
    box.taken(Take(1, 100))
    assert [o.number for o in box.offers()] == [limits.OFFERS_AHEAD_MAX + 1]
    box.declined(Decline(2))
    assert [o.number for o in box.offers()] == [limits.OFFERS_AHEAD_MAX + 2]
    box.declined(Decline(2))  # again: no harm
    box.taken(Take(999, 5))  # of something long gone: no harm


async def test_after_a_lost_link_everything_unacknowledged_is_offered_again() -> None:
    box = Outbox()
    box.add(wire.encode(segment()), payload(100))
    assert len(box.offers()) == 1
    box.taken(Take(1, 0))
    await box.ready()
    box.lost()
    assert [o.number for o in box.offers()] == [1]
    box.taken(Take(1, 60))
    assert (await box.ready())[1] == 60


def test_the_same_payload_is_taken_up_once() -> None:
    box = Outbox()
    data = payload(10)
    assert box.add(b"m", data)
    assert box.add(b"m", data)
    assert len(box.offers()) == 1
    assert box.add(b"m", data.copy())
    assert len(box.offers()) == 1


def test_an_outbox_is_bounded_by_count_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BULK_QUEUE_ITEMS_MAX", 2)
    box = Outbox()
    assert [box.add(b"%d" % k, payload(10)) for k in range(3)] == [True, True, False]
    monkeypatch.setattr(limits, "BULK_QUEUE_BYTES_MAX", 15)
    box.clear()
    assert [box.add(b"%d" % k, payload(10)) for k in range(2)] == [True, False]


@pytest.mark.parametrize("bad", [np.zeros((2, 2), np.uint8), np.zeros(4, np.int8), np.zeros(8, np.uint8)[::2]])
def test_a_payload_of_another_form_is_our_own_error(bad: Payload) -> None:
    with pytest.raises(LocalError):
        Outbox().add(b"m", bad)


@pytest.mark.parametrize("answers", [[Take(1, 101)], [Take(2, 0)], [Take(1, 0), Take(1, 0)]])
def test_a_dishonest_answer_ends_the_link(answers: list[Take]) -> None:
    box = Outbox()
    box.add(b"m", payload(100))
    box.offers()
    box.add(b"n", payload(100))  # not offered
    with pytest.raises(ViolationError):
        for answer in answers:
            box.taken(answer)


def test_a_payload_comes_in_by_chunks() -> None:
    box, data = inbox(), payload(1000)
    assert box.offered(offer(1, 1000)) == Take(1, 0)
    assert not box.receiving
    box.begun(Begin(1, 0))
    assert box.receiving
    assert box.chunk(data[:600].tobytes()) is None
    item = box.chunk(data[600:].tobytes())
    assert item is not None and item.message == segment(1)
    assert np.array_equal(item.payload, data)
    assert not box.receiving


def test_a_partial_payload_survives_the_link_but_not_the_senders_process() -> None:
    box, data = inbox(), payload(1000)
    box.offered(offer(1, 1000))
    box.offered(offer(2, 1000))
    box.begun(Begin(1, 0))
    box.chunk(data[:600].tobytes())
    box.lost()
    box.greeted(b"p" * 16)
    assert box.offered(offer(1, 1000)) == Take(1, 600)
    assert box.offered(offer(2, 1000)) == Take(2, 0)
    box.begun(Begin(1, 600))
    item = box.chunk(data[600:].tobytes())
    assert item is not None and np.array_equal(item.payload, data)
    box.begun(Begin(2, 0))
    box.chunk(data[:600].tobytes())
    box.lost()
    box.greeted(b"q" * 16)
    assert box.offered(offer(2, 1000)) == Take(2, 0)


def test_what_is_not_wanted_is_declined_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_reserve", lambda size: pytest.fail("memory was reserved"))
    asked: list[tuple[object, ...]] = []
    box = inbox(lambda *args: bool(asked.append(args)))
    assert box.offered(offer(1, 1000)) == Decline(1)
    assert asked == [(PEER, segment(1), 1000)]


def test_oversize() -> None:
    """An offer over its type's cap is refused at the header, and `expects` is not even asked."""
    box = inbox(lambda *_: pytest.fail("was asked"))
    cap = wire.type_of(segment()).payload_bytes_max
    tracemalloc.start()
    for size in (cap + 1, 2**62):
        with pytest.raises(PeerError) as refused:
            box.offered(offer(1, size))
        assert refused.value.code == "oversize"
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_no_room_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_kinds: object) -> None:
        raise MemoryError

    monkeypatch.setattr(bulk.np, "empty", full)
    with pytest.raises(PeerError, match="no_memory"):
        inbox().offered(offer(1, 100))


def test_an_empty_payload_is_complete_at_once() -> None:
    item = inbox().offered(offer(1, 0))
    assert isinstance(item, Incoming) and item.complete


def test_a_message_without_a_payload_cannot_be_offered_with_one() -> None:
    from protocols.secagg.messages import Vote

    vote = Vote(job=bytes(32), round=0, attempt=0, author=PEER, history=bytes(32), signature=bytes(64))
    with pytest.raises(PeerError, match="oversize"):
        inbox().offered(Offer(1, 0, wire.encode(vote)))
    with pytest.raises(PeerError, match="unknown_type"):
        inbox().offered(Offer(1, 0, b"\x01\xff"))


def test_more_than_was_offered_ends_the_link() -> None:
    box = inbox()
    with pytest.raises(ViolationError):
        box.begun(Begin(1, 0))
    box.offered(offer(1, 100))
    with pytest.raises(ViolationError):
        box.begun(Begin(1, 50))
    with pytest.raises(ViolationError):
        box.chunk(b"x")
    box.begun(Begin(1, 0))
    with pytest.raises(ViolationError):
        box.chunk(bytes(101))
    with pytest.raises(ViolationError):
        box.chunk(b"")


def test_too_many_offers_or_a_changed_one_end_the_link() -> None:
    box = inbox()
    for number in range(limits.PARTIALS_MAX):
        box.offered(offer(number, 100))
    with pytest.raises(ViolationError):
        box.offered(offer(99, 100))
    with pytest.raises(ViolationError):
        box.offered(offer(1, 101))
    with pytest.raises(ViolationError):
        box.offered(offer(1, 100, small()))


def test_a_payload_declined_while_it_comes_in_does_not_confuse_the_box() -> None:
    wanted = [True, False]
    box = inbox(lambda *_: wanted.pop(0))
    box.offered(offer(1, 100))
    box.begun(Begin(1, 0))
    assert box.offered(offer(1, 100)) == Decline(1)
    item = box.chunk(bytes(100))
    assert item is not None and item.complete
