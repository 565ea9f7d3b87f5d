"""A few seeds of every trial, and that one seed is one run, byte for byte; thousands more are for `make soak`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.trials.catalogue import TRIALS
from simulations.trials.minimise import minimise
from simulations.trials.sweep import Tally, keep_tally, load_tally, play_seed, sweep

SEEDS = (0, 1)
"""Of each of some 75 trials: 150 runs."""
FOUND = (
    ("faults", 15),  # an answer that waits for another job was forgotten by a restart
)
"""Seeds that showed a defect once. What each was: docs/seeds.md."""
SAMPLES = ("faults", "groups", "growing", "newcomers", "adversary-mutator")


@pytest.mark.parametrize("trial", TRIALS)
def test_no_rule_is_broken(trial: str) -> None:
    for seed in SEEDS:
        _, failure = play_seed(trial, seed)
        assert failure is None, f"secured-sim replay {seed} --scenario {trial}"


@pytest.mark.parametrize(("trial", "seed"), FOUND)
def test_a_seed_that_found_a_defect_finds_it_no_more(trial: str, seed: int) -> None:
    _, failure = play_seed(trial, seed)
    assert failure is None


PROGRAM = """
import sys
from simulations.trials.sweep import play_seed
print(*(play_seed(trial, 3)[0].hash for trial in sys.argv[1:]))
"""


def test_one_seed_is_one_run_in_any_process() -> None:
    """Python orders sets of texts differently in each process, unless told otherwise: nothing may depend on it."""
    hashes = set()
    for salt in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        command = [sys.executable, "-c", PROGRAM, *SAMPLES]
        root = Path(__file__).resolve().parents[3]
        done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
        hashes.add(done.stdout)
    assert len(hashes) == 1
    assert len(set(next(iter(hashes)).split())) == len(SAMPLES), "other trials have other traces"


def test_another_seed_is_another_run() -> None:
    assert play_seed("faults", 1)[0].hash != play_seed("faults", 2)[0].hash


def test_a_sweep_counts_and_goes_on_from_its_tally(tmp_path: Path) -> None:
    path = tmp_path / "tally.json"
    for _ in range(2):
        tally = load_tally(path)
        list(sweep(["faults-clog", "newcomers"], 3, tally, workers=2))
        keep_tally(path, tally)
    kept = load_tally(path)
    assert (kept.seeds, kept.failed) == (12, 0)
    assert {count.next for count in kept.trials.values()} == {6}
    assert kept == tally != Tally()


def test_a_failing_seed_is_told_with_the_rule_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that makes its vector anew after a crash: a few strikes of many are enough to show it."""
    from tests.unit.simulations.test_planted import a_vector_is_computed_again_on_a_retry

    a_vector_is_computed_again_on_a_retry(monkeypatch)
    failing = next(seed for seed in range(100) if play_seed("faults", seed)[1] is not None)
    _, failure = play_seed("faults", failing)
    assert failure is not None and failure.rule == "same_integers"
    left_out = minimise("faults", failing, 200)
    _, again = play_seed("faults", failing, left_out)
    assert again is not None and again.rule == "same_integers"
    assert 200 - len(left_out) <= 5, "no more than a handful of strikes is needed"
