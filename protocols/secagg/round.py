"""One round of a job: attempts until one gives the sum, a vote, a certificate.

Rules.
- The vector is made once per round; every attempt uses the same integers. A node takes part once it has its vector.
- Attempt numbers only rise. The number is durable before its offer leaves; after a restart the node sits out that
  attempt and all below. It goes up on its own time-out, or at once to a higher number that a member's signed offer
  shows (`Jumps`). Whoever asks about a lower one is shown an offer of ours, so that nobody stays behind.
- Who knows the sum votes: the vote, the sum and its evidence are durable together before the vote leaves. From then on
  it joins no other attempt of this round and serves the evidence; that is how members in other attempts, or back from a
  crash, get there: they watch that attempt as witnesses and vote too (`Watches`).
- t votes for one history are the certificate, and the round is done. Two contradicting certificates end it.
- Silence is met by asking (`Inquiry`), then by another attempt, then by a pause that names who is missing; a paused
  round goes on asking them.
- Evidence of one kind against one author is told once. Where members see different things, they are asked for what
  they were shown: two signed messages of one author then stand side by side. A round whose votes no history can win
  any more ends when that has convicted somebody, or after a while: else a liar could end jobs without a trace.

States: gathering (no vector yet) -> attempting <-> paused -> voted -> done | failed. Votes and certificates may arrive
in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocols.core import (
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
from protocols.secagg.attempt import Attempt, Token, Total, Vector, vector_words
from protocols.secagg.ballot import Ballot
from protocols.secagg.cohort import Cohort
from protocols.secagg.deadlines import Deadlines
from protocols.secagg.dispute import Dispute
from protocols.secagg.effects import (
    CONVICTS,
    Certified,
    Entered,
    Evidence,
    Paused,
    Resumed,
    Retried,
    RoundDone,
    RoundFailed,
    Signed,
)
from protocols.secagg.inquiry import Inquiry
from protocols.secagg.intake import Intake
from protocols.secagg.jumps import Jumps
from protocols.secagg.messages import Ask, Certificate, Offer, Root, Segment, Sum, SumWords, Vote
from protocols.secagg.rations import Rations
from protocols.secagg.signing import UNSIGNED, RoundId, sign
from protocols.secagg.transcript import Transcript
from protocols.secagg.watches import Watches

ANSWER_AGAIN_S: Final = 0.5
"""A peer gets the same item at most this often: below every asker's interval, so only abuse notices."""
BULK_AGAIN_S: Final = 5.0
"""And the same bulk at most this often: it may still be under way on a slow link, or in a queue."""
PATIENCE_ASKS: Final = 2
"""After so many asks in vain, a silent holder's segments are settled from their inputs."""
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
        self._lives = 0
        self._entered = entered
        self._attempt = self._new_attempt(entered + 1)
        self._watches = Watches()
        self._jumps = Jumps()
        self.signed: Signed | None = None
        self._evidence: Transcript | None = None
        self._intake = Intake(cohort)
        self._named: set[tuple[NodeId, str]] = set()
        self._garbage = 0
        self._dispute = Dispute()
        self._times = Deadlines()
        self._rations = Rations()
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
            return self._times.ask_at
        times = [self._times.ask_at, self._times.pauses_at]
        times += [self._dispute.ends_at] if self._ballot.hopeless else []
        return min([*times, self._times.stalls_at] if self._can_stall else times)

    def waiting_for(self) -> tuple[NodeId, ...]:
        """Whose messages are missing now, and who was convicted of telling members different things: what `job show`
        says (G5). Empty while this node makes its own vector."""
        certificate = self._ballot.certificate
        if certificate is not None:
            members = {i for i, vote in self._ballot.votes.items() if vote.history == certificate.history}
        elif self.signed is not None:
            members = set(range(self.cohort.size)) - set(self._ballot.votes)
        elif self._attempt.live:
            members = self._attempt.wanted().members()
        else:
            members = {i for attempt in self._watches.attempts() for i in attempt.wanted().members()}
        missing = {self.cohort.members[i] for i in members - {self.me}}
        return tuple(sorted(missing | (self._liars if missing else set())))

    def expects(self, message: Message, size: int) -> bool:
        """Whether a bulk payload of this size would be of use: asked before a byte of it is received."""
        try:
            return not self.over and self._expects(message, size)
        except PeerError:
            return False

    def _expects(self, message: Message, size: int) -> bool:
        if isinstance(message, Certificate):
            return not self._has(message) and self._intake.expects(self.place, message, size)
        attempt = self._find(message.attempt) if isinstance(message, Segment | SumWords) else None
        if attempt is None or self.signed is not None:
            return False
        if isinstance(message, SumWords):
            attempt.transcript.check_size(message, size)
            return message.segment not in attempt.transcript.words
        return isinstance(message, Segment) and attempt.expects_segment(message, size)

    # -- events --------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin, or begin again after a restart."""
        self._times.rest(now)
        self._times.advanced(now)
        return self._to_all(self.signed.vote) + self._follow(now) if self.signed else []

    def supply(self, vector: Vector, now: float) -> list[Effect]:
        """The vector is made: take part. Raises `LocalError` for one that cannot be summed."""
        if self.over or self._vector is not None:
            return []
        words = vector_words(self.cohort, vector)
        self._vector = vector
        self._times.size(vector.words.nbytes, self.cohort.size, self.cohort.holders)
        self._intake.size = words * self.cohort.word_bits // 8
        self._times.advanced(now)
        for attempt in self._watches.attempts():
            attempt.transcript.expect(words, vector.bound)
        effects = [] if self.signed else self._enter(now)
        return self._sift(effects + self._follow(now), now)

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
                case Progressed() if self.cohort.index(event.sender) is not None:
                    self._times.trickled(now)
                case Tick():
                    effects += self._tick(now)
        except EarlyError:
            pass
        except PeerError as error:
            effects.append(Refused(sender, error.code, error.detail))
        effects = self._sift(effects, now)
        return effects + self._sift(self._follow(now), now)

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
        if (getattr(message, "job", None), getattr(message, "round", None)) != (self.cohort.job, self.place.number):
            raise PeerError("other_round", "a message of another job or round")
        effects = self._resume(now) if sender in self.missing else []
        match message:
            case Vote():
                return effects + self._take_vote(sender, message, now)
            case Certificate():
                return effects + self._take_certificate(sender, message, payload, now)
            case Ask():
                return effects + self._answer(sender, message, now)
            case Offer() | Root() | Segment() | Sum() | SumWords():
                return effects + self._take_part(sender, message, payload, now)
        raise PeerError("unexpected", f"{type(message).__name__} is no message of a round")

    def _take_part(
        self, sender: NodeId, message: Offer | Root | Segment | Sum | SumWords, payload: Payload | None, now: float
    ) -> list[Effect]:
        """A message of an attempt."""
        if self.signed is not None:
            return self._compare(message) + self._tell(sender, self.signed.vote, now)
        attempt = self._find(message.attempt)
        if attempt is not None:
            return attempt.take(message, payload, sender)
        author = message.author if isinstance(message, Offer) else sender
        self._jumps.check(author, message.attempt, self._attempt.number)
        above = message.attempt > self._attempt.number
        return self._jump(message, sender, now) if isinstance(message, Offer) and above else []

    def _compare(self, message: Message) -> list[Effect]:
        """This node has voted: what others were shown in the same attempt can only be evidence any more."""
        seen = self._evidence
        if seen is None or not isinstance(message, Offer | Root) or message.attempt != seen.number:
            return []
        return seen.add_offer(message) if isinstance(message, Offer) else seen.add_root(message)

    def _jump(self, offer: Offer, sender: NodeId, now: float) -> list[Effect]:
        """A member is in a higher attempt, and its signed offer proves it: go there, or towards it (see `jumps`)."""
        attempt = self._new_attempt(offer.attempt)
        effects = attempt.take(offer, None, sender)
        if not attempt.transcript.offers:
            return effects
        number = self._jumps.target(offer.author, offer.attempt, self._attempt.number, now)
        self._replace_attempt(attempt if number == offer.attempt else self._new_attempt(number))
        attempt = self._attempt
        effects += self._resume(now) if self.missing else []
        return effects + (self._enter(now) if self._vector is not None and not attempt.live else [])

    def _take_vote(self, sender: NodeId, vote: Vote, now: float) -> list[Effect]:
        """Count it; if its author says so itself, its evidence lies in the attempt that it names."""
        effects: list[Effect] = list(self._ballot.add(vote))
        author = self.cohort.index(vote.author)
        if author is None or sender != vote.author or author not in self._ballot.votes:
            return effects
        self._watches.heard(author, vote.attempt)
        signed = self.signed
        if signed is not None and vote.attempt == signed.vote.attempt and vote.history != signed.vote.history:
            effects += self._tell(sender, self._ask_what_was_shown(vote.attempt), now)
        return effects

    def _take_certificate(
        self, sender: NodeId, certificate: Certificate, payload: Payload | None, now: float
    ) -> list[Effect]:
        effects: list[Effect] = list(self._ballot.adopt(certificate))
        if self._ballot.certificate is None or self._ballot.certificate.history != certificate.history:
            reason = "two certificates contradict each other: more nodes lie than the job is safe against"
            return effects + self._fail(reason)
        if self._has(certificate) or self._intake.busy:
            return effects
        if payload is None:
            ask = Ask(self.cohort.job, self.place.number, self._attempt.number, certificate=True)
            return effects + self._tell(sender, ask, now)
        token = Token(self.place.number, 0, 0, "certified")
        return [*effects, *self._intake.take(self.place, sender, certificate, payload, token)]

    def _computed(self, token: object, value: Any) -> list[Effect]:
        if not isinstance(token, Token):
            return []
        if token.what == "certified":
            return self._certified_sum(value)
        attempt = self._find(token.attempt)
        return attempt.computed(token, value) if attempt is not None and attempt.started(token) else []

    def _certified_sum(self, history: bytes) -> list[Effect]:
        match self._intake.checked(history):
            case Certified() as fact:
                return self._finish(fact)
            case Refused() as refused:
                return [refused]
        return []

    def _greet(self, peer: NodeId, now: float) -> list[Effect]:
        """A link to a member: say again what it may have missed, ask for what is missing."""
        if self.cohort.index(peer) is None:
            return []
        self._rations.forget(peer)
        effects = self._resume(now) if peer in self.missing else []
        own: list[Message] = []
        if self.signed is not None:
            own = [self.signed.vote]
        elif self._attempt.live:
            seen = self._attempt.transcript
            own = [m for m in (seen.offers.get(self.me), seen.roots.get(self.me)) if m is not None]
        self._times.ask_soon(now)
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
        elif self.signed is not None:
            effects += self._tell(sender, self.signed.vote, now)
        elif ask.attempt < self._attempt.number:
            offers = self._attempt.transcript.offers
            shown = offers.get(self.me) or next(iter(offers.values()), None)
            effects += self._tell(sender, shown, now) if shown is not None else []
        return effects

    def _tell(self, peer: NodeId, message: Message, now: float, payload: Payload | None = None) -> list[Effect]:
        """Send something again, unless the peer got it a moment ago."""
        pause = ANSWER_AGAIN_S if payload is None else BULK_AGAIN_S
        allowed = self._rations.allows(peer, (message, payload is None), now, pause)
        return [Send(peer, message, payload)] if allowed else []

    @property
    def _liars(self) -> set[NodeId]:
        """Whom evidence of this round convicts."""
        return {author for author, kind in self._named if kind in CONVICTS}

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def _asking(self) -> bool:
        """Whether this node has reason to ask others."""
        return self._attempt.live or bool(self.missing) or self.signed is not None or bool(self._ballot.votes)

    @property
    def _can_stall(self) -> bool:
        """Offers wait for the slowest site's vector; once all are here an attempt must move."""
        return self.signed is None and self._attempt.live and self._attempt.transcript.offered

    def _tick(self, now: float) -> list[Effect]:
        if self.missing:
            return self._ask(now) if now >= self._times.ask_at else []
        if now >= self._times.pauses_at and self._asking:
            return self._pause(now)
        if self._can_stall and now >= self._times.stalls_at:
            return self._retry("no progress", now)
        return self._ask(now) if self._asking and now >= self._times.ask_at else []

    def _ask(self, now: float) -> list[Effect]:
        """Ask for all that is missing."""
        effects: list[Effect] = []
        self._times.asks(now, paused=bool(self.missing))
        if self._times.asked > PATIENCE_ASKS and self.signed is None:
            for attempt in self._attempts():
                effects += attempt.lose_patience()
        numbers = [a.number for a in self._attempts()] if self.signed is None else [self._attempt.number]
        for number in numbers:
            effects += self._ask_about(number)
        if self._ballot.hopeless and self.signed is not None:
            ask = self._ask_what_was_shown(self.signed.vote.attempt)
            effects += [Send(node, ask) for node in self._ballot.against(self.signed.vote.history)]
        return effects + (self._ask_the_missing() if self.missing else [])

    def _ask_about(self, number: int) -> list[Effect]:
        inquiry = Inquiry(self.cohort, self.me, self.place.number, number, max(0, self._times.asked - 1))
        self._fill(inquiry, number)
        return inquiry.asks()

    def _ask_the_missing(self) -> list[Effect]:
        """A paused round: whoever hears this ask, or is heard in answer to it, brings it back to life."""
        place = (self.cohort.job, self.place.number, self._attempt.number)
        return [Send(node, Ask(*place, offers=(self.cohort.members.index(node),))) for node in self.missing]

    def _ask_what_was_shown(self, attempt: int) -> Ask:
        """For all signed messages that bind a member's input: two by one author convict it."""
        everyone = tuple(range(self.cohort.size))
        return Ask(self.cohort.job, self.place.number, attempt, offers=everyone, roots=everyone)

    def _fill(self, inquiry: Inquiry, number: int) -> None:
        votes = self._ballot.votes
        if number == self._attempt.number:
            if self._ballot.certificate is not None and not self._has(self._ballot.certificate):
                inquiry.want_certificate([i for i, v in votes.items() if v.history == self._ballot.certificate.history])
            elif self.signed is not None:
                inquiry.want_votes(set(range(self.cohort.size)) - set(votes))
        attempt = self._find(number)
        if attempt is not None and self.signed is None and (attempt.live or attempt is not self._attempt):
            inquiry.want(attempt.wanted(), self._watches.voters(number))

    def _has(self, certificate: Certificate) -> bool:
        return self.signed is not None and self.signed.vote.history == certificate.history

    def _retry(self, reason: str, now: float) -> list[Effect]:
        """Give this attempt up and enter the next."""
        waited = self.waiting_for()
        self._times.retries += 1
        self._replace_attempt(self._new_attempt(self._attempt.number + 1))
        effects: list[Effect] = [Retried(self.place.number, self._attempt.number, reason, waited)]
        return effects + self._enter(now)

    def _enter(self, now: float) -> list[Effect]:
        if self._vector is None or self.signed is not None:
            return []
        self._times.rest(now)
        self._entered = self._attempt.number
        fact = Entered(self.cohort.job, self.place.number, self._attempt.number)
        return [Persist(fact), *self._attempt.open(self._identity, self._draw, self._vector)]

    def _pause(self, now: float) -> list[Effect]:
        """Nothing new for long: stop attempts, keep what is signed, name who is missing. Not if it is this node."""
        self.missing = self.waiting_for()
        if not self.missing:
            self._times.advanced(now)
            return []
        if self.signed is None and self._attempt.live:
            self._replace_attempt(self._new_attempt(self._attempt.number + 1))
        self._times.paused(now)
        return [Paused(self.place.number, self.missing)]

    def _resume(self, now: float) -> list[Effect]:
        self._jumps.missed(self.missing)
        self.missing = ()
        self._times.retries = 0
        self._times.advanced(now)
        self._times.rest(now)
        effects: list[Effect] = [Resumed(self.place.number)]
        return effects + ([] if self._attempt.live else self._enter(now))

    # -- what follows from any event -----------------------------------------------------------------------------

    def _new_attempt(self, number: int, seen: Transcript | None = None) -> Attempt:
        self._lives += 1
        return Attempt(self.me, seen or Transcript(self.cohort, self.place, number), self._lives)

    def _new_witness(self, seen: Transcript | None, number: int) -> Attempt:
        """A view of an attempt that others vouch for; this node's own vector says its shape, if there is one."""
        witness = self._new_attempt(number, seen)
        if self._vector is not None:
            witness.transcript.expect(vector_words(self.cohort, self._vector), self._vector.bound)
        return witness

    def _replace_attempt(self, attempt: Attempt) -> None:
        self._watches.gave_up(self._attempt)
        self._attempt = attempt

    def _attempts(self) -> list[Attempt]:
        return [self._attempt, *self._watches.attempts()]

    def _find(self, number: int) -> Attempt | None:
        return self._attempt if number == self._attempt.number else self._watches.get(number)

    def _follow(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self.signed is None and not self.over:
            for witness in self._watches.fresh(self._attempt.number, self._entered, self._new_witness):
                effects += self._ask_about(witness.number)
        for attempt in self._attempts():
            if attempt.total is not None and self.signed is None and not self.over:
                effects += self._settle(attempt, attempt.total, now)
        effects += self._conclude(now)
        self._note_progress(now)
        return effects

    def _sift(self, effects: list[Effect], now: float) -> list[Effect]:
        """Evidence of one kind against one author is told once; bulk on its way is not sent again for a while."""
        result: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Evidence):
                if (effect.author, effect.kind) in self._named:
                    continue
                self._named.add((effect.author, effect.kind))
                result += self._look_into(effect)
            elif isinstance(effect, Send) and effect.payload is not None:
                self._rations.note(effect.to, (effect.message, False), now, BULK_AGAIN_S)
            result.append(effect)
        return result

    def _look_into(self, evidence: Evidence) -> list[Effect]:
        """Somebody told this node and the author different things: the author shows what it was told."""
        message = evidence.proof[0]
        if evidence.convicts or self.over or not isinstance(message, Root | Sum):
            return []
        return [Send(evidence.author, self._ask_what_was_shown(message.attempt))]

    def _settle(self, attempt: Attempt, total: Total, now: float) -> list[Effect]:
        """An attempt gave a sum: vote, unless it is garbage or the round is already decided otherwise."""
        certificate = self._ballot.certificate
        if not total.clean or (certificate is not None and certificate.history != total.history):
            if attempt is not self._attempt:
                self._watches.drop(attempt.number)
                return []
            return self._discard(now) if not total.clean else []
        seen, job, number = attempt.transcript, self.cohort.job, self.place.number
        unsigned = Vote(job, number, attempt.number, self._identity.node, total.history, UNSIGNED)
        vote = sign(self._identity, unsigned)
        self.signed = Signed(
            vote,
            tuple(seen.offers[i] for i in range(self.cohort.size)),
            tuple(seen.roots[i] for i in range(self.cohort.size)),
            tuple(m for (_, s), m in sorted(seen.sums.items(), key=lambda item: item[0]) if s not in seen.disputed),
            seen.evidence_inputs(),
            total.words,
        )
        self._evidence = seen
        self._watches.clear()
        self._attempt = self._new_attempt(self._attempt.number)
        return [Persist(self.signed), *self._ballot.add(vote), *self._to_all(vote)]

    def _discard(self, now: float) -> list[Effect]:
        self._garbage += 1
        reason = "the masks did not cancel, or a coordinate exceeds the bound: a member put in garbage"
        if self._garbage >= GARBAGE_MAX:
            return self._fail(f"{reason}, {self._garbage} times")
        return self._retry(reason, now)

    def _conclude(self, now: float) -> list[Effect]:
        if self.over:
            return []
        certificate = self._ballot.certificate
        if certificate is not None and self.signed is not None and self._has(certificate):
            return self._finish(Certified(certificate, self.signed.total))
        if not self._ballot.hopeless:
            return []
        if self._dispute.begin(now):
            self._times.ask_soon(now)
        reason = self._dispute.verdict(self._liars, now, hopes=self._ballot.open_elsewhere)
        return self._fail(reason) if reason else []

    def _finish(self, fact: Certified) -> list[Effect]:
        resumed: list[Effect] = [Resumed(self.place.number)] if self.missing else []
        self.done = fact
        self.missing = ()
        self._vector = self.signed = self._evidence = None
        self._attempt = self._new_attempt(self._attempt.number)
        self._watches.clear()
        return [*resumed, Persist(fact), RoundDone(self.place.number, fact.certificate.history, fact.total)]

    def _fail(self, reason: str) -> list[Effect]:
        self.failed = reason
        return [RoundFailed(self.place.number, reason)]

    def _note_progress(self, now: float) -> None:
        """What is here, of all attempts and votes, is the measure of progress."""
        self._times.holds(sum(a.transcript.size for a in self._attempts()) + len(self._ballot.votes), now)

    def _to_all(self, message: Message) -> list[Effect]:
        return [Send(node, message) for node in self.cohort.members if node != self._identity.node]

    def _restore(self, signed: Signed) -> None:
        """Take up the vote and its evidence after a restart."""
        seen = Transcript(self.cohort, self.place, signed.vote.attempt)
        seen.restore(signed.offers, signed.roots, signed.sums, signed.inputs, signed.total)
        self.signed, self._evidence = signed, seen
        self._ballot.add(signed.vote)
