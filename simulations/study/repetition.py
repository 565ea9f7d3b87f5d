"""One repetition of a scenario: rows are divided, a federation is simulated, and its model is held against the others.

Theory of operation. A seed fixes the division, the test rows, the network's chances, the hubs' randomness and the
task's seed. The world runs the very hubs of `protocols` with the real tasks; when the job is over, or the time limit
has come, the states that the hospitals' workers went through are scored on the test rows. A federation that grows
(hospitals with `joins`) runs the job twice: with those that founded it, and with all. One that a hospital leaves runs
it with all, and with those that remain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from protocols.job.events import Decide
from protocols.job.job import Job as CoreJob
from protocols.job.kinds import Answer, JobSpec
from protocols.job.life import ENDED
from protocols.privacy.accounting import rho_of
from secured_node.data.table import Table
from secured_node.tasks import find_task
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course
from simulations.adversaries.catalogue import ADVERSARIES
from simulations.checkers.violation import ViolationError
from simulations.checkers.watch import Watch
from simulations.federation import Federation, join_all
from simulations.hub import Policy
from simulations.network import UNLIMITED, Network
from simulations.study import models, poison
from simulations.study.arms import Fitted, fit
from simulations.study.attacks import Outcomes, by_node, check_adversaries, corrupt
from simulations.study.faults import Faults
from simulations.study.metrics import Scores
from simulations.study.plan import Hospital, Plan
from simulations.study.quantity import seconds
from simulations.study.recorder import Recorder
from simulations.study.result import EVERYWHERE, Arm, Attack, Estimate, NodeResult, Repetition, Score
from simulations.study.rows import Rows, join, take
from simulations.study.site import Site, spec_of
from simulations.study.split import classes_of, divide, hold_out
from simulations.world import World

SETTLE_S: Final = 5.0
"""Virtual seconds in which links come up before the job is proposed, and newcomers' records spread."""
FOUNDERS: Final = "founders"
UNFINISHED: Final = "unfinished"
APART: Final = "took no part"
"""The state of a job at a hub that is not in its cohort."""
LEFT: Final = "left the federation"
"""The same of one that is no member any more."""


@dataclass(frozen=True, slots=True)
class Part:
    """One hospital's rows in one repetition."""

    name: str
    train: Table
    test: Table


def parts_of(rows: Rows, plan: Plan, outcome: str, rng: np.random.Generator) -> list[Part]:
    """The hospitals' rows, training and test. Raises `DataError` for a division that cannot be."""
    classes = classes_of(rows.table, outcome)
    parts = []
    for name, mine in divide(rows, plan.split, outcome, rng).items():
        train, test = hold_out(mine, classes, plan.data.test_share, rng)
        parts.append(Part(name, take(rows.table, train), take(rows.table, test)))
    return parts


def noise_of(plan: Plan, parameters: dict[str, Any]) -> Noise | None:
    """The noise of a scenario's job, its cost spread over the sums that the task takes. Raises `DataError`."""
    privacy = plan.privacy
    if privacy is None:
        return None
    task = find_task(plan.task.name)
    rounds = task.noisy_rounds(task.parse(parameters), privacy.hide)
    rho = rho_of(privacy.epsilon, privacy.delta) * (1 - 1e-9)  # the least bit below, as the command line does
    return Noise(unit=privacy.hide, rho=rho, rounds=rounds, delta=privacy.delta, colluders=plan.job.colluders)


