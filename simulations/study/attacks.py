"""A scenario's adversaries: where they can be, how they come into a world, and what came of them.

An adversary of the protocol wants a job not to be done, or a sum that is not exact, or two histories; the checkers of
`simulations.checkers` watch. A poisoner wants a worse model, a backdoor rows taken for another class, a free rider the
model for nothing. What each cost the model is measured against the same hospitals, all honest, on the same rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from secured_node.data.errors import DataError
from secured_node.data.schema import Schema
from secured_node.data.table import Table
from secured_node.tasks.course import Course
from secured_node.tasks.train import probabilities
from secured_node.tasks.train_state import TrainState
from simulations.adversaries.adversary import Adversary as Malicious
from simulations.adversaries.catalogue import ADVERSARIES
from simulations.checkers.violation import ViolationError
from simulations.federation import Federation
from simulations.study import models, poison
from simulations.study.metrics import HIGHER_IS_BETTER
from simulations.study.plan import Adversary, Plan
from simulations.study.recorder import Recorder
from simulations.study.result import Attack

BACKDOOR_SHARE: Final = 0.5
"""A backdoor is open if the model takes more of the rows with the trigger for its class, and more than without it."""


def check_adversaries(plan: Plan, schema: Schema, founders: Sequence[str], hospitals: Sequence[str]) -> None:
    """Whether each can do what it is there for. founders: the hospitals of the start. Raises `DataError`."""
    seen: set[str] = set()
    submitter = plan.job.submitter or founders[0]
    course = Course(plan.task.name, plan.task.parameters, schema, 1)
    for i, adversary in enumerate(plan.adversary):
        where = f"adversary[{i}]"
        again = sorted(seen & set(adversary.nodes)) or [n for n in adversary.nodes if adversary.nodes.count(n) > 1]
        if again:
            raise DataError(f"{where}.nodes: {again[0]!r}", "it is an adversary already", "name each hospital once")
        seen |= set(adversary.nodes)
        unknown = [name for name in adversary.nodes if name not in hospitals]
        if unknown:
            why = "there is no such hospital"
            raise DataError(f"{where}.nodes: {unknown[0]!r}", why, f"allowed: {' | '.join(hospitals)}")
        if adversary.kind in poison.KINDS:
            _check_poison(where, adversary, plan, course, schema)
        elif adversary.kind in ADVERSARIES:
            _check_protocol(where, adversary, founders, submitter)
        else:
            near = difflib.get_close_matches(adversary.kind, [*ADVERSARIES, *poison.KINDS], n=3, cutoff=0.5)
            todo = f"perhaps {' | '.join(near)}; secured-sim list shows all" if near else "secured-sim list shows them"
            raise DataError(f"{where}.kind = {adversary.kind!r}", "there is no such adversary", todo)


def _check_protocol(where: str, adversary: Adversary, founders: Sequence[str], submitter: str) -> None:
    entry = ADVERSARIES[adversary.kind]
    for name in adversary.nodes:
        if name == founders[0]:
            why = "it founded the federation and is its steward: what a steward may do, an evil one may do, too"
            raise DataError(f"{where}.nodes: {name!r}", why, "take another hospital")
        if name not in founders:
            why = "it joins later, and adversaries of the protocol are there from the start"
            raise DataError(f"{where}.nodes: {name!r}", why, "take a hospital without joins")
    if len(adversary.nodes) < entry.colluders:
        raise DataError(f"{where}.nodes", f"{adversary.kind} takes at least {entry.colluders}", "name more hospitals")
    if entry.submits and submitter not in adversary.nodes:
        why = f"{adversary.kind} does evil only at the hub that submits the job, which is {submitter}'s"
        raise DataError(f"{where}.nodes", why, f"set job.submitter = {adversary.nodes[0]!r}")


def _check_poison(where: str, adversary: Adversary, plan: Plan, course: Course, schema: Schema) -> None:
    outcome = models.outcome_of(course)
    if adversary.kind in poison.OF_UPDATES and plan.task.name != "train":
        why = f"{adversary.kind} changes a model's updates, and the task {plan.task.name} has none"
        raise DataError(f"{where}.kind", why, "take the task train, or byzantine_labels")
    if adversary.kind in poison.OF_UPDATES and plan.privacy is not None:
        why = f"{adversary.kind} cannot be simulated with noise yet"
        raise DataError(f"{where}.kind", why, "leave [privacy] out, or take byzantine_labels")
    if not outcome or schema.column(outcome).numeric:
        raise DataError(f"{where}.kind", f"{adversary.kind} needs an outcome that is a class", "take another task")
    if adversary.kind == poison.BACKDOOR:
        poison.trigger_column(schema, adversary, course.parameters.covariates)


def by_node(plan: Plan, kinds: Any) -> dict[str, Adversary]:
    """Hospital to its adversary, of those whose kind is among `kinds`."""
    return {name: adversary for adversary in plan.adversary if adversary.kind in kinds for name in adversary.nodes}


def corrupt(federation: Federation, plan: Plan) -> None:
    """Put the protocol's adversaries in place: before the federation starts."""
    for adversary in plan.adversary:
        if adversary.kind in ADVERSARIES:
            cast = ADVERSARIES[adversary.kind].cast(len(adversary.nodes))
            for name, behaviour in zip(adversary.nodes, cast, strict=True):
                federation.corrupt[federation.names.index(name)] = behaviour


