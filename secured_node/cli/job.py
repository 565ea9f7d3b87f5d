"""`secured-node job`: submit, answer, follow and read jobs."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

import click
import msgspec
import msgspec.inspect
from click.core import ParameterSource
from rich.console import Console

from protocols.job.kinds import COLLECT_S_MAX
from protocols.job.life import ENDED
from protocols.privacy.accounting import rho_of
from protocols.secagg.cohort import MEMBERS_MIN
from secured_node.cli.common import (
    CommandError,
    Exit,
    ask,
    because,
    counted,
    fields,
    hours,
    plain,
    put,
    safe,
    screen,
    short,
    table,
    with_json,
    with_state,
)
from secured_node.data.errors import DataError
from secured_node.verify import ProofError, verify_chain

Unit: TypeAlias = Literal["record", "site"]
REFUSALS_SHOWN: Final = 3
"""Reasons that a waiting command tells; 'job show' has all."""
POLL_S: Final = 0.1
"""How often a waiting command looks: below what a person notices."""


@click.group("job")
def command() -> None:
    """Submit, answer, follow and read jobs."""


def _path(job: str) -> str:
    """Where the daemon tells of a job, whatever a person typed for its id."""
    return f"/v1/jobs/{quote(job, safe='') or '-'}"


def _value(text: str) -> Any:
    """A parameter's value: JSON where it is JSON, a list where it has commas, else a text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [part.strip() for part in text.split(",")] if "," in text else text


def _parameters(pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if file is not None:
        try:
            parameters = msgspec.toml.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError) as error:
            raise CommandError("the parameters", because(error), "", Exit.USAGE) from None
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"parameter {pair!r}", "it is KEY=VALUE", "", Exit.USAGE)
        parameters[key.strip()] = _value(value.strip())
    return parameters


def _with_lists(parameters: dict[str, Any], wanted: type[msgspec.Struct]) -> dict[str, Any]:
    """One name where the task wants a list is a list of one; changes `parameters`."""
    for known in msgspec.structs.fields(wanted):
        kind = msgspec.inspect.type_info(known.type)
        one = parameters.get(known.name)
        if isinstance(one, str) and isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            parameters[known.name] = [one]
    return parameters


def _task_facts(task: str, parameters: dict[str, Any], schemas: list[str | None], hides: Unit | None) -> dict[str, Any]:
    """What the task says of its rounds and words. It checks the parameters, against the schema too if one is known.

    schemas: the data set's, if any hub offers it; None for a job without data. hides: what noise is to hide; None for
    exact sums.
    """
    from secured_node.data.schema import parse_schema  # noqa: PLC0415 - only this command needs numpy
    from secured_node.tasks import find_task  # noqa: PLC0415

    try:
        found = find_task(task)
        parsed = found.parse(_with_lists(parameters, found.parameters_type))
        rounds_max = _noisy_rounds(found, parsed, hides) if hides else found.rounds_max(parsed)
        for schema in schemas:
            known = parse_schema(tomllib.loads(schema), "the data set's schema") if schema is not None else None
            found.start(parsed, known, MEMBERS_MIN)
    except DataError as error:
        raise CommandError("the job", str(error), "see docs/tasks.md", Exit.USAGE) from None
    return {"rounds_max": rounds_max, "word_bits": int(found.word_bits(parsed))}


def _noisy_rounds(found: Any, parsed: Any, hides: Unit) -> int:
    """The largest number of noisy sums. Raises `CommandError` where the task cannot hide this."""
    try:
        rounds: int = found.noisy_rounds(parsed, hides)
    except DataError as error:
        why = f"{found.name} takes no noise that hides one {hides} yet: {error.why}"
        raise CommandError("--epsilon", why, error.todo, Exit.USAGE) from None
    return rounds


def _noise(epsilon: float | None, delta: float, hides: Unit) -> dict[str, Any] | None:
    """The `privacy` of a job record that costs at most this epsilon at this delta; None for exact sums.

    Raises `CommandError` if noise was described without saying how much: nobody who asks for it may get exact sums.
    """
    if epsilon is None:
        taken = click.get_current_context().get_parameter_source
        for option, name in (("--hide", "hide"), ("--delta", "delta")):
            if taken(name) is not ParameterSource.DEFAULT:
                why = "it says how noise is measured, and without --epsilon there is none: the sums would be exact"
                raise CommandError(f"{option} without --epsilon", why, "add --epsilon 1, or leave it out", Exit.USAGE)
        return None
    # A little less than could be: another processor's logarithm may find the budget smaller in the last digit.
    return {"unit": hides, "rho": rho_of(epsilon, delta) * (1 - 1e-9), "delta": delta}


