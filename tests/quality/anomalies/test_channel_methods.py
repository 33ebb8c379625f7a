# SPDX-License-Identifier: Apache-2.0
"""What each method finds in a channel of which a week is known, and what it leaves alone."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from quality.anomalies.memory import read_memory
from tests.quality.anomalies.days import (
    ORBIT_S,
    ROWS,
    START,
    Story,
    Values,
    at,
    column,
    frame,
    noise,
    orbit,
    plan,
    quiet_week,
    rules,
    table_of,
)


def rounded(day: date) -> Values:
    """A channel with an orbit's pattern of 20, noise of 1 and counts of 0.1."""
    return np.round(100 + orbit(day) + noise(day), 1)


def patterned() -> Story:
    return quiet_week(Story(plan(table_of(column("x"), period="orbit"))), rounded)


def flat(day: date) -> Values:
    return np.round(100 + noise(day), 1)


def level(days: int = 7) -> Story:
    return quiet_week(Story(plan(table_of(column("x")))), flat, days)


def test_a_step_of_six_sigma_inside_the_patterns_swing_is_a_level_from_its_first_to_its_last_row() -> None:
    story = patterned()
    values = rounded(story.day)
    values[600:660] += 6.0
    (found,) = story.next(frame(story.day, x=values))
    assert (found.rule, found.severity, found.column) == ("level", "yellow", "x")
    day = story.days[-1][0]
    assert abs(found.start - at(day, 600)) <= timedelta(minutes=1)
    assert abs(found.end - at(day, 659)) <= timedelta(minutes=1)
    assert found.ended
    assert found.value is not None
    assert found.baseline is not None
    # The worst row of sixty lies about six sigma and two and a half of noise above the pattern.
    assert 6.5 < found.value - found.baseline < 10.5


@pytest.mark.parametrize("rows", [1, 2])
def test_one_or_two_wild_rows_are_info_and_alert_nobody(rows: int) -> None:
    story = patterned()
    values = rounded(story.day)
    values[600 : 600 + rows] += 30.0
    found = story.next(frame(story.day, x=values))
    assert rules(found) == [("spike", "info")]
    assert found[0].samples == rows


def test_more_than_twenty_spikes_of_a_day_are_told_as_one() -> None:
    story = patterned()
    values = rounded(story.day)
    values[10:1300:50] += 30.0
    (found,) = story.next(frame(story.day, x=values))
    assert (found.rule, found.severity, found.samples) == ("spike", "info", 26)


def test_a_spike_is_told_beside_a_noise_of_the_same_day() -> None:
    story = patterned()
    values = rounded(story.day)
    values[300:420] += 8 * noise(story.day, seed=77)[300:420]
    values[900] += 30.0
    found = story.next(frame(story.day, x=values))
    assert [(a.rule, a.start) for a in found][-1] == ("spike", at(story.days[-1][0], 900))


def test_three_wild_rows_are_a_level() -> None:
    story = patterned()
    values = rounded(story.day)
    values[600:603] += 30.0
    (found,) = story.next(frame(story.day, x=values))
    assert (found.rule, found.severity) == ("level", "yellow")
    assert (found.start, found.end) == (at(story.days[-1][0], 600), at(story.days[-1][0], 602))


def test_a_fault_that_goes_on_over_midnight_has_not_ended_and_begins_anew_the_next_day() -> None:
    story = patterned()
    first, second = rounded(story.day), rounded(story.day + timedelta(1))
    first[1380:] += 15.0
    second[:60] += 15.0
    (one,) = story.next(frame(story.day, x=first))
    (two,) = story.next(frame(story.day, x=second))
    assert (one.ended, one.end) == (False, at(story.days[-2][0], 1439))
    assert (two.ended, two.start) == (True, at(story.days[-1][0], 0))
    assert two.end == at(story.days[-1][0], 59)


def test_a_fault_teaches_nothing_so_it_is_still_one_on_the_tenth_day() -> None:
    story = level()
    for _ in range(10):
        assert [rule for rule, _ in rules(story.next(frame(story.day, x=flat(story.day) + 20)))] == ["level"]
    assert story.next(frame(story.day, x=flat(story.day))) == []


def test_a_frozen_channel_is_stuck_for_as_long_as_it_is_frozen() -> None:
    story = patterned()
    values = rounded(story.day)
    values[600:720] = values[600]
    (found,) = story.next(frame(story.day, x=values))
    assert (found.rule, found.severity) == ("stuck", "yellow")
    assert (found.start, found.end) == (at(story.days[-1][0], 600), at(story.days[-1][0], 719))
    assert found.samples == 120


def test_a_channel_that_is_frozen_at_an_extreme_is_saturated() -> None:
    story = patterned()
    values = np.minimum(rounded(story.day), 130.0)
    values[600:720] = 140.0
    (found,) = story.next(frame(story.day, x=values))
    assert (found.rule, found.severity, found.value) == ("saturation", "yellow", 140.0)


def test_a_slow_coarse_channel_that_rests_for_hours_is_not_stuck() -> None:
    def coarse(day: date) -> Values:
        return np.round(100 + orbit(day, 2.0) / 2)

    quiet_week(Story(plan(table_of(column("x"), period="orbit"))), coarse, days=20)


def test_five_times_the_noise_is_noise_and_not_a_hundred_spikes() -> None:
    story = patterned()
    values = rounded(story.day)
    values[600:720] += 5 * noise(story.day, seed=77)[600:720]
    found = story.next(frame(story.day, x=values))
    assert ("noise", "yellow") in rules(found)
    assert len(found) <= 2
    noisy = next(anomaly for anomaly in found if anomaly.rule == "noise")
    assert noisy.value == pytest.approx(26**0.5, rel=0.25)  # variances add: 1 + 25


