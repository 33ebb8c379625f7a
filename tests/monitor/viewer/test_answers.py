# SPDX-License-Identifier: Apache-2.0
"""What the server answers is what the tables hold, exactly, at every level."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from lake.store import Lake
from tests.monitor.envelopes.box import ADDRESS, HOUR, MIDNIGHT, US
from tests.monitor.viewer.viewed_lake import GAP, LAST, OFFSET, SPIKE, SPIKE_AT, ask, rows, series

ALL = (MIDNIGHT, MIDNIGHT + 72 * HOUR)
ALL_ROWS = 3 * 8640 - 900


def in_table(viewed: Lake, start: int, stop: int) -> list[tuple[int, float | None]]:
    """Times and temperatures by DuckDB from the Parquet files."""
    files = f"{Path(viewed.root)}/tables/toy/box_l1_field/*/*.parquet"
    sql = "SELECT epoch_us(time) AS us, temp_degc FROM read_parquet(?) WHERE us >= ? AND us < ? ORDER BY us"
    return duckdb.execute(sql, [files, start, stop]).fetchall()


@pytest.mark.parametrize(
    ("level", "half", "points"),
    [
        ("day", 36 * HOUR, 10),
        ("hour", 36 * HOUR, 100),
        ("ten_minutes", 36 * HOUR, 450),
        ("minute", 12 * HOUR, 1500),
        ("raw", HOUR // 4, 1000),
    ],
)
def test_the_spike_is_there_with_its_exact_value_at_every_level(
    address: str, level: str, half: int, points: int
) -> None:
    middle = MIDNIGHT + 36 * HOUR if half == 36 * HOUR else SPIKE_AT
    answer = series(address, middle - half, middle + half, points=points).json
    assert answer["level"] == level
    values = answer["value" if level == "raw" else "high"]
    assert [value for value in values if value is not None and value > 40] == [SPIKE]
    at = answer["time"][values.index(SPIKE)]
    assert at <= SPIKE_AT < at + max(answer["width_s"] * US, 1)


def test_raw_series_equal_the_rows(viewed: Lake, address: str) -> None:
    start, stop = SPIKE_AT - 20 * 60 * US, SPIKE_AT + 20 * 60 * US
    answer = series(address, start, stop).json
    expected = in_table(viewed, start, stop)
    assert list(zip(answer["time"], answer["value"], strict=True)) == expected
    assert (SPIKE_AT, SPIKE) in expected
    assert answer["rows"] == len(expected) == 240


def test_rows_have_their_exact_times_values_and_flags(viewed: Lake, address: str) -> None:
    start, stop = SPIKE_AT - 30 * US, SPIKE_AT + 30 * US
    answer = rows(address, start, stop, "temp_degc,b_nt.y,uptime,is_hot").json
    assert [row[1] for row in answer["rows"]] == [value for _, value in in_table(viewed, start, stop)]
    (spike,) = [row for row in answer["rows"] if row[1] == SPIKE]
    assert spike[0] == "2024-09-17T14:23:40.123457Z"
    assert spike[2] == pytest.approx(20.1, abs=1e-6)
    assert int(spike[3]) > 2**53
    assert isinstance(spike[3], str), "a double would round it"
    assert spike[4] is False
    assert spike[5] == viewed.definitions.tables[ADDRESS].flags[0].name
    assert [column["unit"] for column in answer["columns"]] == ["degC", "nT", "s", "", ""]


def test_rows_are_half_open_and_say_if_there_are_more(address: str) -> None:
    answer = rows(address, SPIKE_AT, SPIKE_AT + 20 * US, limit=2).json
    assert (len(answer["rows"]), answer["more"]) == (2, False)
    answer = rows(address, SPIKE_AT, SPIKE_AT + 20 * US + 1, limit=2).json
    assert (len(answer["rows"]), answer["more"]) == (2, True)


def test_times_may_be_texts_and_are_utc(address: str) -> None:
    by_text = series(address, "2024-09-17T14:23:40.123457Z", "2024-09-17 14:24").json
    assert (by_text["start"], by_text["time"][0], by_text["value"][0]) == (
        "2024-09-17T14:23:40.123457Z",
        SPIKE_AT,
        SPIKE,
    )
    elsewhere = series(address, "2024-09-17T16:23:40.123457+02:00", "2024-09-17T14:24:00").json
    assert elsewhere["time"] == by_text["time"]
    assert series(address, "2024-09-16T24:00", "2024-09-17T24:00:00.0Z").json["stop"] == "2024-09-18T00:00:00.000000Z"


def test_no_bucket_is_in_the_gap(address: str) -> None:
    for points in (10, 450, 5000):
        answer = series(address, GAP[0] - HOUR, GAP[1] + HOUR, points=points).json
        assert answer["rows"] > 0
        width = answer["width_s"] * US
        assert not [at for at in answer["time"] if at >= GAP[0] and at + width <= GAP[1]]


def test_every_row_is_counted(address: str) -> None:
    assert series(address, *ALL, points=100).json["rows"] == ALL_ROWS


def test_a_value_that_is_not_there_is_null(address: str) -> None:
    answer = rows(address, MIDNIGHT, MIDNIGHT + 100 * US).json
    assert [row[1] is None for row in answer["rows"]] == [False] * 7 + [True, False, False]
    assert series(address, MIDNIGHT, MIDNIGHT + 100 * US).json["value"][7] is None


def test_times_without_data_are_an_empty_answer(address: str) -> None:
    assert series(address, LAST + 1, LAST + HOUR).json["time"] == []
    assert rows(address, LAST + 1, LAST + HOUR).json["rows"] == []
    assert rows(address, LAST, LAST + 1).json["rows"][0][0].endswith(f".{OFFSET}Z")


def test_channels_have_their_words_and_limits(address: str) -> None:
    (table,) = ask(address, f"/api/channels?table={ADDRESS}").json["tables"]
    first = table["channels"][0]
    assert (table["table"], first["name"], first["unit"]) == (ADDRESS, "temp_degc", "degC")
    assert [(limit["severity"], limit["low"], limit["high"]) for limit in first["limits"]] == [
        ("yellow", None, 40.0),
        ("red", -20.0, 60.0),
    ]
    assert ask(address, "/api/channels").json["tables"] == [table]
