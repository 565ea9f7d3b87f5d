"""What people can ask of a running hub, apart from membership: jobs, data sets, groups, status.

Everything here returns plain values for JSON. `ServiceError` is an error in words for the person who asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from protocols.catalogue import DATA_SET, DataSetBody
from protocols.core import Refused
from protocols.errors import LocalError
from protocols.groups import GROUP, Standing
from protocols.identity import NodeId
from protocols.job.events import Decide
from protocols.job.job import Job
from protocols.job.kinds import CANCEL, COHORT, DECISION, JOB, OUTCOME, Answer, Cancel, DataRef, JobSpec, Privacy
from protocols.job.life import ENDED
from protocols.membership.kinds import NODE
from protocols.node import ForJob, Node, StandAlone
from protocols.privacy.accounting import epsilon_of
from protocols.records.events import Publish
from protocols.records.record import Record
from protocols.secagg.messages import Certificate
from secured_node import VERSION
from secured_node.config import Config
from secured_node.datasets import DataSet, DataSets
from secured_node.driver import Driver
from secured_node.jobs import Result
from secured_node.naming import PREFIX_CHARS_MIN, fitting, with_names
from secured_node.net.events import LinkStatus
from secured_node.outlook import outlook
from secured_node.proposal import in_words, objection
from secured_node.store.store import LOCAL_REASONS, RESULTS, Store
from secured_node.work.frames import Walled
from secured_node.work.supervisor import Supervisor

FILE_BYTES_MAX: Final = 1 << 20
"""Of a schema or mapping."""


class ServiceError(Exception):
    """What went wrong, why, and what to do; code: a fixed word; status: of HTTP."""

    def __init__(self, what: str, why: str = "", todo: str = "", code: str = "trouble", status: int = 400) -> None:
        super().__init__(": ".join(part for part in (what, why) if part))
        self.what, self.why, self.todo, self.code, self.status = what, why, todo, code, status


class Service:
    """The people's side of a running hub."""

    def __init__(
        self,
        node: Node,
        driver: Driver,
        store: Store,
        data: DataSets,
        supervisor: Supervisor,
        config: Callable[[], Config],
        links: Callable[[], list[LinkStatus]],
        *,
        approve: Callable[[Job], Decide],
        budget: Callable[[str], dict[str, float]],
        config_path: Path | None = None,
    ) -> None:
        """approve: what the site's policy says to a job that a data manager approves now. budget: what a data set may
        cost, and has cost. config_path: of the file that was read, if one was."""
        self._node, self._driver, self._store = node, driver, store
        self._data, self._supervisor, self._approve, self._budget = data, supervisor, approve, budget
        self._config, self._links = config, links
        self._config_path = config_path
        self._started = time.monotonic()
        self.walls: Walled | None = None
        """How a worker's walls stand on this machine; None until one has tried."""

    # -- status --------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Where this hub stands."""
        roster = self._node.roster
        links = [self._link(status) for status in self._links()]
        return {
            "node": self._node.identity.node,
            "name": self.name(self._node.identity.node),
            "version": VERSION,
            "federation": roster.charter.name,
            "federation_id": roster.federation.hex(),
            "member": roster.allowed(self._node.identity.node),
            "members": len(roster.members()),
            "links": links,
            "links_up": sum(link["up"] for link in links),
            "answers_needed": sum(self._asked_here(job) for job in self._node.jobs.values()),
            "jobs": {state: count for state, count in self._job_counts().items() if count},
            "data_sets": len(self._data.listed()),
            "budgets": [{"data": d["name"], **self._spent(d["name"])} for d in self._data.listed()],
            "records": len(self._node.store),
            "refusals": dict(sorted(self._driver.counters.items())),
            "sandbox": msgspec.structs.asdict(self.walls) if self.walls is not None else None,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "pid": os.getpid(),
            "config": str(self._config_path) if self._config_path is not None else None,
        }

    def _job_counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for job in self._node.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        return counts

    def _link(self, status: LinkStatus) -> dict[str, Any]:
        shown = {field: getattr(status, field) for field in LinkStatus.__dataclass_fields__}
        return {**shown, "name": self.name(status.peer)}

    def name(self, node: NodeId) -> str:
        """How a node is called, for people; its id where nobody said."""
        return self._node.roster.member(node).name or node

    def words(self, text: str) -> str:
        """A reason that was made at whichever hub, with names in the place of ids."""
        return with_names(text, lambda node: self._node.roster.member(NodeId(node)).name)

    def find_node(self, text: str) -> NodeId:
        """The member or candidate that a person means: by id, its end, or name. Raises `ServiceError`."""
        roster = self._node.roster
        known = [*roster.members(), *roster.candidates(), *(held.record.author for held in self._node.store.find(NODE))]
        fits = fitting(text, ((node, self.name(node)) for node in known))
        if len(fits) != 1:
            why = "no hub here has this name or id" if not fits else f"{len(fits)} nodes fit"
            raise ServiceError(f"node {text!r}", why, "'secured-node members' lists them", "unknown_node", 404)
        return fits[0]

    # -- jobs ----------------------------------------------------------------------------------------------------

    def find_job(self, text: str) -> Job:
        """The job that a person means: its id or the beginning of it. Raises `ServiceError`."""
        fits = [job for job in self._node.jobs.values() if job.subject.startswith(text)]
        if len(text) < PREFIX_CHARS_MIN or len(fits) != 1:
            why = "no job begins so" if not fits else f"{len(fits)} jobs begin so"
            if len(text) < PREFIX_CHARS_MIN:
                why = f"a job is named by {PREFIX_CHARS_MIN} characters of its id at least"
            raise ServiceError(f"job {text!r}", why, "'secured-node job list' shows them", "unknown_job", 404)
        return fits[0]

    async def submit(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Propose a job. raw: the fields of `JobSpec` as plain values, the data set by name. Raises `ServiceError`."""
        spec = self._spec(raw)
        record = self._node.sign(JOB, os.urandom(16).hex(), spec)
        await self._publish(record)
        return self.show_job(self._node.jobs[self._node.store.digest_of(record)])

    def _spec(self, raw: dict[str, Any]) -> JobSpec:
        values = dict(raw)
        _check_texts(values)
        values["members"] = sorted({self.find_node(member) for member in values.get("members", ())})
        values["readers"] = sorted({self.find_node(reader) for reader in values.get("readers", ())})
        against = objection(values, len(values["members"]), self._node.roster.charter.min_cohort)
        if against is not None:
            raise ServiceError("the job", *against, "bad_job")
        parameters = msgspec.json.encode(values.get("parameters", {}), order="sorted")
        data = self._data_ref(values["data"], values.get("version")) if values.get("data") else None
        values.pop("version", None)
        plain = {**values, "parameters": b"", "data": None, "privacy": _privacy_fields(values.get("privacy"))}
        try:
            spec = msgspec.convert([plain.get(f, _default(f)) for f in JobSpec.__struct_fields__], JobSpec)
        except msgspec.ValidationError as error:
            raise ServiceError("the job", in_words(error), "see 'secured-node job submit --help'", "bad_job") from None
        unknown = set(values) - set(JobSpec.__struct_fields__) | ({"continues"} & set(values))
        if unknown:
            raise ServiceError("the job", f"unknown fields: {', '.join(sorted(unknown))}", "", "bad_job")
        return msgspec.structs.replace(spec, parameters=parameters, data=data)

    def _data_ref(self, name: str, version: str | None) -> DataRef:
        offers = [held.body for held in self._node.store.find(DATA_SET, subject=name) if held.body.offered]
        fits = {(o.version, o.digest) for o in offers if version in (None, o.version)}
        if not fits:
            raise ServiceError(
                f"data set {name!r}",
                "no hub offers it" if version is None else f"no hub offers its version {version}",
                "'secured-node data list --all' shows what is offered",
                "unknown_data",
                404,
            )
        if len({v for v, _ in fits}) > 1:
            versions = ", ".join(sorted({v for v, _ in fits}))
            why, todo = f"hubs offer the versions {versions}", "name one with --version"
            raise ServiceError(f"data set {name!r}", why, todo, "ambiguous", 404)
        if len(fits) > 1:
            raise ServiceError(
                f"data set {name!r}",
                f"hubs offer one version under different schemas: {self._offerers(name)}",
                "whoever changed the schema must raise its version",
                "other_schema",
                409,
            )
        return DataRef(name, *fits.pop())

    def _offerers(self, name: str) -> str:
        """Who offers a data set under which schema, in a few letters of its digest."""
        offers = self._node.store.find(DATA_SET, subject=name)
        return ", ".join(f"{self.name(o.record.author)} {o.body.digest.hex()[:8]}" for o in offers if o.body.offered)

    def list_jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest last, briefly."""
        return [self._brief(job) for job in self._node.jobs.values()]

    def _brief(self, job: Job) -> dict[str, Any]:
        spec = job.spec
        return {
            "job": job.subject,
            "state": job.state,
            "task": spec.task,
            "data": spec.data.name if spec.data else None,
            "purpose": spec.purpose,
            "submitter": job.author,
            "submitter_name": self.name(job.author),
            "rounds": job.rounds_done,
            "reason": self.words(job.reason),
            "waiting_for": [self.name(n) for n in self._waits_for(job)],
            "answer_needed": self._asked_here(job),
            "open": job.open,
            "joined": sum(d.decision.answer is Answer.JOIN for d in job.decisions.values()),
        }

    def _waits_for(self, job: Job) -> list[NodeId]:
        """Who has to do something before the job goes on: in a collection, data managers who have yet to answer."""
        if job.state in ENDED:
            return []
        asked = [n for n, d in sorted(job.decisions.items()) if d.decision.answer in (Answer.ASK, Answer.WAIT)]
        return [*job.waiting_for()] or (asked if job.body is None else [])

    def _asked_here(self, job: Job) -> bool:
        """Whether this site's own data manager has yet to answer."""
        mine = job.decisions.get(self._node.identity.node)
        return job.state not in ENDED and job.body is None and mine is not None and mine.decision.answer is Answer.ASK

    def show_job(self, job: Job) -> dict[str, Any]:
        """Everything about one job."""
        spec = job.spec
        decisions = [
            {
                "node": node,
                "name": self.name(node),
                "answer": decided.decision.answer,
                "reason": self.words(decided.decision.reason),
                "standing": decided.decision.standing,
            }
            for node, decided in sorted(job.decisions.items())
        ]
        numbers = ("min_nodes", "max_nodes", "rounds_max", "word_bits", "holders", "colluders", "min_rows", "collect_s")
        return {
            **self._brief(job),
            "parameters": _shown(spec.parameters),
            **{name: getattr(spec, name) for name in numbers},
            "privacy": _privacy_shown(spec.privacy),
            "on_drop": spec.on_drop,
            "continues": {"job": named.job.hex(), "round": named.round} if (named := spec.continues) else None,
            "members": list(spec.members),
            "cohort": [self.name(node) for node in job.body.members] if job.body else [],
            "decisions": decisions,
            "history": job.history.hex(),
            "outlook": self.outlook(job),
            "consent": self.consent(job),
        }

    async def reason_here(self, job: Job) -> str:
        """Why the job failed at this very site, for its own people; empty if it did not, or not here."""
        kept = await self._store.row(LOCAL_REASONS, job.job)
        return kept.decode() if kept is not None else ""

    def outlook(self, job: Job) -> str:
        """What an open collection waits for, in words; empty once it is closed."""
        roster = self._node.roster
        return outlook(job, roster.members(), self._node.groups, roster.charter.min_cohort, revoked=self._revoked())

    def _revoked(self) -> int:
        """How many members were revoked."""
        roster = self._node.roster
        return len({one.node for one in roster.revocations() if roster.admitted(one.node)})

    def consent(self, job: Job) -> str:
        """What taking part means, in words for the data manager."""
        spec = job.spec
        if spec.data is None:
            return "This job uses no data."
        standing = self._node.groups.standing(self._node.identity.node, spec.data.name)
        words = _noise_in_words(spec)
        words += f"Only sums over all members of the cohort ({spec.min_nodes} hubs at least) leave this site. "
        words += "If all the other members put their heads together, they see what this site put in. "
        if standing is Standing.FREE:
            words += (
                "By joining, this site forms a group with the other new members: it will only ever be summed with them."
            )
        elif standing is Standing.ALONE:
            words += "This site chose to stand alone: comparing sums with and without it shows its own contribution."
        return words

    async def decide_job(self, text: str, answer: Answer, reason: str = "") -> dict[str, Any]:
        """A data manager answers a job; the policy's own refusal stands. Raises `ServiceError`."""
        job = self.find_job(text)
        if job.state in ENDED or job.body is not None:
            raise ServiceError(
                f"job {text!r}", f"it is {job.state}: an answer would change nothing", "", "too_late", 409
            )
        if answer is Answer.JOIN:
            judged = self._approve(job)
            if judged.answer is Answer.REFUSE:
                todo = "what the policy refuses, nobody here can approve: change the policy or the data set first"
                raise ServiceError(f"job {text!r}", self.words(judged.reason), todo, "policy", 403)
        await self._driver.tell(ForJob(job.job, Decide(answer, reason)))
        return self.show_job(job)

    async def cancel(self, text: str, reason: str) -> dict[str, Any]:
        """The submitter's hub ends its job. Raises `ServiceError`."""
        job = self.find_job(text)
        if job.author != self._node.identity.node:
            raise ServiceError(
                f"job {text!r}", f"it is {self.name(job.author)}'s to cancel", "refuse it instead", "not_yours", 403
            )
        if job.state in ENDED:
            raise ServiceError(f"job {text!r}", f"it is {job.state} already", "", "too_late", 409)
        await self._publish(self._node.sign(CANCEL, job.subject, Cancel(reason)))
        return self.show_job(job)

    async def result(self, text: str) -> dict[str, Any]:
        """A finished job's result, with the arrays in safetensors as hexadecimal. Raises `ServiceError`."""
        job = self.find_job(text)
        kept = await self._store.row(RESULTS, job.job)
        if kept is None:
            raise ServiceError(
                f"job {text!r}", f"it is {job.state}: {self.words(job.reason) or 'no result yet'}", "", "no_result", 409
            )
        result = msgspec.msgpack.decode(kept, type=Result)
        shown = {f: getattr(result, f) for f in ("data", "tables", "problem", "ended")}
        return {**self.show_job(job), **shown, "arrays": result.arrays.hex(), "chain": await self.chain(job)}

    async def chain(self, job: Job) -> dict[str, Any]:
        """All that proves a job's sums: records and certificates, for `job verify` without this hub."""
        store = self._node.store
        records = [
            held.record for kind in (DECISION, COHORT, OUTCOME) for held in store.find(kind, subject=job.subject)
        ]
        proposal = store.by_digest(job.job)
        certificates = []
        named = job.spec.continues
        before = self._node.jobs.get(named.job) if named is not None else None
        for number in range(1, job.rounds_done + 1):
            fact = await self._store.certified(job.job, number)
            if fact is not None:
                certificates.append((_plain(fact.certificate), fact.total.tobytes()))
        charter = store.find("charter")[0].record
        return {
            "charter": msgspec.msgpack.encode(charter).hex(),
            "job": msgspec.msgpack.encode(proposal.record).hex() if proposal else "",
            "schema": self._schema_of(job),
            "records": [msgspec.msgpack.encode(record).hex() for record in records],
            "rounds": [[msgspec.msgpack.encode(certificate).hex(), total.hex()] for certificate, total in certificates],
            "before": await self.chain(before) if before is not None else None,
        }

    def _schema_of(self, job: Job) -> str | None:
        """The schema that a job names, as whoever offers it published it."""
        wanted = job.spec.data
        if wanted is None:
            return None
        offers = (held.body for held in self._node.store.find(DATA_SET, subject=wanted.name))
        return next((body.schema for body in offers if body.digest == wanted.schema), None)

    # -- data ----------------------------------------------------------------------------------------------------

    async def check_data(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Have the worker read a file through a schema, and say what it would replace. Raises `ServiceError`."""
        checked = await self._supervisor.check(raw["path"], raw["schema"], raw.get("mapping") or None)
        report: dict[str, Any] = msgspec.to_builtins(checked.report)
        return {**report, "replaces": self._replaced(report["name"], raw)}

    def _replaced(self, name: str, raw: dict[str, Any]) -> dict[str, Any] | None:
        """What is registered under the name by now, with the jobs that rest on it; None for the same file as it was."""
        old = self._data.get(name)
        if old is None or (old.path, old.schema, old.mapping) == (raw["path"], raw["schema"], raw.get("mapping", "")):
            return None
        concerned = [job.subject for job in self._node.jobs.values() if self._rests_on(job, name)]
        return {f: getattr(old, f) for f in ("version", "digest", "path", "rows", "added")} | {"jobs": concerned}

    def _rests_on(self, job: Job, name: str) -> bool:
        """Whether this site takes part in a job on its data set, or said that it would."""
        if job.state in ENDED or job.spec.data is None or job.spec.data.name != name:
            return False
        me = self._node.identity.node
        if job.body is not None:
            return me in job.body.members
        return me in job.decisions and job.decisions[me].decision.answer is not Answer.REFUSE

    async def add_data(self, raw: dict[str, Any], *, replace: bool = False) -> dict[str, Any]:
        """Register a data set and tell the federation name, version, schema and rounded rows. Raises `ServiceError`.

        replace: whether another file, schema or mapping under this name may go. The same one is read anew without.
        """
        report = await self.check_data(raw)
        old = report["replaces"]
        if old is not None and not replace:
            why = f"it is registered already: version {old['version']}, {old['rows']} rows of {old['path']}"
            if old["jobs"]:
                why += f"; jobs that rest on it: {', '.join(job[:8] for job in old['jobs'])}"
            todo = "'secured-node data add --replace' puts this one in its place"
            raise ServiceError(f"data set {report['name']!r}", why, todo, "exists", 409)
        self._check_version(report["name"], str(report["version"]), bytes.fromhex(report["digest"]))
        added = DataSet(
            name=report["name"],
            version=str(report["version"]),
            digest=report["digest"],
            path=raw["path"],
            schema=raw["schema"],
            mapping=raw.get("mapping", ""),
            rows=report["rows"],
            published_rows=report["published_rows"],
            added=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        await self._data.add(added)
        body = DataSetBody(added.version, bytes.fromhex(added.digest), added.schema, added.published_rows)
        await self._publish(self._node.sign(DATA_SET, added.name, body))
        await self._driver.note("data_added", name=added.name, version=added.version, digest=added.digest)
        return report

    def _check_version(self, name: str, version: str, digest: bytes) -> None:
        """One version of a data set has one schema everywhere, or nobody could name it in a job."""
        for held in self._node.store.find(DATA_SET, subject=name):
            offer, other = held.body, held.record.author != self._node.identity.node
            if other and offer.offered and offer.version == version and offer.digest != digest:
                raise ServiceError(
                    f"data set {name!r}",
                    f"{self.name(held.record.author)} offers version {version} under another schema",
                    "use that schema, or raise the version in yours",
                    "other_schema",
                    409,
                )

    def list_data(self) -> list[dict[str, Any]]:
        """This site's data sets, with what may be spent and was spent on each."""
        return [{**listed, "privacy": self._spent(listed["name"])} for listed in self._data.listed()]

    def _spent(self, data: str) -> dict[str, Any]:
        """The budget of a data set; beside it, jobs whose exact sums no budget can count."""
        me = self._node.identity.node
        exact = [
            job
            for job in self._node.jobs.values()
            if job.spec.privacy is None and job.spec.data is not None and job.spec.data.name == data
            if job.rounds_done and job.body is not None and me in job.body.members
        ]
        return {**self._budget(data), "exact_jobs": len(exact)}

    def catalogue(self) -> list[dict[str, Any]]:
        """What all hubs offer."""
        return [
            {
                "name": held.record.subject,
                "hub": held.record.author,
                "hub_name": self.name(held.record.author),
                "version": held.body.version,
                "rows": held.body.rows,
                "digest": held.body.digest.hex(),
                "schema": held.body.schema,
            }
            for held in self._node.store.find(DATA_SET)
            if held.body.offered
        ]

    # -- groups --------------------------------------------------------------------------------------------------

    def groups(self, of: str | None = None) -> list[dict[str, Any]]:
        """The standing of a hub (by default this one) towards each data set, as far as it is known here."""
        me = self.find_node(of) if of else self._node.identity.node
        groups = self._node.groups
        names = {held.record.subject for held in self._node.store.find(GROUP)} | {
            d["name"] for d in self._data.listed()
        }
        return [
            {
                "data": name,
                "standing": groups.standing(me, name),
                "members": [self.name(node) for node in groups.members(me, name)],
                "unsigned": [self.name(node) for node in groups.unsigned(name, groups.members(me, name))],
            }
            for name in sorted(names)
        ]

    async def stand_alone(self, data: str) -> list[dict[str, Any]]:
        """The data manager chose that this site may be seen alone on a data set. Raises `ServiceError`."""
        self.may_stand_alone(data)
        await self._driver.tell(StandAlone(data))
        return self.groups()

    def may_stand_alone(self, data: str) -> None:
        """Whether this could be chosen. Raises `ServiceError` where the policy is against it, or no data set is."""
        if not self._config().policy.allow_isolation:
            why = "this site's policy does not allow it"
            raise ServiceError(f"standing alone on {data!r}", why, "set policy.allow_isolation = true", "policy", 403)
        known = {held.record.subject for held in self._node.store.find(DATA_SET)} | {g["data"] for g in self.groups()}
        if data not in known:
            todo = "'secured-node data list --all' shows what is offered"
            raise ServiceError(f"data set {data!r}", "no hub offers it", todo, "unknown_data", 404)

    async def _publish(self, record: Record) -> None:
        effects = await self._driver.tell(Publish((record,)))
        refused = [e for e in effects if isinstance(e, Refused) and e.peer is None]
        if refused:
            raise LocalError(f"the record does not stand: {refused[0].code}: {refused[0].detail}")


def _plain(certificate: Certificate) -> Certificate:
    """A certificate of signed fields alone: the attempt in a vote is a hint between hubs and proves nothing."""
    votes = tuple(msgspec.structs.replace(vote, attempt=0) for vote in certificate.votes)
    return msgspec.structs.replace(certificate, votes=votes)


def _check_texts(values: dict[str, Any]) -> None:
    """What names something is a text. Raises `ServiceError`."""
    for field in ("data", "version"):
        if not isinstance(values.get(field), str | None):
            raise ServiceError("the job", f"{field} is not a text", "", "bad_job")
    for field in ("members", "readers"):
        names = values.get(field, ())
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ServiceError("the job", f"{field} is not a list of texts", "", "bad_job")


def _privacy_fields(privacy: Any) -> Any:
    """The fields of `Privacy` in their order, from plain values by name; None stays. Raises `ServiceError`."""
    if privacy is None:
        return None
    if not isinstance(privacy, dict) or set(privacy) != set(Privacy.__struct_fields__):
        fields = ", ".join(Privacy.__struct_fields__)
        raise ServiceError("the job", f"privacy has exactly these fields: {fields}", "", "bad_job")
    return [privacy[field] for field in Privacy.__struct_fields__]


def _privacy_shown(privacy: Privacy | None) -> dict[str, Any] | None:
    if privacy is None:
        return None
    shown = {field: getattr(privacy, field) for field in Privacy.__struct_fields__}
    return {**shown, "epsilon": epsilon_of(privacy.rho, privacy.delta)}


def _noise_in_words(spec: JobSpec) -> str:
    """What a job's noise means for a data manager."""
    if spec.privacy is None:
        return "The sums are exact: no noise is added. "
    epsilon = epsilon_of(spec.privacy.rho, spec.privacy.delta)
    hidden = "one row of this site's data" if spec.privacy.unit == "record" else "all that this site puts in"
    return (
        f"Every member adds noise; together it hides {hidden}: epsilon {epsilon:.3g} at delta {spec.privacy.delta:g} "
        f"for all {spec.rounds_max} sums, as long as no more than {spec.colluders} of the other members collude. (If "
        "all of them do, this site's own noise is left, and protects less.) "
    )


def _shown(parameters: bytes) -> Any:
    """A job's parameters as values; as text where a hub proposed something that is no JSON."""
    try:
        return msgspec.json.decode(parameters)
    except (msgspec.MsgspecError, RecursionError):
        return parameters.decode(errors="replace")


def _default(field: str) -> Any:
    """The default of a field of `JobSpec`, as plain values; None where it has none."""
    index = JobSpec.__struct_fields__.index(field) - len(JobSpec.__struct_fields__)
    defaults = JobSpec.__struct_defaults__
    return defaults[index] if -index <= len(defaults) else None
