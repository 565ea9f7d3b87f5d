"""One job as one hub lives it: decision, cohort, rounds, end.

Rules.
- The job record fixes everything; the hub answers with a decision record, which may change until the cohort names it.
- The submitter's hub closes the collection with a cohort record. Each member checks it by the same rules, joins one
  cohort per job (durably, before anything else of it), and signs the group that it forms with other free members; only
  when all of them have signed does it take part in a round. What was checked before joining is not checked again after
  a restart: records that it rested on may be superseded meanwhile.
- A cohort record that names a hub's decision binds it to the group, though the job failed here or the decision was
  taken back: the others have signed, too. It binds it to take part only if its latest decision is still to join. From
  when a hub has accepted the submitter's cancel record it signs no group for the job any more, so that nobody is bound
  by what was called off before. Who signed earlier stays bound. A submitter may well cancel after its cohort, and
  records come in any order: the two convict nobody.
- Of two cohort records of one job, seen before joining, none is joined.
- Round r+1 starts from the history of round r: its sum is certified, the worker applied it, the task is not done. There
  is no coordinator; every hub gets there by itself.
- Past rounds are served to members that lag behind, and to the hubs that may read the result; to nobody else. A
  certificate that contradicts one that is here ends the job.
- A failure at one member ends the job for all, since the sum is over all: it is published with its reason, also when
  the cohort comes only afterwards. A member that is done with a task that is not done here will not take part any
  more: that, too, is a failure.
- Waiting has an end where nothing else leads out: for a cohort record, and for the decisions that it names.

States and moves are the table in `life`. What this cannot express: which jobs there are, and what policy says to them;
that is the driver's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocols.core import Computed, Effect, Event, LinkUp, Persist, Progressed, Received, Refused, Tick
from protocols.errors import LocalError, PeerError
from protocols.groups import GROUP, GroupBody, Standing
from protocols.identity import NodeId
from protocols.job.answering import Answering
from protocols.job.clock import CollectionClock
from protocols.job.cohorting import Decided, check_cohort, close, cohort_of
from protocols.job.collection import Collection
from protocols.job.events import (
    Advance,
    Decide,
    Fallen,
    Joined,
    Moved,
    Noted,
    Reconsider,
    Revoked,
    Say,
    Settled,
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
from protocols.job.restore import Restored
from protocols.job.serving import Serving
from protocols.job.site import Site
from protocols.message import DIGEST_BYTES, Message
from protocols.records.record import sign_record
from protocols.secagg.attempt import Token, Vector
from protocols.secagg.effects import Certified, Evidence, Paused, Resumed, RoundDone, RoundFailed
from protocols.secagg.messages import MEMBERS_MAX, Certificate, Offer
from protocols.secagg.round import Round
from protocols.secagg.signing import RoundId, first_history

DECISIONS_LATE_S: Final = 3600.0
"""So long after a cohort record the decisions that it names may come: they travel beside it, within minutes."""
LAPSED: Final = "nobody closed the collection for long: this hub lets others that wait go first"
CONTRADICTION: Final = "two certificates contradict each other: more nodes lie than the job is safe against"


class Job:
    """A hub's view of one job and, if it is a member, its part in it."""

    def __init__(
        self, job: bytes, author: NodeId, spec: JobSpec, site: Site, opened_at: float, restored: Restored | None = None
    ) -> None:
        """job: digest of the record. opened_at: when the record came or the hub started, in monotonic seconds."""
        self.job, self.author, self.spec = job, author, spec
        self.state = State.PROPOSED
        self.reason = ""
        self.body: CohortBody | None = None
        """The cohort that was joined, or that is followed."""
        self.rounds_done = 0
        self.lapses = 0
        """How often in this life this hub's pledge to the job lapsed."""
        self.round: Round | None = None
        self._site, self._me = site, site.identity.node
        self._restored = restored or Restored()
        self._clock = CollectionClock(job, opened_at, spec.collect_s, self._restored.waited_s)
        self._records = Collection(opened_at)
        self._answering = Answering(job, spec, site, self._records)
        self._sequence = 0
        self._closed = False
        self._said_group = self._called_off = False
        self._told = self._restored.ended is not None
        self._follower: Follower | None = None
        self._history = b""
        self._wants = 0
        self._serving = Serving(job)
        self._early: dict[NodeId, Received] = {}

    # -- outside view --------------------------------------------------------------------------------------------

    @property
    def subject(self) -> str:
        """The subject of the job's records."""
        return self.job.hex()

    @property
    def decisions(self) -> dict[NodeId, Decided]:
        """What each hub decided last."""
        return self._records.decisions

    @property
    def open(self) -> bool:
        """Whether the collection goes on, as far as is known here: answers still count."""
        return self.state not in ENDED and not self._records.cohorts

    @property
    def wake_at(self) -> float | None:
        """When the job wants a `Tick`."""
        if self.state in ENDED and self._follower is None:
            return None
        times = [self._clock.closes_at if self._collects else self._late_at]
        times += [self._clock.keep_at] if self._waits else []
        times += [self._clock.lapses_at] if self._is_pledged else []
        for part in (self.round, self._follower):
            if part is not None and part.wake_at is not None:
                times.append(part.wake_at)
        earliest = min(times)
        return earliest if earliest < float("inf") else None

    @property
    def _late_at(self) -> float:
        """When it is too late for what the job still waits for, before it runs."""
        if self.body is not None or self._closed:
            return float("inf")
        if not self._records.cohorts:
            return self._clock.late_at
        lost = self._restored.cohort is not None and self._restored.cohort not in self._records.cohorts
        return self._records.cohort_at + DECISIONS_LATE_S if lost or self._records.undecided() else float("inf")

    @property
    def history(self) -> bytes:
        """H_r of the last certified round, or H_0."""
        return self._history

    def waiting_for(self) -> tuple[NodeId, ...]:
        """Who is waited for now."""
        if self.round is not None:
            return self.round.missing or self.round.waiting_for()
        if self._records.cohorts and self.body is None and self.state not in ENDED:
            name = self.spec.data.name if self.spec.data else ""
            unsigned = self._site.groups.unsigned(name, self._site.groups.members(self._me, name))
            return self._records.undecided() or (unsigned if name else ())
        if self.state is State.COLLECTING and self.spec.members:
            return tuple(m for m in self.spec.members if not self._records.has_joined(m))
        return ()

    def expects(self, sender: NodeId, message: Message, size: int) -> bool:
        """Whether a bulk payload would be of use: asked before a byte of it is received."""
        if self.body is None or sender not in self.body.members:
            return False
        if self._follower is not None:
            return isinstance(message, Certificate) and self._follower_expects(message, size)
        number = getattr(message, "round", None)
        return self.round is not None and number == self.round.place.number and self.round.expects(message, size)

    def _follower_expects(self, certificate: Certificate, size: int) -> bool:
        try:
            return self._follower is not None and self._follower.expects(certificate, size)
        except PeerError:
            return False

    # -- events --------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        effects = self._handle(event, now)
        for effect in effects:
            if isinstance(effect, Persist) and isinstance(effect.fact, Certified):
                self._serving.certified(effect.fact)
        return effects

    def _handle(self, event: Event, now: float) -> list[Effect]:
        effects: list[Effect] = []
        match event:
            case Noted():
                effects = self._note(event, now)
            case Decide():
                effects = self._decide(event)
            case Revoked():
                effects = self._revoked(event.node)
            case Fallen():
                effects = self._fail("the job's record stands no longer: its submitter was revoked")
            case Settled():
                effects = [Reconsider()] if self._answerable and self._answering.reconsider() else []
            case VectorReady() | WorkFailed() | Updated():
                effects = self._work(event, now)
            case Received():
                effects = self._received(event, now)
            case LinkUp() | Progressed() | Computed() | Tick():
                effects = self._pass_on(event, now)
        return effects

    def _pass_on(self, event: Event, now: float) -> list[Effect]:
        effects = [*self._collect(now), *self._give_up(now), *self._lapse(now)] if isinstance(event, Tick) else []
        effects += self._clock.keep(now) if self._waits else []
        if self._follower is not None:
            effects += self._follower.handle(event, now)
        if self.round is None or (isinstance(event, Computed) and not self._current(event.token)):
            return effects
        return effects + self._after(self.round.handle(event, now), now)

    def _current(self, token: object) -> bool:
        return isinstance(token, Token) and self.round is not None and token.round == self.round.place.number

    # -- deciding and collecting -----------------------------------------------------------------------------------

    @property
    def _answerable(self) -> bool:
        """Whether an answer counts: before the cohort is closed, while there is somebody to close it."""
        collecting = self.state in (State.PROPOSED, State.COLLECTING) and not self._records.cohorts
        return collecting and not self._records.is_revoked(self.author)

    def _decide(self, event: Decide) -> list[Effect]:
        """Publish this hub's answer; one that comes too late changes nothing."""
        decision = self._answering.decide(event) if self._answerable else None
        return [self._say(DECISION, decision, self._sequence + 1)] if decision is not None else []

    @property
    def _is_pledged(self) -> bool:
        """Whether this hub is pledged to this job, and the collection goes on."""
        return self._answering.pledged and self._waits

    def _lapse(self, now: float) -> list[Effect]:
        """A pledge that lasts for long gives way to those who wait: the answer is taken back, and waits behind them."""
        if not self._is_pledged or not self._clock.lapse(now):
            return []
        self.lapses += 1
        return [self._say(DECISION, Decision(Answer.WAIT, LAPSED, Standing.FREE), self._sequence + 1)]

    def _say(self, kind: str, body: Message, sequence: int = 1, subject: str | None = None) -> Say:
        site = self._site
        about = self.subject if subject is None else subject
        return Say(sign_record(site.identity, site.federation, kind, about, body, sequence=sequence))

    def _note(self, event: Noted, now: float) -> list[Effect]:
        """A record was accepted. Those of an ended job change nothing."""
        record, body = event.record, event.body
        if self.state in ENDED:
            return self._note_late(event, now)
        effects: list[Effect] = []
        match body:
            case Decision():
                effects += self._note_decision(record.author, record.sequence, body, event.digest)
            case CohortBody() if record.author == self.author:
                self._records.closed(body, event.digest, now)
            case Cancel() if record.author == self.author:
                self._called_off = True
                return self._end(Step.CANCEL, body.reason)
            case Outcome():
                self._records.outcomes[record.author] = body
            case CohortBody() | Cancel():
                return [Refused(record.author, "not_the_submitter", f"a {record.kind} by {record.author}")]
        failure = self._records.failure(self.rounds_done, self._wants)
        if failure:
            return effects + self._fail(failure)
        effects += self._collect(now)
        return effects + self._try_start(now)

    def _note_decision(self, author: NodeId, sequence: int, body: Decision, digest: bytes) -> list[Effect]:
        self._records.decided(author, body, digest)
        if author != self._me:
            return []
        self._sequence = max(self._sequence, sequence)
        if self.state not in (State.PROPOSED, State.COLLECTING):
            return []
        self._answering.noted(body)
        return self._move(Step.DECIDED)

    def _note_late(self, event: Noted, now: float) -> list[Effect]:
        """The job ended here; a cohort that names this hub binds it to the group, unless the job was called off before,
        and has to learn that it is gone."""
        effects: list[Effect] = []
        match event.body:
            case Decision():
                self._records.decided(event.record.author, event.body, event.digest)
            case Cancel() if event.record.author == self.author:
                self._called_off = True
            case CohortBody() if event.record.author == self.author:
                self._records.closed(event.body, event.digest, now)
                if self._called_off:
                    effects.append(Refused(self.author, "called_off", "a cohort for a job that was cancelled before"))
        body = next(iter(self._records.cohorts.values()), None)
        single = len(self._records.cohorts) == 1 and not self._records.undecided()
        if body is not None and self.body is None and single and not self._called_off:
            checked = check_cohort(self.spec, body, self._records.by_digest, self._site.min_cohort)
            effects += self._sign_group(checked.free) if not checked.fault else []
        if self.state is State.FAILED and self._records.named(self._me) and not self._told:
            effects.append(self._say_failed(self.reason))
        return effects

    @property
    def _collects(self) -> bool:
        """Whether this is the submitter's hub and the collection is open."""
        return self.author == self._me and not self._closed and not self._records.cohorts and self.state not in ENDED

    def _collect(self, now: float) -> list[Effect]:
        """At the submitter's hub: close the collection when it can be."""
        if not self._collects:
            return []
        site, time_up = self._site, now >= self._clock.closes_at
        closing = close(self.spec, self.decisions, site.groups, site.min_cohort, time_up=time_up)
        if closing.cohort is None and not closing.failure:
            return []
        self._closed = True
        if closing.cohort is not None:
            return [self._say(COHORT, closing.cohort)]
        return [self._say(CANCEL, Cancel(closing.failure[:TEXT_CHARS_MAX]))]

    @property
    def _waits(self) -> bool:
        """Whether the clock of the collection runs: no cohort is known."""
        return not (self.state in ENDED or self._closed or self._records.cohorts)

    def _give_up(self, now: float) -> list[Effect]:
        """What the job waited for did not come."""
        if self.state in ENDED or now < self._late_at:
            return []
        if not self._records.cohorts:
            return self._fail("the submitter's hub never closed the collection")
        if self._restored.cohort is not None:
            return self._fail("the cohort record that this hub joined stands no longer: its author signed others")
        return self._fail("decisions that the cohort names never came: by " + ", ".join(self._records.undecided()))

    # -- starting ------------------------------------------------------------------------------------------------

    def _try_start(self, now: float) -> list[Effect]:
        """Join the cohort once everything that it rests on is here and holds."""
        cohorts, joined = self._records.cohorts, self._restored.cohort
        if self.body is not None or self.state in ENDED or not cohorts:
            return []
        if joined is not None:
            return self._begin(joined, cohorts[joined], now) if joined in cohorts else []
        if self._restored.ended is not None:
            return self._end(Step.FAILURE, self._restored.ended.reason)
        if len(cohorts) > 1:
            return self._fail("the submitter's hub signed two cohorts")
        ((digest, body),) = cohorts.items()
        reads_along = self._me not in body.members and self._restored.rounds > 0
        return self._check_and_join(digest, body, now) if not reads_along else self._follow(digest, body, now)

    def _check_and_join(self, digest: bytes, body: CohortBody, now: float) -> list[Effect]:
        if self._records.undecided():
            return []
        checked = check_cohort(self.spec, body, self._records.by_digest, self._site.min_cohort)
        if checked.fault:
            return self._fail(checked.fault)
        if self._me not in body.members:
            return self._follow(digest, body, now)
        effects = self._sign_group(checked.free)
        if not self._records.has_joined(self._me):
            return effects + self._fail("this hub took its decision to join back before it knew of the cohort")
        return effects or self._join(digest, body, checked.free, now)

    def _sign_group(self, free: tuple[NodeId, ...]) -> list[Effect]:
        """Sign the new group if this hub is one of its free members, once."""
        if self.spec.data is None or self._me not in free or self._said_group:
            return []
        if self._site.groups.standing(self._me, self.spec.data.name) is not Standing.FREE:
            return []
        self._said_group = True
        return [self._say(GROUP, GroupBody(free), subject=self.spec.data.name)]

    def _join(self, digest: bytes, body: CohortBody, free: tuple[NodeId, ...], now: float) -> list[Effect]:
        """Begin if the whole group has signed and is in the cohort."""
        if self.spec.data is None:
            return self._begin(digest, body, now)
        name, groups = self.spec.data.name, self._site.groups
        group = groups.members(self._me, name)
        refusal = groups.refusal(self._me, name, body.members, self._site.min_cohort)
        if refusal is not None:
            return self._fail(refusal.reason)
        if not group or (self._me in free and group != free):
            return self._fail(f"this hub's own word about its group for {name!r} is not what its decision says")
        torn = groups.torn(name, group)
        if torn:
            return self._fail(f"{', '.join(torn)} signed another group for {name!r}: this one can never be complete")
        return self._begin(digest, body, now) if not groups.unsigned(name, group) else []

    def _begin(self, digest: bytes, body: CohortBody, now: float) -> list[Effect]:
        try:
            cohort = cohort_of(self.spec, self.job, body)
        except LocalError as error:
            return self._fail(str(error))
        restored = self._restored
        self._answering.release()
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
        try:
            cohort = cohort_of(self.spec, self.job, body)
        except LocalError as error:
            return self._fail(str(error))
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
        if isinstance(event.message, Certificate) and number <= self.rounds_done:
            return self._compare(sender, event.message)
        if self._follower is not None:
            return self._follower.handle(event, now)
        if number <= self.rounds_done:
            return self._serving.serve(sender, event.message, number, now)
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
        return self._serving.ask_back(event.sender, current, now)

    def _compare(self, sender: NodeId, certificate: Certificate) -> list[Effect]:
        """A certificate of a past round: is it the one that is here?"""
        if self.body is None:
            return []
        try:
            evidence = self._serving.contradicts(certificate, cohort_of(self.spec, self.job, self.body))
        except PeerError as error:
            return [Refused(sender, error.code, error.detail)]
        return [*evidence, *self._fail(CONTRADICTION)] if evidence else []

    def _may_read(self, node: NodeId) -> bool:
        return node == self.author or node in self.spec.readers

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
        self._wants = self.rounds_done + 1
        failure = self._records.failure(self.rounds_done, self._wants)
        if failure:
            return self._fail(failure)
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
                case Paused() if self.state is State.RUNNING:
                    result += self._move(Step.SILENT, "missing: " + ", ".join(effect.missing))
                case Resumed() if self.state is State.PAUSED:
                    result += self._move(Step.HEARD)
                case Evidence(kind="two_certificates"):
                    result += self._fail(CONTRADICTION)
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
            if getattr(event.message, "round", 0) == started.place.number:
                effects += started.handle(event, now)
        return effects

    # -- ending --------------------------------------------------------------------------------------------------

    def _revoked(self, node: NodeId) -> list[Effect]:
        """No job goes on with it: not one that runs, not one that waits for it, and none that names it later."""
        self._records.revoked(node)
        if self.state in ENDED:
            return []
        return self._fail(f"{node} was revoked") if self._records.named(node) or node in self.spec.members else []

    def _fail(self, reason: str) -> list[Effect]:
        """End it here and, where others wait for this hub, tell them."""
        if self.state in ENDED:
            return []
        told = [self._say_failed(reason)] if self._records.named(self._me) and not self._told else []
        return [*self._end(Step.FAILURE, reason), *told]

    def _say_failed(self, reason: str) -> Say:
        self._told = True
        history = self._history or bytes(DIGEST_BYTES)
        return self._say(OUTCOME, Outcome(False, self.rounds_done, history, reason[:TEXT_CHARS_MAX]))

    def _end(self, step: Step, reason: str) -> list[Effect]:
        self.round = self._follower = None
        self._early.clear()
        self._answering.release()
        return self._move(step, reason)

    def _move(self, step: Step, reason: str = "") -> list[Effect]:
        to = TRANSITIONS.get((self.state, step))
        if to is None:
            raise LocalError(f"no move from {self.state} by {step.name}")
        changed = to is not self.state
        self.state, self.reason = to, reason
        return [Moved(self.job, to, reason)] if changed else []
