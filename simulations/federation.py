"""A whole federation in one virtual world: a founder who is the only steward, members, their workers and policies."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from protocols.core import Core, Effect, Event
from protocols.identity import Identity, NodeId
from protocols.job.events import Decide, Moved
from protocols.job.job import Job
from protocols.job.kinds import JOB, Answer, JobSpec
from protocols.job.life import ENDED, State
from protocols.kinds import KINDS
from protocols.membership.acts import admit, describe, revoke
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.charter import Charter, Steward, found
from protocols.membership.store import open_store
from protocols.node import ForJob
from protocols.records.events import Publish
from protocols.records.record import Record
from simulations.adversaries.adversary import Adversary, MakeBehaviour
from simulations.hub import Hub, Policy, Worker
from simulations.world import Host, World

MIN_COHORT: Final = 3
RUN_S: Final = 24 * 3600.0
"""Virtual seconds after which nobody waits any longer for a job."""


def join_all(_: Job) -> Decide | None:
    """The policy of a site that takes part in everything."""
    return Decide(Answer.JOIN)


def identities(seed: int, n: int) -> list[Identity]:
    """n key pairs, drawn from the seed, in the order of their node ids: never for anything but a simulation."""
    made = [Identity(hashlib.sha256(f"simulated hub {seed}/{k}".encode()).digest()) for k in range(n)]
    return sorted(made, key=lambda identity: identity.node)


class Federation:
    """n hubs in a world. Hub 0 founded it; `nodes` are their ids, in order."""

    def __init__(
        self,
        world: World,
        workers: Sequence[Worker],
        *,
        names: Sequence[str] = (),
        keys: Sequence[Identity] = (),
        policies: Sequence[Policy] = (),
        min_cohort: int = MIN_COHORT,
        introduced: bool = True,
    ) -> None:
        """keys: of the hubs; drawn from the world's seed if none are given.

        introduced: whether each hub knows all members from the start, or only the founder and itself.
        """
        n = len(workers)
        self.world, self.workers, self.min_cohort = world, list(workers), min_cohort
        self.identities = list(keys) or identities(world.seed, n)
        self.nodes: list[NodeId] = [identity.node for identity in self.identities]
        self.places = {node: i for i, node in enumerate(self.nodes)}
        self.names = list(names) or [f"h{k}" for k in range(n)]
        self.policies: list[Policy] = list(policies) or [join_all] * n
        self.corrupt: dict[int, MakeBehaviour] = {}
        """Hubs that are adversaries from their next start on."""
        self._honest_inputs: dict[int, bool] = {}
        self.unsound: set[NodeId] = set()
        """Nodes that follow the protocol but lost what they had made durable."""
        steward = (Steward(self.nodes[0], self.names[0].upper()),)
        self.charter = found(self.identities[0], Charter("simulated", steward, 1, min_cohort, 1))
        self._store, self._roster = open_store(self.charter, KINDS)
        self._changes = 0
        """Rises whenever the state of a job may have changed anywhere."""
        world.on_effect(Moved, self._changed)
        self.members: list[Record] = []
        """The records by which the hubs are members."""
        for i in range(n):
            self._add(i)
        for i, node in enumerate(self.nodes):
            records = self.members if introduced else [*self.members[:1], *self._of(i)]
            world.hosts[node].disk.extend(records)

    def _add(self, i: int) -> None:
        identity, name = self.identities[i], self.names[i]
        body = NodeBody(name, name.upper(), (f"{name}.example:7667",), "1")
        about = describe(identity, self._roster.federation, body)
        self.members.append(about)
        if i:
            self.members.append(admit(self.identities[0], self._roster, self._store, about))
        self.world.add(self.nodes[i], functools.partial(self._make, i))

    def _of(self, i: int) -> list[Record]:
        return [r for r in self.members if self.nodes[i] in (r.author, r.subject)]

    def _make(self, i: int, disk: list[object]) -> tuple[Core, Callable[[float], Sequence[Effect]]]:
        life = self.world.hosts[self.nodes[i]].life
        self._changes += 1
        draw = self.world.draw(f"{i}/{life}")
        hub = Hub(self.identities[i], self.charter, draw, self.workers[i], self.policies[i], disk)
        if i not in self.corrupt:
            return hub, hub.start
        behaviour = self.corrupt[i]()
        self._honest_inputs[i] = behaviour.honest_input
        behaviour.begin(hub, self.identities[i], self.world.draw(f"adversary {i}/{life}"))
        adversary = Adversary(hub, behaviour)
        return adversary, adversary.start

    def _changed(self, _host: Host, _effect: object) -> None:
        self._changes += 1

    # -- acting ---------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start all hubs."""
        self.world.boot(*self.nodes)

    def join(self, worker: Worker, name: str, policy: Policy = join_all) -> int:
        """Somebody new is admitted by the founder and started; its place."""
        i = len(self.nodes)
        self.identities.append(identities(self.world.seed + 1_000_003 * i, 1)[0])
        self.nodes.append(self.identities[i].node)
        self.places[self.nodes[i]] = i
        self.names.append(name)
        self.workers.append(worker)
        self.policies.append(policy)
        self._add(i)
        fresh = self._of(i)
        self.world.hosts[self.nodes[i]].disk.extend([*(held.record for held in self.hub(0).node.store.find()), *fresh])
        self.feed(0, Publish(tuple(fresh)))
        self.world.boot(self.nodes[i])
        return i

    def revoke(self, i: int, reason: str = "it left") -> None:
        """The founder revokes a member."""
        node = self.hub(0).node
        self.feed(0, Publish((revoke(self.identities[0], node.roster, node.store, self.nodes[i], reason),)))

    def submit(self, i: int, spec: JobSpec) -> bytes:
        """Propose a job from hub i; its id."""
        node = self.hub(i).node
        record = node.sign(JOB, f"job-{self.world.now}-{len(node.jobs)}", spec)
        self.feed(i, Publish((record,)))
        return node.store.digest_of(record)

    def feed(self, i: int, event: Event) -> None:
        """Tell hub i of an event."""
        self.world.feed(self.nodes[i], event)

    def decide(self, i: int, job: bytes, answer: Answer, reason: str = "") -> None:
        """A data manager answers at hub i."""
        self.feed(i, ForJob(job, Decide(answer, reason)))

    # -- looking --------------------------------------------------------------------------------------------------

    def up(self, i: int) -> bool:
        """Whether hub i runs."""
        return self.world.hosts[self.nodes[i]].core is not None

    def hub(self, i: int) -> Hub:
        """Hub i, which must be running."""
        return self.hub_of(self.world.hosts[self.nodes[i]])

    def hub_of(self, host: Host) -> Hub:
        """The hub on a host, which must be running; of an adversary, the one inside."""
        hub = host.core.hub if isinstance(host.core, Adversary) else host.core
        if not isinstance(hub, Hub):
            raise LookupError(f"{host.node} is down")
        return hub

    def honest_input(self, node: NodeId) -> bool:
        """Whether a node's vectors are those that its worker made, whatever else it does."""
        return self.honest(node) or self._honest_inputs.get(self.places[node], False)

    def honest(self, node: NodeId) -> bool:
        """Whether a node follows the protocol."""
        return node not in self.unsound and self.places[node] not in self.corrupt

    def job(self, i: int, job: bytes) -> Job:
        """A job as hub i sees it."""
        return self.hub(i).node.jobs[job]

    def states(self, job: bytes, which: Sequence[int] | None = None) -> list[State | None]:
        """The job's state at each hub that runs and knows it, else None."""
        places = range(len(self.nodes)) if which is None else which
        return [self.job(i, job).state if self.up(i) and job in self.hub(i).node.jobs else None for i in places]

    def moves(self, i: int, job: bytes) -> list[tuple[State, str]]:
        """How the job moved at hub i, and why, if the world records."""
        return [
            (e.state, e.reason)
            for _, node, e in self.world.observed
            if isinstance(e, Moved) and node == self.nodes[i] and e.job == job
        ]

    def run_until_over(self, job: bytes, which: Sequence[int] | None = None, seconds: float = RUN_S) -> bool:
        """Run until the job has ended at all of these hubs."""
        seen = (-1, False)

        def over() -> bool:
            nonlocal seen
            if seen[0] != self._changes:
                seen = self._changes, all(state in ENDED for state in self.states(job, which))
            return seen[1]

        return self.world.run(over, seconds)
