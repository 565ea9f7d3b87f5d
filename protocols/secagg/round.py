"""One round of a job: attempts until one gives the sum, a vote, a certificate.

Rules.
- The vector is made once per round; every attempt uses the same integers. A node takes part once it has its vector.
- Attempt numbers only rise. The number is durable before its offer leaves; after a restart the node sits out that
  attempt and all below. It goes up on its own time-out, or at once to a higher number that a member's signed offer
  shows, at most `ATTEMPT_JUMP_MAX` above.
- Who knows the sum votes: the vote, the sum and its evidence are durable together before the vote leaves. From then on
  it joins no other attempt of this round and serves the evidence; that is how members in other attempts, or back from a
  crash, get there: they watch that attempt as witnesses and vote too.
- t votes for one history are the certificate, and the round is done.
- Silence is met by asking (`Inquiry`), then by another attempt, then by a pause that names who is missing.

States: gathering (no vector yet) -> attempting <-> paused -> voted -> done | failed. Votes and certificates may arrive
in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocols.core import (
    Compute,
    Computed,
    Draw,
    Effect,
    Event,
    LinkUp,
    Persist,
    Progressed,
    Received,
    Refused,
    Send,
    Tick,
)
from protocols.errors import EarlyError, PeerError
from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.attempt import Attempt, Token, Total, Vector
from protocols.secagg.ballot import Ballot
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import (
    Certified,
    Entered,
    Paused,
    Resumed,
    Retried,
    RoundDone,
    RoundFailed,
    Signed,
)
from protocols.secagg.inquiry import Inquiry
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.signing import UNSIGNED, RoundId, next_history, sign
from protocols.secagg.transcript import Transcript

ATTEMPT_JUMP_MAX: Final = 1000
"""How far above ours a member's attempt may lie: far more than faults can cause in a night of one-minute attempts."""
ATTEMPT_TIMEOUT_S: Final = 10.0
"""Without progress for so long an attempt is given up: several round trips and masks of the largest vectors."""
ATTEMPT_TIMEOUT_S_MAX: Final = 60.0
"""The time-out doubles up to here."""
ASK_AFTER_S: Final = 1.0
"""Silence before the first ask: longer than a message takes, shorter than a person notices."""
ASK_AFTER_S_MAX: Final = 8.0
"""The interval doubles up to here."""
ANSWER_AGAIN_S: Final = 0.5
"""A peer gets the same item at most this often: below every asker's interval, so only abuse notices."""
BULK_AGAIN_S: Final = 5.0
"""And the same bulk at most this often: it may still be under way on a slow link, or in a queue."""
PATIENCE_ASKS: Final = 2
"""After so many asks in vain, a silent holder's segments are settled from their inputs."""
PAUSE_AFTER_S: Final = 600.0
"""Without any new best state for so long the round pauses and names who is missing."""
PAUSED_ASK_S: Final = 60.0
"""How often a paused round asks those who are missing."""
SUM_BYTES_MAX: Final = 1 << 30
"""A certified sum that this node did not compute itself may have so many bytes: its length is not known beforehand."""
GARBAGE_MAX: Final = 2
"""Attempts whose masks did not cancel, or whose sum exceeds the bound, before the job fails."""