def test_a_row_at_the_end_of_the_valid_range_thrice_is_saturation_without_anything_learned() -> None:
    story = Story(plan(table_of(column("x", valid=(-50, 200)))))
    values = flat(START)
    values[10:13] = 200.0
    values[20:22] = 200.0
    (found,) = story.next(frame(START, x=values))
    assert (found.rule, found.value, found.samples) == ("saturation", 200.0, 3)


def test_words_beyond_the_calibration_are_saturation_where_the_channel_usually_has_values() -> None:
    table = table_of(column("x", conversion="polynomial", nullable=True))
    story = quiet_week(Story(plan(table)), flat)
    rows = frame(story.day, x=flat(story.day)).with_row_index()
    outside = pl.col("index").is_between(600, 620)
    rows = rows.with_columns(
        x=pl.when(outside).then(None).otherwise("x"),
        quality_flag=pl.when(outside).then(1 << 14).otherwise(0).cast(pl.Int32),
    )
    (found,) = story.next(rows.drop("index"))
    assert (found.rule, found.samples, found.value) == ("saturation", 21, None)


def test_a_drift_of_half_a_sigma_a_day_is_found_within_six_days_and_is_over_when_the_level_is_back() -> None:
    story = level(10)
    per_day = []
    for number in range(1, 13):
        found = story.next(frame(story.day, x=flat(story.day) + 0.5 * number))
        per_day.append({rule for rule, _ in rules(found)})
    first = next(i for i, seen in enumerate(per_day) if "drift" in seen)
    assert 2 <= first <= 5
    assert all("drift" in seen for seen in per_day[first:])
    assert story.next(frame(story.day, x=flat(story.day))) == []


def test_days_that_show_a_part_of_the_orbit_alone_are_no_drift() -> None:
    story = Story(plan(table_of(column("x"), period="orbit")))
    quiet_week(story, lambda day: 100 + 3 * orbit(day) + noise(day), days=10)
    for _ in range(3):
        seen = np.flatnonzero(60 * np.arange(ROWS) % ORBIT_S < 0.7 * ORBIT_S)
        found = story.next(frame(story.day, kept=seen.tolist(), x=100 + 3 * orbit(story.day) + noise(story.day)))
        assert "drift" not in {rule for rule, _ in rules(found)}


def test_a_drift_tells_since_when_and_from_where() -> None:
    story = level(10)
    onset = story.day
    found = []
    for number in range(1, 8):
        found = story.next(frame(story.day, x=flat(story.day) + 0.5 * number))
    (anomaly,) = [a for a in found if a.rule == "drift"]
    assert f"since {onset}" in anomaly.detail or f"since {onset + timedelta(1)}" in anomaly.detail
    assert anomaly.baseline == pytest.approx(100, abs=0.1)
    assert anomaly.value == pytest.approx(103.5, abs=0.15)


def test_days_that_differ_by_a_third_of_a_sigma_are_no_drift_in_eight_weeks() -> None:
    random = np.random.default_rng(3)
    quiet_week(Story(plan(table_of(column("x")))), lambda day: flat(day) + 0.3 * random.standard_normal(), days=56)


def test_a_day_cut_short_has_the_level_of_a_whole_one() -> None:
    story = patterned()
    for _ in range(5):
        rows = frame(story.day, slice(0, 70), x=rounded(story.day))
        assert [rule for rule, _ in rules(story.next(rows)) if rule != "gap"] == []


def test_a_step_that_the_scatter_between_days_hides_is_a_rate() -> None:
    random = np.random.default_rng(4)
    story = Story(plan(table_of(column("x"))))
    for _ in range(7):
        story.next(frame(story.day, x=flat(story.day) + 12 * random.standard_normal()))
    values = flat(story.day)
    values[700:] += 12.0
    found = story.next(frame(story.day, x=values))
    assert "rate" in {rule for rule, _ in rules(found)}


def test_each_mode_has_its_own_usual() -> None:
    table = table_of(column("x"), column("mode", "int8"))
    story = Story(plan(table, mode="mode"))
    modes = np.where(np.arange(ROWS) % 480 < 240, 1, 2)

    def rows(day: date, odd: int = 0) -> pl.DataFrame:
        values = flat(day) + 50.0 * modes
        values[900:960] += odd
        return frame(day, x=values, mode=modes.astype(np.int8))

    for _ in range(7):
        assert story.next(rows(story.day)) == []
    assert rules(story.next(rows(story.day, odd=50))) == [("level", "yellow")]


def test_a_mode_that_was_never_there_is_not_judged() -> None:
    table = table_of(column("x"), column("mode", "int8"))
    story = Story(plan(table, mode="mode"))
    for _ in range(7):
        story.next(frame(story.day, x=flat(story.day), mode=np.ones(ROWS, np.int8)))
    assert story.next(frame(story.day, x=flat(story.day) + 500, mode=np.full(ROWS, 3, np.int8))) == []


def test_what_a_day_leaves_behind_is_the_same_after_it_was_written_and_read() -> None:
    story = patterned()
    story.next(frame(story.day, x=rounded(story.day)), trends={"completeness": 0.1 + 0.2, "latency_p95_s": None})
    memory = story.days[-1][1].memory
    assert read_memory(memory.text) == memory
    assert memory.last == int(at(story.days[-1][0], 1439).timestamp() * 1e6)
    assert memory.teaching == ("x",)
