"""What a scenario file may say: typed, with every unit and limit checked where the file is read."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from protocols.job.kinds import COLLECT_S_MAX, DELTA_MAX
from secured_node.data.rows import ROWS_MIN
from simulations.study.quantity import Quantity, bits_per_second, seconds

NODES_MAX: Final = 128
"""Hospitals of a study: so many fit into one cohort's lists on the wire."""
REPETITIONS_MAX: Final = 10_000
ROUND_MAX: Final = 100_000
LASTS_MAX_S: Final = 30 * 86_400.0

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a scenario's tables."""


class Data(Section, frozen=True, kw_only=True):
    """The rows. Either ``bundled`` (a name: see `bundled`), or one ``file``, or ``files`` by hospital.

    schema, mapping: TOML files, as for `secured-node data add`; not for a bundled set. Paths are relative to the
    scenario's file. folder: where the files of a bundled set lie that does not come with the software.
    test_share: of each hospital's rows, by class of the outcome, on which models are compared.
    """

    bundled: str = ""
    file: str = ""
    files: dict[Name, str] = {}
    schema: str = ""
    mapping: str = ""
    folder: str = ""
    test_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.3

    def __post_init__(self) -> None:
        if sum(map(bool, (self.bundled, self.file, self.files))) != 1:
            raise ValueError("say exactly one of bundled, file, files")
        if self.bundled and (self.schema or self.mapping):
            raise ValueError("a bundled data set has its own schema and mapping")
        if not self.bundled and not self.schema:
            raise ValueError("schema is missing: the TOML file that describes the columns (see docs/data.md)")


class Split(Section, frozen=True, kw_only=True):
    """How the rows become hospitals' rows; drawn anew in each repetition, except by hospital and by column.

    by: ``hospital``: as the data come (one file each). ``column``: a value each of a category or boolean. ``equal``:
    at random in equal parts. ``dirichlet``: label skew: each class is dealt in shares drawn from a Dirichlet
    distribution with ``alpha`` (small: more skewed). ``quantity``: shares of all rows drawn with ``alpha``.
    ``feature``: along a numeric ``column``, blurred by ``blur`` of its deviation: other hospitals, other patients.
    nodes: how many hospitals; not with hospital and column, where the data say.
    min_rows: that each hospital must get; shares are drawn again until they do.
    """

    by: Literal["hospital", "column", "equal", "dirichlet", "quantity", "feature"]
    nodes: Annotated[int, msgspec.Meta(ge=3, le=NODES_MAX)] | None = None
    column: str = ""
    alpha: Positive = 0.5
    blur: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.5
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20

    def __post_init__(self) -> None:
        given = self.by in ("hospital", "column")
        if given == (self.nodes is not None):
            raise ValueError(f"nodes is {'given by the data' if given else 'missing'} with by = {self.by!r}")
        if (self.by in ("column", "feature")) != bool(self.column):
            raise ValueError(f"column {'is missing' if not self.column else 'means nothing'} with by = {self.by!r}")


class Task(Section, frozen=True, kw_only=True):
    """What is computed: a task's name and its parameters (docs/tasks.md)."""

    name: Name
    parameters: dict[str, Any] = {}


class Privacy(Section, frozen=True, kw_only=True):
    """Noise that every hospital adds. hide: one ``record``, or all that a ``site`` puts in. epsilon, delta: what the
    whole job costs at most. The comparisons, alone and pooled, have none."""

    epsilon: Annotated[float, msgspec.Meta(ge=0.001, le=1000)]
    delta: Annotated[float, msgspec.Meta(gt=0, le=DELTA_MAX)] = 1e-6
    hide: Literal["record", "site"] = "record"


class Network(Section, frozen=True, kw_only=True):
    """latency: one way. jitter: at most so much more. bandwidth: of each hospital's own line; none: unlimited. loss,
    duplicate: share of messages."""

    latency: Quantity = "20 ms"
    jitter: Quantity = "5 ms"
    bandwidth: Quantity | None = "100 Mbit/s"
    loss: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.0
    duplicate: Share = 0.0

    def __post_init__(self) -> None:
        seconds(self.latency, "latency"), seconds(self.jitter, "jitter")
        if self.bandwidth is not None:
            bits_per_second(self.bandwidth, "bandwidth")

    @property
    def latency_s(self) -> float:
        """One way, in seconds."""
        return seconds(self.latency, "latency")

    @property
    def jitter_s(self) -> float:
        """In seconds."""
        return seconds(self.jitter, "jitter")

    @property
    def bandwidth_bit_s(self) -> float | None:
        """In bit/s; None: unlimited."""
        return None if self.bandwidth is None else bits_per_second(self.bandwidth, "bandwidth")


class Hospital(Section, frozen=True, kw_only=True):
    """What is particular to one hospital.

    work: virtual time that its share of a round takes; none: as `Job.work`. slow: its line's bandwidth is divided by
    this. latency: one way, to and from all others. answer: to the job; ``ask`` is answered with join after ``after``.
    joins: it comes into the federation only then. leaves: the founder revokes it then.
    """

    work: Quantity | None = None
    slow: Annotated[float, msgspec.Meta(ge=1, le=1e6)] = 1.0
    latency: Quantity | None = None
    answer: Literal["join", "refuse", "ask"] = "join"
    after: Quantity = "1 min"
    joins: Quantity | None = None
    leaves: Quantity | None = None

    def __post_init__(self) -> None:
        for key in ("work", "latency", "after", "joins", "leaves"):
            value = getattr(self, key)
            if value is not None:
                seconds(value, key)
        if self.joins is not None and self.leaves is not None:
            raise ValueError("a hospital that joins later stays: say joins or leaves")