@command.command("submit")
@click.argument("task")
@click.option("--data", help="The data set's name.")
@click.option("--version", help="Its version, where hubs offer several.")
@click.option("--param", "-p", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter of the task; repeat.")
@click.option("--params", "file", type=click.Path(path_type=Path), help="Parameters as a TOML file.")
@click.option("--purpose", required=True, help="Why: policies and people at other sites read it.")
@click.option("--member", "members", multiple=True, help="Exactly these hubs (name or id; repeat); else whoever joins.")
@click.option("--reader", "readers", multiple=True, help="Hubs beside the cohort that may fetch the result.")
@click.option("--min-nodes", default=3, show_default=True, help="Fewest members; the charter's at least.")
@click.option("--max-nodes", default=128, show_default=True, help="Most members.")
@click.option(
    "--collect",
    "collect_h",
    default=24.0,
    show_default=True,
    callback=hours(COLLECT_S_MAX / 3600),
    help="Hours in which hubs may answer.",
)
@click.option(
    "--on-drop",
    type=click.Choice(("wait", "go_on")),
    default="wait",
    show_default=True,
    help="A member missing for long: wait for it, or go on without it as a new job.",
)
@click.option("--min-rows", default=10, show_default=True, help="Sites with fewer rows refuse.")
@click.option("--colluders", default=1, show_default=True, help="Malicious members the sums are safe against.")
@click.option("--epsilon", type=click.FloatRange(0.001, 1000), help="Add noise: the whole job costs this at most.")
@click.option("--delta", type=click.FloatRange(1e-15, 0.1), default=1e-6, show_default=True, help="That goes with it.")
@click.option(
    "--hide", type=click.Choice(("record", "site")), default="record", show_default=True, help="What it hides."
)
@click.option("--unchecked", is_flag=True, help="One holder a segment: faster, but a lying holder goes unnoticed.")
@click.option("--wait", is_flag=True, help="Stay, show progress, and print the result.")
@with_state
@with_json
def submit(
    task: str, data: str | None, version: str | None, pairs: tuple[str, ...], file: Path | None, **options: Any
) -> None:
    """Propose a job: TASK is summary, glm, train, bench, or a plugin's.

    Example: secured-node job submit glm --data heart -p family=binomial -p outcome=disease -p covariates=age,sex
    --purpose "risk model" --wait
    """
    state: Path = options["state"]
    parameters = _parameters(pairs, file)
    noise = _noise(options["epsilon"], options["delta"], options["hide"])
    names = ("purpose", "min_nodes", "max_nodes", "min_rows", "colluders", "on_drop")
    body = {name: options[name] for name in names} | {"task": task, "parameters": parameters}
    offers = ask(state, "GET", "/v1/catalogue")["catalogue"] if data else []
    schemas = (
        [o["schema"] for o in offers if o["name"] == data and version in (None, o["version"])][:1] if data else [None]
    )
    facts = _task_facts(task, parameters, schemas, options["hide"] if noise else None)
    facts |= {"privacy": noise} if noise else {}
    body |= {"members": list(options["members"]), "readers": list(options["readers"]), **facts}
    if options["members"]:
        listed = max(3, len(options["members"]))
        fewest = options["min_nodes"] if options["on_drop"] == "go_on" else listed
        body |= {"min_nodes": fewest, "max_nodes": listed}
    body |= {
        "collect_s": options["collect_h"] * 3600,
        "holders": 1 if options["unchecked"] else options["colluders"] + 1,
    }
    body |= {"data": data, "version": version} if data else {}
    value = ask(state, "POST", "/v1/jobs", body)
    if options["wait"]:
        _follow(state, value["job"], options["as_json"])
        _result(state, value["job"], None, options["as_json"])
        return
    put(options["as_json"], value, lambda console: _show(console, value))


@command.command("list")
@with_state
@with_json
def list_(state: Path, as_json: bool) -> None:
    """Show all jobs that this hub knows."""
    value = ask(state, "GET", "/v1/jobs")

    def human(console: Console) -> None:
        columns = ("job", "state", "task", "data", "from", "rounds", "waits for", "reason")
        rows = [
            (
                j["job"][:8],
                j["state"],
                j["task"],
                j["data"],
                j["submitter_name"],
                j["rounds"],
                _awaited(j),
                j["reason"],
            )
            for j in value["jobs"]
        ]
        table(console, "Jobs", columns, rows)

    put(as_json, value, human)


def _awaited(job: dict[str, Any]) -> str:
    """Whom or what a job waits for, in a few words."""
    if job["answer_needed"]:
        return f"you: job approve {job['job'][:8]}"
    return ", ".join(job["waiting_for"]) or (f"answers; {job['joined']} joined" if job["open"] else "")


@command.command("show")
@click.argument("job")
@with_state
@with_json
def show(job: str, state: Path, as_json: bool) -> None:
    """Show one job: what it asks, who answered what, whom it waits for."""
    value = ask(state, "GET", _path(job))
    put(as_json, value, lambda console: _show(console, value))


def _lines(name: str, parameters: Any) -> list[tuple[str, str]]:
    """A task's parameters as a person would write them, KEY = VALUE; text that is no JSON object as it came."""
    if not isinstance(parameters, dict):
        return [(name, str(parameters))]
    texts = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in parameters.items()]
    return [(name if not at else "", text) for at, text in enumerate(texts)]


