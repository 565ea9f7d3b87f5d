"""What happened in one seed of a trial, as lines for people: faults, moves of jobs, pauses, refusals, evidence."""

from __future__ import annotations

from collections.abc import Callable

from protocols.core import Refused
from protocols.job.events import Moved
from protocols.node import InJob
from protocols.secagg.effects import Certified, Evidence, Paused, Resumed, Retried
from simulations.federation import Federation
from simulations.world import Host

Tell = Callable[[float, str, str], None]
"""Is given the time, the node's name ("" for all) and what happened."""


class Telling:
    """Watches a federation and tells."""

    def __init__(self, federation: Federation, tell: Tell) -> None:
        self._federation, self._tell = federation, tell
        world = federation.world
        world.on_effect(Moved, self._moved)
        world.on_effect(Refused, self._refused)
        world.on_effect(InJob, self._in_job)
        world.on_fact(Certified, self._certified)

    def _say(self, host: Host, text: str) -> None:
        self._tell(self._federation.world.now, self._name(host.node), self._named(text))

    def _name(self, node: str) -> str:
        places = self._federation.places
        return next((self._federation.names[i] for known, i in places.items() if known == node), node)

    def _named(self, text: str) -> str:
        for node, i in self._federation.places.items():
            text = text.replace(node, self._federation.names[i])
        return text

    def _moved(self, host: Host, effect: Moved) -> None:
        self._say(host, f"job {effect.job.hex()[:6]} is {effect.state}{f': {effect.reason}' if effect.reason else ''}")

    def _refused(self, host: Host, effect: Refused) -> None:
        self._say(host, f"refuses {effect.code}: {effect.detail}")

    def _certified(self, host: Host, fact: Certified) -> None:
        certificate = fact.certificate
        self._say(host, f"job {certificate.job.hex()[:6]} has the sum of round {certificate.round}")

    def _in_job(self, host: Host, effect: InJob) -> None:
        match effect.effect:
            case Paused(missing=missing):
                self._say(host, f"pauses, missing {', '.join(missing)}")
            case Resumed():
                self._say(host, "goes on")
            case Retried(attempt=attempt, reason=reason):
                self._say(host, f"begins attempt {attempt}: {reason}")
            case Evidence(author=author, kind=kind):
                self._say(host, f"has evidence against {author}: {kind}")
