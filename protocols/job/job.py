"""One job as one hub lives it: decision, cohort, rounds, end.

Rules.
- The job record fixes everything; the hub answers with a decision record, which may change until the cohort names it.
- The submitter's hub closes the collection with a cohort record. Each member checks it by the same rules, joins one
  cohort per job (durably, before anything else of it), and signs the group that it forms with other free members; only
  when all of them have signed does it take part in a round.
- Round r+1 starts from the history of round r: its sum is certified, the worker applied it, the task is not done. There
  is no coordinator; every hub gets there by itself.
- Past rounds are served to members that lag behind, and to the hubs that may read the result; to nobody else.
- A failure at one member ends the job for all, since the sum is over all: it is published with its reason.

States and moves are the table in `life`. What this cannot express: which jobs there are, and what policy says to them;
that is the driver's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocols.core import Computed, Draw, Effect, Event, LinkUp, Persist, Progressed, Received, Refused, Send, Tick
from protocols.errors import LocalError
from protocols.groups import GROUP, GroupBody, Groups, Standing
from protocols.identity import Identity, NodeId
from protocols.job.cohorting import Decided, check_cohort, close, cohort_of, objection
from protocols.job.events import (
    Advance,
    Decide,
    Joined,
    Moved,
    Noted,
    Revoked,
    Say,
    Serve,
    StartWork,
    Updated,
    VectorReady,
    WorkFailed,
)
from protocols.job.follow import Follower
from protocols.job.kinds import (
    CANCEL,
    COHORT,
    DECISION,
    OUTCOME,
    TEXT_CHARS_MAX,
    Answer,
    Cancel,
    CohortBody,
    Decision,
    JobSpec,
    Outcome,
)
from protocols.job.life import ENDED, TRANSITIONS, State, Step
from protocols.message import DIGEST_BYTES, Message
from protocols.records.record import sign_record
from protocols.secagg.attempt import Token, Vector
from protocols.secagg.effects import Evidence, Paused, Resumed, RoundDone, RoundFailed, Signed
from protocols.secagg.messages import MEMBERS_MAX, Ask, Certificate, Offer, Vote
from protocols.secagg.round import Round
from protocols.secagg.signing import RoundId, first_history

SERVE_AGAIN_S: Final = 1.0
"""A peer gets the same past round at most this often."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a job knows of the hub it runs on. groups: shared by all jobs, kept up to date by the driver."""

    identity: Identity
    federation: bytes
    min_cohort: int
    groups: Groups
    draw: Draw


@dataclass(frozen=True, slots=True)
class Restored:
    """The durable facts of a job after a restart.

    cohort: digest of the cohort record that was joined. rounds, history: certified so far. entered, signed: of the
    round after those. ended: how this hub said that it ended.
    """

    cohort: bytes | None = None
    rounds: int = 0
    history: bytes = b""
    entered: int = 0
    signed: Signed | None = None
    ended: Outcome | None = None