def _show(console: Console, job: dict[str, Any]) -> None:
    console.print(plain(f"{job['job']}  {job['state']}"), style="bold", soft_wrap=True)
    fields(
        console,
        ("reason", job["reason"]),
        ("reason here", job.get("reason_here", "")),
        ("task", job["task"]),
        *_lines("parameters", job["parameters"]),
        ("data", job["data"] or ""),
        ("purpose", job["purpose"]),
        ("from", job["submitter_name"]),
        ("sums", f"{job['rounds']} certified, {job['rounds_max']} at most"),
        ("noise", _noise_shown(job["privacy"])),
        ("continues", _continues_shown(job["continues"])),
        ("if one is missing", "go on without it, as a new job" if job["on_drop"] == "go_on" else "wait"),
        ("waits for", ", ".join(job["waiting_for"])),
        ("outlook", job["outlook"]),
        ("cohort", ", ".join(job["cohort"])),
    )
    rows = [(d["name"], short(d["node"]), d["answer"], d["standing"], d["reason"]) for d in job["decisions"]]
    table(console, "Decisions", ("hub", "id", "answer", "standing", "reason"), rows)
    console.print(f"\n{job['consent']}", markup=False)


def _noise_shown(privacy: dict[str, Any] | None) -> str:
    if privacy is None:
        return "none: the sums are exact"
    epsilon = f"epsilon {privacy['epsilon']:.3g} at delta {privacy['delta']:g}"
    return f"hides one {privacy['unit']}: {epsilon} (rho {privacy['rho']:.3g})"


def _continues_shown(continues: dict[str, Any] | None) -> str:
    return f"job {continues['job'][:8]} after its sum {continues['round']}" if continues else ""


@command.command("approve")
@click.argument("job")
@with_state
@with_json
def approve(job: str, state: Path, as_json: bool) -> None:
    """Let this site take part in a job."""
    value = ask(state, "POST", f"{_path(job)}/approve")
    put(as_json, value, lambda console: _show(console, value))


@command.command("refuse")
@click.argument("job")
@click.option("--reason", required=True, help="Why; the submitter reads it.")
@with_state
@with_json
def refuse(job: str, reason: str, state: Path, as_json: bool) -> None:
    """Keep this site out of a job."""
    value = ask(state, "POST", f"{_path(job)}/refuse", {"reason": reason})
    put(as_json, value, lambda console: _show(console, value))


@command.command("cancel")
@click.argument("job")
@click.option("--reason", default="", help="Why; all members read it.")
@with_state
@with_json
def cancel(job: str, reason: str, state: Path, as_json: bool) -> None:
    """End a job that this hub submitted."""
    value = ask(state, "POST", f"{_path(job)}/cancel", {"reason": reason})
    put(as_json, value, lambda console: _show(console, value))


@command.command("result")
@click.argument("job")
@click.option("--wait", is_flag=True, help="Wait for it.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write card, arrays and proof here.")
@with_state
@with_json
def result(job: str, wait: bool, out: Path | None, state: Path, as_json: bool) -> None:
    """Show a job's result, its chain of certificates checked first."""
    if wait:
        _follow(state, job, as_json)
    _result(state, job, out, as_json)


def _follow(state: Path, job: str, as_json: bool) -> None:
    """Wait for a job's end, saying what it waits for: in one line that changes, or in a log a line for each change."""
    in_place = sys.stderr.isatty()
    console = screen(stderr=True, quiet=as_json or not in_place)
    said = ""
    with console.status("submitted") as line:
        while True:
            value = ask(state, "GET", _path(job))
            if value["state"] in ENDED and value["state"] != "done":
                failed = value["state"] == "failed"
                what, code = ("the job failed", Exit.FAILED) if failed else ("the job was cancelled", Exit.REFUSED)
                raise CommandError(what, value["reason"], f"secured-node job show {job[:8]}", code)
            now = _standing(value)
            line.update(plain(f"{now}, {counted(value['rounds'], 'sum')} certified"))
            if now != said and not in_place and not as_json:
                click.echo(safe(f"job {job[:8]}: {now}"), err=True)
            said = now
            if value["state"] == "done" and _has_result(state, job):
                return
            time.sleep(POLL_S)


