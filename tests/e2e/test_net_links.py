"""Links between nodes with real TLS on loopback: messages, payloads, ends, and coming back."""

import asyncio
import itertools
import time
from random import Random

import numpy as np
import pytest

from protocols import wire
from protocols.errors import LocalError
from protocols.message import Message
from protocols.secagg.messages import Ask, Certificate, Vote
from secured_node.net import limits
from secured_node.net.closing import Closing
from secured_node.net.dialler import Dialler
from secured_node.net.frames import Begin, Inline, Offer, Take, encode_frame
from secured_node.net.hello import Greeter
from secured_node.net.link import Link
from secured_node.net.roster import Contact
from secured_node.net.stream import Stream
from tests.net_kit import FEDERATION, Cable, Node, federation, identity, introduce, payload, segment, small, until


def link_of(node: Node, other: Node) -> Link:
    link = node.links._neighbours[other.node].link
    assert link is not None
    return link


def streams_of(node: Node, other: Node) -> tuple[Stream, Stream]:
    link = link_of(node, other)
    return link._control, link._bulk


async def test_messages_go_both_ways_in_order() -> None:
    async with federation(2) as (a, b):
        for number in range(300):
            assert a.links.send(b.node, small(number))
            assert b.links.send(a.node, small(number))
        await until(lambda: len(a.messages) == len(b.messages) == 300)
        assert [m.attempt for _, m, _ in a.messages] == list(range(300))
        assert all(peer == b.node and payload is None for peer, _, payload in a.messages)
        assert not a.links.send(identity().node, small())
        with pytest.raises(LocalError):
            a.links.send(b.node, Message())
        vote = Vote(job=bytes(32), round=0, attempt=0, author=a.node, history=bytes(32), signature=bytes(64))
        with pytest.raises(LocalError):
            a.links.send(b.node, vote, payload(0))


async def test_the_largest_message_passes() -> None:
    async with federation(2) as (a, b):
        vote = Vote(job=bytes(32), round=0, attempt=0, author=a.node, history=bytes(32), signature=bytes(64))
        large = Certificate(job=bytes(32), round=1, history=bytes(32), votes=(vote,) * 128)
        assert a.links.send(b.node, large)
        assert a.links.send(b.node, large, payload(10))
        await until(lambda: len(b.messages) == 2)
        assert all(message == large for _, message, _ in b.messages)


