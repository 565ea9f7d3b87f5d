"""What the command line refuses before it asks any hub."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from secured_node.cli.common import CommandError, Exit
from secured_node.cli.job import REFUSALS_SHOWN, _standing, submit

FOLDER = "no-such-folder"
"""No hub is there: who gets as far as asking one ends with NOT_RUNNING."""


def refused(*arguments: str) -> CommandError:
    ran = CliRunner().invoke(submit, [*arguments, "--purpose", "x", "--state", FOLDER])
    assert isinstance(ran.exception, CommandError), ran.output
    return ran.exception


@pytest.mark.parametrize("noise", [("--hide", "site"), ("--hide", "record"), ("--delta", "1e-6")])
def test_noise_without_a_size_is_no_way_to_exact_sums(noise: tuple[str, str]) -> None:
    """`--hide record` without `--epsilon` was ignored, and the sums came out exact."""
    error = refused("bench", "-p", "length=3", *noise)
    assert error.exit_code == Exit.USAGE
    assert error.what == f"{noise[0]} without --epsilon" and "exact" in error.why
    whole = refused("bench", "-p", "length=3", *noise, "--epsilon", "1")
    assert whole.exit_code == Exit.NOT_RUNNING, "with its size it goes on to the hub"


def test_a_job_without_noise_needs_no_word_about_it() -> None:
    assert refused("bench", "-p", "length=3").exit_code == Exit.NOT_RUNNING


def test_a_task_that_takes_no_noise_is_said_to_take_none() -> None:
    error = refused("train", "-p", "outcome=ill", "-p", "covariates=age,sex", "--epsilon", "1")
    assert error.exit_code == Exit.USAGE and "train takes no noise that hides one record yet" in error.why


def test_who_waits_reads_at_once_why_hubs_refused() -> None:
    decisions = [
        {"name": f"hub{n}", "answer": "refuse", "reason": f"reason {n}" if n else ""} for n in range(REFUSALS_SHOWN + 2)
    ]
    job = {"state": "collecting", "waiting_for": [], "outlook": "It cannot begin.", "decisions": decisions}
    shown = _standing(job)
    assert "hub0: no reason given; hub1: reason 1; hub2: reason 2; and 2 more." in shown and "hub3" not in shown
    assert "efused" not in _standing(job | {"decisions": [{"name": "a", "answer": "join", "reason": ""}]})
    assert _standing(job | {"outlook": ""}) == "collecting"
