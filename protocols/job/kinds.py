"""The records that make a job: the proposal, each hub's decision, the cohort, and how it ended.

A job's id is the digest of its `job` record; every other record of the job has that id, in hexadecimal, as its subject.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

from protocols.groups import Standing
from protocols.message import Digest, Id, Message
from protocols.privacy.accounting import RHO_MAX
from protocols.records.kind import Kind
from protocols.records.record import Record
from protocols.secagg.cohort import MEMBERS_MIN, SUITE_AES256_CTR
from protocols.secagg.messages import MEMBERS_MAX

JOB: Final = "job"
DECISION: Final = "decision"
COHORT: Final = "cohort"
CANCEL: Final = "cancel"
OUTCOME: Final = "outcome"

PARAMETERS_BYTES_MAX: Final = 64 * 1024
"""A task's parameters as JSON: names of columns and a few numbers."""
TEXT_CHARS_MAX: Final = 500
"""Reasons and purposes are a sentence or two."""
ROUNDS_MAX: Final = 100_000
JOBS_PER_AUTHOR_MAX: Final = 10_000
"""Jobs that one hub may have proposed and not withdrawn: years of daily use."""
OPEN_JOBS_PER_AUTHOR_MAX: Final = 64
"""Jobs of one author that a hub lives at a time, those that have not ended: it takes up no more before one has."""
ANSWERS_PER_AUTHOR_MAX: Final = JOBS_PER_AUTHOR_MAX * MEMBERS_MAX
"""Each hub answers everybody's jobs: with the room of one author, one author could use up everybody's."""
COLLECT_S_MAX: Final = 30 * 86_400.0
"""A collection waits for data managers for a month at most."""

DELTA_MAX: Final = 0.1
"""A larger chance of no privacy at all is none."""

Text = Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX)]
Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
"""A task's or data set's name."""


class DataRef(Message, frozen=True):
    """The data set that a job is about. schema: digest of the schema that every site must have registered."""

    name: Name
    version: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,32}\Z")]
    schema: Digest


class Privacy(Message, frozen=True):
    """The noise that every member adds, so that the sums show little of one record, or of one site.

    unit: what it hides. rho: what all rounds together cost in zCDP (`privacy.accounting`), spread evenly over
    `rounds_max`, with the noise of `colluders` members not counted. delta: at which people are told an epsilon.
    """

    unit: Literal["record", "site"]
    rho: Annotated[float, msgspec.Meta(gt=0, le=RHO_MAX)]
    delta: Annotated[float, msgspec.Meta(gt=0, le=DELTA_MAX)]


class Continues(Message, frozen=True):
    """Where a successor starts: after `round` sums of another job, at the history that their certificate names.

    round: 0 where nothing of it was certified. history: H_round of that job.
    """

    job: Digest
    round: Annotated[int, msgspec.Meta(ge=0, le=ROUNDS_MAX)]
    history: Digest


class JobSpec(Message, frozen=True):
    """Body of a `job` record: what a hub asks of others.

    task, parameters: what is computed (parameters as JSON). data: on what; None for a task without data. purpose: why,
    for policies and people. members: exactly these, or empty for whoever joins. min_nodes, max_nodes: of the cohort.
    collect_s: how long decisions are collected. rounds_max: of sums. word_bits, holders, colluders, suite: of the sum.
    min_rows: sites with fewer refuse. on_drop: what happens when a member is missing for long (`succession`). readers:
    hubs beside cohort and submitter that may fetch the result. privacy: None for exact sums. continues: None unless
    the job is another's successor.
    """

    task: Name
    parameters: Annotated[bytes, msgspec.Meta(max_length=PARAMETERS_BYTES_MAX)]
    data: DataRef | None
    purpose: Text
    members: Annotated[tuple[Id, ...], msgspec.Meta(max_length=MEMBERS_MAX)] = ()
    min_nodes: Annotated[int, msgspec.Meta(ge=MEMBERS_MIN, le=MEMBERS_MAX)] = MEMBERS_MIN
    max_nodes: Annotated[int, msgspec.Meta(ge=MEMBERS_MIN, le=MEMBERS_MAX)] = MEMBERS_MAX
    collect_s: Annotated[float, msgspec.Meta(ge=0, le=COLLECT_S_MAX)] = 86_400.0
    rounds_max: Annotated[int, msgspec.Meta(ge=1, le=ROUNDS_MAX)] = 100
    word_bits: Literal[32, 64] = 64
    holders: Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)] = 2
    colluders: Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)] = 1
    suite: Literal[1, 2] = SUITE_AES256_CTR
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 10
    on_drop: Literal["wait", "go_on"] = "wait"
    readers: Annotated[tuple[Id, ...], msgspec.Meta(max_length=MEMBERS_MAX)] = ()
    privacy: Privacy | None = None
    continues: Continues | None = None


