"""Courses of successor jobs: sums of jobs with other numbers of members, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from secured_node.data.errors import DataError
from secured_node.tasks.base import Noise
from secured_node.tasks.course import Course, add
from tests.unit.test_tasks import MIXED, mixed
from tests.unit.test_train import BASE, SCHEMA, TABLES

SUMMARY = {"columns": ["x", "g"]}


def draw(count: int) -> bytes:
    return np.random.default_rng(count).bytes(count)


def sums(course: Course, tables: Sequence[Any], count: int) -> list[Any]:
    """The next sums of a course over some tables; the course takes them in."""
    made = []
    for _ in range(count):
        made.append(add([course.vector(course.prepare(table), draw) for table in tables]))
        course.apply(made[-1])
    return made


def test_training_goes_on_with_the_model_that_it_has_and_fewer_sites() -> None:
    first = Course("train", BASE, SCHEMA, 3)
    taken = sums(first, TABLES, 2)
    successor = Course("train", BASE, SCHEMA, 2, before=[(3, 2)])
    assert successor.members == 3
    for total in taken:
        successor.apply(total)
    assert successor.members == successor.state.members == 2
    assert successor.state.model == first.state.model and successor.state.rounds_done == 1
    sums(successor, TABLES[:2], BASE["rounds"] - 1)
    assert successor.done and successor.rounds_done == 1 + BASE["rounds"]


def test_a_task_whose_sums_belong_together_begins_anew_and_its_result_is_that_of_those_who_stayed() -> None:
    tables = [mixed(seed, 40) for seed in range(4)]
    alone = Course("summary", SUMMARY, MIXED, 3)
    sums(alone, tables[:3], 2)
    first = Course("summary", SUMMARY, MIXED, 4)
    successor = Course("summary", SUMMARY, MIXED, 3, before=[(4, 1)])
    for total in sums(first, tables, 1):
        successor.apply(total)
    assert not successor.done
    sums(successor, tables[:3], 2)
    assert successor.done and successor.result().data == alone.result().data


def test_a_successor_of_a_job_without_a_sum_begins_with_its_own_members() -> None:
    course = Course("train", BASE, SCHEMA, 2, before=[(4, 0), (3, 0)])
    assert course.members == course.state.members == 2


def test_noise_is_that_of_the_members_who_are_left() -> None:
    noise = Noise(unit="record", rho=1.0, rounds=2, delta=1e-6, colluders=1)
    course = Course("summary", SUMMARY, MIXED, 3, noise, before=[(4, 0)])
    fresh = Course("summary", SUMMARY, MIXED, 3, noise)
    assert course.state == fresh.state and course.layout() == fresh.layout()


def test_sums_of_more_members_than_a_job_had_are_refused_in_each_part() -> None:
    tables = [mixed(seed, 40) for seed in range(3)]
    made = sums(Course("summary", SUMMARY, MIXED, 3), tables, 1)[0]
    successor = Course("summary", SUMMARY, MIXED, 3, before=[(4, 1)])
    with pytest.raises(DataError):
        successor.apply(np.full_like(made, 2**62))
