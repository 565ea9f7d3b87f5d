"""What a study found: plain, frozen, typed values that go to JSON and back, and to data frames (`frames`).

Times with the ending `_s` are virtual seconds since the job was proposed; `wall_s` alone is real time. A value that
cannot be had (the area under the curve on rows of one class, say) is None, never NaN: JSON has no NaN. Nothing here is
a row of anybody's data: scores, estimates, counts, times, and texts that the software wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from secured_node.data.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Final = 1
"""Of the JSON; another number is another layout."""

EVERYWHERE: Final = "all"
"""As a hospital that a model is tested on: the test rows of all hospitals together."""

Arm = Literal["alone", "federated", "pooled"]
"""Who computed: one hospital with its own rows; all with the protocol; one table of all rows, which nobody has."""


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values here."""


class Score(_Value, frozen=True, kw_only=True):
    """How well a model does on test rows.

    arm: who made it. hospital: which one, of an ``alone`` model; ``founders``, of a ``federated`` model that was made
    before others joined; "" otherwise. tested_on: the hospital whose test rows these are, or `EVERYWHERE`. metric:
    ``auc``, ``log_loss``, ``brier``, ``accuracy``, ``rmse``, ``r2``, ``coefficient_error`` (largest difference to the
    pooled fit's estimates, in pooled standard errors). rows: test rows that have all columns of the model. value: None
    where it is not defined.
    """

    arm: Arm
    hospital: str
    tested_on: str
    metric: str
    rows: int
    value: float | None


class Estimate(_Value, frozen=True, kw_only=True):
    """A number that a task estimates: a coefficient of a model, a mean of a column. standard_error: None if it has
    none."""

    arm: Arm
    hospital: str
    term: str
    value: float | None
    standard_error: float | None = None


class NodeResult(_Value, frozen=True, kw_only=True):
    """One hospital in one repetition.

    rows: train and test rows together; train_rows, test_rows: of them. positives: train rows with the modelled outcome,
    None for an outcome that is a number. sent_bytes, received_bytes, sent_messages, received_messages: of its hub.
    state: of the job at the end; ``took no part`` of a hub that is not in the cohort, ``left the federation`` of one
    that did, ``down`` of one that does not run, ``unknown`` of one that never heard of it. reason: why, in the hub's
    words. drop_outs: how often it crashed or
    was cut off. joined_s: when it came, 0 for a founder.
    """

    name: str
    rows: int
    train_rows: int
    test_rows: int
    positives: int | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_messages: int = 0
    received_messages: int = 0
    state: str = "unknown"
    reason: str = ""
    drop_outs: int = 0
    joined_s: float = 0.0


class RoundResult(_Value, frozen=True, kw_only=True):
    """One secure sum of the study's job.

    started_s: when the first hospital began its vector. certified_s: when the first, and all_s: when the last member
    had the certificate (None: not all did). attempts: how many it took. sent_bytes: by all hubs, from the start of this
    round to the start of the next. metrics: of the model after this sum, on everybody's test rows; empty where the task
    has no model yet.
    """

    number: int
    started_s: float
    certified_s: float
    all_s: float | None
    attempts: int
    sent_bytes: int
    metrics: dict[str, float | None]


class Moment(_Value, frozen=True, kw_only=True):
    """Something that happened, for a timeline. node: "" for the whole network. kind: ``fault``, ``move`` (of the job),
    ``pause``, ``retry``, ``refusal``, ``evidence``, ``failure``, ``attack``, ``alone`` (a hospital's own rows give no
    model)."""

    at_s: float
    node: str
    kind: str
    text: str


class SentMessage(_Value, frozen=True, kw_only=True):
    """One message of the round that is drawn as a sequence. received_s: None if it was lost. size: bytes on the wire,
    payload included. type: the message's name in the protocol."""

    sent_s: float
    received_s: float | None
    sender: str
    to: str
    type: str
    size: int
    lost: bool


class Attack(_Value, frozen=True, kw_only=True):
    """What an adversary tried and what came of it. succeeded: whether it got what it wanted. value: a measure, if the
    attack has one."""

    name: str
    node: str
    succeeded: bool
    text: str
    value: float | None = None


class Failure(_Value, frozen=True, kw_only=True):
    """A task that raised at a node. round: 0 while the data were prepared. error: what it said."""

    node: str
    round: int
    error: str


