# SPDX-License-Identifier: Apache-2.0
"""The queries about years: what they make of metrics whose trends are known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

SQL = Path(__file__).resolve().parents[2] / "sql"
FIRST = date(2026, 1, 1)
HK, SPECTRUM, PHOTON = "padre.meddea_l1_housekeeping", "padre.meddea_l1_spectrum", "padre.meddea_l1_photon"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A catalog with the tables that the queries ask, all empty, and the view of the newest metrics."""
    opened = duckdb.connect()
    opened.execute("CREATE SCHEMA ops")
    opened.execute(
        "CREATE TABLE ops.metrics (table_name VARCHAR, day DATE, column_name VARCHAR, metric VARCHAR, value DOUBLE, "
        "content VARCHAR, run_id VARCHAR)"
    )
    opened.execute(
        'CREATE TABLE ops.packets (mission VARCHAR, instrument VARCHAR, day DATE, "distinct" BIGINT, expected BIGINT, '
        "missing BIGINT, checksum_failures BIGINT, restarts BIGINT)"
    )
    opened.execute("CREATE TABLE ops.anomalies (mission VARCHAR, instrument VARCHAR, day DATE, severity VARCHAR)")
    opened.execute((SQL / "views" / "ops.latest_metrics.sql").read_text())
    yield opened
    opened.close()


def add(connection: duckdb.DuckDBPyConnection, table: str, *rows: tuple[Any, ...]) -> None:
    for row in rows:
        connection.execute(f"INSERT INTO ops.{table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608


def metric(table: str, day: int, column: str, name: str, value: float, run: str = "1") -> tuple[Any, ...]:
    return (table, FIRST + timedelta(day), column, name, value, "content", run)


def result(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        connection.sql((SQL / "queries" / f"{name}.sql").read_text()).to_arrow_table().to_pylist()
    )
    return rows


def test_the_trend_compares_a_day_with_the_four_weeks_before(connection: duckdb.DuckDBPyConnection) -> None:
    for day in range(31):
        median = 20.0 if day < 30 else 26.0
        values = {"min": 10.0, "median": median, "max": 30.0, "sigma": 2.0}
        add(connection, "metrics", *(metric(HK, day, "fp_temp_degc", name, value) for name, value in values.items()))
    rows = result(connection, "channel_trend_per_day")
    assert len(rows) == 31
    assert (rows[0]["median_of_28_days"], rows[0]["change_in_sigma"]) == (None, None)
    assert (rows[30]["median_of_28_days"], rows[30]["change_in_sigma"]) == (20.0, 3.0)


def test_the_days_before_a_break_of_months_are_no_trend(connection: duckdb.DuckDBPyConnection) -> None:
    for day in (0, 1, 90):
        add(connection, "metrics", metric(HK, day, "fp_temp_degc", "median", 20.0))
    assert [row["median_of_28_days"] for row in result(connection, "channel_trend_per_day")] == [None, 20.0, None]


def test_a_day_that_was_measured_again_counts_once_with_its_newest_value(connection: duckdb.DuckDBPyConnection) -> None:
    add(connection, "metrics", metric(HK, 0, "fp_temp_degc", "median", 20.0, "1"))
    add(connection, "metrics", metric(HK, 0, "fp_temp_degc", "median", 21.0, "2"))
    assert [row["median"] for row in result(connection, "channel_trend_per_day")] == [21.0]


def test_a_month_has_the_packets_latency_and_anomalies_of_its_days(connection: duckdb.DuckDBPyConnection) -> None:
    add(connection, "packets", ("padre", "meddea", FIRST, 90, 100, 10, 1, 0))
    add(connection, "packets", ("padre", "meddea", FIRST + timedelta(1), 96, 100, 4, 0, 1))
    add(connection, "packets", ("padre", "meddea", FIRST + timedelta(31), 100, 100, 0, 0, 0))
    for day, latency in ((0, 100.0), (1, 300.0), (2, 200.0), (31, 50.0)):
        add(connection, "metrics", metric(HK, day, "", "latency_p95_s", latency))
    add(connection, "metrics", metric(SPECTRUM, 0, "quality_flag", "flagged_share", 0.25))
    add(connection, "anomalies", ("padre", "meddea", FIRST, "red"), ("padre", "meddea", FIRST, "yellow"))
    january, february = result(connection, "performance_per_month")
    assert (january["packets_count"], january["packets_missing_count"]) == (186, 14)
    assert january["completeness_percent"] == pytest.approx(93.0)
    assert (january["checksum_failures_count"], january["restarts_count"]) == (1, 1)
    assert (january["latency_p95_s"], january["flagged_share_of_worst_table"]) == (200.0, 0.25)
    assert (january["red_anomalies_count"], january["yellow_anomalies_count"]) == (1, 1)
    assert (february["completeness_percent"], february["red_anomalies_count"]) == (100.0, 0)


def test_a_month_of_which_only_packets_or_anomalies_are_known_is_there(connection: duckdb.DuckDBPyConnection) -> None:
    add(connection, "packets", ("padre", "meddea", FIRST, 50, 200, 150, 0, 0))
    add(connection, "anomalies", ("padre", "craft", FIRST, "red"))
    craft, meddea = result(connection, "performance_per_month")
    assert (craft["instrument"], craft["month"], craft["red_anomalies_count"]) == ("craft", FIRST, 1)
    assert (meddea["instrument"], meddea["month"], meddea["completeness_percent"]) == ("meddea", FIRST, 25.0)
    assert (craft["latency_p95_s"], meddea["red_anomalies_count"]) == (None, 0)


def test_parts_of_segmented_packets_are_no_reason_to_be_more_than_complete(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    add(connection, "packets", ("padre", "meddea", FIRST, 40, 100, 25, 0, 0))
    assert [row["completeness_percent"] for row in result(connection, "performance_per_month")] == [75.0]


def test_live_share_and_decimation_stand_side_by_side(connection: duckdb.DuckDBPyConnection) -> None:
    add(connection, "metrics", metric(SPECTRUM, 0, "", "ratio:live", 0.75))
    add(connection, "metrics", metric(PHOTON, 0, "decimation_level", "mean", 0.5))
    add(connection, "metrics", metric(PHOTON, 0, "decimation_level", "max", 2.0))
    add(connection, "metrics", metric(PHOTON, 1, "decimation_level", "mean", 0.0))
    rows = result(connection, "live_time_and_decimation_per_day")
    assert [row["dead_share"] for row in rows] == [0.25, None]
    assert [row["mean_decimation_level"] for row in rows] == [0.5, 0.0]
    assert rows[0]["highest_decimation_level"] == 2.0
