"""A study: all repetitions of a scenario, then means, intervals and paired differences."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from secured_node import VERSION
from secured_node.data.errors import DataError
from secured_node.tasks.course import Course
from simulations.study import models
from simulations.study.intervals import interval
from simulations.study.metrics import HIGHER_IS_BETTER
from simulations.study.plan import Plan
from simulations.study.repetition import OneRun
from simulations.study.result import Arm, Comparison, NetworkModel, Repetition, StudyResult, Total
from simulations.study.rows import Rows
from simulations.study.split import in_words
from simulations.verification import remembered


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is. repetition: the one under way, from 1. rounds: its sums so far; done: repetitions done."""

    repetition: int
    repetitions: int
    rounds: int
    done: int


Watch = Callable[[Progress], None]
Key = tuple[Arm, str, str, str]
"""Arm, hospital, tested on, metric."""


def run_study(
    plan: Plan,
    rows: Rows,
    text: str,
    *,
    executor: Executor | None = None,
    where: str = "in process",
    watch: Watch | None = None,
) -> StudyResult:
    """Run a scenario. text: of the scenario, for the result. where: the executor in words. Raises `DataError`."""
    course = check(plan, rows)
    began, count = time.monotonic(), plan.run.repetitions
    repetitions: list[Repetition] = []
    for i in range(count):

        def on_round(rounds: int, i: int = i) -> None:
            if watch is not None:
                watch(Progress(i + 1, count, rounds, len(repetitions)))

        on_round(0)
        run = OneRun(plan, rows, plan.run.seed + i, executor, messages=i == 0)
        with remembered():
            repetitions.append(run.run(on_round))
    if watch is not None:
        watch(Progress(count, count, 0, count))
    return _result(plan, course, rows, text, where, time.monotonic() - began, repetitions)


def _result(
    plan: Plan, course: Course, rows: Rows, text: str, where: str, wall_s: float, repetitions: Sequence[Repetition]
) -> StudyResult:
    """All that is told of a study whose repetitions are done."""
    network, target = plan.network, plan.run.target
    metric = target.metric if target else models.first_metric(course)
    return StudyResult(
        name=plan.name,
        title=plan.title or plan.name,
        scenario=text,
        version=VERSION,
        task=plan.task.name,
        metric=metric,
        higher_is_better=HIGHER_IS_BETTER.get(metric, True),
        target=target.value if target else None,
        confidence=plan.run.confidence,
        network=NetworkModel(
            latency_s=network.latency_s,
            jitter_s=network.jitter_s,
            bandwidth_bit_s=network.bandwidth_bit_s,
            loss=network.loss,
        ),
        split=in_words(plan.split),
        executor=where,
        wall_s=wall_s,
        repetitions=tuple(repetitions),
        comparisons=tuple(comparisons(repetitions, plan.run.confidence)),
        totals=tuple(totals(repetitions, plan.run.confidence)),
        notes=rows.notes,
        epsilon=plan.privacy.epsilon if plan.privacy else None,
        delta=plan.privacy.delta if plan.privacy else None,
    )


def check(plan: Plan, rows: Rows) -> Course:
    """What can be checked before anything runs. Raises `DataError` that names the key."""
    try:
        course = Course(plan.task.name, plan.task.parameters, rows.table.schema, 1)
    except DataError as error:
        raise DataError(f"task: {error.what}", error.why, error.todo) from None
    if plan.run.target is not None:
        models.check_metric(plan.run.target.metric, course)
    try:
        run = OneRun(plan, rows, plan.run.seed, None, messages=False)
    except DataError as error:
        what = f"privacy: {error.what}" if plan.privacy is not None and error.what.startswith("task ") else error.what
        raise DataError(what, error.why, error.todo) from None
    names = [part.name for part in run.parts]
    told = [("nodes", name) for name in plan.nodes]
    told += [(f"fault[{i}].nodes", name) for i, fault in enumerate(plan.fault) for name in fault.nodes]
    told += [("job.submitter", plan.job.submitter)] if plan.job.submitter else []
    for key, name in told:
        if name not in names:
            raise DataError(f"{key}: {name!r}", "there is no such hospital", f"allowed: {' | '.join(names)}")
    founders = run.federation.names
    if plan.job.submitter and plan.job.submitter not in founders:
        raise DataError("job.submitter", "it joins later", f"allowed: {' | '.join(founders)}")
    for name, hospital in plan.nodes.items():
        if hospital.leaves is not None and name in (founders[0], plan.job.submitter):
            why = "it founded the federation" if name == founders[0] else "it submits the job"
            raise DataError(f"nodes.{name}.leaves", why, "let another hospital leave")
    if len(founders) < plan.job.min_nodes:
        why = f"{len(founders)} hospitals are there from the start, job.min_nodes is {plan.job.min_nodes}"
        raise DataError("nodes", why, "let fewer join later, or lower job.min_nodes")
    return course


def comparisons(repetitions: Sequence[Repetition], confidence: float) -> list[Comparison]:
    """Each arm's metrics over repetitions, and their differences to pooled, paired by repetition."""
    values: defaultdict[Key, list[float | None]] = defaultdict(list)
    differences: defaultdict[Key, list[float | None]] = defaultdict(list)
    for repetition in repetitions:
        pooled = {(s.tested_on, s.metric): s.value for s in repetition.scores if s.arm == "pooled"}
        for s in repetition.scores:
            key = (s.arm, s.hospital, s.tested_on, s.metric)
            values[key].append(s.value)
            reference = pooled.get((s.tested_on, s.metric))
            if s.arm != "pooled" and s.value is not None and reference is not None:
                differences[key].append(s.value - reference)
    return [
        Comparison(
            arm=key[0],
            hospital=key[1],
            tested_on=key[2],
            metric=key[3],
            value=interval(found, confidence),
            minus_pooled=interval(differences[key], confidence) if key in differences else None,
        )
        for key, found in values.items()
    ]


def totals(repetitions: Sequence[Repetition], confidence: float) -> list[Total]:
    """Counts and times over repetitions."""
    everywhere: dict[str, list[float | None]] = {
        "rounds": [len(r.rounds) for r in repetitions],
        "rounds_to_target": [r.rounds_to_target for r in repetitions],
        "virtual_s": [r.virtual_s for r in repetitions],
        "drop_outs": [sum(node.drop_outs for node in r.nodes) for r in repetitions],
        "refusals": [sum(r.refusals.values()) for r in repetitions],
        "retries": [sum(found.attempts - 1 for found in r.rounds) for r in repetitions],
        "sent_bytes": [sum(node.sent_bytes for node in r.nodes) for r in repetitions],
    }
    found = [Total(name=name, node="", value=interval(v, confidence)) for name, v in everywhere.items()]
    for kind in ("sent_bytes", "received_bytes"):
        by_node: defaultdict[str, list[float | None]] = defaultdict(list)
        for repetition in repetitions:
            for node in repetition.nodes:
                by_node[node.name].append(getattr(node, kind))
        found += [Total(name=kind, node=node, value=interval(v, confidence)) for node, v in by_node.items()]
    return found
