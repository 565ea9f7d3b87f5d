"""What is said of a result, and how numbers are written."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulations.report import findings
from simulations.report.look import spread
from simulations.report.plots.units import BYTES, SECONDS, tick_texts
from simulations.report.terminal import comparison, spark, summary
from simulations.report.view import View, views_of
from simulations.report.words import clean, difference, label, number, plain, size, span
from simulations.study.intervals import interval
from simulations.study.result import EVERYWHERE, Comparison, Interval, StudyResult
from tests.unit.report.results import study


def view_of(result: StudyResult) -> View:
    return views_of((result,))[0]


def said(result: StudyResult) -> str:
    return " ".join(plain(sentence) for sentence in findings.found(view_of(result)))


def shown(result: StudyResult, *others: StudyResult) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(comparison((result, *others)) if others else summary(result))
    return console.export_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.8714), "0.871"), (number(3.14e-10), "3.1e-10"), (number(0.0), "0"), (number(-0.25), "-0.250"),
        (number(123456.7), "123,456.7"), (number(2.5e7), "2.50e+07"), (difference(0.02), "+0.020"),
        (difference(-3e-10), "-3.0e-10"), (size(812.0), "812 B"), (size(1_310_000.0), "1.31 MB"), (span(0.02), "20 ms"),
        (span(90.0), "90 s"), (span(600.0), "10 min"), (span(0.0), "0 s"), (span(10_800.0), "3 h"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(text: object, expected: str) -> None:
    assert str(text).replace("\N{MINUS SIGN}", "-") == expected


def test_texts_lose_what_cannot_be_printed_and_no_more() -> None:
    assert clean("Zürich\n\x1b[31m\u202e東京") == "Zürich\ufffd\ufffd[31m\ufffd東京"
    assert label("x" * 40) == "x" * 23 + "…"


def test_federated_that_equals_pooled_is_said_to_with_the_largest_difference() -> None:
    assert "Federated equals pooled within 3.0e-10 AUC in every repetition" in said(study(repetitions=3, rounds=2))


def test_federated_that_loses_is_said_to_lose(result: StudyResult) -> None:
    text = said(study(repetitions=6, rounds=2, same=False, shift=-0.02))
    assert "Against the pooled model, federated loses 0.02" in text
    assert "equals" not in text


def test_a_lower_log_loss_is_a_gain() -> None:
    def compared(arm: str, hospital: str, mean: float, minus: float | None) -> Comparison:
        value = Interval(mean=mean, low=mean - 0.01, high=mean + 0.01, deviation=0.01, n=5)
        shift = (
            None if minus is None else msgspec.structs.replace(value, mean=minus, low=minus - 0.001, high=minus + 0.001)
        )
        return Comparison(
            arm=arm,  # type: ignore[arg-type]
            hospital=hospital,
            tested_on=EVERYWHERE,
            metric="log_loss",
            value=value,
            minus_pooled=shift,
        )

    base = study(["a", "b", "c"], repetitions=2, rounds=1)
    result = msgspec.structs.replace(
        base, metric="log_loss", higher_is_better=False, target=None,
        repetitions=tuple(msgspec.structs.replace(r, scores=()) for r in base.repetitions),
        comparisons=(
            compared("federated", "", 0.40, -0.02), compared("pooled", "", 0.42, None),
            compared("alone", "a", 0.47, 0.05), compared("alone", "b", 0.53, 0.11),
        ),
    )  # fmt: skip
    text = said(result)
    assert "federated gains 0.020 log loss" in text
    assert "Each hospital alone loses 0.050 to 0.110 log loss" in text


def test_an_interval_around_zero_is_left_to_chance(result: StudyResult) -> None:
    shift = Interval(mean=-0.004, low=-0.01, high=0.002, deviation=0.01, n=5)
    comparisons = tuple(
        msgspec.structs.replace(c, minus_pooled=shift) if c.arm == "federated" else c for c in result.comparisons
    )
    without = tuple(msgspec.structs.replace(r, scores=()) for r in result.repetitions)
    text = said(msgspec.structs.replace(result, comparisons=comparisons, repetitions=without))
    assert "federated loses 0.004 AUC (95 % interval -0.002 to 0.010), which chance may explain" in text.replace(
        "\N{MINUS SIGN}", "-"
    )


def test_a_target_that_nobody_reached_is_said(result: StudyResult) -> None:
    totals = tuple(t for t in result.totals if t.name != "rounds_to_target")
    assert "The target AUC of 0.850 was never reached." in said(msgspec.structs.replace(result, totals=totals))


def test_limits_say_how_few_repetitions_there_were() -> None:
    for repetitions, words in ((1, "there are no intervals"), (4, "With 4 repetitions intervals are wide")):
        limits = findings.limits(view_of(study(["a", "b", "c"], repetitions=repetitions, rounds=1)))
        assert words in " ".join(map(plain, limits))


def test_what_was_noticed_of_the_data_is_told(result: StudyResult) -> None:
    noted = msgspec.structs.replace(result, notes=("3 rows have no outcome",))
    assert "Of the data it was noticed: 3 rows have no outcome." in [plain(s) for s in findings.limits(view_of(noted))]


def test_replay_names_file_and_seed(result: StudyResult) -> None:
    seed = result.repetitions[0].seed
    assert f"secured-sim run scenario.toml --seed {seed} --repetitions 1" in plain(findings.replay(view_of(result)))
    python = msgspec.structs.replace(result, scenario='{"name": "x"}')
    assert "scenario.json" in plain(findings.replay(view_of(python)))


def test_the_terminal_shows_what_the_page_says(result: StudyResult) -> None:
    text = " ".join(shown(result).split())
    for sentence in findings.found(view_of(result)):
        assert plain(sentence) in text
    assert "Budapest alone" in text


def test_the_terminal_takes_no_markup_from_names() -> None:
    text = shown(study(["[red]x[/red]", "[/]", "\x1b[31m"], repetitions=2, rounds=1, title="[bold]t"))
    assert "[red]x[/red]" in text
    assert "[bold]t" in text
    assert "\x1b" not in text


def test_the_terminal_compares(result: StudyResult) -> None:
    assert "B against A" in shown(result, result)


def test_a_spark_goes_from_its_lowest_to_its_highest() -> None:
    assert spark([]) == ""
    assert spark([1, 1]) == "▁▁"
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert len(spark(list(range(1000)))) <= 48


def test_ticks_share_one_unit_and_differ() -> None:
    assert tick_texts([0, 0.05, 0.1], SECONDS) == ["0", "50 ms", "100 ms"]
    assert tick_texts([2.338, 2.341, 2.344], SECONDS) == ["2.338 s", "2.341 s", "2.344 s"]
    assert tick_texts([0, 1.5, 3.0], SECONDS) == ["0", "1.5 s", "3.0 s"]
    assert tick_texts([0, 300, 600], SECONDS) == ["0", "5 min", "10 min"]
    assert tick_texts([0, 2000, 4000], BYTES) == ["0", "2 kB", "4 kB"]


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0.001, 0.2))
def test_labels_moved_apart_keep_their_order_and_distance(places: list[float], gap: float) -> None:
    moved = spread(places, gap)
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    for one, other in itertools.pairwise(order):
        assert moved[other] - moved[one] >= gap - 1e-9
    if all(abs(a - b) >= gap for i, a in enumerate(places) for b in places[:i]):
        assert moved == pytest.approx(places)


def test_a_hospital_looks_the_same_in_every_result() -> None:
    one, other = views_of((study(["a", "b", "c"], repetitions=1), study(["c", "d", "b"], repetitions=1)))
    for name in "abcd":
        assert one.look(name) == other.look(name)
    assert len({one.look(name) for name in "abcd"}) == 4
    many = views_of((study([f"h{i}" for i in range(64)], repetitions=1, rounds=1),))[0]
    assert len({many.look(name) for name in many.hospitals}) == 64


def test_an_interval_of_one_repetition_has_no_ends() -> None:
    text = said(study(["a", "b", "c"], repetitions=1, rounds=1))
    assert interval([0.5], 0.95).low is None
    assert "interval" not in text