async def test_bulk_of_40_mb_both_ways_at_once() -> None:
    async with federation(2) as (a, b):
        one, two = payload(40_000_000, 1), payload(40_000_001, 2)
        gaps: list[float] = []

        async def feel_the_loop() -> None:
            while True:
                at = time.perf_counter()
                await asyncio.sleep(0)
                gaps.append(time.perf_counter() - at)

        feeling = asyncio.create_task(feel_the_loop())
        assert a.links.send(b.node, segment(1), one)
        assert b.links.send(a.node, segment(2), two)
        assert a.links.send(b.node, small(3))  # small ones do not wait behind
        await until(lambda: a.messages and len(b.messages) == 2, 60)
        feeling.cancel()
        assert b.messages[0][1] == small(3)
        assert b.messages[1][1] == segment(1)
        assert np.array_equal(b.messages[1][2], one)
        assert np.array_equal(a.messages[0][2], two)
        assert len(b.progress) == -(-len(one) // limits.CHUNK_BYTES)
        assert sorted(gaps)[-1] < 0.5  # typically under 10 ms; the bound leaves room for a busy machine
        status = a.links.status()[0]
        assert len(one) < status.sent_bytes < len(one) + 2000
        assert len(two) < status.received_bytes < len(two) + 2000


async def test_many_payloads_arrive_once_each() -> None:
    async with federation(2) as (a, b):
        sent = [payload(40_000 + k * 1000, k) for k in range(50)]
        for number, data in enumerate(sent):
            assert a.links.send(b.node, segment(number), data)
            assert a.links.send(b.node, segment(number), data)  # asked for twice while under way
        await until(lambda: len(b.messages) == 50)
        await asyncio.sleep(0.1)
        assert sorted(m.attempt for _, m, _ in b.messages) == list(range(50))
        for _, message, data in b.messages:
            assert np.array_equal(data, sent[message.attempt])


async def test_small_payloads_keep_their_place_among_messages() -> None:
    async with federation(2) as (a, b):
        for number in range(20):
            a.links.send(b.node, segment(number), payload(limits.INLINE_BYTES_MAX - number, number))
            a.links.send(b.node, small())
        await until(lambda: len(b.messages) == 40)
        assert [m for _, m, _ in b.messages] == [m for number in range(20) for m in (segment(number), small())]
        for number in range(20):
            assert np.array_equal(b.messages[2 * number][2], payload(limits.INLINE_BYTES_MAX - number, number))


async def test_a_payload_beside_a_message_that_has_none_is_refused() -> None:
    async with federation(2) as (a, b):
        link_of(a, b).send(encode_frame(Inline(wire.encode(Ask(bytes(32), 1, 1)), b"too much")))
        a.links.send(b.node, small())
        await until(lambda: b.messages)
        assert b.codes == ["oversize"]
        assert b.messages[0][2] is None


async def test_bulk_resumes_where_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):
        data = payload(30_000_000)
        a.links.send(b.node, segment(), data)
        await until(lambda: len(b.progress) >= 10)
        link_of(b, a).cut(Closing.DEAD)
        have = len(b.progress)
        await until(lambda: b.messages)
        assert np.array_equal(b.messages[0][2], data)
        chunks = -(-len(data) // limits.CHUNK_BYTES)
        assert have < chunks
        assert len(b.progress) <= chunks + 1  # nothing that had arrived was sent again
        assert len(b.ups) == 2


@pytest.mark.parametrize(("kept_s", "arrives"), [(0.0, False), (60.0, True)])
async def test_how_long_a_payload_waits_for_the_next_link(
    kept_s: float, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with federation(2, monkeypatch) as (a, b):
        monkeypatch.setattr(limits, "RESUME_S", kept_s)

        def cut_once(*_: object) -> bool:
            b.wanted = lambda *_: True
            link_of(b, a).cut(Closing.DEAD)
            return True

        b.wanted = cut_once
        a.links.send(b.node, segment(), payload(100_000))
        await until(lambda: len(a.ups) == len(b.ups) == 2)
        a.links.send(b.node, small())
        await until(lambda: small() in [message for _, message, _ in b.messages])
        await asyncio.sleep(0.1)
        assert (segment() in [message for _, message, _ in b.messages]) is arrives


async def test_what_is_not_wanted_is_not_sent() -> None:
    async with federation(2) as (a, b):
        b.wanted = lambda *_: False
        before = a.links.status()[0].sent_bytes
        assert a.links.send(b.node, segment(), payload(10_000_000))
        a.links.send(b.node, small())
        await until(lambda: b.messages)
        assert a.links.status()[0].sent_bytes - before < 1000
        assert not b.refusals


@pytest.mark.parametrize("trial", range(8))
async def test_simultaneous_dial(trial: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both dial at once, without the higher one's patience: exactly one link stays, the same on both sides."""
    monkeypatch.setattr(limits, "DIAL_DELAY_S", 0.002 * trial)
    async with federation(2, linked=False) as (a, b):
        introduce(a, b)
        await until(lambda: a.up(b) and b.up(a))
        await asyncio.sleep(0.2)
        assert a.up(b) and b.up(a)
        low, high = sorted((a, b), key=lambda node: node.node)
        assert link_of(low, high).dialled != link_of(high, low).dialled
        assert len(a.ups) - len(a.downs) == len(b.ups) - len(b.downs) == 1
        assert len(a.ups) <= 2
        assert low.server._open[high.node] + high.server._open[low.node] == 2
        a.links.send(b.node, small())
        b.links.send(a.node, small())
        await until(lambda: a.messages and b.messages)


async def test_two_established_links_become_the_lower_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst order: the lower node's call completes while the higher one's link is already in use."""
    async with federation(2, monkeypatch, linked=False) as (a, b):
        low, high = sorted((a, b), key=lambda node: node.node)
        monkeypatch.setattr(limits, "TIE_WAIT_S", 0.05)
        go = asyncio.Event()
        dial = low.links._dialler.dial

        async def held(*args: object) -> object:
            await go.wait()
            return await dial(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(low.links._dialler, "dial", held)
        introduce(a, b)
        await until(lambda: low.up(high) and high.up(low))
        assert link_of(high, low).dialled
        go.set()
        await until(lambda: low.links.status()[0].dialled and high.links.status()[0].dialled is False)
        await asyncio.sleep(0.2)
        assert low.downs == [(high.node, "replaced")]
        assert len(high.downs) == 1
        assert len(low.ups) == len(high.ups) == 2


async def test_a_live_link_is_kept_when_the_higher_node_dials_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):
        low, high = sorted((a, b), key=lambda node: node.node)
        assert link_of(low, high).dialled
        dialler = Dialler(high.identity, Greeter(FEDERATION))
        with pytest.raises(Exception, match="has a link with this node already"):
            await dialler.dial(low.node, low.contact)
        await dialler.close()
        assert not low.downs


async def test_a_link_that_died_unnoticed_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The higher node lost its power, and no packet told the lower one, which still believes in its link."""
    monkeypatch.setattr(limits, "PROBE_S", 0.3)
    async with federation(2, monkeypatch, linked=False) as (a, b):
        low, high = sorted((a, b), key=lambda node: node.node)
        cable = await Cable().lay(high.port)
        low.members[high.node] = Contact(high.contact.certificate, (f"127.0.0.1:{cable.port}",))
        low.refresh()
        await until(lambda: low.up(high))
        cable.freeze()
        await high.stop()
        again = Node(high.identity)
        try:
            again.members = dict(high.members)
            again.refresh()
            await until(lambda: again.up(low) and low.up(again))
            assert low.downs == [(high.node, "dead")]
        finally:
            await again.stop()
            await cable.cut()


async def test_reconnects_after_a_cut_and_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):
        link_of(a, b).cut(Closing.DEAD)
        await until(lambda: len(a.ups) == len(b.ups) == 2 and a.up(b) and b.up(a))
        await b.stop()
        await until(lambda: not a.up(b))
        assert a.downs[-1][1] in ("peer_stopped", "lost")
        assert not a.links.send(b.node, small())
        await until(lambda: "unreachable" in a.links.status()[0].trouble)
        again = Node(b.identity)
        try:
            introduce(a, again)
            await until(lambda: a.up(again) and again.up(a))
        finally:
            await again.stop()


async def test_silence_is_noticed_by_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEAD_S", 0.3)
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.1)
    async with federation(2, monkeypatch, linked=False) as (a, b):
        cable = await Cable().lay(b.port)
        a.members[b.node] = Contact(b.contact.certificate, (f"127.0.0.1:{cable.port}",))
        b.members[a.node] = Contact(a.contact.certificate)
        a.links.refresh()
        await until(lambda: a.up(b) and b.up(a))
        await asyncio.sleep(0.5)
        assert not a.downs
        cable.freeze()
        await until(lambda: a.downs and b.downs)
        assert (a.downs, b.downs) == ([(b.node, "dead")], [(a.node, "dead")])
        await cable.cut()


async def test_an_idle_link_lives_by_its_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEAD_S", 0.4)
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.1)
    async with federation(2, monkeypatch) as (a, b):
        await asyncio.sleep(1.2)
        assert not a.downs
        assert not b.downs


