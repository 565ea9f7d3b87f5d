"""Members that abuse the exchange of records: forks, floods, records in others' names, bodies that are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from protocols.core import Effect, Event, Received, Send
from protocols.identity import NodeId
from protocols.job.kinds import CANCEL, DECISION, OUTCOME, Answer, Cancel, Decision, Outcome
from protocols.job.life import ENDED
from protocols.membership.bodies import Admission, Revocation
from protocols.membership.bodies import Node as NodeBody
from protocols.membership.kinds import ADMISSION, NODE, REVOCATION
from protocols.message import Message
from protocols.records.messages import Records, Summary
from protocols.records.record import Record
from simulations.adversaries.telling import Teller, body_of

RECORDS_MAX: Final = 400
"""Records that a flood takes in one life: a dozen times what an author may supersede at once."""


class ForkedRecords(Teller):
    """Tells some peers one decision and the rest another of the same sequence, both to join; likewise of itself."""

    def told(self, record: Record, to: NodeId, now: float) -> Sequence[Record]:
        """The other one."""
        if record.kind not in (DECISION, NODE):
            return (record,)
        if to not in self.once((record.kind, record.subject, "whom"), lambda: self.some(self.others())):
            return (record,)
        self.did("fork")
        return (self.record(record.kind, record.subject, self._other(record), record.sequence),)

    def _other(self, record: Record) -> Message:
        if record.kind == NODE:
            return msgspec.structs.replace(body_of(record, NodeBody), version="2")
        return msgspec.structs.replace(body_of(record, Decision), reason="the same, in other words")


class RecordFlood(Teller):
    """Supersedes its description of itself again and again."""

    def __init__(self) -> None:
        self._sequence = 1

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Some more of them with each message that comes."""
        if not isinstance(event, Received) or self._sequence >= RECORDS_MAX:
            return ()
        sends = []
        for _ in range(self.chance.randint(1, 10)):
            self._sequence += 1
            self.did("superseded")
            sends += self.to_all(self.next(self._sequence))
        return sends

    def next(self, sequence: int) -> Record:
        """The next record of the flood."""
        body = NodeBody("flood", "FLOOD", (f"h{sequence}.example:7667",), "1")
        return self.record(NODE, self.me, body, sequence)


class DecisionFlood(Teller):
    """Supersedes its decision on each open job again and again, always to join: the one that is named gets lost."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """Some more of them with each message that comes."""
        if not isinstance(event, Received) or self.deeds.total() >= RECORDS_MAX:
            return ()
        sends: list[Send] = []
        for job in self.hub.node.jobs.values():
            known = self.hub.node.store.get(DECISION, self.me, job.subject)
            if job.state in ENDED or known is None:
                continue
            first = self.once(job.job, lambda: [known.record.sequence])  # noqa: B023 - called at once
            for _ in range(self.chance.randint(1, 4)):
                first[0] += 1
                self.did("decided again")
                standing = body_of(known.record, Decision).standing
                decision = Decision(Answer.JOIN, f"for the {first[0]}th time", standing)
                sends += self.to_all(self.record(DECISION, job.subject, decision, first[0]))
        return sends


class ForgedRecords(Teller):
    """Sends records in others' names, and acts that are not its own to do."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """A forgery for each summary that comes, and for some of the rest."""
        if not isinstance(event, Received) or not (isinstance(event.message, Summary) or self.chance.random() < 0.1):
            return ()
        jobs = [*self.hub.node.jobs.values()]
        if not jobs or self.deeds.total() >= RECORDS_MAX:
            return ()
        self.did("forgery")
        victim = self.chance.choice(self.others())
        return [Send(event.sender, Records((self._forged(victim, self.chance.choice(jobs).subject),)))]

    def _forged(self, victim: NodeId, job: str) -> Record:
        bodies: tuple[tuple[str, str, Message], ...] = (
            (DECISION, job, Decision(Answer.REFUSE, "not me")),
            (CANCEL, job, Cancel("not me")),
            (OUTCOME, job, Outcome(False, 0, bytes(32), "not me")),
            (REVOCATION, victim, Revocation("not me", ())),
            (ADMISSION, self.me, Admission(bytes(32), "not me", "NOT ME")),
        )
        kind, subject, body = self.chance.choice(bodies)
        record = self.record(kind, subject, body)
        if kind in (REVOCATION, ADMISSION) and self.chance.random() < 0.5:
            return record  # its own signature, on what only a steward may write
        if kind in (DECISION, OUTCOME, CANCEL) or self.chance.random() < 0.5:
            return msgspec.structs.replace(record, author=victim)
        return msgspec.structs.replace(record, signature=self.draw(64))


class MalformedRecords(Teller):
    """Sends well signed records with bodies that are none, of unknown kinds, of absurd sequences."""

    def act(self, event: Event, now: float) -> Iterable[Effect]:
        """One for some of what comes."""
        if not isinstance(event, Received) or self.deeds.total() >= RECORDS_MAX or self.chance.random() < 0.7:
            return ()
        self.did("malformed record")
        jobs = [job.subject for job in self.hub.node.jobs.values()]
        return [Send(event.sender, Records((self._malformed(self.chance.choice([*jobs, "", "nothing"])),)))]

    def _malformed(self, subject: str) -> Record:
        kind = self.chance.choice((DECISION, CANCEL, OUTCOME, NODE, "job", "cohort", "group", "dataset", "unheard_of"))
        record = self.record(kind, subject, Decision(Answer.JOIN), self.chance.choice((1, 2, 2**62)))
        way = self.chance.randrange(3)
        body = (record.body, self.draw(self.chance.randint(0, 200)), record.body + b"\xc0")[way]
        return self.record(kind, subject, msgspec.Raw(body), record.sequence)
