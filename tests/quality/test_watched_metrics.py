# SPDX-License-Identifier: Apache-2.0
"""What is measured of watched tables, against numbers worked out by hand: channels, ratios, completeness, latency."""

from __future__ import annotations

import statistics
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from lake.clock import tt2000_of_day
from lake.definitions import Column, Flag, Table
from lake.watch_definitions import Channel, Off, Ratio, Watch
from quality.metrics_watched import latency_source, measure_latency, measure_watched
from quality.watched_days import Place, expected_rows, off_spans

DAY = date(2026, 8, 1)
NEXT = DAY + timedelta(days=1)
START = tt2000_of_day(DAY)
SECOND = 10**9
HOUR = 3600 * SECOND
FLAGS = (Flag(bit=0, name="clock_invalid", description="-"), Flag(bit=1, name="retransmitted", description="-"))


def column(name: str, kind: Any, **facts: Any) -> Column:
    return Column(name=name, type=kind, description=name, **facts)


def table_of(*columns: Column, level: Any = "l1", name: str | None = None, **facts: Any) -> Table:
    own = (column("epoch_tt2000", "int64", nullable=True), column("quality_flag", "int32"), *columns)
    return Table(
        mission="padre", instrument="meddea", name=name or f"meddea_{level}_x", level=level, title="-", grain="-",
        columns=own, flags=FLAGS, **({"watch": Watch()} | facts),
    )  # fmt: skip


def at(hour: float, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)


def off(start: float, stop: float, day: date = DAY) -> Off:
    return Off(start=at(start, day), stop=at(stop, day), reason="planned")


def watched(
    table: Table, rows: dict[str, Any], channels: tuple[Channel, ...] = (), place: Place | None = None
) -> dict[tuple[str, str], float | None]:
    count = len(next(iter(rows.values())))
    defaults = {"epoch_tt2000": [START + i * SECOND for i in range(count)], "quality_flag": [0] * count}
    frame = pl.DataFrame(defaults | rows).lazy()
    found = measure_watched(table, channels, frame, DAY, place or Place())
    return {(name, metric): value for name, metric, value in found.iter_rows()}


# ---- channels and ratios -------------------------------------------------------------------------------------------
def test_sigma_is_the_median_absolute_deviation_scaled_to_that_of_normal_values() -> None:
    table = table_of(column("temp_degc", "float64"), column("word", "string"))
    channels = tuple(Channel(table=table.name, column=name) for name in ("temp_degc", "word"))
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    found = watched(table, {"temp_degc": [*values, None, float("nan")], "word": ["-"] * 7}, channels)
    assert found["temp_degc", "median"] == 3
    assert found["temp_degc", "sigma"] == pytest.approx(1 / statistics.NormalDist().inv_cdf(0.75), rel=1e-4)
    assert found["temp_degc", "sd"] == pytest.approx(statistics.stdev(values))
    assert not any(name == "word" for name, _ in found)


def test_columns_that_are_no_channels_are_left_alone() -> None:
    table = table_of(column("temp_degc", "float64"))
    other = Channel(table="another", column="temp_degc")
    assert set(watched(table, {"temp_degc": [1.0]}, (other,))) == {("", "completeness")}


def test_a_ratio_is_the_sum_of_one_column_over_that_of_another() -> None:
    watch = Watch(ratios={"live": Ratio(of="live_s", to="total_s", description="-")})
    table = table_of(column("live_s", "float32"), column("total_s", "int32"), watch=watch)
    assert watched(table, {"live_s": [9.0, None, 6.0], "total_s": [10, 10, 10]})["", "ratio:live"] == 0.5
    assert watched(table, {"live_s": [9.0], "total_s": [0]})["", "ratio:live"] is None


# ---- completeness --------------------------------------------------------------------------------------------------
def every_hour(*hours: float) -> dict[str, Any]:
    return {"epoch_tt2000": [START + round(hour * HOUR) for hour in hours]}


def test_completeness_is_received_rows_over_those_of_a_whole_day() -> None:
    table = table_of(cadence_seconds=3600)
    assert watched(table, every_hour(*range(18)))["", "completeness"] == pytest.approx(0.75)
    denser = table_of(cadence_seconds=3600, watch=Watch(rows_per_day=36))
    assert watched(denser, every_hour(*range(18)))["", "completeness"] == pytest.approx(0.5)
    assert watched(table_of(), every_hour(*range(18)))["", "completeness"] is None


