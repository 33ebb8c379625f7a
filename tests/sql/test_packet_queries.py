# SPDX-License-Identifier: Apache-2.0
"""The queries about packets, on a lake of two days with a loss, a broken packet and a counter that began anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT
from tests.meddea import NOON, drop, empty_lake, housekeeping, met, register, take

DAY, NEXT_DAY = date(2024, 9, 16), date(2024, 9, 17)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("packets")
    lake = empty_lake(folder / "lake")
    sent = [housekeeping((16_380 + n) % 16_384, NOON + 5 * n) for n in range(20)]
    broken = sent[17][:39] + b"\xff"
    reads = [register((5000 + n) if n < 3 else n - 3, met(2024, 9, 17, 12) + n) for n in range(6)]
    drop(folder / "inbox", "padreMDU8_240916120000.dat", *sent[:2], *sent[10:17], broken, *sent[18:], sent[19])
    drop(folder / "inbox", "padreMDU8_240917120000.dat", *reads)
    take(lake, folder / "inbox")
    with open_catalog(lake) as opened:
        yield opened


def result(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    text = (Path(CHECKOUT) / "sql" / "queries" / f"{name}.sql").read_text()
    frame = pl.from_arrow(connection.sql(text).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def test_a_day_is_as_complete_as_its_counts_say(connection: duckdb.DuckDBPyConnection) -> None:
    days = result(connection, "packets_by_day")
    assert days.drop("mission", "instrument").to_dicts() == [
        {
            "apid": 153,
            "day": NEXT_DAY,
            "expected_count": 6,
            "missing_count": 0,
            "completeness": 1.0,
            "received_count": 6,
            "duplicates_count": 0,
            "checksum_failures_count": 0,
            "restarts_count": 1,
            "received_mb": pytest.approx(6 * 20 / 1e6),
            "span_s": 5.0,
        },
        {
            "apid": 163,
            "day": DAY,
            "expected_count": 20,
            "missing_count": 9,
            "completeness": pytest.approx(11 / 20),
            "received_count": 12,
            "duplicates_count": 1,
            "checksum_failures_count": 1,
            "restarts_count": 0,
            "received_mb": pytest.approx(12 * 40 / 1e6),
            "span_s": 95.0,
        },
    ]


def test_the_longest_gap_of_a_day_comes_first(connection: duckdb.DuckDBPyConnection) -> None:
    gaps = result(connection, "gaps_of_day").filter(pl.col("apid") == 163)
    assert gaps.select("length_s", "missing_count", "sequence_from", "sequence_to", "share_of_expected").rows() == [
        (45.0, 8, 16_382, 5, 8 / 20),
        (10.0, 1, 13, 13, 1 / 20),
    ]
    assert gaps["start_time"][0] == datetime(2024, 9, 16, 12, 0, 5, tzinfo=UTC)


def test_a_restart_is_listed_without_counts(connection: duckdb.DuckDBPyConnection) -> None:
    gaps = result(connection, "gaps_of_day").filter(pl.col("day") == NEXT_DAY)
    assert gaps.select("kind", "length_s", "missing_count", "sequence_from").rows() == [("restart", 1.0, 0, None)]