class Round:
    """A member's side of one round. `done` and `failed` say how it ended."""

    def __init__(
        self,
        cohort: Cohort,
        place: RoundId,
        identity: Identity,
        draw: Draw,
        *,
        entered: int = 0,
        signed: Signed | None = None,
    ) -> None:
        """entered, signed: the durable facts of this round, after a restart."""
        me = cohort.index(identity.node)
        if me is None:
            raise PeerError("not_a_member", "this node is not in the cohort")
        self.cohort, self.place, self.me = cohort, place, me
        self.done: Certified | None = None
        self.failed: str | None = None
        self.missing: tuple[NodeId, ...] = ()
        """While paused: who was silent."""
        self._identity, self._draw = identity, draw
        self._ballot = Ballot(cohort, place)
        self._vector: Vector | None = None
        self._attempt = Attempt(cohort, place, entered + 1, me)
        self._witnesses: dict[int, Attempt] = {}
        self._signed: Signed | None = None
        self._evidence: Transcript | None = None
        self._checking: Certified | None = None
        self._garbage = 0
        self._retries = 0
        self._asked = 0
        self._ask_at = self._progress_at = self._advanced_at = float("-inf")
        self._best = self._held = 0
        self._answered: dict[tuple[NodeId, Message, bool], float] = {}
        if signed is not None:
            self._restore(signed)

    # -- outside view --------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the round is done or failed."""
        return self.done is not None or self.failed is not None

    @property
    def wake_at(self) -> float | None:
        """When the round wants a `Tick`, in monotonic seconds."""
        if self.over or not self._asking:
            return None
        if self.missing:
            return self._ask_at
        times = [self._ask_at, self._advanced_at + PAUSE_AFTER_S]
        return min([*times, self._progress_at + self._timeout_s] if self._can_stall else times)

    def waiting_for(self) -> tuple[NodeId, ...]:
        """Whose messages are missing now: what `job show` says (G5). Empty while this node makes its own vector."""
        if self._signed is not None or self._ballot.certificate is not None:
            members = set(range(self.cohort.size)) - set(self._ballot.votes)
        else:
            members = self._attempt.wanted().members() if self._attempt.live else set()
        return tuple(self.cohort.members[i] for i in sorted(members - {self.me}))

    def expects(self, message: Message, size: int) -> bool:
        """Whether a bulk payload of this size would be of use: asked before a byte of it is received."""
        try:
            return not self.over and self._expects(message, size)
        except PeerError:
            return False

    def _expects(self, message: Message, size: int) -> bool:
        if isinstance(message, Certificate):
            return self._signed is None and 0 < size <= SUM_BYTES_MAX
        attempt = self._find(message.attempt) if isinstance(message, Segment | SumWords) else None
        if attempt is None or self._signed is not None:
            return False
        if isinstance(message, SumWords):
            attempt.transcript.check_size(message, size)
            return message.segment not in attempt.transcript.words
        return isinstance(message, Segment) and attempt.expects_segment(message, size)

    # -- events --------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin, or begin again after a restart."""
        self._rest(now)
        self._advanced_at = now
        return self._to_all(self._signed.vote) + self._follow(now) if self._signed else []

    def supply(self, vector: Vector, now: float) -> list[Effect]:
        """The vector is made: take part. Raises `LocalError` if its sum could overflow."""
        if self.over or self._vector is not None:
            return []
        self._vector = vector
        self._advanced_at = now
        effects = [] if self._signed else self._enter(now)
        return effects + self._follow(now)

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event. What a peer did wrong comes back as `Refused`."""
        if self.over:
            return self._serve(event, now)
        effects: list[Effect] = []
        sender = event.sender if isinstance(event, Received | Progressed) else None
        try:
            match event:
                case Received():
                    effects += self._receive(event.sender, event.message, event.payload, now)
                case Computed():
                    effects += self._computed(event.token, event.value)
                case LinkUp():
                    effects += self._greet(event.peer, now)
                case Progressed():
                    self._rest(now)
                    self._advanced_at = now
                case Tick():
                    effects += self._tick(now)
        except EarlyError:
            pass
        except PeerError as error:
            effects.append(Refused(sender, error.code, error.detail))
        return self._remember(effects + self._follow(now), now)

    def _remember(self, effects: list[Effect], now: float) -> list[Effect]:
        """Bulk that is on its way to a peer is not sent again for a while, though the peer may ask already."""
        for effect in effects:
            if isinstance(effect, Send) and effect.payload is not None:
                self._answered[effect.to, effect.message, False] = now
        return effects

    def _serve(self, event: Event, now: float) -> list[Effect]:
        """The round is done here: whoever still speaks of it gets the certificate, and the sum if it asks."""
        if self.done is None or not isinstance(event, Received) or self.cohort.index(event.sender) is None:
            return []
        message, certificate = event.message, self.done.certificate
        if isinstance(message, Ask) and message.certificate:
            return self._tell(event.sender, certificate, now, self.done.total)
        if isinstance(message, Certificate) or (isinstance(message, Vote) and message in certificate.votes):
            return []
        return self._tell(event.sender, certificate, now)

    def _receive(self, sender: NodeId, message: Message, payload: Payload | None, now: float) -> list[Effect]:
        if self.cohort.index(sender) is None:
            raise PeerError("not_a_member", f"{sender} is not in the cohort")
        effects = self._resume(now) if sender in self.missing else []
        match message:
            case Vote():
                return effects + self._take_vote(message)
            case Certificate():
                return effects + self._take_certificate(sender, message, payload)
            case Ask():
                return effects + self._answer(sender, message, now)
            case Offer() | Root() | Segment() | Sum() | SumWords():
                return effects + self._take_part(sender, message, payload, now)
        raise PeerError("unexpected", f"{type(message).__name__} is no message of a round")

    def _take_part(
        self, sender: NodeId, message: Offer | Root | Segment | Sum | SumWords, payload: Payload | None, now: float
    ) -> list[Effect]:
        """A message of an attempt."""
        if self._signed is not None:
            return self._tell(sender, self._signed.vote, now)
        attempt = self._find(message.attempt)
        if attempt is not None:
            return attempt.take(message, payload)
        above = message.attempt - self._attempt.number
        if above > ATTEMPT_JUMP_MAX:
            raise PeerError("attempt_jump", f"attempt {message.attempt} is {above} above ours")
        return self._jump(message, now) if isinstance(message, Offer) and above > 0 else []

    def _jump(self, offer: Offer, now: float) -> list[Effect]:
        """A member is in a higher attempt, and its signed offer proves it: go there."""
        attempt = Attempt(self.cohort, self.place, offer.attempt, self.me)
        effects = attempt.take(offer, None)
        if not attempt.transcript.offers:
            return effects
        self._attempt = attempt
        effects += self._resume(now) if self.missing else []
        return effects + (self._enter(now) if self._vector is not None and not attempt.live else [])

    def _take_vote(self, vote: Vote) -> list[Effect]:
        """Count it; if this node is not in the attempt that it rests on, watch that attempt."""
        effects: list[Effect] = list(self._ballot.add(vote))
        here = self._signed is not None or self._find(vote.attempt) is not None
        if not here and self.cohort.index(vote.author) in self._ballot.votes and not self.over:
            self._witnesses[vote.attempt] = Attempt(self.cohort, self.place, vote.attempt, self.me)
            effects += self._ask()
        return effects

    def _take_certificate(self, sender: NodeId, certificate: Certificate, payload: Payload | None) -> list[Effect]:
        effects: list[Effect] = list(self._ballot.adopt(certificate))
        mine = self._signed is not None and self._signed.vote.history == certificate.history
        if mine or self._checking is not None:
            return effects
        if payload is None:
            ask = Ask(self.cohort.job, self.place.number, self._attempt.number, certificate=True)
            return [*effects, Send(sender, ask)]
        self._checking = Certified(certificate, payload)
        token = Token(self.place.number, 0, "certified")
        return [*effects, Compute(token, lambda: next_history(self.place.history, self.place.number, payload))]

    def _computed(self, token: object, value: Any) -> list[Effect]:
        if not isinstance(token, Token):
            return []
        if token.what == "certified":
            return self._certified_sum(value)
        attempt = self._find(token.attempt)
        return attempt.computed(token, value) if attempt is not None and attempt.started(token) else []

    def _certified_sum(self, history: bytes) -> list[Effect]:
        fact, self._checking = self._checking, None
        if fact is None or fact.certificate.history != history:
            raise PeerError("wrong_sum", "the sum does not lead to the certified history")
        return self._finish(fact)

    def _greet(self, peer: NodeId, now: float) -> list[Effect]:
        """A link to a member: say again what it may have missed, ask for what is missing."""
        if self.cohort.index(peer) is None:
            return []
        self._answered = {key: at for key, at in self._answered.items() if key[0] != peer}
        effects = self._resume(now) if peer in self.missing else []
        own: list[Message] = []
        if self._signed is not None:
            own = [self._signed.vote]
        elif self._attempt.live:
            seen = self._attempt.transcript
            own = [m for m in (seen.offers.get(self.me), seen.roots.get(self.me)) if m is not None]
        self._ask_at = min(self._ask_at, now)
        return effects + [Send(peer, message) for message in own]

    def _answer(self, sender: NodeId, ask: Ask, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for index in ask.votes:
            if index in self._ballot.votes:
                effects += self._tell(sender, self._ballot.votes[index], now)
        attempt = self._find(ask.attempt)
        seen = self._evidence or (attempt.transcript if attempt else None)
        if seen is not None and seen.number == ask.attempt:
            for message, payload in seen.answers(ask):
                effects += self._tell(sender, message, now, payload)
        elif self._signed is not None:
            effects += self._tell(sender, self._signed.vote, now)
        return effects

    def _tell(self, peer: NodeId, message: Message, now: float, payload: Payload | None = None) -> list[Effect]:
        """Send something again, unless the peer got it a moment ago."""
        key = (peer, message, payload is None)
        pause = ANSWER_AGAIN_S if payload is None else BULK_AGAIN_S
        if now - self._answered.get(key, float("-inf")) < pause:
            return []
        self._answered[key] = now
        return [Send(peer, message, payload)]

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def _asking(self) -> bool:
        """Whether this node has reason to ask others."""
        return self._attempt.live or bool(self.missing) or self._signed is not None or bool(self._ballot.votes)

    @property
    def _can_stall(self) -> bool:
        """Offers wait for the slowest site's vector; once all are here an attempt must move."""
        return self._signed is None and self._attempt.live and self._attempt.transcript.context is not None

    @property
    def _timeout_s(self) -> float:
        return min(ATTEMPT_TIMEOUT_S * 2.0 ** min(self._retries, 10), ATTEMPT_TIMEOUT_S_MAX)

    def _tick(self, now: float) -> list[Effect]:
        if self.missing:
            return self._ask(now) if now >= self._ask_at else []
        if now >= self._advanced_at + PAUSE_AFTER_S and self._asking:
            return self._pause(now)
        if self._can_stall and now >= self._progress_at + self._timeout_s:
            return self._retry("no progress", now)
        return self._ask(now) if self._asking and now >= self._ask_at else []

    def _rest(self, now: float) -> None:
        """Something moved: deadlines start anew."""
        self._progress_at = now
        self._asked = 0
        self._ask_at = now + ASK_AFTER_S

    def _ask(self, now: float | None = None) -> list[Effect]:
        """Ask for all that is missing; now: None for an ask outside of the schedule."""
        effects: list[Effect] = []
        if now is not None:
            interval = PAUSED_ASK_S if self.missing else min(ASK_AFTER_S * 2.0**self._asked, ASK_AFTER_S_MAX)
            self._ask_at = now + interval
            self._asked += 1
            if self._asked > PATIENCE_ASKS and self._signed is None:
                for attempt in self._attempts():
                    effects += attempt.lose_patience()
        for number in [a.number for a in self._attempts()] if self._signed is None else [self._attempt.number]:
            inquiry = Inquiry(self.cohort, self.me, self.place.number, number, max(0, self._asked - 1))
            self._fill(inquiry, number)
            effects += inquiry.asks()
        return effects

    def _fill(self, inquiry: Inquiry, number: int) -> None:
        votes = self._ballot.votes
        if number == self._attempt.number:
            if self._ballot.certificate is not None and not self._has(self._ballot.certificate):
                inquiry.want_certificate([i for i, v in votes.items() if v.history == self._ballot.certificate.history])
            elif self._signed is not None:
                inquiry.want_votes(set(range(self.cohort.size)) - set(votes))
        attempt = self._find(number)
        if attempt is not None and self._signed is None and (attempt.live or number in self._witnesses):
            inquiry.want(attempt.wanted(), [i for i, v in votes.items() if v.attempt == number])

    def _has(self, certificate: Certificate) -> bool:
        return self._signed is not None and self._signed.vote.history == certificate.history

    def _retry(self, reason: str, now: float) -> list[Effect]:
        """Give this attempt up and enter the next."""
        waited = self.waiting_for()
        self._retries += 1
        self._attempt = Attempt(self.cohort, self.place, self._attempt.number + 1, self.me)
        effects: list[Effect] = [Retried(self.place.number, self._attempt.number, reason, waited)]
        return effects + self._enter(now)

    def _enter(self, now: float) -> list[Effect]:
        if self._vector is None or self._signed is not None:
            return []
        self._rest(now)
        fact = Entered(self.cohort.job, self.place.number, self._attempt.number)
        return [Persist(fact), *self._attempt.open(self._identity, self._draw, self._vector)]

    def _pause(self, now: float) -> list[Effect]:
        """Nothing new for long: stop attempts, keep what is signed, name who is missing."""
        self.missing = self.waiting_for()
        if self._signed is None and self._attempt.live:
            self._attempt = Attempt(self.cohort, self.place, self._attempt.number + 1, self.me)
        self._ask_at, self._advanced_at = now + PAUSED_ASK_S, now
        return [Paused(self.place.number, self.missing)]

    def _resume(self, now: float) -> list[Effect]:
        self.missing = ()
        self._advanced_at = now
        self._retries = 0
        self._rest(now)
        effects: list[Effect] = [Resumed(self.place.number)]
        return effects + ([] if self._attempt.live else self._enter(now))

    # -- what follows from any event -----------------------------------------------------------------------------

    def _attempts(self) -> list[Attempt]:
        return [self._attempt, *self._witnesses.values()]

    def _find(self, number: int) -> Attempt | None:
        return self._attempt if number == self._attempt.number else self._witnesses.get(number)

    def _follow(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for attempt in self._attempts():
            if attempt.total is not None and self._signed is None and not self.over:
                effects += self._settle(attempt, attempt.total, now)
        effects += self._conclude()
        self._note_progress(now)
        return effects

    def _settle(self, attempt: Attempt, total: Total, now: float) -> list[Effect]:
        """An attempt gave a sum: vote, unless it is garbage or the round is already decided otherwise."""
        certificate = self._ballot.certificate
        if not total.clean or (certificate is not None and certificate.history != total.history):
            if attempt is not self._attempt:
                del self._witnesses[attempt.number]
                return []
            return self._discard(now) if not total.clean else []
        seen, job, number = attempt.transcript, self.cohort.job, self.place.number
        unsigned = Vote(job, number, attempt.number, self._identity.node, total.history, UNSIGNED)
        vote = sign(self._identity, unsigned)
        self._signed = Signed(
            vote,
            tuple(seen.offers[i] for i in range(self.cohort.size)),
            tuple(seen.roots[i] for i in range(self.cohort.size)),
            tuple(m for (_, s), m in sorted(seen.sums.items(), key=_by_pair) if s not in seen.disputed),
            seen.evidence_inputs(),
            total.words,
        )
        self._evidence = seen
        self._witnesses.clear()
        self._attempt = Attempt(self.cohort, self.place, self._attempt.number, self.me)
        return [Persist(self._signed), *self._ballot.add(vote), *self._to_all(vote)]

    def _discard(self, now: float) -> list[Effect]:
        self._garbage += 1
        reason = "the masks did not cancel, or a coordinate exceeds the bound: a member put in garbage"
        if self._garbage >= GARBAGE_MAX:
            return self._fail(f"{reason}, {self._garbage} times")
        return self._retry(reason, now)

    def _conclude(self) -> list[Effect]:
        if self.over:
            return []
        certificate = self._ballot.certificate
        if certificate is not None and self._signed is not None and self._has(certificate):
            return self._finish(Certified(certificate, self._signed.total))
        if self._ballot.hopeless:
            return self._fail("members signed different sums: somebody put in other numbers in another attempt")
        return []

    def _finish(self, fact: Certified) -> list[Effect]:
        self.done = fact
        self.missing = ()
        self._vector = self._signed = self._evidence = None
        self._attempt = Attempt(self.cohort, self.place, self._attempt.number, self.me)
        self._witnesses.clear()
        return [Persist(fact), RoundDone(self.place.number, fact.certificate.history, fact.total)]

    def _fail(self, reason: str) -> list[Effect]:
        self.failed = reason
        return [RoundFailed(self.place.number, reason)]

    def _note_progress(self, now: float) -> None:
        """Deadlines run on progress within an attempt; the pause on progress beyond all attempts so far."""
        held = sum(a.transcript.size for a in self._attempts()) + len(self._ballot.votes)
        if held > self._held:
            self._rest(now)
        if held > self._best:
            self._best, self._advanced_at = held, now
        self._held = held

    def _to_all(self, message: Message) -> list[Effect]:
        return [Send(node, message) for node in self.cohort.members if node != self._identity.node]

    def _restore(self, signed: Signed) -> None:
        """Take up the vote and its evidence after a restart."""
        seen = Transcript(self.cohort, self.place, signed.vote.attempt)
        seen.restore(signed.offers, signed.roots, signed.sums, signed.inputs, signed.total)
        self._signed, self._evidence = signed, seen
        self._ballot.add(signed.vote)


def _by_pair(item: tuple[tuple[int, int], Sum]) -> tuple[int, int]:
    return item[0]