class Answer(StrEnum):
    """What a hub says to a job. ask: a person decides; wait: it would join once another job is settled."""

    JOIN = "join"
    ASK = "ask"
    WAIT = "wait"
    REFUSE = "refuse"


class Decision(Message, frozen=True):
    """Body of a `decision` record. A later one takes an earlier one's place until the cohort names it.

    answer: see there. reason: in words, where it is not join. standing: how
    the hub stands towards the data set (`groups`); free hubs of a cohort become one group by joining it.
    """

    answer: Answer
    reason: Text = ""
    standing: Standing = Standing.FREE


class CohortBody(Message, frozen=True):
    """Body of a `cohort` record: the job's members, fixed for good.

    members: sorted. decisions: for each of them the digest of its `decision` record, which says join.
    """

    members: Annotated[tuple[Id, ...], msgspec.Meta(min_length=MEMBERS_MIN, max_length=MEMBERS_MAX)]
    decisions: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=MEMBERS_MIN, max_length=MEMBERS_MAX)]


class Cancel(Message, frozen=True):
    """Body of a `cancel` record, by the submitter's hub. reason: for people."""

    reason: Text


class Outcome(Message, frozen=True):
    """Body of an `outcome` record: how the job ended for its author.

    done: whether it has its result. history: the last history it holds a certificate for. reason: why not done.
    """

    done: bool
    rounds: Annotated[int, msgspec.Meta(ge=0, le=ROUNDS_MAX)]
    history: Digest
    reason: Text = ""


def _check_job(_: Record, spec: JobSpec) -> str | None:
    if list(spec.members) != sorted(set(spec.members)):
        return "a job's members are listed in order, each once"
    if spec.members and not spec.min_nodes <= len(spec.members) <= spec.max_nodes:
        return "a job's list of members does not fit its min_nodes and max_nodes"
    if spec.min_nodes > spec.max_nodes:
        return "a job's min_nodes is above its max_nodes"
    if spec.continues is not None and not spec.members:
        return "a successor lists its members"
    return None


def _check_cohort(_: Record, body: CohortBody) -> str | None:
    if list(body.members) != sorted(set(body.members)) or len(body.members) != len(body.decisions):
        return "a cohort lists its members in order, each with its decision"
    return None


_SMALL: Final = 4096
"""Bytes of a body without lists."""

JOB_KINDS: Final = (
    Kind(JOB, JobSpec, PARAMETERS_BYTES_MAX + 20_000, JOBS_PER_AUTHOR_MAX, check=_check_job, final=True),
    Kind(DECISION, Decision, _SMALL, ANSWERS_PER_AUTHOR_MAX),
    Kind(COHORT, CohortBody, 128 * MEMBERS_MAX, JOBS_PER_AUTHOR_MAX, check=_check_cohort, final=True),
    Kind(CANCEL, Cancel, _SMALL, JOBS_PER_AUTHOR_MAX, final=True),
    Kind(OUTCOME, Outcome, _SMALL, ANSWERS_PER_AUTHOR_MAX, final=True),
)
