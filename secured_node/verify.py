"""Checking a job's result without trusting whoever handed it over: from the charter to the last certified sum.

Checked: every record's signature; the cohort is the submitter's and names decisions to join; each round's certificate
has t votes of its members for a history that follows from the one before and from that round's sum; of a successor,
that the job before it, proved in the same way up to the named round, may be continued so. Not checked: that
the result follows from the sums (run the task again for that), nor who was a member when: the federation's id is for
the reader to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from protocols.errors import LocalError, PeerError
from protocols.identity import NodeId
from protocols.job.cohorting import check_cohort, cohort_of
from protocols.job.kinds import COHORT, DECISION, CohortBody, Decision, JobSpec
from protocols.job.life import State
from protocols.job.succession import against_following
from protocols.kinds import KINDS
from protocols.membership.charter import federation_of, read_charter
from protocols.records.record import Record, check_signature, record_digest
from protocols.secagg.messages import MEMBERS_MAX, Certificate
from protocols.secagg.signing import first_history, next_history, verify_votes


class ProofError(Exception):
    """The chain does not hold: where, and why."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A job as its chain proves it: what whoever judges its successor has to know of it (`succession.Earlier`)."""

    job: bytes
    author: NodeId
    spec: JobSpec
    body: CohortBody
    rounds_done: int
    history: bytes
    federation: bytes
    before: tuple[tuple[int, int], ...]
    """Members and number of the sums that it takes over from each earlier job."""
    state: State = State.CANCELLED
    voted: bool = False


def verify_chain(chain: dict[str, Any]) -> dict[str, Any]:
    """Check a chain as `Service.chain` gives it; what was proved. Raises `ProofError`."""
    try:
        return _told(_verify(chain), _record(chain["charter"]))
    except (PeerError, LocalError) as error:
        raise ProofError(str(error)) from None
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        raise ProofError("the chain is incomplete or is none") from None


def _told(proved: Proved, charter: Record) -> dict[str, Any]:
    return {
        "federation": read_charter(charter).name,
        "federation_id": proved.federation.hex(),
        "job": proved.job.hex(),
        "task": proved.spec.task,
        "submitter": proved.author,
        "members": list(proved.body.members),
        "rounds": proved.rounds_done,
        "history": proved.history.hex(),
        "before": [list(part) for part in proved.before],
    }


def _verify(chain: dict[str, Any], depth: int = 0) -> Proved:
    if depth > MEMBERS_MAX:
        raise ProofError("the chain continues more jobs than there can be")
    charter = _record(chain["charter"])
    name = read_charter(charter)
    federation = federation_of(charter)
    proposal = _record(chain["job"])
    check_signature(federation, proposal)
    spec = KINDS.hold(federation, proposal).body
    if not isinstance(spec, JobSpec):
        raise ProofError("the chain's job record is of another kind")
    before = _before(chain, federation, proposal, spec, depth)
    job = record_digest(federation, proposal)
    cohort_digest, body = _cohort(chain, federation, proposal, spec, name.min_cohort)
    cohort = cohort_of(spec, job, body)
    history = first_history(job, cohort_digest)
    for number, (certificate_hex, total_hex) in enumerate(chain["rounds"], 1):
        certificate = msgspec.msgpack.decode(bytes.fromhex(certificate_hex), type=Certificate)
        if (certificate.job, certificate.round) != (job, number) or any(v.attempt for v in certificate.votes):
            raise ProofError(f"round {number}: its certificate is another's, or was changed")
        verify_votes(cohort, certificate.votes, number, certificate.history)
        history = next_history(history, number, np.frombuffer(bytes.fromhex(total_hex), np.uint8))
        if history != certificate.history:
            raise ProofError(f"round {number}: the sum does not lead to the certified history")
    return Proved(job, proposal.author, spec, body, len(chain["rounds"]), history, federation, before)


def _before(
    chain: dict[str, Any], federation: bytes, proposal: Record, spec: JobSpec, depth: int
) -> tuple[tuple[int, int], ...]:
    """What a successor takes over, once the job before it is proved, too."""
    if spec.continues is None:
        return ()
    earlier = _verify(chain["before"], depth + 1)
    if (earlier.federation, earlier.job) != (federation, spec.continues.job):
        raise ProofError("the chain continues another job than its record names")
    objection = against_following(spec, proposal.author, earlier)
    if objection is not None:
        raise ProofError(f"the job may not continue the one before it: {objection.reason}")
    return (*earlier.before, (len(earlier.body.members), earlier.rounds_done))


def _cohort(
    chain: dict[str, Any], federation: bytes, proposal: Record, spec: JobSpec, min_cohort: int
) -> tuple[bytes, CohortBody]:
    subject = record_digest(federation, proposal).hex()
    decisions: dict[bytes, tuple[Any, Decision]] = {}
    cohorts: list[tuple[bytes, CohortBody]] = []
    for record in map(_record, chain["records"]):
        check_signature(federation, record)
        digest, body = record_digest(federation, record), KINDS.hold(federation, record).body
        if record.subject != subject:
            raise ProofError("a record of the chain is about another job")
        if record.kind == DECISION:
            decisions[digest] = (record.author, body)
        elif record.kind == COHORT and record.author == proposal.author:
            cohorts.append((digest, body))
    if len(cohorts) != 1:
        raise ProofError(f"the chain has {len(cohorts)} cohort records by the submitter; it must be one")
    fault = check_cohort(spec, cohorts[0][1], decisions, min_cohort).fault
    if fault:
        raise ProofError(fault)
    return cohorts[0]


def _record(text: str) -> Record:
    return msgspec.msgpack.decode(bytes.fromhex(text), type=Record)