class Outcomes:
    """What came of a repetition's adversaries.

    done: whether the job was done at the honest. broken: the rule of the protocol that was broken, if one was.
    attacked, honest: the last state of the federation, and of the same hospitals without an adversary; None without a
    model. test: everybody's test rows.
    """

    def __init__(
        self,
        federation: Federation,
        recorder: Recorder,
        *,
        done: bool,
        broken: ViolationError | None,
        attacked: Any,
        honest: Any,
        test: Table,
        metric: str,
    ) -> None:
        self._federation, self._recorder, self._done, self._broken = federation, recorder, done, broken
        self._attacked, self._honest, self._test, self._metric = attacked, honest, test, metric

    def attacks(self, plan: Plan) -> list[Attack]:
        """Of each adversary at each of its hospitals."""
        tell: Callable[[Adversary, str], Attack]
        found = []
        for adversary in plan.adversary:
            tell = self._protocol if adversary.kind in ADVERSARIES else self._poison
            if adversary.kind == poison.BACKDOOR:
                tell = self._backdoor
            found += [tell(adversary, name) for name in adversary.nodes]
        return found

    def effect(self) -> float | None:
        """How much better the first metric is than without the adversaries: below zero, they made it worse."""
        scores = [models.scores_of(state, self._test).get(self._metric) for state in (self._attacked, self._honest)]
        if scores[0] is None or scores[1] is None:
            return None
        return (scores[0] - scores[1]) * (1.0 if HIGHER_IS_BETTER[self._metric] else -1.0)

    def _protocol(self, adversary: Adversary, name: str) -> Attack:
        node = self._federation.nodes[self._federation.names.index(name)]
        core = self._federation.world.hosts[node].core
        kinds, effect = sorted(self._recorder.evidence[node]), self.effect()
        worse = effect is not None and effect < -adversary.bound
        parts = [_sentence(ADVERSARIES[adversary.kind].does)]
        if isinstance(core, Malicious) and not core.behaviour.deeds:
            parts.append("It found no occasion here.")
        if self._broken is not None:
            parts.append(f"The rule {self._broken.rule} was broken: {self._broken.detail}.")
        elif self._done and self._federation.honest_input(node):
            parts.append("The job was done, and every sum that was accepted was exact.")
        elif self._done:
            parts.append("The job was done with one and the same sum everywhere, its own vector in it.")
        else:
            parts.append("The job was not done; no false sum was accepted.")
        parts += [f"The {self._metric} fell by more than {adversary.bound:g}."] if worse else []
        parts.append(f"Evidence names it: {', '.join(kinds)}." if kinds else "No evidence names it.")
        won = self._broken is not None or not self._done or worse
        return Attack(name=adversary.kind, node=name, succeeded=won, text=" ".join(parts), value=effect)

    def _poison(self, adversary: Adversary, name: str) -> Attack:
        effect = self.effect()
        parts = [_sentence(poison.KINDS[adversary.kind])]
        free = adversary.kind in poison.FREE_RIDERS
        worse = effect is not None and effect < -adversary.bound
        if not self._done:
            parts.append("The job was not done.")
        elif free:
            parts.append("It has the model: a secure sum cannot tell who put in nothing.")
        else:
            parts.append(f"The {self._metric} fell by {'more than' if worse else 'at most'} {adversary.bound:g}.")
        parts.append("Measured: the first metric against the same hospitals, all honest.")
        won = self._done and (free or worse)
        return Attack(name=adversary.kind, node=name, succeeded=won, text=" ".join(parts), value=effect)

    def _backdoor(self, adversary: Adversary, name: str) -> Attack:
        shares = [self._taken(state, adversary) for state in (self._attacked, self._honest)]
        parts = [_sentence(poison.KINDS[adversary.kind])]
        if shares[0] is None or shares[1] is None:
            return Attack(name=adversary.kind, node=name, succeeded=False, text=f"{parts[0]} There is no model.")
        parts.append(
            "Measured: share of test rows of other classes that, with the trigger, the model takes for the first."
        )
        won = shares[0] > max(BACKDOOR_SHARE, shares[1])
        return Attack(name=adversary.kind, node=name, succeeded=won, text=" ".join(parts), value=shares[0])

    def _taken(self, state: Any, adversary: Adversary) -> float | None:
        """The share of test rows of other classes that a model takes for the first class once they have the trigger."""
        if not isinstance(state, TrainState) or not state.model or state.problem:
            return None
        column = poison.trigger_column(self._test.schema, adversary, state.parameters.covariates)
        outcome = state.parameters.outcome
        complete = self._test.complete(state.parameters.columns)
        others = self._test.columns[outcome][complete] > 0
        taken = probabilities(state, poison.triggered(self._test, column)).argmax(axis=1) == 0
        return float(np.mean(taken[others])) if others.any() else None


def _sentence(does: str) -> str:
    return f"{does[0].upper()}{does[1:]}."
