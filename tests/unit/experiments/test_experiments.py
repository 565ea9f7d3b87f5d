"""Experiments: what they measure is what the literature and the arithmetic say, and they run like scenarios."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from secured_node.cli.common import CommandError
from secured_node.data.errors import DataError
from simulations.cli import running
from simulations.cli.compare import command as compare
from simulations.cli.list import shipped
from simulations.cli.run import command
from simulations.experiments import canary, quality, selection, thousand
from simulations.experiments.catalogue import EXPERIMENTS
from simulations.experiments.experiment import Experiment, Measured
from simulations.study.result import Attack, StudyResult
from simulations.trials.catalogue import TRIALS


def test_points_follow_the_three_rules() -> None:
    metrics = [0.1, 0.2, 0.4, 0.3]  # better by 0.1, 0.2, -0.1
    found = quality.points([[0, 1], [1, 2], [2, 3]], metrics, 4)
    assert found.tolist() == [-1.0, -1.0 + 1.0, 1.0 - 1.0, -1.0]


def test_everybody_in_every_round_gets_the_same_points() -> None:
    everybody = [list(range(4))] * 5
    assert len(set(quality.points(everybody, [0.1, 0.3, 0.2, 0.5, 0.5, 0.6], 4))) == 1


def test_ranks_are_compared_and_equal_values_drawn_by_lot() -> None:
    up = np.arange(6.0)
    rng = np.random.default_rng(1)
    assert quality.spearman(up**3, up, rng) == pytest.approx(1.0)
    assert quality.spearman(-up, up, rng) == pytest.approx(-1.0)
    lots = [quality.spearman(np.zeros(6), up, rng) for _ in range(2000)]
    assert abs(statistics.fmean(lots)) < 0.05


def test_quality_shows_through_random_members_and_not_through_everybody() -> None:
    some = [quality.correlation(seed, 5, 2, rounds=60) for seed in range(3)]
    all_of_them = [quality.correlation(seed, 5, 5, rounds=6) for seed in range(12)]
    assert statistics.fmean(some) > 0.4
    assert abs(statistics.fmean(all_of_them)) < 0.4


def test_three_of_five_at_random_show_one_alone_after_six_or_seven_rounds() -> None:
    chance = random.Random(5)
    found = [selection.until_isolated(5, 3, chance) for _ in range(300)]
    assert statistics.median(found) in (6, 7)
    assert min(found) >= 3


def test_with_groups_nobody_is_shown_alone_and_most_jobs_are_refused() -> None:
    done, shown, _ = selection.with_groups(1, 5, 3, random.Random(1))
    assert shown == 0
    assert 1 <= done < selection.JOBS / 2


def test_the_bound_on_the_area_is_the_best_curves() -> None:
    assert canary.implied(0.0, 0.0) == 0.5
    assert canary.implied(1.0, 0.0) == pytest.approx(np.e / (1 + np.e))
    assert canary.implied(0.0, 1.0) == 1.0


def test_a_canary_is_found_in_exact_sums_and_hidden_by_noise() -> None:
    assert canary.measure(1, None, trials=10) == 1.0
    hidden = canary.measure(1, 0.5, trials=40)
    assert hidden < 0.75


def test_all_nodes_learn_of_all_members_and_records() -> None:
    figures = thousand.play(1, nodes=30).figures
    assert figures["members known to the last node"] == 30
    assert figures["data sets known to the last node"] == 30


def _coin(seed: int) -> Measured:
    return Measured({"seed": float(seed)}, (Attack(name="coin", node="", succeeded=seed % 2 == 0, text="Guesses."),))


def test_an_experiments_repetitions_are_a_studys_result_and_come_out_the_same_again() -> None:
    experiment = Experiment("coin", "A coin", "It is thrown.", _coin)
    one, again = experiment.study(4, seed=10), experiment.study(4, seed=10)
    assert [r.seed for r in one.repetitions] == [10, 11, 12, 13]
    assert one.totals[0].value.mean == 11.5
    assert [a.succeeded for r in one.repetitions for a in r.attacks] == [True, False, True, False]
    assert [r.trace_hash for r in one.repetitions] == [r.trace_hash for r in again.repetitions]
    assert StudyResult.from_json(one.to_json()) == one


def test_an_experiment_runs_like_a_scenario_and_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "coin", Experiment("coin", "A coin", "It is thrown.", _coin))
    ran = CliRunner().invoke(command, ["coin", "--repetitions", "3", "--seed", "2", "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "A coin" in page
    assert "secured-sim run coin --seed 2 --repetitions 1" in page
    assert "The network is a model" not in page


def test_a_file_of_the_name_comes_before_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert running.experiment_of("canary") is EXPERIMENTS["canary"]
    Path("canary").touch()
    assert running.experiment_of("canary") is None


def test_experiments_are_not_compared_and_compute_here() -> None:
    with pytest.raises(CommandError, match="canary is an experiment"):
        compare.main(["breast-line", "canary"], standalone_mode=False)
    with pytest.raises(DataError, match="computes here"):
        running.run("canary", 1, 1, "dask", None)


def test_the_list_has_all_that_ships() -> None:
    found = shipped()
    assert {e["name"] for e in found["experiments"]} == set(EXPERIMENTS)
    assert {t["name"] for t in found["trials"]} == set(TRIALS)
    assert {"leaving", "poisoning", "adversary"} <= {s["name"] for s in found["scenarios"]}
    names = [a["name"] for a in found["adversaries"]]
    assert len(names) == len(set(names))
    assert {"two_votes", "free_rider_zero"} <= set(names)
    assert not {s["name"] for s in found["scenarios"]} & set(EXPERIMENTS)  # one name, one thing to run
