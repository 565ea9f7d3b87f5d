"""`secured-node doctor`: find out what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from secured_node.cli.common import STATE_DEFAULT, config_path, put, table, with_config, with_json, with_state
from secured_node.config import Log
from secured_node.doctor import Verdict, examine, exit_code, overall
from secured_node.logs import set_up_logs

_WORDS: Final = {
    Verdict.OK: "All is well.",
    Verdict.WARN: "Please look at what says warn.",
    Verdict.BAD: "Something is wrong: see what says bad.",
}


@click.command("doctor")
@with_state
@with_config
@with_json
def command(state: Path, config: Path | None, as_json: bool) -> None:
    """Find out what is wrong, with or without the daemon. Exit code: 0 all well, 1 warnings, 2 errors.

    Without --config it looks at the file that the running daemon has; if none runs, at the one 'run' would take.
    """
    set_up_logs(Log(level="error"))
    findings = asyncio.run(examine(state, config, otherwise=config_path(None), usual_state=state == STATE_DEFAULT))
    verdict = overall(findings)
    value = {
        "verdict": verdict,
        "checks": [{"check": f.check, "verdict": f.verdict, "found": f.found, "todo": f.todo} for f in findings],
    }

    def human(console: Console) -> None:
        rows = [(f.verdict, f.check, f.found, f.todo) for f in findings]
        table(console, "Doctor", ("", "check", "found", "what to do"), rows)
        console.print(f"\n{_WORDS[verdict]}")

    put(as_json, value, human)
    raise SystemExit(exit_code(findings))