async def test_revoked_key_live_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(3, monkeypatch) as (a, b, c):
        a.revoked.add(b.node)  # the record arrived; nobody has cut the link yet
        b.links.send(a.node, small(1))
        await until(lambda: "revoked" in a.codes, 1.0)
        await until(lambda: not a.up(b), 1.0)
        assert not a.messages
        await until(lambda: b.downs)
        assert b.downs[0] == (a.node, "peer_revoked")
        # and without any message: by the cut alone
        a.revoked.add(c.node)
        at = time.perf_counter()
        a.refresh()
        await until(lambda: c.downs)
        assert time.perf_counter() - at < 1.0
        assert (c.node, "revoked") in a.downs
        assert [s.peer for s in a.links.status()] == []
        await asyncio.sleep(0.3)
        assert not a.messages
        assert not any(status.up for status in c.links.status() if status.peer == a.node)
        assert c.up(b)


async def test_revocation_stops_a_payload_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):
        b.links.send(a.node, segment(), payload(50_000_000))
        await until(lambda: len(a.progress) > 3)
        a.revoked.add(b.node)
        await until(lambda: not a.up(b), 1.0)
        await asyncio.sleep(0.2)
        assert not a.messages


@pytest.mark.parametrize("ahead_s", [100.0, -100.0, 185.0, -3600.0])
async def test_clock_skew(ahead_s: float) -> None:
    async with federation(1, linked=False) as (a,):
        b = Node(wall_ahead_s=ahead_s)
        try:
            introduce(a, b)
            await until(lambda: a.up(b) and b.up(a))
            assert abs(a.links.status()[0].skew_s - ahead_s) < 5
            if abs(ahead_s) < limits.CLOCK_SKEW_S_MAX:
                assert not a.skews
                assert not b.skews
            else:
                await until(lambda: a.skews and b.skews)
                assert abs(a.skews[0][1] - ahead_s) < 5
                assert abs(b.skews[0][1] + ahead_s) < 5
            b.links.send(a.node, small())  # reported, and nothing else
            await until(lambda: a.messages)
        finally:
            await b.stop()


