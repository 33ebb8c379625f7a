# SPDX-License-Identifier: Apache-2.0
"""Channels without values, with numbers that differ in their last bits, and with numbers that nobody means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.quality.anomalies.days import (
    ROWS,
    Story,
    Values,
    at,
    column,
    frame,
    noise,
    plan,
    quiet_week,
    rules,
    table_of,
)

DEAD = slice(300, 700)
TINY = 1 / 2**44  # of a number: a few of its last bits


def known(kind: str = "analog") -> Story:
    story = Story(plan(table_of(column("x", nullable=True)), kind=kind))
    return quiet_week(story, lambda day: np.round(100 + noise(day), 1))


def dying(story: Story, nothing: float | None) -> pl.DataFrame:
    values: list[float | None] = np.round(100 + noise(story.day), 1).tolist()
    values[DEAD] = [nothing] * (DEAD.stop - DEAD.start)
    return frame(story.day, x=pl.Series(values, dtype=pl.Float64))


@pytest.mark.parametrize("kind", ["analog", "science"])
@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_a_channel_that_has_no_values_for_hours_is_missing_from_its_first_to_its_last_row(
    kind: str, nothing: float | None
) -> None:
    story = known(kind)
    (found,) = story.next(dying(story, nothing))
    day = story.days[-1][0]
    assert (found.rule, found.severity, found.samples, found.ended) == ("missing", "yellow", 400, True)
    assert (found.start, found.end) == (at(day, 300), at(day, 699))


def test_a_channel_that_died_is_still_missing_on_the_tenth_day() -> None:
    story = known()
    for _ in range(10):
        empty = frame(story.day, x=pl.Series([None] * ROWS, dtype=pl.Float64))
        assert rules(story.next(empty)) == [("missing", "yellow")]
    assert story.next(frame(story.day, x=np.round(100 + noise(story.day), 1))) == []


def test_a_day_of_which_a_part_is_missing_teaches_the_rest() -> None:
    story = known()
    for _ in range(9):
        assert rules(story.next(dying(story, None))) == [("missing", "yellow")]


def test_a_channel_that_has_a_value_in_every_third_row_only_is_not_missing() -> None:
    story = Story(plan(table_of(column("x", nullable=True))))
    for number in range(9):
        values = np.where(np.arange(ROWS) % 3 == 0, 100 + noise(story.day), np.nan)
        if number == 8:
            values[DEAD] = np.nan
        assert story.next(frame(story.day, x=values)) == []


@pytest.mark.parametrize("kind", ["state", "constant", "counter"])
def test_settings_and_counters_are_missing_too(kind: str) -> None:
    story = Story(plan(table_of(column("x", "int32", nullable=True)), kind=kind))
    for _ in range(7):
        assert story.next(frame(story.day, x=np.full(ROWS, 5, np.int32))) == []
    empty = frame(story.day, x=pl.Series([None] * ROWS, dtype=pl.Int32))
    (found,) = story.next(empty)
    assert (found.rule, found.samples, found.ended) == ("missing", ROWS, False)


def test_nine_rows_without_a_value_are_left_to_the_checks() -> None:
    story = known()
    values = np.round(100 + noise(story.day), 1)
    values[300:309] = np.nan
    assert story.next(frame(story.day, x=values)) == []


@pytest.mark.parametrize("jitters", [range(3), range(4, 12), range(0, 12, 2)])
def test_last_bits_that_come_or_go_are_neither_a_noise_nor_a_frozen_channel(jitters: range) -> None:
    story, random = Story(plan(table_of(column("x")))), np.random.default_rng(1)
    for number in range(12):
        bits = TINY * random.integers(0, 5, ROWS) if number in jitters else 0
        assert story.next(frame(story.day, x=np.full(ROWS, 1000.0) * (1 + bits))) == []


def test_last_bits_beside_a_real_change_do_not_make_a_resting_channel_stuck() -> None:
    story, random = Story(plan(table_of(column("x")))), np.random.default_rng(1)
    for number in range(12):
        values = np.where(np.arange(ROWS) < 720, 1000.0, 1010.0)
        values *= 1 + (TINY * random.integers(0, 5, ROWS) if number < 8 else 0)
        assert story.next(frame(story.day, x=values)) == []


@pytest.mark.parametrize("kind", ["analog", "science", "counter", "state", "constant"])
@pytest.mark.parametrize(
    "values",
    [
        [1.7e308, -1.7e308],
        [5e-324, 0.0, 1e-310],
        [1e99, -1e99, 1.0],
        [1e-99, 2e-99, -1e-99],
        [0.0, 1e30],
        [float("nan"), float("inf"), -float("inf"), 1.0],
        [2.0**53, 2.0**53 + 2],
    ],
)
def test_no_number_ends_a_night(kind: str, values: list[float]) -> None:
    story, random = Story(plan(table_of(column("x"), period="orbit"), kind=kind)), np.random.default_rng(2)
    for number in range(12):
        still = number % 3 == 2
        row = np.full(ROWS, values[0]) if still else random.choice(values, ROWS)
        for anomaly in story.next(frame(story.day, x=row)):
            assert anomaly.score is None or np.isfinite(anomaly.score)


def wild(every: int, days: int = 1, usually: int = 0) -> list[Any]:
    """Anomalies of the last of some days on which each so-many-th row is far out; `usually`: of the week before."""
    story = Story(plan(table_of(column("x"))))
    found: list[Any] = []
    for number in range(7 + days):
        values: Values = 100 + noise(story.day)
        step = every if number >= 7 else usually
        if step:
            values[::step] += 50
        found = story.next(frame(story.day, x=values))
    return found


def test_single_wild_rows_all_day_are_yellow() -> None:
    (found,) = wild(every=25)
    assert (found.rule, found.severity, found.samples) == ("spike", "yellow", 58)
    (again,) = wild(every=25, days=3)
    assert (again.rule, again.severity) == ("spike", "yellow")


def test_wild_rows_that_were_there_all_week_are_info() -> None:
    (found,) = wild(every=40, usually=70)
    assert (found.rule, found.severity, found.samples) == ("spike", "info", 36)


def stepped(back: int) -> list[int]:
    """Hours of the rates of a day on which a channel whose days differ much goes up, and down some rows later."""
    random = np.random.default_rng(0)
    story = Story(plan(table_of(column("x"))))
    for _ in range(7):
        story.next(frame(story.day, x=100 + 3 * random.standard_normal() + noise(story.day)))
    values = 100 + noise(story.day)
    values[100 : 100 + back] += 8
    return [(a.end - a.start) // timedelta(hours=1) for a in story.next(frame(story.day, x=values)) if a.rule == "rate"]


def test_a_step_there_and_back_within_hours_is_one_stretch_and_a_day_apart_two_moments() -> None:
    assert stepped(180) == [3]
    assert stepped(1200) == [0, 0]