class OneRun:
    """A repetition under way. parameters: the task's, with the repetition's seed."""

    def __init__(self, plan: Plan, rows: Rows, seed: int, executor: Executor | None, *, messages: bool) -> None:
        """messages: whether one round's messages are kept. Raises `DataError`."""
        self.plan, self.seed = plan, seed
        self.parameters = models.seeded(plan.task.name, plan.task.parameters, seed)
        self.schema = rows.table.schema
        self.noise = noise_of(plan, self.parameters)
        self.outcome = models.outcome_of(Course(plan.task.name, self.parameters, self.schema, 1))
        self.parts = parts_of(rows, plan, self.outcome, np.random.default_rng(seed))
        self.founders = [part.name for part in self.parts if self._hospital(part.name).joins is None]
        check_adversaries(plan, self.schema, self.founders, [part.name for part in self.parts])
        self.liars = by_node(plan, poison.KINDS)
        self.sites = {part.name: self._site(part) for part in self.parts}
        founders = self.founders
        self.world = World(seed, self._network(), executor=executor, record=False)
        policies = [self._policy(name) for name in founders]
        self.federation = Federation(
            self.world, [self.sites[name] for name in founders], names=founders, policies=policies
        )
        corrupt(self.federation, plan)
        if plan.adversary:
            Watch(self.federation)
        self.broken: ViolationError | None = None
        self.recorder = Recorder(self.federation, messages=messages)
        self.faults = Faults(self.federation, self.recorder, list(self.sites.values()))
        self.joined: dict[str, float] = {}
        self.left: list[str] = []

    # -- the world ------------------------------------------------------------------------------------------------

    def _hospital(self, name: str) -> Hospital:
        return self.plan.nodes.get(name, Hospital())

    def _site(self, part: Part) -> Site:
        what = (part.name, self.plan.task.name, self.parameters, self.schema)
        liar, rest = self.liars.get(part.name), (self.seed, self.noise)
        if liar is None:
            site = Site(*what, part.train, *rest)
        else:
            covariates = find_task(self.plan.task.name).parse(self.parameters).covariates
            rows = poison.poisoned(part.train, liar, self.outcome, covariates)
            site = poison.PoisonedSite(liar, *what, rows, *rest)
        work = self._hospital(part.name).work
        site.work_s = seconds(self.plan.job.work if work is None else work, "work")
        return site

    def _network(self) -> Network:
        plan = self.plan.network
        rate = plan.bandwidth_bit_s
        return Network(
            latency_s=(plan.latency_s, plan.latency_s + plan.jitter_s),
            loss=plan.loss,
            duplicate=plan.duplicate,
            bandwidth_bytes_s=UNLIMITED if rate is None else rate / 8,
        )

    def _policy(self, name: str) -> Policy:
        hospital = self._hospital(name)

        def refuse(_: CoreJob) -> Decide | None:
            return Decide(Answer.REFUSE, "this hospital's policy refuses the job")

        def ask(job: CoreJob) -> Decide | None:
            answer_at = self.world.now + seconds(hospital.after, "after")
            self.world.at(answer_at, lambda: self._answer(name, job.job))
            return Decide(Answer.ASK, "the data manager is asked")

        return {"join": join_all, "refuse": refuse, "ask": ask}[hospital.answer]

    def _answer(self, name: str, job: bytes) -> None:
        place = self.federation.names.index(name)
        if self.federation.up(place) and job in self.federation.hub(place).node.jobs:
            self.federation.decide(place, job, Answer.JOIN)

    def _line(self, name: str) -> None:
        """What is particular to one hospital's line."""
        hospital, federation = self._hospital(name), self.federation
        node, network = federation.nodes[federation.names.index(name)], self.world.network
        if hospital.slow > 1:
            network.slow[node] = hospital.slow
        if hospital.latency is not None:
            low = seconds(hospital.latency, "latency")
            span = (low, low + self.plan.network.jitter_s)
            for other in federation.nodes:
                network.latencies[node, other] = network.latencies[other, node] = span

    def _join(self, name: str) -> None:
        self.federation.join(self.sites[name], name, self._policy(name))
        self._line(name)
        self.joined[name] = self.recorder.now
        self.recorder.note(name, "move", "joins the federation")

    def _leave(self, name: str) -> None:
        self.federation.revoke(self.federation.names.index(name))
        self.left.append(name)
        self.recorder.note(name, "move", "leaves the federation: the founder revokes it")

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self, on_round: Callable[[int], None]) -> Repetition:
        """All of it. on_round: called with the number of sums after each."""
        federation, world = self.federation, self.world
        for name in federation.names:
            self._line(name)
        federation.boot()
        world.run(seconds=SETTLE_S)
        self.recorder.begin()
        sent = {node: (host.sent_bytes, host.received_bytes, host.sent_messages) for node, host in world.hosts.items()}
        for fault in self.plan.fault:
            self.faults.plan(fault)
        for name, adversary in by_node(self.plan, {*poison.KINDS, *ADVERSARIES}).items():
            self.recorder.note(name, "attack", f"is an adversary: {adversary.kind}")
        jobs: list[bytes] = []
        try:
            self._jobs(jobs, on_round)
        except ViolationError as error:
            self.broken = error
            self.recorder.note("", "attack", f"the rule {error.rule} is broken: {error.detail}")
        return self._result(jobs, sent)

    def _jobs(self, jobs: list[bytes], on_round: Callable[[int], None]) -> None:
        """The job, and if somebody comes or goes, the job again; each is in `jobs` once it is proposed."""
        world, began = self.world, self.world.now
        newcomers = [part.name for part in self.parts if part.name not in self.founders]
        leavers = [part.name for part in self.parts if self._hospital(part.name).leaves is not None]
        for name in newcomers:
            world.at(began + seconds(self._hospital(name).joins or "0 s", "joins"), lambda n=name: self._join(n))  # type: ignore[misc]
        for name in leavers:
            world.at(began + seconds(self._hospital(name).leaves or "0 s", "leaves"), lambda n=name: self._leave(n))  # type: ignore[misc]
        self._job(jobs, on_round)
        if newcomers or leavers:
            world.run(lambda: len(self.joined) + len(self.left) == len(newcomers) + len(leavers), self._time_left())
            world.run(lambda: False, SETTLE_S)
            self.recorder.next_job()
            self._job(jobs, on_round)

    def _time_left(self) -> float:
        return max(0.0, seconds(self.plan.job.time_limit, "time_limit") - self.recorder.now)

    def _job(self, jobs: list[bytes], on_round: Callable[[int], None]) -> None:
        """Propose the job to all who are members now, and run until it is over or the time limit has come."""
        names, submitter = self.federation.names, self.plan.job.submitter
        job = self.federation.submit(names.index(submitter) if submitter else 0, self._spec())
        jobs.append(job)
        self.recorder.on_round = on_round
        seen = -1

        def over() -> bool:
            nonlocal seen
            if self.recorder.moves == seen:
                return False
            seen = self.recorder.moves
            return self._over(job)

        self.world.run(over, self._time_left())

    def _spec(self) -> JobSpec:
        plan = self.plan
        nodes = [node for i, node in enumerate(self.federation.nodes) if self.federation.names[i] not in self.left]
        course = Course(plan.task.name, self.parameters, self.schema, len(nodes), self.noise)
        # Who joins, joins. In a federation that grows the first job is the founders': newcomers shall not wait for it.
        members = tuple(sorted(nodes)) if len(nodes) < len(self.parts) else ()
        return spec_of(
            course,
            self.parameters,
            self.schema,
            members=members,
            min_nodes=min(plan.job.min_nodes, len(nodes)) if not members else len(nodes),
            max_nodes=len(nodes),
            collect_s=seconds(plan.job.collect, "collect"),
            min_rows=plan.job.min_rows,
            holders=plan.job.holders,
            colluders=plan.job.colluders,
        )

    def _over(self, job: bytes) -> bool:
        """Whether the job has ended at all hubs that take part, or that may yet."""
        members = set(self.recorder.members(job))
        for i, node in enumerate(self.federation.nodes):
            if members and node not in members:
                continue
            if not self.federation.honest(node) or self.federation.names[i] in self.left:
                continue
            if (job, node) not in self.recorder.ended and not self._refused(i, job):
                return False
        return True

    def _refused(self, i: int, job: bytes) -> bool:
        """Whether hub i itself has refused the job, and so has no end of it to wait for."""
        if not self.federation.up(i) or job not in self.federation.hub(i).node.jobs:
            return False
        here = self.federation.job(i, job)
        decided = here.decisions.get(self.federation.nodes[i])
        return here.state not in ENDED and decided is not None and decided.decision.answer is Answer.REFUSE

    # -- the result -----------------------------------------------------------------------------------------------

    def _result(self, jobs: Sequence[bytes], sent: dict[Any, tuple[int, int, int]]) -> Repetition:
        job, recorder = jobs[-1], self.recorder
        virtual_s = recorder.now
        site = max(self._honest_sites(), key=lambda s: len(s.states.get(job, ())))
        states, course = site.states.get(job, []), site.courses.get(job)
        test = join([part.test for part in self.parts])
        metrics = [models.scores_of(state, test) for state in states]
        rounds = recorder.rounds(job, metrics)
        outcome, reason = self._outcome(job)
        scores, estimates = self._compare(jobs)
        done = outcome == "done"
        return Repetition(
            seed=self.seed,
            trace_hash=self.world.trace.hash,
            virtual_s=virtual_s,
            events=self.world.trace.events,
            outcome=outcome,
            reason=reason,
            problem=course.result().problem if course is not None and course.done else "",
            nodes=tuple(self._node(part, job, sent) for part in self.parts),
            rounds=tuple(rounds),
            rounds_to_target=self._rounds_to_target(metrics),
            scores=tuple(scores),
            estimates=tuple(estimates),
            refusals=dict(sorted(recorder.refusals.items())),
            moments=tuple(recorder.moments),
            sequence_round=recorder.sequence_round,
            messages=tuple(recorder.sequence()),
            attacks=tuple(self._attacks(job, course, test, done)) if self.plan.adversary else (),
            failures=tuple(recorder.failures),
        )

    def _honest_sites(self) -> list[Site]:
        """Of the hubs that follow the protocol, and of those that have not joined yet."""
        names, honest = self.federation.names, self.federation.honest
        evil = {name for name, node in zip(names, self.federation.nodes, strict=True) if not honest(node)}
        return [site for name, site in self.sites.items() if name not in evil]

    def _attacks(self, job: bytes, course: Course | None, test: Table, done: bool) -> list[Attack]:
        """What came of the adversaries; the same hospitals compute once more, all honest, to compare."""
        attacked = honest = None
        if course is not None and course.done:
            members = set(self.recorder.members(job))
            here = {
                name for name, node in zip(self.federation.names, self.federation.nodes, strict=True) if node in members
            }
            tables = [part.train for part in self.parts if part.name in here]
            seed, least = f"{self.seed}/all honest", self.plan.job.min_rows
            fitted = fit(self.plan.task.name, self.parameters, self.schema, tables, seed, self.noise, least)
            attacked, honest = course.state, fitted.course.state
        outcomes = Outcomes(
            self.federation,
            self.recorder,
            done=done,
            broken=self.broken,
            attacked=attacked,
            honest=honest,
            test=test,
            metric=models.first_metric(Course(self.plan.task.name, self.parameters, self.schema, 1)),
        )
        return outcomes.attacks(self.plan)

    def _outcome(self, job: bytes) -> tuple[str, str]:
        """How the job ended: as its cohort's hubs say; unfinished if one of them does not say anything yet."""
        places = range(len(self.federation.nodes))
        members = self.recorder.members(job) or [self.federation.nodes[i] for i in places if not self._refused(i, job)]
        gone = {self.federation.nodes[self.federation.names.index(name)] for name in self.left}
        members = [node for node in members if self.federation.honest(node) and node not in gone]
        ended = [self.recorder.ended.get((job, node)) for node in members]
        reasons = [self.recorder.reasons.get((job, node), "") for node in members]
        if self.broken is not None:
            return UNFINISHED, f"the rule {self.broken.rule} was broken: {self.broken.detail}"
        reason = next((text for text in reasons if text), "")
        if None in ended:
            return UNFINISHED, reason or "the time limit came first"
        outcome = next((state for state in ended if state != "done"), "done")
        return str(outcome), "" if outcome == "done" else reason

    def _rounds_to_target(self, metrics: Sequence[Scores]) -> int | None:
        target = self.plan.run.target
        if target is None:
            return None
        good = (models.reaches(found.get(target.metric), target.value, target.metric) for found in metrics)
        return next((number for number, reached in enumerate(good, 1) if reached), None)

    def _node(self, part: Part, job: bytes, sent: dict[Any, tuple[int, int, int]]) -> NodeResult:
        names, recorder = self.federation.names, self.recorder
        rows = NodeResult(
            name=part.name,
            rows=part.train.rows + part.test.rows,
            train_rows=part.train.rows,
            test_rows=part.test.rows,
            positives=self._positives(part),
        )
        if part.name not in names:
            return msgspec.structs.replace(rows, reason="it never joined")
        place = names.index(part.name)
        node = self.federation.nodes[place]
        host, before = self.world.hosts[node], sent.get(node, (0, 0, 0))
        state = self._state(place, job)
        return msgspec.structs.replace(
            rows,
            sent_bytes=host.sent_bytes - before[0],
            received_bytes=host.received_bytes - before[1],
            sent_messages=host.sent_messages - before[2],
            received_messages=recorder.received[node],
            state=state,
            reason=recorder.reasons.get((job, node), ""),
            drop_outs=self.faults.drop_outs[part.name],
            joined_s=self.joined.get(part.name, 0.0),
        )

    def _state(self, place: int, job: bytes) -> str:
        """The job's state at a hub at the end, and what else can be the matter with it."""
        node, members = self.federation.nodes[place], self.recorder.members(job)
        if self.federation.names[place] in self.left:
            return LEFT
        if members and node not in members:
            return APART
        if not self.federation.up(place):
            return self.recorder.ended.get((job, node), "down")
        return str(self.federation.states(job, [place])[0] or "unknown")

    def _positives(self, part: Part) -> int | None:
        course = Course(self.plan.task.name, self.parameters, self.schema, 1)
        code = models.positive_class(course)
        return None if code is None else int((part.train.columns[self.outcome] == code).sum())

    # -- alone, federated, pooled ---------------------------------------------------------------------------------

    def _fit(self, table: Table, name: str) -> Fitted:
        seed, min_rows = f"{self.seed}/{name}", self.plan.job.min_rows
        return fit(self.plan.task.name, self.parameters, self.schema, [table], seed, min_rows=min_rows)

    def _compare(self, jobs: Sequence[bytes]) -> tuple[list[Score], list[Estimate]]:
        pooled = self._fit(join([part.train for part in self.parts]), "pooled rows")
        reference = models.estimates_of(pooled.course, "pooled")
        scores, estimates = self._scores("pooled", "", pooled.course), list(reference)
        for part in self.parts:
            alone = self._fit(part.train, f"{part.name} alone")
            if alone.problem:
                self.recorder.note(part.name, "alone", f"has no model of its own: {alone.problem}")
            scores += self._scores("alone", part.name, alone.course)
            estimates += models.estimates_of(alone.course, "alone", part.name)
        for label, job in zip(("",) if len(jobs) == 1 else (FOUNDERS, ""), jobs, strict=True):
            course = next(
                (s.courses[job] for s in self._honest_sites() if job in s.courses and s.courses[job].done), None
            )
            if course is not None:
                scores += self._scores("federated", label, course)
                estimates += models.estimates_of(course, "federated", label)
        return scores + self._coefficient_errors(estimates, reference), estimates

    def _scores(self, arm: Arm, hospital: str, course: Course) -> list[Score]:
        """On each hospital's test rows, and on all; nothing for a course without a model."""
        if not course.done or course.result().problem:
            return []
        tests = {part.name: part.test for part in self.parts} | {EVERYWHERE: join([part.test for part in self.parts])}
        columns = course.task.columns(course.parameters)
        return [
            _score(arm, hospital, tested_on, metric, int(table.complete(columns).sum()), value)
            for tested_on, table in tests.items()
            for metric, value in models.scores_of(course.state, table).items()
        ]

    def _coefficient_errors(self, estimates: Sequence[Estimate], reference: Sequence[Estimate]) -> list[Score]:
        """Of models with coefficients, in pooled standard errors."""
        found = []
        for arm, hospital in dict.fromkeys((e.arm, e.hospital) for e in estimates if e.arm != "pooled"):
            mine = [e for e in estimates if (e.arm, e.hospital) == (arm, hospital)]
            error = models.coefficient_error(mine, reference)
            if error is not None:
                found.append(_score(arm, hospital, EVERYWHERE, "coefficient_error", 0, error))
        return found


def _score(arm: Arm, hospital: str, tested_on: str, metric: str, rows: int, value: float | None) -> Score:
    known = value is not None and math.isfinite(value)
    return Score(
        arm=arm, hospital=hospital, tested_on=tested_on, metric=metric, rows=rows, value=value if known else None
    )
