# SPDX-License-Identifier: Apache-2.0
"""A channel over any span: nothing that happened is hidden, nothing that did not is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lake.answers import Answers, Limits, Parameters
from lake.errors import LimitError, TimeLimitError
from lake.store import Lake
from monitor.envelopes import reading
from monitor.envelopes.layout import COARSE, FINE, WIDTHS, Level
from monitor.envelopes.making import make_envelopes
from monitor.envelopes.reading import Series, level_rows, series, span
from tests.monitor.envelopes.box import (
    DAY,
    HOUR,
    MIDNIGHT,
    MINUTE,
    NEXT,
    US,
    answers,
    box_lake,
    channel,
    every,
    no_views_in,
    table_of,
    write,
)

DAY_LONG = 24 * HOUR
SPIKE_AT, SPIKE = 5_001, 1234.56789  # row of every(10, 8640): 13:53:30
SPIKE_TIME = MIDNIGHT + SPIKE_AT * 10 * US


def with_spike(lake: Lake) -> None:
    values = np.full(8640, 20.5)
    values[SPIKE_AT] = SPIKE
    write(lake, every(10, 8640), values)
    make_envelopes(lake)


@pytest.fixture(scope="module")
def spiked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """A day with a spike and its envelopes, to be read alone."""
    folder = tmp_path_factory.mktemp("spiked")
    with no_views_in(folder):
        (folder / "lake").mkdir()
        lake = box_lake(folder)
        with_spike(lake)
        yield answers(lake)


@pytest.fixture
def few(spiked: Answers) -> Answers:
    """The same with so few rows to an answer that nothing but envelopes can give it."""
    return Answers(spiked.lake, Limits(rows=10))


def bucket(found: Series, time: int) -> int:
    """The place of the bucket that a time is in."""
    place = int(np.searchsorted(found.time, time, side="right")) - 1
    assert found.time[place] <= time < found.time[place] + found.width_s * US
    return place


@pytest.mark.parametrize("level", WIDTHS)
def test_a_single_row_is_in_every_level_with_its_exact_value(few: Answers, level: Level) -> None:
    found = series(few, channel(few.lake), MIDNIGHT, MIDNIGHT + DAY_LONG, DAY_LONG // WIDTHS[level] // US)
    assert (found.level, found.width_s) == (level, WIDTHS[level])
    assert len(found.time) == 86_400 // WIDTHS[level]
    assert found.high[bucket(found, SPIKE_TIME)] == SPIKE
    assert sorted(set(found.high.tolist())) in ([20.5, SPIKE], [SPIKE])
    assert set(found.low.tolist()) == {20.5}
    per_bucket = WIDTHS[level] // 10
    mean = found.mean[bucket(found, SPIKE_TIME)]
    assert mean == pytest.approx((20.5 * (per_bucket - 1) + SPIKE) / per_bucket, rel=1e-12)
    assert set(found.count.tolist()) == {per_bucket}


def test_a_close_look_gives_rows_with_their_times_and_values(spiked: Answers) -> None:
    found = series(spiked, channel(spiked.lake), SPIKE_TIME - 15 * US, SPIKE_TIME + 10 * US, 100)
    assert (found.level, found.width_s) == ("raw", 0)
    assert found.time.tolist() == [SPIKE_TIME - 10 * US, SPIKE_TIME]  # the stop is not included
    assert found.high.tolist() == found.low.tolist() == found.mean.tolist() == [20.5, SPIKE]
    assert found.count.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("hours", "points", "level"),
    [
        (1, 10, "raw"),  # below an hour, whatever the points
        (2, 1000, "raw"),  # 720 rows
        (24, 2000, "minute"),
        (24, 3000, "raw"),  # minutes would be fewer than half of the points
        (24, 480, "minute"),  # three times as many
        (24, 479, "ten_minutes"),
        (24, 47, "hour"),
        (24, 1, "day"),
    ],
)
def test_the_level_fits_the_span_and_the_points(spiked: Answers, hours: int, points: int, level: Level) -> None:
    found = series(spiked, channel(spiked.lake), MIDNIGHT, MIDNIGHT + hours * HOUR, points)
    assert found.level == level


def test_more_rows_than_can_be_drawn_come_as_minutes(spiked: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RAW_ROWS", 300)
    temperature = channel(spiked.lake)
    assert series(spiked, temperature, MIDNIGHT, MIDNIGHT + HOUR, 1000).level == "minute"
    assert series(spiked, temperature, MIDNIGHT + MINUTE, MIDNIGHT + 50 * MINUTE, 1000).level == "raw"


def test_the_time_limit_is_that_of_the_whole_answer(box: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, day in enumerate((DAY, NEXT)):
        write(box, every(60, 1440, MIDNIGHT + number * DAY_LONG), np.zeros(1440), day)
    look, told = answers(box), list[float | None]()
    stream = Answers.stream

    def slow(self: Answers, sql: str, parameters: Parameters = (), seconds: float | None = None) -> Iterator[Any]:
        told.append(seconds)
        time.sleep(0.15)
        return stream(self, sql, parameters, seconds)

    monkeypatch.setattr(Answers, "stream", slow)
    with pytest.raises(TimeLimitError, match=r"longer than 0\.4 s"):
        series(look, channel(box), MIDNIGHT, MIDNIGHT + 2 * DAY_LONG, 300, seconds=0.4)
    assert len(told) <= 3
    assert all(one is not None and one <= 0.4 for one in told)
    assert told == sorted(told, reverse=True), "each question has what the ones before it left"


def test_no_file_of_envelopes_is_read_when_the_time_is_over(few: Answers) -> None:
    with pytest.raises(TimeLimitError):
        series(few, channel(few.lake), MIDNIGHT, MIDNIGHT + DAY_LONG, 24, seconds=0)


def test_the_greatest_numbers_have_a_mean(box: Lake) -> None:
    values = np.full(8640, 20.0)
    values[4000:4002] = 1.7e308
    write(box, every(10, 8640), values)
    within = MIDNIGHT, MIDNIGHT + DAY_LONG
    from_rows = series(answers(box), channel(box), *within, 144)
    make_envelopes(box)
    from_envelopes = series(answers(box, rows=10), channel(box), *within, 144)
    for found in (from_rows, from_envelopes):
        assert found.high.max() == 1.7e308
        assert np.isfinite(found.mean).all()
        assert found.mean.max() == pytest.approx(1.7e308 / 30)


def test_a_gap_is_a_gap(box: Lake) -> None:
    time = np.concatenate([every(1, 3600), every(1, 3600, MIDNIGHT + 2 * HOUR + 20 * MINUTE)])
    write(box, time, np.ones(7200))
    make_envelopes(box)
    found = series(answers(box, rows=10), channel(box), MIDNIGHT, MIDNIGHT + 4 * HOUR, 24)
    assert found.level == "ten_minutes"
    assert np.unique(np.diff(found.time)).tolist() == [10 * MINUTE, 90 * MINUTE]


def test_what_is_no_number_counts_as_nothing(box: Lake) -> None:
    values = [1.0, np.nan, None, np.inf, 3.0, -np.inf] * 1440
    values[-60:] = [np.nan] * 60
    write(box, every(10, 8640), values)
    make_envelopes(box)
    look = answers(box)
    envelope = series(look, channel(box), MIDNIGHT, MIDNIGHT + DAY_LONG, 144)
    assert (envelope.low[0], envelope.high[0], envelope.mean[0], envelope.count[0]) == (1.0, 3.0, 2.0, 60)
    assert np.isnan([envelope.low[-1], envelope.high[-1], envelope.mean[-1]]).all()
    rows = series(look, channel(box), MIDNIGHT, MIDNIGHT + MINUTE, 100)
    assert np.isfinite(rows.mean).tolist() == [True, False, False, False, True, False]
    wide = level_rows(look, table_of(box), "ten_minutes", MIDNIGHT, MIDNIGHT + DAY_LONG)
    assert wide["temp_degc.mean"].tail(1).to_list() == [None]


def test_components_flags_and_counters_have_their_own_values(box: Lake) -> None:
    count = np.arange(8640)
    fields = [[float(i % 7), -float(i), 5.0] for i in count]
    fields[3] = None  # type: ignore[call-overload]  a row without a vector
    write(box, every(10, 8640), np.zeros(8640), fields=fields, is_hot=count == 17, uptime=count + 2**40)
    make_envelopes(box)
    look = answers(box)
    day = MIDNIGHT, MIDNIGHT + DAY_LONG
    y = series(look, channel(box, "b_nt.y"), *day, 1)
    assert (y.low.tolist(), y.high.tolist()) == ([-8639.0], [0.0])
    assert series(look, channel(box, "b_nt.x"), *day, 1).high.tolist() == [6.0]
    hot = series(look, channel(box, "is_hot"), *day, 144)
    assert (hot.high[0], hot.high[1], hot.low[0], hot.mean[0]) == (1.0, 0.0, 0.0, pytest.approx(1 / 60))
    assert series(look, channel(box, "uptime"), *day, 1).high.tolist() == [2.0**40 + 8639]
    rows = series(look, channel(box, "b_nt.y"), MIDNIGHT, MIDNIGHT + 50 * US, 100)
    assert rows.mean[[0, 1, 2, 4]].tolist() == [0.0, -1.0, -2.0, -4.0]
    assert np.isnan(rows.mean[3])


def same(one: Series, other: Series) -> bool:
    return one.level == other.level and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("time", "low", "high", "count")
    )


def test_without_an_envelope_rows_give_the_same(box: Lake) -> None:
    values = np.random.default_rng(3).normal(size=8640)
    values[::7] = np.nan
    write(box, every(10, 8640), values)
    within = MIDNIGHT + 61 * US, MIDNIGHT + DAY_LONG

    def all_levels(look: Answers) -> list[Series]:
        return [series(look, channel(box), *within, 86_400 // width) for width in WIDTHS.values()]

    from_rows = all_levels(answers(box))
    make_envelopes(box)
    from_envelopes = all_levels(Answers(box, Limits(rows=10)))
    assert [found.level for found in from_rows] == list(WIDTHS)
    for one, other in zip(from_rows, from_envelopes, strict=True):
        assert same(one, other)
        assert one.mean == pytest.approx(other.mean, rel=1e-12, nan_ok=True)


def test_a_day_whose_envelope_is_not_that_of_its_files_is_read_from_rows(box: Lake) -> None:
    for number, day in enumerate((DAY, NEXT)):
        write(box, every(10, 8640, MIDNIGHT + number * DAY_LONG), np.full(8640, float(number)), day)
    make_envelopes(box)
    write(box, every(10, 8640, MIDNIGHT + DAY_LONG), np.full(8640, 7.0), NEXT)
    look = answers(box)
    for points in (2, 48, 288, 2880):
        found = series(look, channel(box), MIDNIGHT, MIDNIGHT + 2 * DAY_LONG, points)
        assert found.level != "raw"
        assert [set(half.tolist()) for half in np.split(found.high, 2)] == [{0.0}, {7.0}]
    with pytest.raises(LimitError):
        series(answers(box, rows=10), channel(box), MIDNIGHT, MIDNIGHT + 2 * DAY_LONG, 48)


@pytest.mark.parametrize("name", ["coarse-*", "2024-*"])
def test_a_file_that_vanishes_is_done_without(box: Lake, name: str) -> None:
    with_spike(box)
    look, table = answers(box), table_of(box)
    levels: tuple[Level, ...] = FINE if name.startswith("2") else COARSE
    before = [level_rows(look, table, level, MIDNIGHT, MIDNIGHT + DAY_LONG) for level in levels]
    for path in Path(str(box.root), "envelopes").rglob(name):
        path.unlink()
    after = [level_rows(look, table, level, MIDNIGHT, MIDNIGHT + DAY_LONG) for level in levels]
    for one, other in zip(before, after, strict=True):
        low, high = ([frame[f"temp_degc.{word}"].to_list() for frame in (one, other)] for word in ("low", "high"))
        assert low[0] == low[1]
        assert high[0] == high[1]


def test_a_table_of_a_row_a_minute_is_given_by_its_rows(box: Lake) -> None:
    write(box, every(60, 1440), np.arange(1440.0))
    make_envelopes(box)
    look = answers(box)
    assert series(look, channel(box), MIDNIGHT, MIDNIGHT + DAY_LONG, 480).level == "raw"
    assert series(look, channel(box), MIDNIGHT, MIDNIGHT + DAY_LONG, 479).level == "ten_minutes"
    wide = level_rows(look, table_of(box), "minute", MIDNIGHT, MIDNIGHT + HOUR)
    assert wide["temp_degc.high"].to_list() == list(range(60))


def test_the_span_is_from_the_first_row_to_the_last(box: Lake) -> None:
    look = answers(box)
    assert span(look, table_of(box)) is None
    write(box, every(10, 100, MIDNIGHT + 5 * US), np.zeros(100))
    assert span(answers(box), table_of(box)) == (MIDNIGHT + 5 * US, MIDNIGHT + 995 * US)
    make_envelopes(box)
    write(box, [], [], NEXT)
    assert span(answers(box), table_of(box)) == (MIDNIGHT + 5 * US, MIDNIGHT + 995 * US)


@pytest.mark.parametrize("within", [(0, 100), (MIDNIGHT, MIDNIGHT), (MIDNIGHT + DAY_LONG, MIDNIGHT)])
def test_nothing_is_given_where_there_is_nothing(few: Answers, within: tuple[int, int]) -> None:
    assert len(series(few, channel(few.lake), *within, 100).time) == 0


def test_rows_without_a_time_are_left_out(box: Lake) -> None:
    time: list[int | None] = [*map(int, every(10, 8639)), None]
    write(box, time, [1.0] * 8639 + [99.0])
    make_envelopes(box)
    found = series(answers(box, rows=10), channel(box), MIDNIGHT, MIDNIGHT + DAY_LONG, 24)
    assert (found.high.max(), found.count.sum()) == (1.0, 8639)


def test_a_lake_in_object_storage_has_envelopes_too(s3_root: str, tmp_path: Path) -> None:
    lake = box_lake(tmp_path, s3_root)
    with_spike(lake)
    look = answers(lake, rows=10)
    for points, level in ((144, "ten_minutes"), (24, "hour")):
        found = series(look, channel(lake), MIDNIGHT, MIDNIGHT + DAY_LONG, points)
        assert found.level == level
        assert found.high[bucket(found, SPIKE_TIME)] == SPIKE
    assert make_envelopes(lake).made == 0
    rows = series(look, channel(lake), SPIKE_TIME, SPIKE_TIME + 1, 10)
    assert (rows.level, rows.high.tolist()) == ("raw", [SPIKE])