class Job(Section, frozen=True, kw_only=True):
    """The job that the hospitals run.

    submitter: a hospital; "" the first. min_nodes: with fewer that join, it is not run. collect: how long decisions are
    collected, if not all have answered. min_rows: hospitals with fewer rows fail it. colluders, holders: of the secure
    sum. work: virtual time of each hospital's share of a round. time_limit: virtual; what is not over then
    is unfinished.
    """

    submitter: str = ""
    min_nodes: Annotated[int, msgspec.Meta(ge=3, le=NODES_MAX)] = 3
    collect: Quantity = "30 s"
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = ROWS_MIN
    colluders: Annotated[int, msgspec.Meta(ge=1, le=NODES_MAX)] = 1
    holders: Annotated[int, msgspec.Meta(ge=1, le=NODES_MAX)] = 2
    work: Quantity = "50 ms"
    time_limit: Quantity = "2 h"

    def __post_init__(self) -> None:
        seconds(self.work, "work")
        for key, limit in (("collect", COLLECT_S_MAX), ("time_limit", LASTS_MAX_S)):
            if not 0 < seconds(getattr(self, key), key) <= limit:
                raise ValueError(f"{key} lies above 0 and at {limit:g} s at most")


class Fault(Section, frozen=True, kw_only=True):
    """Something that goes wrong.

    kind: ``crash``: nodes die, and come back after ``lasts``. ``partition``: nodes hear nothing of the others, nor the
    others of them, until ``lasts`` is over. ``slow``: their lines carry a ``factor`` less. ``loss``: of all messages a
    ``share`` is lost. ``raise``: the task's code raises at the nodes, in ``round``.
    at: virtual time since the job was proposed. lasts: none: for ever. every, times: it happens again.
    """

    kind: Literal["crash", "partition", "slow", "loss", "raise"]
    at: Quantity = "0 s"
    nodes: tuple[str, ...] = ()
    lasts: Quantity | None = None
    every: Quantity | None = None
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    factor: Annotated[float, msgspec.Meta(ge=1, le=1e6)] = 10.0
    share: Annotated[float, msgspec.Meta(ge=0, le=0.99)] = 0.1
    round: Annotated[int, msgspec.Meta(ge=1, le=ROUND_MAX)] = 1

    def __post_init__(self) -> None:
        for key in ("at", "lasts", "every"):
            value = getattr(self, key)
            if value is not None:
                seconds(value, key)
        if (self.kind == "loss") == bool(self.nodes):
            raise ValueError(f"nodes {'means nothing' if self.nodes else 'is missing'} with kind = {self.kind!r}")
        if self.times > 1 and (self.every is None or self.lasts is None):
            raise ValueError("times above 1 needs every and lasts")
        if self.every is not None and self.lasts is not None and self.times > 1 and self.every_s <= (self.lasts_s or 0):
            raise ValueError("every must be longer than lasts")

    @property
    def at_s(self) -> float:
        """In seconds."""
        return seconds(self.at, "at")

    @property
    def lasts_s(self) -> float | None:
        """In seconds; None: for ever."""
        return None if self.lasts is None else seconds(self.lasts, "lasts")

    @property
    def every_s(self) -> float:
        """In seconds; 0 if it happens once."""
        return 0.0 if self.every is None else seconds(self.every, "every")


class Adversary(Section, frozen=True, kw_only=True):
    """Hospitals that do evil.

    kind: of the protocol's adversaries (`simulations.adversaries.catalogue`), or one that follows the protocol and lies
    about its data (`simulations.study.poison`). nodes: who; several of a kind that needs several share a plot.
    factor: by which byzantine_scale and byzantine_sign make their change larger. column: the trigger of
    byzantine_backdoor; "" the first covariate that is a number. bound: so much of the first metric may be lost before
    a poisoner counts as successful.
    """

    kind: str
    nodes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=NODES_MAX)]
    factor: Positive = 10.0
    column: str = ""
    bound: Share = 0.05


class Target(Section, frozen=True, kw_only=True):
    """A value of a metric; how many rounds it takes to reach it is counted."""

    metric: Literal["auc", "accuracy", "log_loss", "brier", "rmse", "r2"]
    value: float


class Run(Section, frozen=True, kw_only=True):
    """repetitions: each with a seed of its own, from ``seed`` on. confidence: of the intervals."""

    repetitions: Annotated[int, msgspec.Meta(ge=1, le=REPETITIONS_MAX)] = 10
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)] = 1
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    target: Target | None = None


class Plan(Section, frozen=True, kw_only=True):
    """A whole scenario."""

    name: Name
    data: Data
    split: Split
    task: Task
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    network: Network = Network()
    job: Job = Job()
    privacy: Privacy | None = None
    nodes: dict[str, Hospital] = {}
    fault: tuple[Fault, ...] = ()
    adversary: tuple[Adversary, ...] = ()
    run: Run = Run()
