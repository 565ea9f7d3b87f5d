"""Watches a repetition's world and keeps what a result tells of it: rounds, moments, refusals, failures, messages."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from protocols import wire
from protocols.core import Computed, Received, Refused, Send
from protocols.identity import NodeId
from protocols.job.events import Moved, StartWork
from protocols.job.life import ENDED
from protocols.message import Message, Payload
from protocols.node import InJob
from protocols.secagg.effects import Certified, Evidence, Paused, Resumed, Retried
from simulations.federation import Federation
from simulations.study.result import Failure, Moment, RoundResult, SentMessage
from simulations.study.site import ShareFailed
from simulations.world import Failed, Host

MOMENTS_MAX: Final = 2000
"""Moments that are kept of a repetition: a flapping member makes a few hundred."""
MESSAGES_MAX: Final = 3000
"""Messages of a round that are kept for a sequence: sixteen hospitals send about 2,000."""


@dataclass
class _Round:
    started_s: float
    sent_before: int
    attempts: int = 1
    certified: dict[NodeId, float] = field(default_factory=dict)


class Recorder:
    """What happened in one world since `begin`. messages: whether one round's messages are kept, too.

    evidence: kinds of it that honest hubs hold against a node. moves: how often a job moved at any hub.
    on_round: called with the number of each sum that is certified somewhere.
    """

    def __init__(self, federation: Federation, *, messages: bool) -> None:
        self._federation, self._world = federation, federation.world
        self.began_s = 0.0
        self.moments: list[Moment] = []
        self.refusals: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.received: Counter[NodeId] = Counter()
        self.reasons: dict[tuple[bytes, NodeId], str] = {}
        self.ended: dict[tuple[bytes, NodeId], str] = {}
        self.evidence: defaultdict[NodeId, set[str]] = defaultdict(set)
        self.moves = 0
        self.on_round: Callable[[int], None] = lambda _: None
        self.sequence_round = 0
        self._retried = False
        self._rounds: defaultdict[bytes, dict[int, _Round]] = defaultdict(dict)
        self._sent: defaultdict[int, list[_Sent]] = defaultdict(list)
        self._open: defaultdict[tuple[NodeId, NodeId, Message], deque[_Sent]] = defaultdict(deque)
        world = self._world
        world.on_effect(StartWork, self._started)
        world.on_effect(Moved, self._moved)
        world.on_effect(InJob, self._in_job)
        world.on_effect(Refused, self._refused)
        world.on_fact(Certified, self._certified)
        world.on_event(Computed, self._computed)
        world.on_event(Received, self._arrived)
        if messages:
            world.on_effect(Send, self._send)

    @property
    def now(self) -> float:
        """Virtual seconds since `begin`."""
        return self._world.now - self.began_s

    def begin(self) -> None:
        """The job is about to be proposed: times count from here."""
        self.began_s = self._world.now
        self.received.clear()

    def next_job(self) -> None:
        """Another job is about to be proposed: its rounds are the ones to draw."""
        self._sent.clear()
        self._open.clear()
        self.sequence_round, self._retried = 0, False

    def note(self, node: str, kind: str, text: str) -> None:
        """Something for the timeline."""
        if len(self.moments) < MOMENTS_MAX:
            self.moments.append(Moment(at_s=self.now, node=node, kind=kind, text=self._readable(text)))

    def rounds(self, job: bytes, metrics: Sequence[dict[str, float | None]]) -> list[RoundResult]:
        """The certified rounds of a job; metrics: after each of its sums."""
        members = len(self.members(job))
        found, rounds = [], self._rounds[job]
        for number, seen in sorted(rounds.items()):
            if not seen.certified:
                continue
            times, following = seen.certified.values(), rounds.get(number + 1)
            until = following.sent_before if following is not None else self._sent_bytes()
            found.append(
                RoundResult(
                    number=number,
                    started_s=seen.started_s,
                    certified_s=min(times),
                    all_s=max(times) if len(times) >= members else None,
                    attempts=seen.attempts,
                    sent_bytes=until - seen.sent_before,
                    metrics=metrics[number - 1] if number <= len(metrics) else {},
                )
            )
        return found

    def members(self, job: bytes) -> Sequence[NodeId]:
        """The job's cohort, as honest hubs that run know it; empty before there is one."""
        for i, node in enumerate(self._federation.nodes):
            if self._federation.up(i) and self._federation.honest(node):
                here = self._federation.hub(i).node.jobs.get(job)
                if here is not None and here.body is not None:
                    return here.body.members
        return ()

    def sequence(self) -> list[SentMessage]:
        """The messages of the chosen round."""
        return [sent.plain(self._name) for sent in self._sent[self.sequence_round]]

    # -- watching -------------------------------------------------------------------------------------------------

    def _name(self, node: NodeId) -> str:
        federation = self._federation
        return federation.names[federation.nodes.index(node)]

    def _readable(self, text: str) -> str:
        """A text of a hub with names in place of ids."""
        for node, name in zip(self._federation.nodes, self._federation.names, strict=True):
            text = text.replace(node, name)
        return text

    def _sent_bytes(self) -> int:
        return sum(host.sent_bytes for host in self._world.hosts.values())

    def _started(self, host: Host, effect: StartWork) -> None:
        rounds = self._rounds[effect.job]
        if effect.round not in rounds:
            rounds[effect.round] = _Round(self.now, self._sent_bytes())

    def _certified(self, host: Host, fact: Certified) -> None:
        certificate = fact.certificate
        seen = self._rounds[certificate.job].get(certificate.round)
        if seen is None:
            return
        if not seen.certified:
            self.on_round(certificate.round)
        seen.certified.setdefault(host.node, self.now)
        self._choose(certificate.round, seen)

    def _choose(self, number: int, seen: _Round) -> None:
        """Which round is drawn: the first that took several attempts; until there is one, the second, or the first."""
        if number == self.sequence_round:
            return
        retried = seen.attempts > 1
        if not self._retried and (retried or number <= 2):
            self._sent.pop(self.sequence_round, None)
            self.sequence_round, self._retried = number, retried
        else:
            self._sent.pop(number, None)

    def _moved(self, host: Host, effect: Moved) -> None:
        self.moves += 1
        self.reasons[effect.job, host.node] = self._readable(effect.reason)
        if effect.state in ENDED:
            self.ended[effect.job, host.node] = str(effect.state)
        reason = f": {effect.reason}" if effect.reason else ""
        self.note(self._name(host.node), "move", f"the job is {effect.state}{reason}")

    def _in_job(self, host: Host, effect: InJob) -> None:
        name = self._name(host.node)
        match effect.effect:
            case Retried() as retried:
                waited = ", ".join(map(self._name, retried.waited_for))
                late = f"; waited for {waited}" if waited else ""
                text = f"round {retried.round}, attempt {retried.attempt - 1} without a sum: {retried.reason}{late}"
                self.note(name, "retry", text)
                seen = self._rounds[effect.job].get(retried.round)
                if seen is not None:
                    seen.attempts = max(seen.attempts, retried.attempt)
            case Paused() as paused:
                self.note(name, "pause", f"round {paused.round} waits for {', '.join(map(self._name, paused.missing))}")
            case Resumed() as resumed:
                self.note(name, "pause", f"round {resumed.round} goes on")
            case Evidence() as evidence:
                if self._federation.honest(host.node):
                    self.evidence[evidence.author].add(evidence.kind)
                self.note(name, "evidence", f"{evidence.kind} by {self._name(evidence.author)}")

    def _refused(self, host: Host, effect: Refused) -> None:
        self.refusals[effect.code] += 1
        self.note(self._name(host.node), "refusal", f"{effect.code}: {effect.detail}")

    def _computed(self, host: Host, event: Computed) -> None:
        if isinstance(event.token, StartWork) and isinstance(event.value, Failed):
            error = event.value.error
            detail = error.detail if isinstance(error, ShareFailed) else f"{type(error).__name__}: {error}"
            name = self._name(host.node)
            self.failures.append(Failure(node=name, round=event.token.round, error=detail))
            self.note(name, "failure", f"round {event.token.round}: {detail}")

    # -- messages -------------------------------------------------------------------------------------------------

    def _send(self, host: Host, effect: Send) -> None:
        number = getattr(effect.message, "round", None)
        if not isinstance(number, int) or len(self._sent[number]) >= MESSAGES_MAX:
            return
        sent = _Sent(self.now, host.node, effect.to, effect.message, effect.payload)
        self._sent[number].append(sent)
        self._open[host.node, effect.to, effect.message].append(sent)

    def _arrived(self, host: Host, event: Received) -> None:
        self.received[host.node] += 1
        waiting = self._open.get((event.sender, host.node, event.message))
        if waiting:
            waiting.popleft().received_s = self.now
            if not waiting:
                del self._open[event.sender, host.node, event.message]


class _Sent:
    """A message on its way. The payload is measured, not kept."""

    __slots__ = ("message", "received_s", "sender", "sent_s", "size", "to")

    def __init__(self, at: float, sender: NodeId, to: NodeId, message: Message, payload: Payload | None) -> None:
        self.sent_s, self.sender, self.to, self.message = at, sender, to, message
        self.size = len(wire.encode(message)) + (0 if payload is None else payload.nbytes)
        self.received_s: float | None = None

    def plain(self, name: Any) -> SentMessage:
        """As it is told."""
        return SentMessage(
            sent_s=self.sent_s,
            received_s=self.received_s,
            sender=name(self.sender),
            to=name(self.to),
            type=type(self.message).__name__,
            size=self.size,
            lost=self.received_s is None,
        )