def _standing(job: dict[str, Any]) -> str:
    """A job's state, and what it waits for where that lasts: not whom a running sum waits for in passing."""
    waits = f", waits for {', '.join(job['waiting_for'])}" if job["waiting_for"] and job["state"] != "running" else ""
    return f"{job['state']}{waits}" + (f". {job['outlook']}{_refusals(job['decisions'])}" if job["outlook"] else "")


def _refusals(decisions: list[dict[str, Any]]) -> str:
    """Who refused and why, the first few: the submitter need not wait for a collection's end to read it."""
    said = [f"{d['name']}: {d['reason'] or 'no reason given'}" for d in decisions if d["answer"] == "refuse"]
    more = f"; and {len(said) - REFUSALS_SHOWN} more" if len(said) > REFUSALS_SHOWN else ""
    return f" Refused: {'; '.join(said[:REFUSALS_SHOWN])}{more}." if said else ""


def _has_result(state: Path, job: str) -> bool:
    try:
        ask(state, "GET", f"{_path(job)}/result")
    except CommandError:
        return False
    return True


def _result(state: Path, job: str, out: Path | None, as_json: bool) -> None:
    value = ask(state, "GET", f"{_path(job)}/result")
    try:
        proved = verify_chain(value["chain"])
    except ProofError as error:
        raise CommandError("the result's proof does not hold", str(error), "tell the federation", Exit.PROOF) from None
    chain, arrays = value.pop("chain"), value.pop("arrays")
    value["proved"] = proved
    if out is not None:
        _write(out, value, arrays, chain)

    def human(console: Console) -> None:
        for made in value["tables"]:
            rows = [
                tuple("" if c is None else f"{c:.6g}" if isinstance(c, float) else c for c in r) for r in made["rows"]
            ]
            table(console, made["title"], tuple(made["columns"]), rows)
        if value["problem"]:
            console.print(f"No answer: {value['problem']}", markup=False)
        console.print(
            f"\n{counted(proved['rounds'], 'sum')}, each certified by its members. History {proved['history'][:16]}"
        )

    put(as_json, value, human)


def _write(out: Path, value: dict[str, Any], arrays: str, chain: dict[str, Any]) -> None:
    files = {
        "card.json": msgspec.json.format(msgspec.json.encode(value)),
        "result.safetensors": bytes.fromhex(arrays),
        "chain.json": msgspec.json.encode(chain),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise CommandError(f"{out} cannot be written", error.strerror or str(error), "name another folder") from None
    click.echo(f"wrote {', '.join(files)} to {out}", err=True)


def _check_files(folder: Path, chain: dict[str, Any], proved: dict[str, Any]) -> None:
    from secured_node.recompute import check_result  # noqa: PLC0415 - loads tasks, which only this command needs

    card = msgspec.json.decode((folder / "card.json").read_bytes(), type=dict[str, Any])
    check_result(chain, proved, card, (folder / "result.safetensors").read_bytes())


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@with_json
def verify(file: Path, as_json: bool) -> None:
    """Check a result without any hub. FILE: a folder that 'job result --out' wrote, or its chain.json alone.

    Of a folder the result is made again from the certified sums, and held against card.json and result.safetensors.
    """
    path = file / "chain.json" if file.is_dir() else file
    try:
        chain = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        proved = verify_chain(chain)
        proved["result_checked"] = file.is_dir()
        if file.is_dir():
            _check_files(file, chain, proved)
    except (ProofError, OSError, msgspec.DecodeError) as error:
        raise CommandError(f"{file} proves nothing", because(error), "", Exit.PROOF) from None

    def human(console: Console) -> None:
        console.print(
            f"{counted(proved['rounds'], 'sum')} of job {proved['job'][:16]}, proved in {proved['federation']!r}:"
        )
        console.print(f"  federation {proved['federation_id']}")
        console.print(f"  {counted(len(proved['members']), 'member')}, submitted by {proved['submitter']}")
        console.print(f"  history {proved['history']}")
        checked = (
            "card.json and result.safetensors follow from them" if file.is_dir() else "the result was not looked at"
        )
        console.print(f"  {checked}")

    put(as_json, proved, human)