@pytest.mark.parametrize("other", ["federation", "version"])
async def test_who_is_of_another_federation_or_version_is_told_so(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(1, monkeypatch, linked=False) as (a,):
        b = Node(federation=b"g" * 32 if other == "federation" else FEDERATION)
        if other == "version":
            say = b.links._greeter.say

            async def old(stream: Stream, link: bytes) -> None:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(wire, "VERSION", 0)
                    await say(stream, link)

            monkeypatch.setattr(b.links._greeter, "say", old)
        try:
            introduce(a, b)
            words = "another federation" if other == "federation" else "another version"
            await until(lambda: words in a.links.status()[0].trouble or words in b.links.status()[0].trouble)
            await until(lambda: f"wrong_{other}" in (a.codes + b.codes))
            assert not a.ups
            assert not b.ups
        finally:
            await b.stop()


async def test_who_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):
        monkeypatch.setattr(limits, "CONTROL_QUEUE_MESSAGES_MAX", 50)
        sent = [a.links.send(b.node, small(k)) for k in range(100)]
        assert sent == [True] * 50 + [False] * 50
        await until(lambda: (b.node, "overflow") in a.downs)
        await until(lambda: a.up(b) and b.up(a))


async def test_a_full_bulk_queue_drops_and_keeps_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2) as (a, b):
        monkeypatch.setattr(limits, "BULK_QUEUE_ITEMS_MAX", 3)
        sent = [a.links.send(b.node, segment(k), payload(100_000, k)) for k in range(5)]
        assert sent == [True, True, True, False, False]
        await until(lambda: len(b.messages) == 3)
        assert a.up(b)


async def test_an_unknown_message_is_refused_and_the_link_stays() -> None:
    async with federation(2) as (a, b):
        link_of(a, b).send(b"\x01\xff\x00")
        link_of(a, b).send(b"\x07\x10\x00")
        a.links.send(b.node, small())
        await until(lambda: b.messages)
        assert [(peer, code) for peer, code, _ in b.refusals] == [(a.node, "unknown_type"), (a.node, "bad_version")]
        assert not b.downs


async def test_a_member_cannot_fill_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2) as (a, b):
        monkeypatch.setattr(limits, "REFUSALS_PER_MINUTE_MAX", 5)
        for _ in range(100):
            link_of(a, b).send(b"\x01\xff\x00")
        a.links.send(b.node, small())
        await until(lambda: b.messages)
        assert b.codes == ["unknown_type"] * 5


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\0nonsense", "malformed"),
        (encode_frame(Begin(1, 0)), "bad_frame"),
        (encode_frame(Take(0, 5)), None),
    ],
)
async def test_who_breaks_the_rules_loses_the_link(frame: bytes, code: str | None) -> None:
    async with federation(2) as (a, b):
        link_of(a, b).send(frame)
        if code is None:  # an answer to something long gone
            a.links.send(b.node, small())
            await until(lambda: b.messages)
            assert not b.refusals
        else:
            await until(lambda: (a.node, "violation") in b.downs)
            assert b.refusals[0][:2] == (a.node, code)


async def test_chunks_that_nobody_took_end_the_link() -> None:
    async with federation(2) as (a, b):
        await streams_of(a, b)[1].send(encode_frame(Begin(7, 0)))
        await until(lambda: (a.node, "violation") in b.downs)
        assert b.codes == ["bad_begin"]