class Repetition(_Value, frozen=True, kw_only=True):
    """One run of the scenario.

    seed: of the split, the network, the hubs' randomness and the task. trace_hash: over everything that happened, in
    hexadecimal: the same seed and version give the same. virtual_s: until the job was over, or was given up. events: of
    the world. outcome: ``done``, ``failed``, ``cancelled``, or ``unfinished`` at the time limit. reason: of a job that
    is not done; problem: the task's own, where it has no answer. refusals: by code, over all hubs. sequence_round: the
    round that `messages` shows.
    """

    seed: int
    trace_hash: str
    virtual_s: float
    events: int
    outcome: str
    reason: str = ""
    problem: str = ""
    nodes: tuple[NodeResult, ...] = ()
    rounds: tuple[RoundResult, ...] = ()
    rounds_to_target: int | None = None
    scores: tuple[Score, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    refusals: dict[str, int] = {}
    moments: tuple[Moment, ...] = ()
    sequence_round: int = 0
    messages: tuple[SentMessage, ...] = ()
    attacks: tuple[Attack, ...] = ()
    failures: tuple[Failure, ...] = ()


class Interval(_Value, frozen=True, kw_only=True):
    """A mean over repetitions with its confidence interval.

    low, high: Student's t over the repetitions' values; None with fewer than two. n: repetitions that have a value.
    deviation: their standard deviation.
    """

    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None
    n: int


class Comparison(_Value, frozen=True, kw_only=True):
    """One metric of one arm over all repetitions. minus_pooled: the differences to the pooled model, paired by
    repetition; None for the pooled arm itself."""

    arm: Arm
    hospital: str
    tested_on: str
    metric: str
    value: Interval
    minus_pooled: Interval | None = None


class Total(_Value, frozen=True, kw_only=True):
    """One count or time over all repetitions. name: ``rounds``, ``rounds_to_target``, ``virtual_s``, ``drop_outs``,
    ``refusals``, ``sent_bytes`` (of `node`), ``received_bytes`` (of `node`). node: "" for all together."""

    name: str
    node: str
    value: Interval


class NetworkModel(_Value, frozen=True, kw_only=True):
    """The stated network. latency_s: one way. jitter_s: added, uniform from 0. bandwidth_bit_s: of each hub's own line,
    None: unlimited. loss: share of messages."""

    latency_s: float
    jitter_s: float
    bandwidth_bit_s: float | None
    loss: float


class StudyResult(_Value, frozen=True, kw_only=True):
    """A whole study.

    name, title: of the scenario; scenario: its text. version: of the software. task, metric: what was computed and the
    metric that is looked at first ("" if the task has no model). higher_is_better: of that metric. target: its value
    that `rounds_to_target` counts to. confidence: of all intervals, which are Student's t over repetitions. executor:
    where local computation ran. wall_s: real seconds that the study took. split: how rows were divided, in words.
    notes: what was noticed while the data were read. epsilon, delta: of the federation's noise; None: exact sums.
    """

    name: str
    title: str
    scenario: str
    version: str
    task: str
    metric: str
    higher_is_better: bool
    target: float | None
    confidence: float
    network: NetworkModel
    split: str
    executor: str
    wall_s: float
    repetitions: tuple[Repetition, ...]
    comparisons: tuple[Comparison, ...] = ()
    totals: tuple[Total, ...] = ()
    notes: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float | None = None
    format: int = FORMAT

    def to_json(self) -> bytes:
        """As indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> StudyResult:
        """What `to_json` wrote. Raises `DataError`."""
        try:
            result = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DataError("the study's result", str(error), "write it again with secured-sim run") from None
        if result.format != FORMAT:
            why = f"it has format {result.format}, this version reads {FORMAT}"
            raise DataError("the study's result", why, "run the scenario again")
        return result

    def frames(self) -> dict[str, pd.DataFrame]:
        """Data frames by name, one row a value: see `simulations.study.frames`. Raises `DataError` without pandas."""
        try:
            from simulations.study.frames import frames_of  # noqa: PLC0415 - pandas is an extra, and slow to import
        except ImportError:
            raise DataError("data frames", "pandas is not installed", "install secured-node[sim]") from None
        return frames_of(self)
