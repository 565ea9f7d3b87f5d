"""The demo: four hospitals' daemons fit one model on real patients; one is killed on the way and comes back.

Needs nothing but this repository. DATA=folder chooses the four files of the UCI heart disease study instead of the
bundled table. Everything it makes lies in `.demo/`; it stops every process that it starts.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from demo import hospitals, referee
from demo.hospitals import Study
from demo.hubs import Hub, join, stop_all, wait_until

FOLDER: Final = Path(".demo")
TRIES: Final = 3
"""A job may be over before the kill falls; then the demo asks for another."""
KILL_AFTER_ROUNDS: Final = 2
POLICY: Final = """
[policy]
default = "ask"
allow_isolation = {isolation}

[[policy.rule]]
task = "*"
data = "{data}"
purpose = "*research*"
max_rounds = 100
action = "join"

[log]
level = "info"
"""
PURPOSE: Final = "demo research"


class Demo:
    """One run. report: what ends up in `.demo/report.json`."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.console = Console(highlight=False, emoji=False)
        self.report: dict[str, Any] = {}
        self.started = time.monotonic()
        self.files = hospitals.write(study, folder)
        self.hubs = [self._hub(name) for name in study.hospitals]

    def _hub(self, name: str) -> Hub:
        isolation = "true" if name == "fifth" else "false"
        return Hub(name, self.folder, POLICY.format(data=self.study.name, isolation=isolation))

    def say(self, text: str) -> None:
        """A line with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:5.1f} s[/dim]  {text}")

    # -- steps ---------------------------------------------------------------------------------------------------

    def found(self) -> None:
        """The first hospital founds a federation, the others join with invitations."""
        first, *others = self.hubs
        first.command("init", "--federation", "demo", "--name", first.name, "--organisation", first.name)
        first.start()
        self.say(f"[bold]{first.name}[/bold] founded the federation")
        for hub in others:
            words = join(first, hub)
            hub.start(wait=False)
            self.say(f"[bold]{hub.name}[/bold] joined; both screens showed: {' '.join(words)}")
        for hub in others:
            hub.wait_ready()
        self.wait_linked(self.hubs)
        self.say(f"{len(self.hubs)} daemons, every pair linked by mutual TLS 1.3")

    def wait_linked(self, hubs: list[Hub]) -> None:
        """Wait until every hub has a link to every other."""
        for hub in hubs:
            wait_until(partial(hub.linked, len(hubs) - 1), f"{hub.name} has no links")

    def register(self, hub: Hub) -> None:
        """A hospital's data manager registers its table, read by its own walled-in worker."""
        mapping = self.study.mapping
        body = {"path": str(self.files[hub.name].resolve()), "schema": self.study.schema, "mapping": mapping}
        added = hub.ask("POST", "/v1/data", body)
        self.say(
            f"[bold]{hub.name}[/bold] has {added['rows']} patients; others are told: about {added['published_rows']}"
        )

    def submit(self, task: str, parameters: dict[str, Any], members: list[Hub]) -> str:
        """The first hospital's researchers propose a job."""
        names = [hub.name for hub in members]
        size = max(3, len(names))
        body: dict[str, Any] = {
            "task": task,
            "parameters": parameters,
            "data": self.study.name,
            "purpose": PURPOSE,
            "members": names,
        }
        body |= {"min_nodes": size, "max_nodes": size, "rounds_max": 100, "collect_s": 120.0}
        job: str = members[0].ask("POST", "/v1/jobs", body)["job"]
        return job

    def model(self) -> dict[str, Any]:
        """The logistic regression; a hub is killed in the middle and comes back."""
        parameters = {"family": "binomial", "outcome": self.study.outcome, "covariates": list(self.study.covariates)}
        victim = self.hubs[2]
        for _ in range(TRIES):
            sent = {hub.name: hub.sent_bytes() for hub in self.hubs}
            job = self.submit("glm", parameters, self.hubs)
            if self._kill_in_the_middle(job, victim):
                break
            wait_until(partial(self._ended, job), "the job does not end", 60)
        else:
            raise RuntimeError("the job was always over before the kill")
        self._come_back(job, victim)
        result = self._result(job)
        self.report["sent_bytes"] = {
            hub.name: hub.sent_bytes() - (sent[hub.name] if hub is not victim else 0) for hub in self.hubs
        }
        self.report["sums_checked"] = result["rounds"]
        return result

    def _kill_in_the_middle(self, job: str, victim: Hub) -> bool:
        first = self.hubs[0]
        shown = wait_until(lambda: self._far_enough(first.job(job)), "the job does not start", 60, every_s=0.002)
        victim.kill()
        if shown["state"] != "running" or first.job(job)["state"] == "done":
            victim.start()
            self.wait_linked(self.hubs)
            return False
        self.say(f"the job runs, {shown['rounds']} sums certified; [red]kill -9[/red] {victim.name}")
        return True

    def _far_enough(self, shown: dict[str, Any]) -> Any:
        if shown["state"] in ("failed", "cancelled"):
            raise RuntimeError(f"the job was {shown['state']}: {shown['reason']}")
        return shown if shown["rounds"] >= KILL_AFTER_ROUNDS else None

    def _come_back(self, job: str, victim: Hub) -> None:
        first = self.hubs[0]
        wait_until(lambda: first.job(job)["waiting_for"] == [victim.name], f"the job does not wait for {victim.name}")
        waits = first.job(job)["waiting_for"]
        self.say(f"the job waits for: {', '.join(waits)}")
        victim.start()
        self.say(f"{victim.name} is back")
        wait_until(lambda: all(hub.job(job)["state"] == "done" for hub in self.hubs), "the job does not end", 120)
        self.report["recovered"] = waits == [victim.name]
        self.say(f"all four are done: {first.job(job)['rounds']} sums, each certified by its members")

    def _result(self, job: str) -> dict[str, Any]:
        out = self.folder / "result"
        first = self.hubs[0]
        result = wait_until(lambda: _try(lambda: first.command("job", "result", job, "--out", str(out))), "no result")
        proved = json.loads(_verify(out))
        self.say(f"the proof was checked without any hub: {proved['rounds']} sums, {len(proved['members'])} members")
        return dict(result)

    def compare(self, result: dict[str, Any]) -> None:
        """Federated against pooled, by the referee."""
        table = result["data"]["coefficients"]
        federated = np.array([table[term]["coefficient"] for term in table])
        errors = np.array([table[term]["standard_error"] for term in table])
        pooled, pooled_errors = referee.pooled_fit(self.study)
        shown = Table(title="Log-odds: federated / pooled", title_justify="left", box=None, header_style="bold")
        for column in ("term", "federated", "pooled", "difference", "standard error", "pooled"):
            shown.add_column(column, justify="left" if column == "term" else "right")
        for term, f, p, e, pe in zip(table, federated, pooled, errors, pooled_errors, strict=True):
            shown.add_row(term, f"{f:.7g}", f"{p:.7g}", f"{f - p:.1e}", f"{e:.6g}", f"{pe:.6g}")
        self.console.print(shown)
        self.report["coefficients"] = {
            term: {"federated": float(f), "pooled": float(p)}
            for term, f, p in zip(table, federated, pooled, strict=True)
        }
        worst = max(
            referee.max_relative_difference(federated, pooled), referee.max_relative_difference(errors, pooled_errors)
        )
        self.report["max_relative_difference"] = worst
        self._aucs(federated, pooled)

    def _aucs(self, federated: Any, pooled: Any) -> None:
        alone = {name: referee.auc_alone(self.study, name) for name in self.study.hospitals}
        auc = {**{f"{name} alone": value for name, value in alone.items()}}
        auc |= {"federated": referee.auc_of(self.study, federated), "pooled": referee.auc_of(self.study, pooled)}
        self.report["auc"] = auc
        shown = Table(title="\nAUC on the held-out patients", title_justify="left", box=None, header_style="bold")
        for name in auc:
            shown.add_column(name, justify="right")
        shown.add_row(*(f"{value:.4f}" for value in auc.values()))
        self.console.print(shown)
        sent = ", ".join(f"{name} {count / 1024:.0f} KiB" for name, count in self.report["sent_bytes"].items())
        self.console.print(f"\nSent: {sent}. {self.report['sums_checked']} sums checked.\n")

    def fifth(self) -> None:
        """A fifth hospital would be seen alone in a sum with the four: refused, until it chooses that itself."""
        hub = self._hub("fifth")
        self.hubs.append(hub)
        join(self.hubs[0], hub)
        hub.start()
        self.wait_linked(self.hubs)
        self.register(hub)
        parameters = {"columns": [self.study.outcome]}
        wait_until(lambda: self._offered("fifth"), "the fifth hospital's data set is not known")
        refused = self.submit("summary", parameters, self.hubs)
        ended = wait_until(lambda: self._ended(refused), "the job is not refused", 60)
        self.report["fifth_refused"] = ended["state"] == "cancelled" and "alone" in ended["reason"]
        self.say(f"a job with all five is refused: {ended['reason'].partition(': ')[2] or ended['reason']}")
        hub.ask("POST", "/v1/groups/alone", {"data": self.study.name})
        self.say("its data manager chooses to stand alone, knowing that")
        wait_until(self._stands_alone, "the choice is not known")
        job = self.submit("summary", parameters, self.hubs)
        done = wait_until(lambda: self._ended(job), "the job does not end", 60)
        self.report["fifth_takes_part"] = done["state"] == "done"
        self.say(f"the same job again: {done['state']}, {done['rounds']} sums over five hospitals")

    def _offered(self, name: str) -> bool:
        return any(c["hub_name"] == name for c in self.hubs[0].ask("GET", "/v1/catalogue")["catalogue"])

    def _stands_alone(self) -> bool:
        everywhere = [hub.ask("GET", "/v1/groups?of=fifth")["groups"] for hub in self.hubs]
        return all(
            any(g["data"] == self.study.name and g["standing"] == "alone" for g in groups) for groups in everywhere
        )

    def _ended(self, job: str) -> Any:
        shown = self.hubs[0].job(job)
        return shown if shown["state"] in ("done", "failed", "cancelled") else None

    # -- all of it -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Every step, then the report; processes are stopped whatever happens."""
        try:
            self.found()
            for hub in self.hubs:
                self.register(hub)
            self.wait_offers()
            self.compare(self.model())
            self.fifth()
        finally:
            stop_all(self.hubs)
        self.report["wall_s"] = round(time.monotonic() - self.started, 1)
        (self.folder / "report.json").write_text(json.dumps(self.report, indent=2) + "\n")
        self.say(f"report: {self.folder / 'report.json'}")

    def wait_offers(self) -> None:
        """Wait until the first hospital knows what all offer."""
        wait_until(lambda: all(self._offered(hub.name) for hub in self.hubs), "data sets are not known")


def _try(step: Any) -> Any:
    from secured_node.cli.common import CommandError  # noqa: PLC0415

    try:
        return step()
    except CommandError:
        return None


def _verify(out: Path) -> str:
    import subprocess  # noqa: PLC0415

    command = [sys.executable, "-m", "secured_node", "job", "verify", str(out), "--json"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Run the demo; exit code 1 if what it shows does not hold."""
    folder = FOLDER.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    data = os.environ.get("DATA")
    demo = Demo(hospitals.load(Path(data) if data else None), folder)
    demo.run()
    holds = demo.report["max_relative_difference"] < 1e-6
    holds = holds and all(demo.report[key] for key in ("recovered", "fifth_refused", "fifth_takes_part"))
    raise SystemExit(0 if holds else "the demo did not show what it should: see .demo/report.json")


if __name__ == "__main__":
    main()