async def test_oversize() -> None:
    """An offer of 2^62 bytes: refused at the header, and the link stays."""
    async with federation(2) as (a, b):
        link_of(a, b).send(encode_frame(Offer(1, 2**62, wire.encode(segment()))))
        a.links.send(b.node, small())
        await until(lambda: b.messages)
        assert [(peer, code) for peer, code, _ in b.refusals] == [(a.node, "oversize")]


async def test_a_handler_that_fails_is_loud_and_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch) as (a, b):

        def broken(*_: object) -> None:
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(b, "on_message", broken)
        a.links.send(b.node, small())
        await until(lambda: (a.node, "failed") in b.downs)


async def test_a_listener_that_fails_once_costs_one_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(2, monkeypatch, linked=False) as (a, b):
        calls: list[object] = []

        def broken_once(peer: object) -> None:
            calls.append(peer)
            if len(calls) == 1:
                raise RuntimeError("a bug of ours")

        monkeypatch.setattr(a, "on_up", broken_once)
        introduce(a, b)
        await until(lambda: len(calls) == 2 and a.up(b) and b.up(a))
        a.links.send(b.node, small())
        await until(lambda: b.messages)


async def test_a_bug_in_a_call_does_not_end_the_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(1, monkeypatch, linked=False) as (a,):
        other = identity()
        a.members[other.node] = Contact(b"x" * 64, ("127.0.0.1:1",))
        calls = []

        async def broken(*what: object) -> None:
            calls.append(what)
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(a.links._dialler, "dial", broken)
        a.links.refresh()
        await until(lambda: len(calls) > 2)
        assert "error of our own" in a.links.status()[0].trouble


async def test_stopping_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with federation(3, monkeypatch) as nodes:
        for node in nodes:
            for other in nodes:
                node.links.send(other.node, segment(), payload(3_000_000))
    await asyncio.sleep(0.05)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left


def settled(nodes: list[Node]) -> bool:
    """Whether each two nodes have the same link, and the servers hold no stream besides."""
    for a, b in itertools.permutations(nodes, 2):
        links = [node.links._neighbours[other.node].link for node, other in ((a, b), (b, a))]
        if any(link is None or link.closed for link in links) or links[0].dialled == links[1].dialled:  # type: ignore[union-attr]
            return False
    open_streams = sum(sum(node.server._open.values()) for node in nodes)
    return open_streams == len(nodes) * (len(nodes) - 1)


@pytest.mark.parametrize("seed", range(6))
async def test_links_cut_at_random_settle_and_payloads_arrive(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by this test: the loser of two links waited for the winner's end before it was closed."""
    random = Random(seed)
    async with federation(3, monkeypatch, linked=False) as nodes:
        monkeypatch.setattr(limits, "DIAL_DELAY_S", random.choice([0, 0, 0.001, 0.003, 0.01]))
        monkeypatch.setattr(limits, "TIE_WAIT_S", random.choice([0, 0.002, 1]))
        monkeypatch.setattr(limits, "PROBE_S", 0.5)
        introduce(*nodes)
        await until(lambda: settled(nodes))
        pairs = list(itertools.permutations(range(3), 2))
        sent = {pair: payload(3_000_000, k) for k, pair in enumerate(pairs)}
        for k, (a, b) in enumerate(pairs):
            assert nodes[a].links.send(nodes[b].node, segment(k), sent[a, b])
        for _ in range(6):
            a, b = random.sample(range(3), 2)
            link = nodes[a].links._neighbours[nodes[b].node].link
            if link is not None:
                link.cut(random.choice([Closing.DEAD, Closing.REPLACED]))
            await asyncio.sleep(random.random() * 0.02)
        await until(lambda: settled(nodes))
        await until(lambda: all(len({m.attempt for _, m, _ in node.messages}) == 2 for node in nodes))
        for b, node in enumerate(nodes):
            for sender, message, data in node.messages:
                a = next(k for k, other in enumerate(nodes) if other.node == sender)
                assert message.attempt == pairs.index((a, b))
                assert np.array_equal(data, sent[a, b])
        assert all(len(node.ups) - len(node.downs) == 2 for node in nodes)