def test_a_day_with_more_rows_than_expected_is_complete_and_no_more() -> None:
    rows = every_hour(*(hour / 2 for hour in range(48)))
    assert watched(table_of(cadence_seconds=3600), rows)["", "completeness"] == 1


def test_rows_that_came_before_do_not_make_a_day_complete() -> None:
    rows = every_hour(*range(12), *range(12)) | {"quality_flag": [0] * 12 + [2] * 12}
    assert watched(table_of(cadence_seconds=3600), rows)["", "completeness"] == pytest.approx(0.5)


def test_the_first_and_the_last_day_of_data_need_not_be_whole() -> None:
    table = table_of(cadence_seconds=3600)
    evening = every_hour(18, 19, 20, 22, 23)
    assert watched(table, evening, place=Place(first=True))["", "completeness"] == pytest.approx(5 / 6)
    morning = every_hour(0, 1, 2, 5)
    assert watched(table, morning, place=Place(last=True))["", "completeness"] == pytest.approx(4 / 6)
    only = every_hour(10, 11, 13)
    assert watched(table, only, place=Place(first=True, last=True))["", "completeness"] == pytest.approx(3 / 4)


def test_planned_times_without_data_are_not_missed_and_what_comes_in_them_does_not_count() -> None:
    watch = Watch(off=(off(6, 12), off(10, 18), off(20, 22, NEXT)))
    table = table_of(cadence_seconds=3600, watch=watch)
    rows = every_hour(*range(6), 9.5, 17, 18, 19, 20)
    assert watched(table, rows)["", "completeness"] == pytest.approx(9 / 12)
    assert off_spans(table, DAY) == ((START + 6 * HOUR, START + 18 * HOUR),)


def test_a_day_that_is_off_as_a_whole_has_no_completeness() -> None:
    table = table_of(cadence_seconds=3600, watch=Watch(off=(off(-5, 30),)))
    assert expected_rows(table, DAY, Place(), None, None) is None
    assert off_spans(table, DAY) == ((START, tt2000_of_day(NEXT)),)


# ---- latency -------------------------------------------------------------------------------------------------------
def latency(rows: dict[str, Any], received: dict[str, datetime]) -> dict[str, float | None]:
    source = table_of(column("file_sha256", "string"), level="l0")
    files = pl.DataFrame({"file_sha256": list(received), "received_at": list(received.values())})
    types = {"epoch_tt2000": pl.Int64, "quality_flag": pl.Int32, "file_sha256": pl.String}
    found = measure_latency(source, pl.DataFrame(rows, schema=types).lazy(), files)
    return dict(found.select("metric", "value").iter_rows())


def test_latency_is_from_the_time_of_a_row_to_the_arrival_of_its_file() -> None:
    rows = {
        "epoch_tt2000": [START + hour * HOUR for hour in range(20)],
        "quality_flag": [0] * 20,
        "file_sha256": ["early"] * 10 + ["late"] * 10,
    }
    found = latency(rows, {"early": at(12), "late": at(48)})
    # Hours: 12 down to 3 for the first file, 38 down to 29 for the other one.
    assert found == {"latency_p50_s": 12 * 3600, "latency_p95_s": 37 * 3600}


def test_rows_sent_again_or_without_a_time_have_no_latency() -> None:
    rows = {"epoch_tt2000": [START, START, None], "quality_flag": [0, 2, 1], "file_sha256": ["a", "b", "b"]}
    assert latency(rows, {"a": at(1), "b": at(9)}) == {"latency_p50_s": 3600, "latency_p95_s": 3600}
    assert latency({name: [] for name in rows}, {"a": at(1)}) == {"latency_p50_s": None, "latency_p95_s": None}


def test_the_latency_of_events_is_told_by_their_packets() -> None:
    events = table_of(level="l0", name="meddea_l0_photon", packet="photon", rows="event")
    packets = table_of(level="l0", name="meddea_l0_photon_packet", packet="photon")
    level_1 = table_of(name="meddea_l1_photon", inputs={"photon": "meddea_l0_photon"})
    assert latency_source([level_1, events], [packets, events]) == packets
    assert latency_source([level_1, events], [events]) == events
    assert latency_source([packets], [packets, events]) == packets
    assert latency_source([level_1], [packets]) is None
