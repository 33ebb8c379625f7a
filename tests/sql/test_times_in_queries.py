# SPDX-License-Identifier: Apache-2.0
"""Queries that choose rows by their times, on a few rows that are made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from lake.config import CHECKOUT

INSTRUMENTS = """
    CREATE SCHEMA hermes;
    CREATE SCHEMA ops;
    CREATE TABLE hermes.merit_axis_head AS FROM (VALUES (0, 'sunward'), (1, 'antisunward')) AS t(place, label);
    CREATE TABLE hermes.merit_axis_proton_energy AS
        FROM (VALUES (0, 5.0, 1.0, 1.0), (1, 9.0, 3.0, 4.0)) AS t(place, value, minus, plus);
    CREATE TABLE hermes.merit_l2_flux AS
        SELECT TIMESTAMPTZ '2026-08-01 12:00:00Z' AS time, [1.0, 2.0, 30.0, 40.0] AS proton_flux;
    CREATE TABLE hermes.nemisis_l3_ambient AS
        SELECT TIMESTAMPTZ '2026-08-01 12:01:20Z' AS time, [3.0, 0.0, 4.0] AS b_bus_nt;
    CREATE TABLE hermes.spani_l2_moments AS
        SELECT TIMESTAMPTZ '2026-07-20 12:00:00Z' AS time, 7.0 AS h_density_cm3, 400.0 AS h_speed_km_s;
    CREATE TABLE ops.alerts AS
        SELECT alert_id, 'x' AS subject, 'red' AS severity, start_time, 'hermes' AS mission
        FROM (VALUES
            ('near', TIMESTAMPTZ '2026-08-01 12:00:30Z'),
            ('later', TIMESTAMPTZ '2026-08-01 12:01:30Z'),
            ('unknown', NULL)
        ) AS t(alert_id, start_time);
"""
BOOKS = """
    CREATE SCHEMA ops;
    CREATE TABLE ops.exports AS
        SELECT 'm.t' AS product, DATE '2026-08-01' AS day, created_at::TIMESTAMPTZ AS created_at, status
        FROM (VALUES
            ('2026-08-02 03:00Z', 'published'), ('2026-08-12 03:00Z', 'published'), ('2026-08-01 03:00Z', 'unchanged')
        ) AS t(created_at, status);
    CREATE TABLE ops.lineage AS
        SELECT 'm.t' AS descendant, DATE '2026-08-01' AS day, sha AS ancestor_sha256,
            'table-day' AS descendant_kind, 'raw file' AS ancestor_kind
        FROM (VALUES ('early'), ('soon'), ('late')) AS t(sha);
    CREATE TABLE ops.files AS
        SELECT sha AS file_sha256, received_at::TIMESTAMPTZ AS received_at
        FROM (VALUES
            ('early', '2026-08-01 20:00Z'), ('soon', '2026-08-02 01:00Z'), ('late', '2026-08-12 01:00Z')
        ) AS t(sha, received_at);
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone='UTC'")
        yield opened


def answer(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    relation = connection.sql((CHECKOUT / "sql" / "queries" / f"{name}.sql").read_text())
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_an_alert_has_what_each_instrument_measured_in_the_minute_before(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute(INSTRUMENTS)
    near, later = answer(connection, "flux_at_alerts")
    assert (near["alert_id"], later["alert_id"]) == ("near", "later")
    flux = [(row["proton_energy_mev"], row["proton_flux_per_cm2_s_sr_mev"]) for row in (near, later)]
    assert flux == [(9, 2), (None, None)]  # one head, the channel with 10 MeV; the other record is too old
    assert [row["ambient_field_nt"] for row in (near, later)] == [None, 5]
    assert {row["proton_density_cm3"] for row in (near, later)} == {None}
    assert {row["proton_speed_km_s"] for row in (near, later)} == {None}


def test_a_product_is_timed_from_the_files_that_were_there_when_it_was_made(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute(BOOKS)
    (found,) = answer(connection, "latency_by_product")
    assert (found["days"], found["median_after_day_h"], found["median_after_raw_min"]) == (1, 3, 120)
