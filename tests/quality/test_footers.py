# SPDX-License-Identifier: Apache-2.0
"""What footers tell of a day is what its rows say, for every column of the toy, over several files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from lake.reading import scan
from lake.store import Lake
from quality.footers import stored_metrics
from quality.metrics import measure_day
from tests.toy import DAY, L0, receive, toy_lake

NOTHING = pl.DataFrame(schema={"apid": pl.Int32, "missing": pl.Int32, "reason": pl.String, "bytes": pl.Int64})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = toy_lake(tmp_path)
    receive(lake, "a", [5, 9, 7])
    receive(lake, "b", [40_000, 3])
    receive(lake, "c", [65_535], date(2024, 9, 17))
    return lake


def measured(lake: Lake, known: dict[tuple[str, str], float | None]) -> dict[tuple[str, str], float | None]:
    table = lake.definitions.tables[L0]
    found = measure_day(table, scan(lake, table, [DAY]), NOTHING, NOTHING, (), (), known)
    return {(column, metric): value for column, metric, value in found.iter_rows()}


def test_footers_tell_the_ends_and_the_nulls_of_all_files_of_the_day(lake: Lake) -> None:
    told = stored_metrics(lake, lake.definitions.tables[L0], DAY)
    assert (told["value", "min"], told["value", "max"], told["value", "nulls"]) == (3, 40_000, 0)
    assert told["file_sha256", "nulls"] == 0
    assert ("file_sha256", "min") not in told


def test_metrics_are_the_same_with_and_without_footers(lake: Lake) -> None:
    told = stored_metrics(lake, lake.definitions.tables[L0], DAY)
    plain = measured(lake, {})
    assert measured(lake, told) == plain
    assert {key: plain[key] for key in told if key in plain} == {key: v for key, v in told.items() if key in plain}
    assert len(told) > 20


def test_how_many_values_are_out_of_range_the_rows_tell(lake: Lake) -> None:
    table = lake.definitions.tables[L0]
    narrow = [c.model_copy(update={"valid": (4, 10_000)}) if c.name == "value" else c for c in table.columns]
    table = table.model_copy(update={"columns": tuple(narrow)})
    told = stored_metrics(lake, table, DAY)
    assert ("value", "out_of_range") not in told
    found = measure_day(table, scan(lake, table, [DAY]), NOTHING, NOTHING, (), (), told)
    count = found.filter(pl.col("column_name") == "value", pl.col("metric") == "out_of_range")["value"].item()
    assert count == 2  # 40000 and 3


def test_a_day_without_files_tells_nothing(lake: Lake) -> None:
    assert stored_metrics(lake, lake.definitions.tables[L0], date(2030, 1, 1)) == {}