class Job:
    """A hub's view of one job and, if it is a member, its part in it."""

    def __init__(
        self, job: bytes, author: NodeId, spec: JobSpec, site: Site, opened_at: float, restored: Restored | None = None
    ) -> None:
        """job: digest of the record. opened_at: when the record came, in monotonic seconds: collections run from it."""
        self.job, self.author, self.spec = job, author, spec
        self.state = State.PROPOSED
        self.reason = ""
        self.body: CohortBody | None = None
        """The cohort that was joined, or that is followed."""
        self.rounds_done = 0
        self.decisions: dict[NodeId, Decided] = {}
        self.round: Round | None = None
        self._site, self._me = site, site.identity.node
        self._restored = restored or Restored()
        self._closes_at = opened_at + spec.collect_s
        self._by_digest: dict[bytes, tuple[NodeId, Decision]] = {}
        self._sequence = 0
        self._cohorts: dict[bytes, CohortBody] = {}
        self._closed = False
        self._said_group = False
        self._follower: Follower | None = None
        self._history = b""
        self._served: dict[object, float] = {}
        self._early: dict[NodeId, Received] = {}

    # -- outside view --------------------------------------------------------------------------------------------

    @property
    def subject(self) -> str:
        """The subject of the job's records."""
        return self.job.hex()

    @property
    def wake_at(self) -> float | None:
        """When the job wants a `Tick`."""
        if self.state in ENDED and self._follower is None:
            return None
        times = [self._closes_at] if self._collects else []
        for part in (self.round, self._follower):
            if part is not None and part.wake_at is not None:
                times.append(part.wake_at)
        return min(times, default=None)

    @property
    def history(self) -> bytes:
        """H_r of the last certified round, or H_0."""
        return self._history

    def waiting_for(self) -> tuple[NodeId, ...]:
        """Who is waited for now."""
        if self.round is not None:
            return self.round.missing or self.round.waiting_for()
        if self.state is State.COLLECTING and self.spec.members:
            return tuple(m for m in self.spec.members if not self._has_joined(m))
        return ()

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a bulk payload would be of use: asked before a byte of it is received."""
        if self.body is None or sender not in self.body.members:
            return False
        if self._follower is not None:
            return isinstance(message, Certificate) and self._follower.expects(size)
        number = getattr(message, "round", None)
        return self.round is not None and number == self.round.place.number and self.round.expects(message, size)

    # -- events --------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        match event:
            case Noted():
                effects = self._note(event, now)
            case Decide():
                effects = self._decide(event)
            case Revoked():
                effects = self._revoked(event.node)
            case VectorReady() | WorkFailed() | Updated():
                effects = self._work(event, now)
            case Received():
                effects = self._received(event, now)
            case LinkUp() | Progressed() | Computed() | Tick():
                effects = self._pass_on(event, now)
            case _:
                effects = []
        return effects

    def _pass_on(self, event: Event, now: float) -> list[Effect]:
        effects = self._collect(now) if isinstance(event, Tick) else []
        if self._follower is not None:
            effects += self._follower.handle(event, now)
        if self.round is None or (isinstance(event, Computed) and not self._current(event.token)):
            return effects
        return effects + self._after(self.round.handle(event, now), now)

    def _current(self, token: object) -> bool:
        return isinstance(token, Token) and self.round is not None and token.round == self.round.place.number

    # -- deciding and collecting -----------------------------------------------------------------------------------

    def _decide(self, event: Decide) -> list[Effect]:
        """Publish this hub's answer; a join that would isolate anyone becomes a refusal that says so.

        After the cohort is closed it comes too late and changes nothing.
        """
        if self.state not in (State.PROPOSED, State.COLLECTING) or self._cohorts:
            return []
        site, data = self._site, self.spec.data.name if self.spec.data else ""
        standing = site.groups.standing(self._me, data) if data else Standing.FREE
        answer, reason = event.answer, event.reason
        against = objection(self.spec, self._me, site.groups, site.min_cohort)
        if answer is Answer.JOIN and against is not None:
            answer, reason = Answer.REFUSE, against.reason
        decision = Decision(answer, reason[:TEXT_CHARS_MAX], standing)
        return [self._say(DECISION, decision, self._sequence + 1)]

    def _say(self, kind: str, body: Message, sequence: int = 1, subject: str | None = None) -> Say:
        site = self._site
        about = self.subject if subject is None else subject
        return Say(sign_record(site.identity, site.federation, kind, about, body, sequence=sequence))

    def _note(self, event: Noted, now: float) -> list[Effect]:
        """A record was accepted. Those of an ended job change nothing."""
        record, body = event.record, event.body
        if self.state in ENDED:
            return []
        effects: list[Effect] = []
        match body:
            case Decision():
                effects += self._note_decision(record.author, record.sequence, body, event.digest)
            case CohortBody() if record.author == self.author:
                self._cohorts.setdefault(event.digest, body)
            case Cancel() if record.author == self.author:
                return self._end(Step.CANCEL, body.reason)
            case Outcome() if not body.done and self._named(record.author):
                return self._fail(f"{record.author}: {body.reason}")
            case CohortBody() | Cancel():
                return [Refused(record.author, "not_the_submitter", f"a {record.kind} by {record.author}")]
        effects += self._collect(now)
        return effects + self._try_start(now)

    def _note_decision(self, author: NodeId, sequence: int, body: Decision, digest: bytes) -> list[Effect]:
        self._by_digest[digest] = (author, body)
        self.decisions[author] = Decided(body, digest)
        if author != self._me:
            return []
        self._sequence = max(self._sequence, sequence)
        return self._move(Step.DECIDED)

    def _has_joined(self, node: NodeId) -> bool:
        return node in self.decisions and self.decisions[node].decision.answer is Answer.JOIN

    @property
    def _collects(self) -> bool:
        """Whether this is the submitter's hub and the collection is open."""
        return self.author == self._me and not self._closed and not self._cohorts and self.state not in ENDED

    def _collect(self, now: float) -> list[Effect]:
        """At the submitter's hub: close the collection when it can be."""
        if not self._collects:
            return []
        site, time_up = self._site, now >= self._closes_at
        closing = close(self.spec, self.decisions, site.groups, site.min_cohort, time_up=time_up)
        if closing.cohort is None and not closing.failure:
            return []
        self._closed = True
        if closing.cohort is not None:
            return [self._say(COHORT, closing.cohort)]
        return [self._say(CANCEL, Cancel(closing.failure))]

    # -- starting ------------------------------------------------------------------------------------------------

    def _try_start(self, now: float) -> list[Effect]:
        """Join the cohort once everything that it rests on is here and holds."""
        if self.body is not None or self.state in ENDED or not self._cohorts:
            return []
        digest = self._restored.cohort or next(iter(self._cohorts))
        body = self._cohorts.get(digest)
        if body is None or any(d not in self._by_digest for d in body.decisions):
            return []
        checked = check_cohort(self.spec, body, self._by_digest, self._site.min_cohort)
        if checked.fault:
            return self._fail(checked.fault)
        if self._me not in body.members:
            return self._follow(digest, body, now)
        effects, ready = self._group(body, checked.free)
        return effects + (self._begin(digest, body, now) if ready else [])

    def _group(self, body: CohortBody, free: tuple[NodeId, ...]) -> tuple[list[Effect], bool]:
        """Sign the new group if this hub is free; whether its whole group has signed and is in the cohort."""
        if self.spec.data is None:
            return [], True
        name, groups = self.spec.data.name, self._site.groups
        if self._me in free and groups.standing(self._me, name) is Standing.FREE:
            said, self._said_group = self._said_group, True
            return ([] if said else [self._say(GROUP, GroupBody(free), subject=name)]), False
        refusal = groups.refusal(self._me, name, body.members, self._site.min_cohort)
        if refusal is not None:
            return self._fail(refusal.reason), False
        return [], not groups.unsigned(name, groups.members(self._me, name))

    def _begin(self, digest: bytes, body: CohortBody, now: float) -> list[Effect]:
        try:
            cohort = cohort_of(self.spec, self.job, body)
        except LocalError as error:
            return self._fail(str(error))
        restored = self._restored
        self.body, self.rounds_done = body, restored.rounds
        self._history = restored.history or first_history(self.job, digest)
        if restored.ended is not None:
            step = Step.RESULT if restored.ended.done else Step.FAILURE
            return [*self._move(Step.COHORT), *self._end(step, restored.ended.reason)]
        place = RoundId(self.rounds_done + 1, self._history)
        site = self._site
        self.round = Round(cohort, place, site.identity, site.draw, entered=restored.entered, signed=restored.signed)
        effects: list[Effect] = [Persist(Joined(self.job, digest))] if restored.cohort is None else []
        effects += [*self._move(Step.COHORT), Advance(self.job, self.rounds_done, None)]
        return effects + self._after(self._start_round(self.round, now), now)

    def _follow(self, digest: bytes, body: CohortBody, now: float) -> list[Effect]:
        """Not a member: read along if this hub may, else there is nothing more to do here."""
        if self._me != self.author and self._me not in self.spec.readers:
            return self._end(Step.FAILURE, "this hub is not in the cohort")
        cohort = cohort_of(self.spec, self.job, body)
        history = self._restored.history or first_history(self.job, digest)
        self.body, self.rounds_done, self._history = body, self._restored.rounds, history
        self._follower = Follower(cohort, history, self.rounds_done)
        return [*self._move(Step.COHORT), *self._follower.start(now)]

    # -- running -------------------------------------------------------------------------------------------------

    def _received(self, event: Received, now: float) -> list[Effect]:
        sender, number = event.sender, getattr(event.message, "round", 0)
        if self.body is None:
            return self._ahead(event, number, now)
        if sender not in self.body.members and not self._may_read(sender):
            return [Refused(sender, "not_a_reader", f"{sender} has no part in the job")]
        if self._follower is not None:
            return self._follower.handle(event, now)
        if number <= self.rounds_done:
            return self._serve(sender, event.message, number, now)
        if self.round is None or sender not in self.body.members:
            return []
        if number > self.round.place.number:
            return self._ahead(event, number, now)
        return self._after(self.round.handle(event, now), now)

    def _ahead(self, event: Received, number: int, now: float) -> list[Effect]:
        """A member is in a later round. Its offer for the very next one is kept until this hub is there, too."""
        current = self.round.place.number if self.round is not None else 0
        if number == current + 1 or self.body is None:
            if isinstance(event.message, Offer) and (event.sender in self._early or len(self._early) < MEMBERS_MAX):
                self._early[event.sender] = event
            return []
        return self._limited(now, (event.sender, number), Send(event.sender, self._ask_for(current)))

    def _may_read(self, node: NodeId) -> bool:
        return node == self.author or node in self.spec.readers

    def _ask_for(self, number: int) -> Ask:
        """A member speaks of a later round: this hub lacks the certificate of its own."""
        return Ask(self.job, number, 0, certificate=True)

    def _serve(self, sender: NodeId, message: Message, number: int, now: float) -> list[Effect]:
        """A past round: its certificate for whoever still works on it, its sum for whoever asks."""
        if isinstance(message, Certificate | Vote) or number < 1:
            return []
        with_sum = isinstance(message, Ask) and message.certificate
        return self._limited(now, (sender, number, with_sum), Serve(sender, self.job, number, with_sum))

    def _limited(self, now: float, key: object, effect: Effect) -> list[Effect]:
        if now - self._served.get(key, float("-inf")) < SERVE_AGAIN_S:
            return []
        self._served = {k: t for k, t in self._served.items() if now - t < SERVE_AGAIN_S}
        self._served[key] = now
        return [effect]

    def _work(self, event: VectorReady | WorkFailed | Updated, now: float) -> list[Effect]:
        """The worker has spoken."""
        if isinstance(event, WorkFailed):
            return self._fail(event.reason)
        if self._follower is not None:
            return self._followed(event, now)
        if self.round is None:
            return []
        if isinstance(event, Updated):
            return self._updated(event) if event.round == self.rounds_done else []
        if event.round != self.round.place.number:
            return []
        try:
            effects = self.round.supply(Vector(event.words, event.bound), now)
        except LocalError as error:
            return self._fail(str(error))
        return self._after(effects, now)

    def _followed(self, event: Event, now: float) -> list[Effect]:
        follower = self._follower
        if follower is None:
            return []
        effects = follower.handle(event, now)
        self.rounds_done, self._history = follower.rounds_done, follower.history
        if follower.finished:
            self._follower = None
            effects += self._end(Step.RESULT, "")
        return effects

    def _updated(self, event: Updated) -> list[Effect]:
        if event.done:
            outcome = self._say(OUTCOME, Outcome(True, self.rounds_done, self._history))
            self.round = None
            return [*self._end(Step.RESULT, ""), outcome]
        if self.rounds_done >= self.spec.rounds_max:
            return self._fail(f"no result after the {self.spec.rounds_max} rounds that the job allows")
        again = self.rounds_done == self._restored.rounds and self._restored.entered > 0
        return [StartWork(self.job, self.rounds_done + 1, again)]

    def _after(self, effects: Sequence[Effect], now: float) -> list[Effect]:
        """What the round's own effects mean for the job."""
        result = list(effects)
        for effect in effects:
            match effect:
                case RoundDone():
                    result += self._certified(effect, now)
                case RoundFailed():
                    result += self._fail(effect.reason)
                case Paused():
                    result += self._move(Step.SILENT, "missing: " + ", ".join(effect.missing))
                case Resumed():
                    result += self._move(Step.HEARD)
                case Evidence(kind="two_certificates"):
                    result += self._fail(
                        "two certificates contradict each other: more nodes lie than the job is safe against"
                    )
        return result

    def _certified(self, effect: RoundDone, now: float) -> list[Effect]:
        """On to the next round: it can take messages while the worker applies the sum."""
        if self.round is None:
            return []
        self.rounds_done, self._history = effect.round, effect.history
        place = RoundId(effect.round + 1, effect.history)
        self.round = Round(self.round.cohort, place, self._site.identity, self._site.draw)
        return [Advance(self.job, effect.round, effect.total), *self._start_round(self.round, now)]

    def _start_round(self, started: Round, now: float) -> list[Effect]:
        """Begin a round, with the offers that came before this hub was there."""
        early, self._early = [*self._early.values()], {}
        effects = started.start(now)
        for event in early:
            effects += started.handle(event, now)
        return effects

    # -- ending --------------------------------------------------------------------------------------------------

    def _revoked(self, node: NodeId) -> list[Effect]:
        member = self.body is not None and node in self.body.members
        return self._fail(f"{node} was revoked") if member and self.state not in ENDED else []

    def _fail(self, reason: str) -> list[Effect]:
        """End it here and, where others wait for this hub, tell them."""
        if self.state in ENDED:
            return []
        outcome = Outcome(False, self.rounds_done, self._history or bytes(DIGEST_BYTES), reason[:TEXT_CHARS_MAX])
        told = [self._say(OUTCOME, outcome)] if self._named(self._me) else []
        return [*self._end(Step.FAILURE, reason), *told]

    def _named(self, node: NodeId) -> bool:
        """Whether a cohort record names the node as a member."""
        return any(node in body.members for body in self._cohorts.values())

    def _end(self, step: Step, reason: str) -> list[Effect]:
        self.round = self._follower = None
        return self._move(step, reason)

    def _move(self, step: Step, reason: str = "") -> list[Effect]:
        to = TRANSITIONS.get((self.state, step))
        if to is None:
            raise LocalError(f"no move from {self.state} by {step.name}")
        changed = to is not self.state
        self.state, self.reason = to, reason
        return [Moved(self.job, to, reason)] if changed else []
