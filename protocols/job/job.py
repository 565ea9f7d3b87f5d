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
- Where a successor was joined, or is about to be, the job is left alone: no attempt runs, and only past rounds are
  served (`succession`).
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
from protocols.job.cohorting import check_cohort, close, cohort_of
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
    JOB,
    OUTCOME,
    TEXT_CHARS_MAX,
    Answer,
    Cancel,
    CohortBody,
    Decision,
    Outcome,
)
from protocols.job.life import ENDED, TRANSITIONS, State, Step
from protocols.job.succession import (
    against_following,
    away,
    go_on_after_s,
    next_spec,
)
from protocols.job.view import JobView
from protocols.message import DIGEST_BYTES, Message
from protocols.records.record import sign_record
from protocols.secagg.attempt import Token, Vector
from protocols.secagg.cohort import Cohort
from protocols.secagg.effects import Certified, Evidence, Paused, Resumed, RoundDone, RoundFailed
from protocols.secagg.messages import MEMBERS_MAX, Certificate, Offer
from protocols.secagg.round import Round
from protocols.secagg.signing import RoundId, first_history

LAPSED: Final = "nobody closed the collection for long: this hub lets others that wait go first"
CONTRADICTION: Final = "two certificates contradict each other: more nodes lie than the job is safe against"


class Job(JobView):
    """A hub's view of one job and, if it is a member, its part in it."""

    # -- events --------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        """Take one event."""
        effects = self._handle(event, now)
        if self._follower is not None:
            self.rounds_done, self._history = self._follower.rounds_done, self._follower.history
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
                effects = self._settled(now)
            case VectorReady() | WorkFailed() | Updated():
                effects = self._work(event, now)
            case Received():
                effects = self._received(event, now)
            case LinkUp() | Progressed() | Computed() | Tick():
                effects = self._pass_on(event, now)
        return effects

    def _pass_on(self, event: Event, now: float) -> list[Effect]:
        ticked = isinstance(event, Tick)
        effects = [*self._collect(now), *self._give_up(now), *self._lapse(now), *self._go_on(now)] if ticked else []
        effects += self._clock.keep(now) if self._waits else []
        if self._is_left and self.body is not None:
            return effects + self._keep(event)
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
        if self.spec.continues is not None and self._site.heirs.pledged(self.spec.continues.job) != self.job:
            return effects + self._fail("this hub goes on with the job that it continues in another way")
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
        self._succeed(body)
        self.body, self.rounds_done = body, restored.rounds
        self._history = restored.history or first_history(self.job, digest)
        if restored.ended is not None:
            step = Step.RESULT if restored.ended.done else Step.FAILURE
            return [*self._move(Step.COHORT), *self._end(step, restored.ended.reason)]
        effects: list[Effect] = [Persist(Joined(self.job, digest))] if restored.cohort is None else []
        effects += self._move(Step.COHORT)
        return effects + (self._yield() if self._is_left else self._take_up(cohort, now))

    def _take_up(self, cohort: Cohort, now: float) -> list[Effect]:
        """Begin the round after the last certified one, or begin it again as after a restart."""
        place, site, restored = RoundId(self.rounds_done + 1, self._history), self._site, self._restored
        self._goes_on_at = float("inf")
        self.round = Round(cohort, place, site.identity, site.draw, entered=restored.entered, signed=restored.signed)
        advance = Advance(self.job, self.rounds_done, None)
        return [advance, *self._after(self._start_round(self.round, now), now)]

    def _follow(self, digest: bytes, body: CohortBody, now: float) -> list[Effect]:
        """Not a member: read along if this hub may, else there is nothing more to do here."""
        if self._me != self.author and self._me not in self.spec.readers:
            return self._end(Step.FAILURE, "this hub is not in the cohort")
        objection = against_following(self.spec, self.author, self._earlier)
        if objection is not None:
            return [] if objection.passing else self._fail(objection.reason)
        try:
            cohort = cohort_of(self.spec, self.job, body)
        except LocalError as error:
            return self._fail(str(error))
        self._succeed(body)
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
        if self.round is None or sender not in self.body.members or self._is_left:
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
        if self.round is None or self._is_left:
            return self._keep(event)
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
                    self._goes_on_at = now + go_on_after_s(self._proposals) if self._may_go_on else float("inf")
                case Resumed() if self.state is State.PAUSED:
                    self._goes_on_at = float("inf")
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

    # -- going on without a member -------------------------------------------------------------------------------

    def _succeed(self, body: CohortBody) -> None:
        if self.spec.continues is not None:
            self._site.heirs.begin(self.spec.continues.job, self.job, body.members)

    def _go_on(self, now: float) -> list[Effect]:
        """At the submitter's hub, when the job has been paused for long: propose its successor, or say why not."""
        if now < self._goes_on_at or self.state is not State.PAUSED or self.round is None:
            return []
        self._goes_on_at = now + go_on_after_s(self._proposals)
        site = self._site
        missing = away(self.round.missing, site.heard, now)
        if site.heirs.open(self.job) or not missing:
            return []
        spec = next_spec(self, missing, site.groups, site.min_cohort)
        if isinstance(spec, str):
            return self._explain("missing: " + ", ".join(missing) + "; " + spec)
        self._proposals += 1
        return [self._say(JOB, spec, subject=site.draw(16).hex())]

    def _keep(self, event: Event) -> list[Effect]:
        """What was asked for and came while the round is left alone is not lost; what peers say is said again."""
        if self.round is not None and isinstance(event, Computed | VectorReady | Updated):
            self._kept.append(event)
        return []

    def _explain(self, reason: str) -> list[Effect]:
        """The job stays where it is, for a reason that is news."""
        if reason == self.reason:
            return []
        self.reason = reason
        return [Moved(self.job, self.state, reason)]

    def _settled(self, now: float) -> list[Effect]:
        """Another job moved: this one may be decided, begin, be left alone for its successor, or be taken up again."""
        asks = self._answerable and self._answering.reconsider()
        effects: list[Effect] = [Reconsider()] if asks else []
        if self.spec.continues is not None:
            effects += self._try_start(now)
        if self.body is None or self.state in ENDED:
            return effects
        if self._is_left:
            return effects + self._yield()
        if self.round is not None or self._follower is not None:
            return effects + self._resume(now)
        if self.state is State.PAUSED:
            effects += self._move(Step.HEARD)
        return effects + self._take_up(cohort_of(self.spec, self.job, self.body), now)

    def _resume(self, now: float) -> list[Effect]:
        """The successor came to nothing: go on where the round was left."""
        kept, self._kept = self._kept, []
        return [effect for event in kept for effect in self._handle(event, now)]

    def _yield(self) -> list[Effect]:
        """End for a successor that began; leave the round alone for one that this hub would join."""
        begun, pledged = self._site.heirs.begun(self.job), self._site.heirs.pledged(self.job)
        if begun is not None and self.body is not None:
            left_out = ", ".join(sorted(set(self.body.members) - set(begun[1])))
            return self._end(Step.CANCEL, f"it goes on as job {begun[0].hex()}, without {left_out}")
        if pledged is None:
            return []
        return self._explain(f"it is about to go on as job {pledged.hex()}")

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
        if self.spec.continues is not None:
            self._site.heirs.close(self.spec.continues.job, self.job)
        return self._move(step, reason)

    def _move(self, step: Step, reason: str = "") -> list[Effect]:
        to = TRANSITIONS.get((self.state, step))
        if to is None:
            raise LocalError(f"no move from {self.state} by {step.name}")
        changed = to is not self.state
        self.state, self.reason = to, reason
        return [Moved(self.job, to, reason)] if changed else []
