# SPDX-License-Identifier: Apache-2.0
"""Limits, gaps, settings, counters and metrics of days: what they find, and what they leave alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.watch_definitions import Mode
from quality.anomalies.normal import Normal
from tests.quality.anomalies.days import (
    ROWS,
    START,
    Story,
    at,
    column,
    frame,
    limit,
    minutes,
    noise,
    plan,
    rules,
    table_of,
)

TABLE = table_of(column("x"), column("mode", "int8"))


def limited(*limits: Any) -> Story:
    return Story(plan(TABLE, limits=limits))


def rows(values: dict[int, float], usual: float = 20.0, modes: dict[int, int] | None = None) -> pl.DataFrame:
    """A day on which the channel is at its usual value but for some rows."""
    x, mode = np.full(ROWS, usual), np.ones(ROWS, np.int8)
    for row, value in values.items():
        x[row] = value
    for row, value in (modes or {}).items():
        mode[row] = value
    return frame(START, x=x, mode=mode)


def test_three_rows_above_a_red_limit_are_red_with_the_worst_and_the_limit() -> None:
    (found,) = limited(limit(high=50.0)).next(rows({100: 51.0, 101: 55.0, 102: 52.0}))
    assert (found.rule, found.severity, found.value, found.baseline, found.score) == (
        "red_high",
        "red",
        55.0,
        50.0,
        5.0,
    )
    assert (found.start, found.end, found.ended, found.samples) == (at(START, 100), at(START, 102), True, 3)


def test_two_rows_above_it_are_too_few_and_recorded_as_short() -> None:
    (found,) = limited(limit(high=50.0)).next(rows({100: 51.0, 101: 55.0}))
    assert (found.rule, found.severity, found.samples) == ("short:red_high", "info", 2)


def test_both_ends_of_a_limit_are_inside() -> None:
    assert limited(limit(low=20.0, high=50.0)).next(rows({100: 50.0, 101: 50.0, 102: 50.0})) == []


def test_an_alert_that_takes_ten_minutes_is_not_raised_by_nine() -> None:
    one = limit(severity="yellow", low=10.0, samples=1, seconds=600)
    assert rules(limited(one).next(rows(dict.fromkeys(range(100, 110), 5.0)))) == [("short:yellow_low", "info")]
    assert rules(limited(one).next(rows(dict.fromkeys(range(100, 111), 5.0)))) == [("yellow_low", "yellow")]


def test_rows_of_another_mode_neither_count_nor_interrupt() -> None:
    one = limit(high=50.0, when=Mode(column="mode", any_of=("1",)))
    outside = dict.fromkeys(range(100, 105), 60.0)
    (found,) = limited(one).next(rows(outside, modes={101: 2, 103: 2}))
    assert (found.rule, found.samples) == ("red_high", 3)
    assert limited(one).next(rows(outside, modes=dict.fromkeys(range(100, 105), 2))) == []


def test_a_row_without_a_number_neither_counts_nor_interrupts() -> None:
    (found,) = limited(limit(high=50.0)).next(rows({100: 60.0, 101: float("nan"), 102: 60.0, 103: 60.0}))
    assert (found.rule, found.samples) == ("red_high", 3)


def test_a_run_of_three_rows_over_midnight_is_red_on_the_second_day() -> None:
    story = limited(limit(high=50.0))
    assert rules(story.next(rows({1438: 60.0, 1439: 60.0}))) == [("short:red_high", "info")]
    second = rows({0: 60.0}).with_columns(epoch_tt2000=pl.Series(minutes(story.day)))
    (found,) = story.next(second)
    assert (found.rule, found.severity, found.samples) == ("red_high", "red", 1)
    assert "3 rows" in found.detail


def test_time_without_data_is_not_time_outside_a_limit() -> None:
    one = limit(severity="yellow", high=50.0, samples=2, seconds=1200)
    kept = [*range(601), *range(961, ROWS)]
    found = limited(one).next(rows({600: 60.0, 961: 60.0})[kept])
    assert sorted(rules(found)) == [("gap", "yellow"), ("short:yellow_high", "info"), ("short:yellow_high", "info")]


def test_a_gap_at_midnight_ends_a_run_and_one_in_another_mode_does_too() -> None:
    one = limit(high=50.0, samples=2, when=Mode(column="mode", any_of=("1",)))
    second = rows({600: 60.0}, modes=dict.fromkeys(range(600), 2))
    for kept in (slice(600, None), [*range(100), *range(200, ROWS)]):
        story = limited(one)
        assert rules(story.next(rows({1439: 60.0}))) == [("short:red_high", "info")]
        found = story.next(second.with_columns(epoch_tt2000=pl.Series(minutes(story.day)))[kept])
        assert sorted(rules(found)) == [("gap", "yellow"), ("short:red_high", "info")]


def test_a_run_goes_on_over_hours_in_another_mode() -> None:
    story = limited(limit(high=50.0, samples=2, when=Mode(column="mode", any_of=("1",))))
    story.next(rows({1439: 60.0}))
    second = rows({600: 60.0}, modes=dict.fromkeys(range(600), 2))
    assert rules(story.next(second.with_columns(epoch_tt2000=pl.Series(minutes(story.day))))) == [("red_high", "red")]


def test_red_and_yellow_of_one_channel_are_both_told() -> None:
    story = limited(limit(high=50.0), limit(severity="yellow", high=40.0))
    values = dict.fromkeys(range(100, 110), 45.0) | dict.fromkeys(range(103, 107), 60.0)
    assert sorted(rules(story.next(rows(values)))) == [("red_high", "red"), ("yellow_high", "yellow")]


def gapped(day: date, kept: Any, **watch: Any) -> Story:
    story = Story(plan(table_of(column("x"), **watch)))
    story.next(frame(day, kept, x=np.zeros(ROWS)), day)
    return story


def test_a_gap_is_from_the_last_row_before_it_to_the_first_after_it() -> None:
    story = gapped(START, [*range(600), *range(960, ROWS)])
    (found,) = story.days[0][1].anomalies
    assert (found.rule, found.column, found.severity, found.ended) == ("gap", "", "yellow", True)
    assert (found.start, found.end, found.value) == (at(START, 599), at(START, 960), 361 * 60.0)


def test_a_gap_over_midnight_and_two_days_is_told_once_when_rows_come() -> None:
    story = gapped(START, slice(0, 1200))
    assert list(story.days[0][1].anomalies) == []
    later = START + timedelta(3)
    (found,) = story.next(frame(later, slice(60, None), x=np.zeros(ROWS)), later)
    assert (found.start, found.end) == (at(START, 1199), at(later, 60))


def test_ten_minutes_without_rows_are_no_gap_and_eleven_are() -> None:
    assert list(gapped(START, [*range(600), *range(609, ROWS)]).days[0][1].anomalies) == []
    assert len(gapped(START, [*range(600), *range(610, ROWS)]).days[0][1].anomalies) == 1


def test_planned_time_without_data_does_not_count() -> None:
    off = {"start": at(START, 600), "stop": at(START, 955), "reason": "a test"}
    assert list(gapped(START, [*range(600), *range(960, ROWS)], off=(off,)).days[0][1].anomalies) == []
    assert len(gapped(START, [*range(600), *range(970, ROWS)], off=(off,)).days[0][1].anomalies) == 1


def test_a_gap_says_how_many_packets_are_missing() -> None:
    story = Story(plan(table_of(column("x"))))
    missing = [(at(START, 960), 361), (at(START, 1200), 2)]
    (found,) = story.next(frame(START, [*range(600), *range(960, ROWS)], x=np.zeros(ROWS)), missing=missing)
    assert "361 packets are missing" in found.detail


def states(kind: str, values: Any, odd: Any) -> list[Any]:
    """Anomalies of a day after a week of a setting."""
    story = Story(plan(table_of(column("x", "string" if isinstance(values[0], str) else "int32")), kind=kind))
    for _ in range(7):
        assert story.next(frame(story.day, x=values)) == []
    return story.next(frame(story.day, x=odd))


def test_a_setting_that_was_never_there_is_told_with_its_rows() -> None:
    usual = np.repeat(np.array([1, 2, 3], np.int32), ROWS // 3)
    odd = usual.copy()
    odd[500:530] = 7
    (found,) = states("state", usual, odd)
    assert (found.rule, found.severity, found.value, found.samples) == ("state", "yellow", 7.0, 30)
    assert (found.start, found.end) == (at(START + timedelta(7), 500), at(START + timedelta(7), 529))


def test_one_row_of_an_unknown_setting_is_info() -> None:
    odd = np.ones(ROWS, np.int32)
    odd[500] = 64
    assert rules(states("state", np.ones(ROWS, np.int32), odd)) == [("state", "info")]


def test_a_setting_in_words_is_watched_too() -> None:
    odd = ["science"] * 1000 + ["safe"] * (ROWS - 1000)
    (found,) = states("state", ["science"] * ROWS, odd)
    assert (found.rule, found.value, found.ended) == ("state", None, False)
    assert "safe" in found.detail


def test_a_constant_that_changes_is_told() -> None:
    odd = np.full(ROWS, 11, np.int32)
    odd[700:] = 12
    (found,) = states("constant", np.full(ROWS, 11, np.int32), odd)
    assert (found.rule, found.severity, found.value, found.baseline) == ("change", "yellow", 12.0, 11.0)


def test_a_counter_that_begins_anew_or_jumps_is_told_at_that_row() -> None:
    story = Story(plan(table_of(column("x", "int32")), kind="counter"))
    counts = np.arange(ROWS, dtype=np.int32) // 100
    for _ in range(7):
        assert story.next(frame(story.day, x=counts)) == []
    odd = np.concatenate((counts[:500], counts[500:900] - 5, counts[900:] + 100)).astype(np.int32)
    found = story.next(frame(story.day, x=odd))
    assert rules(found) == [("reset", "yellow"), ("jump", "yellow")]
    assert [a.start for a in found] == [at(START + timedelta(7), 500), at(START + timedelta(7), 900)]
    assert [a.value for a in found] == [-4.0, 106.0]


def counting(days: list[Any], kind: str = "int32") -> list[list[str]]:
    """Rules of the days of a counter."""
    story = Story(plan(table_of(column("x", kind)), kind="counter"))
    types = {"int32": np.int32, "int64": np.int64}
    return [[a.rule for a in story.next(frame(story.day, x=np.asarray(day, types[kind])))] for day in days]


@pytest.mark.parametrize(("rule", "step"), [("reset", -5000), ("jump", 1000)])
def test_a_reset_or_jump_teaches_nothing_so_the_next_one_is_told_too(rule: str, step: int) -> None:
    counts = 10_000 + np.arange(ROWS)
    odd = np.where(np.arange(ROWS) < 700, counts, counts + step)
    assert counting([counts] * 8 + [odd, counts, odd, counts, odd])[8:] == [[rule], [], [rule], [], [rule]]


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_a_counter_that_is_full_goes_on_from_zero_and_one_that_began_anew_is_told(bits: int) -> None:
    counts = np.arange(9 * ROWS).reshape(9, ROWS)
    full = (counts + 2**bits - 7 * ROWS - 500) % 2**bits
    assert counting(list(full), "int64") == [[]] * 9
    anew = counts % 2**bits
    if bits > 8:
        anew[8, 700:] -= anew[8, 700]
        assert counting(list(anew), "int64")[8] == ["reset"]


def test_what_a_counter_rises_by_over_a_gap_is_no_jump() -> None:
    counts = np.arange(ROWS, dtype=np.int32)
    story = Story(plan(table_of(column("x", "int32")), kind="counter"))
    for _ in range(7):
        assert story.next(frame(story.day, x=counts)) == []
    gap = [*range(600), *range(960, ROWS)]
    assert rules(story.next(frame(story.day, gap, x=counts))) == [("gap", "yellow")]
    assert rules(story.next(frame(story.day, gap, x=counts + 4000 * (counts > 700)))) == [
        ("gap", "yellow"),
        ("jump", "yellow"),
    ]


def completeness(values: list[float | None]) -> list[list[tuple[str, str]]]:
    story = Story(plan(table_of(column("x"))))
    flat = np.zeros(ROWS)
    return [rules(story.next(frame(story.day, x=flat), trends={"completeness": value})) for value in values]


def test_a_day_that_is_a_quarter_short_is_info_and_two_in_a_row_are_yellow() -> None:
    found = completeness([1.0] * 10 + [0.75, 0.75, 1.0])
    assert found[:10] == [[]] * 10
    assert found[10:] == [[("trend:completeness", "info")], [("trend:completeness", "yellow")], []]


def test_a_day_that_is_nearly_empty_is_yellow_at_once() -> None:
    assert completeness([1.0] * 10 + [0.2])[-1] == [("trend:completeness", "yellow")]


def test_one_part_in_fifty_more_or_less_is_no_trend() -> None:
    assert all(found == [] for found in completeness([1.0] * 10 + [0.98, 0.9, 1.0, None]))


def test_a_faster_link_is_no_trend_and_a_slower_one_is() -> None:
    story = Story(plan(table_of(column("x"))))
    values = [600.0] * 10 + [60.0, 7200.0]
    flat = np.zeros(ROWS)
    found = [rules(story.next(frame(story.day, x=flat), trends={"latency_p95_s": value})) for value in values]
    assert found[-2:] == [[], [("trend:latency_p95_s", "yellow")]]


@pytest.mark.parametrize(("accepted", "days"), [(None, range(10, 20)), ("x", range(0)), ("y", range(10, 20))])
def test_a_trend_of_a_column_is_usual_from_the_day_on_which_its_column_was_accepted(
    accepted: str | None, days: range
) -> None:
    story = Story(plan(table_of(column("x"), column("y"), trends=("x:max",))))
    if accepted:
        story.normals = [Normal("toy.box_l1_hk", accepted, START + timedelta(10), "Ada", "-")]
    told = []
    for number in range(22):
        values = {"x": np.zeros(ROWS), "y": np.zeros(ROWS)}
        found = story.next(frame(story.day, **values), trends={"x:max": 10.0 if number < 10 else 30.0})
        told += [number] if ("trend:max", "yellow") in rules(found) else []
    assert told == list(days)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, 3.0],
        [float("nan")] * 40,
        [None] * 40,
        [5.0] * 40,
        [float("inf"), 1.0] * 20,
    ],
)
def test_odd_days_raise_nothing_and_alarm_nobody(values: list[float | None]) -> None:
    story = Story(plan(table_of(column("x", nullable=True), period="orbit")))
    for _ in range(12):
        times = minutes(story.day)[: len(values)]
        found = story.next(
            pl.DataFrame(
                {"epoch_tt2000": times, "x": values, "quality_flag": 0},
                schema={"epoch_tt2000": pl.Int64, "x": pl.Float64, "quality_flag": pl.Int32},
            )
        )
        assert [a for a in found if a.rule != "gap"] == []


def test_a_day_without_rows_and_rows_without_time_are_quiet() -> None:
    story = Story(plan(table_of(column("x"))))
    empty = frame(START, slice(0, 0), x=np.zeros(ROWS))
    assert story.next(empty) == []
    lost = frame(story.day, x=np.zeros(ROWS)).with_columns(epoch_tt2000=pl.lit(None, pl.Int64))
    assert story.next(lost) == []


def test_a_table_without_times_is_watched_by_its_metrics() -> None:
    table = table_of(column("x"))
    timeless = table.model_copy(update={"columns": tuple(c for c in table.columns if c.name != "epoch_tt2000")})
    story = Story(plan(timeless, limits=[limit(high=1.0)]))
    rows = frame(START, x=np.full(ROWS, 5.0)).drop("epoch_tt2000")
    found = [rules(story.next(rows, trends={"completeness": value})) for value in [1.0] * 8 + [0.2]]
    assert found == [[]] * 8 + [[("trend:completeness", "yellow")]]


def test_rows_out_of_order_are_judged_in_order() -> None:
    one, other = Story(plan(TABLE, limits=[limit(high=50.0)])), Story(plan(TABLE, limits=[limit(high=50.0)]))
    day = rows(dict.fromkeys(range(100, 110), 60.0))
    assert one.next(day) == other.next(day.sample(fraction=1, shuffle=True, seed=1))


def test_a_channel_that_never_moved_is_quiet_and_one_count_is_no_level() -> None:
    story = Story(plan(table_of(column("x", "int32"))))
    for _ in range(7):
        assert story.next(frame(story.day, x=np.full(ROWS, 5, np.int32))) == []
    values = np.full(ROWS, 5, np.int32)
    values[600:700] = 6
    assert story.next(frame(story.day, x=values)) == []


def test_times_of_anomalies_are_utc() -> None:
    (found,) = gapped(START, [*range(600), *range(960, ROWS)]).days[0][1].anomalies
    assert found.start.tzinfo is UTC
    assert found.start == datetime(2026, 7, 1, 9, 59, tzinfo=UTC)


def test_noise_alone_is_never_yellow_in_thirty_days() -> None:
    story = Story(plan(table_of(column("x"))))
    for _ in range(30):
        found = story.next(frame(story.day, x=noise(story.day, seed=11)))
        assert [anomaly for anomaly in found if anomaly.severity != "info"] == []
