# SPDX-License-Identifier: Apache-2.0
"""Watching a lake: which days are due, that nights and one night agree, late data, a new normal, the plot's query."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lake.catalog import refresh
from lake.clock import tt2000_from_unix_ns
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.ledger import file_list, read_ops
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import append_ops, replace_day
from quality.anomalies.normal import accept, read_normals
from quality.anomalies.watch import Watched, watch_all
from quality.checks import check_all
from quality.history import metric_history
from tests.rack import TABLE, channels, times, write_house

START = date(2026, 7, 1)
DAYS, STEP_DAY = 12, 8
WHOLE, MORNING = slice(0, 1440), slice(600, 720)


def day_of(number: int) -> date:
    return START + timedelta(number)


def write(
    lake: Lake,
    number: int,
    odd: Mapping[str, float] | None = None,
    when: slice = MORNING,
    run: str = "1",
    rows: int = 1440,
) -> None:
    """The first rows of a day of the rack in its table, and the row of ops.runs about it; `odd` is added to some."""
    day, table = day_of(number), lake.definitions.tables[TABLE]
    values = channels(day)
    for name, size in (odd or {}).items():
        values[name][when] += size
    unix_ms = times(day)
    columns: dict[str, Any] = {name: np.round(value, 3) for name, value in values.items()}
    columns |= {"epoch_tt2000": tt2000_from_unix_ns(unix_ms * 10**6), "time": unix_ms * 1000}
    columns["quality_flag"] = np.zeros(len(unix_ms), np.int32)
    schema = arrow_schema(table, stored=True)
    columns = {name: value[:rows] for name, value in columns.items()}
    arrow = pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema=schema)
    written = replace_day(lake, table, day, arrow, {})
    about = {"run_id": f"run-{run}-{number:02}", "table_name": TABLE, "day": day, "rows": written.rows}
    about |= {"fingerprint": "-", "reason": "-", "input_rows": 0, "seconds": 0.0, "code_version": "-", "plan": None}
    about |= {"started_at": datetime(2026, 8, 1, tzinfo=UTC), "status": "done", "error": None, "depends_on": "{}"}
    files = {"content": written.content, "table_id": written.table_id, "files": file_list(written.files)}
    append_ops(lake, "runs", [about | files])


def empty_lake(folder: Path) -> Lake:
    missions = folder / "missions"
    if not missions.exists():
        write_house(missions)
    return Lake(folder / "lake", read_definitions(missions))


def write_days(lake: Lake, numbers: range) -> None:
    for number in numbers:
        write(lake, number, {"load_ma": 100.0} if number == STEP_DAY else None)


def anomalies(lake: Lake) -> pl.DataFrame:
    found = read_ops(lake, "anomalies").drop("run_id")
    return found.sort("day", "start_time", "column_name", "rule")


def watched(lake: Lake) -> pl.DataFrame:
    return read_ops(lake, "watched").sort("day").select("day", "state", "usual", "anomalies")


def forget(lake: Lake) -> None:
    for name in ("anomalies", "watched"):
        shutil.rmtree(Path(lake.root) / "tables/ops" / name)


def judged(lake: Lake) -> list[date]:
    """Days in the order of their newest judgement."""
    newest = read_ops(lake, "watched").filter(pl.col("run_id") == pl.col("run_id").max())
    return sorted(newest["day"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Twelve days at once, with a step on the ninth."""
    lake = empty_lake(tmp_path_factory.mktemp("kept"))
    write_days(lake, range(DAYS))
    watch_all(lake)
    return lake


@pytest.fixture
def lake(kept: Lake, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(Path(kept.root), tmp_path / "lake"), kept.definitions)


def test_the_step_is_found_on_its_day_with_all_that_explains_it(kept: Lake) -> None:
    (row,) = anomalies(kept).filter(pl.col("severity") != "info").to_dicts()
    assert (row["mission"], row["instrument"], row["table_name"], row["day"]) == (
        "house",
        "rack",
        TABLE,
        day_of(STEP_DAY),
    )
    assert (row["column_name"], row["rule"], row["severity"], row["ended"]) == ("load_ma", "level", "yellow", True)
    midnight = datetime.combine(day_of(STEP_DAY), datetime.min.time(), UTC)
    assert (row["start_time"], row["end_time"]) == (midnight + timedelta(hours=10), midnight + timedelta(minutes=719))
    assert row["value"] - row["baseline"] == pytest.approx(100, abs=25)


def test_nights_of_one_day_find_what_one_night_finds(kept: Lake, tmp_path: Path) -> None:
    nightly = empty_lake(tmp_path)
    for number in range(DAYS):
        write_days(nightly, range(number, number + 1))
        assert watch_all(nightly).table_days == 1
    assert anomalies(nightly).equals(anomalies(kept))
    assert watched(nightly).equals(watched(kept))


def test_a_last_day_that_was_short_is_judged_by_what_it_lacks_when_the_next_one_came(tmp_path: Path) -> None:
    """Its completeness is that up to its last row as long as no day follows; nothing in its rows changes."""
    lake = empty_lake(tmp_path)
    for numbers in (range(9), range(9, 10), range(10, 11)):
        for number in numbers:
            write(lake, number, rows=400 if number == 8 else 1440)
        check_all(lake)
        watch_all(lake)
    found, states = anomalies(lake), watched(lake)
    assert found.select("day", "rule", "severity").rows() == [
        (day_of(8), "trend:completeness", "yellow"),
        (day_of(9), "gap", "yellow"),
    ]
    assert watch_all(lake) == Watched()
    forget(lake)
    watch_all(lake)
    assert anomalies(lake).equals(found)
    assert watched(lake).equals(states)


def test_metrics_that_come_after_the_judgement_are_judged(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path)
    for number in range(9):
        write(lake, number)
    assert watch_all(lake).found == []
    for number in range(9):
        measured(lake, number, "", "completeness", 0.3 if number == 8 else 1.0, "run-1")
    assert [(day, a.rule) for _, day, a in watch_all(lake).found] == [(day_of(8), "trend:completeness")]


def test_a_second_run_has_nothing_to_do(lake: Lake) -> None:
    before = anomalies(lake)
    assert watch_all(lake) == Watched()
    assert anomalies(lake).equals(before)


def test_force_judges_again_and_finds_the_same(lake: Lake) -> None:
    before = anomalies(lake)
    found = watch_all(lake, force=True)
    assert found.table_days == DAYS
    assert [(table, day, a.rule) for table, day, a in found.found] == [(TABLE, day_of(STEP_DAY), "level")]
    assert anomalies(lake).equals(before)


def test_late_data_have_their_day_and_those_that_learn_from_it_judged_again_and_no_earlier_one(lake: Lake) -> None:
    write(lake, 9, {"bus_v": 1.0}, run="2")
    watch_all(lake)
    assert judged(lake) == [day_of(number) for number in range(9, DAYS)]
    assert anomalies(lake).filter(column_name="bus_v")["day"].to_list() == [day_of(9)]


def test_a_fault_that_late_data_correct_is_gone(lake: Lake) -> None:
    write(lake, STEP_DAY, run="2")
    assert watch_all(lake).found == []
    assert anomalies(lake).filter(pl.col("severity") != "info").is_empty()


def test_days_may_come_in_any_order(kept: Lake, tmp_path: Path) -> None:
    other = empty_lake(tmp_path)
    for numbers in (range(6, DAYS), range(6)):
        write_days(other, numbers)
        watch_all(other)
    assert anomalies(other).equals(anomalies(kept))


def test_asked_days_alone_are_judged_and_the_others_stay_due(lake: Lake) -> None:
    write(lake, 9, {"bus_v": 1.0}, run="2")
    assert watch_all(lake, days={day_of(9)}).table_days == 1
    assert watch_all(lake).table_days == 2


def test_other_limits_have_all_days_judged_again(lake: Lake, tmp_path: Path) -> None:
    missions = write_house(tmp_path / "missions")
    limits = missions / "house/rack/limits.csv"
    limits.write_text(limits.read_text().replace("yellow,25,31", "yellow,25,30.5"))
    assert watch_all(Lake(lake.root, read_definitions(missions))).table_days == DAYS


def rewatched(lake: Lake, folder: Path, watch: str) -> Lake:
    """The lake with something else in the table's `watch`."""
    missions = write_house(folder / "missions")
    tables = missions / "house/rack/tables.yaml"
    tables.write_text(tables.read_text().replace("watch: {period: orbit}", watch))
    return Lake(lake.root, read_definitions(missions))


def test_planned_time_without_data_has_just_the_days_around_it_judged_again(lake: Lake, tmp_path: Path) -> None:
    off = "{start: 2026-07-05T10:00:00Z, stop: 2026-07-05T11:00:00Z, reason: slew}"
    other = rewatched(lake, tmp_path, f"watch: {{period: orbit, off: [{off}]}}")
    watch_all(other)
    assert judged(other) == [day_of(4), day_of(5)]


def test_how_fresh_data_have_to_be_has_no_day_judged_again(lake: Lake, tmp_path: Path) -> None:
    assert watch_all(rewatched(lake, tmp_path, "watch: {period: orbit, fresh_hours: 7}")) == Watched()


def test_a_table_that_is_watched_no_more_has_no_anomalies_and_has_them_again_when_it_is(
    lake: Lake, tmp_path: Path
) -> None:
    before = anomalies(lake)
    watch_all(Lake(lake.root, unwatched(tmp_path)))
    assert not before.is_empty()
    assert anomalies(lake).is_empty()
    assert watch_all(lake).table_days == DAYS
    assert anomalies(lake).equals(before)


def unwatched(folder: Path) -> Definitions:
    missions = write_house(folder / "missions")
    tables = missions / "house/rack/tables.yaml"
    tables.write_text(tables.read_text().replace("watch: {period: orbit}", ""))
    for name in ("channels.csv", "limits.csv"):
        (missions / "house/rack" / name).unlink()
    return read_definitions(missions)


def test_a_day_that_is_there_no_more_has_no_anomalies(lake: Lake) -> None:
    table = lake.definitions.tables[TABLE]
    schema = arrow_schema(table, stored=True)
    written = replace_day(lake, table, day_of(STEP_DAY), schema.empty_table(), {})
    row = read_ops(lake, "runs").filter(day=day_of(STEP_DAY)).to_dicts()[0]
    row |= {"run_id": "run-9", "content": "", "files": file_list(written.files), "rows": 0}
    append_ops(lake, "runs", [row])
    watch_all(lake)
    assert anomalies(lake).filter(day=day_of(STEP_DAY)).is_empty()


def test_tables_that_were_removed_come_back_with_the_same_anomalies(lake: Lake) -> None:
    before = anomalies(lake)
    forget(lake)
    watch_all(lake)
    assert anomalies(lake).equals(before)


def test_what_was_accepted_is_the_new_normal_from_that_day_on(lake: Lake) -> None:
    for number in range(DAYS, DAYS + 6):
        write(lake, number, {"wheel_rpm": 200.0}, WHOLE)
    watch_all(lake)
    odd = anomalies(lake).filter(column_name="wheel_rpm", severity="yellow")["day"].unique().sort().to_list()
    assert odd == [day_of(number) for number in range(DAYS, DAYS + 6)]
    assert accept(lake, TABLE, "wheel_rpm", day_of(DAYS + 1), "Ada", "it was turned up")
    assert not accept(lake, TABLE, "wheel_rpm", day_of(DAYS + 1), "Ada", "it was turned up")
    watch_all(lake)
    left = anomalies(lake).filter(column_name="wheel_rpm", severity="yellow")["day"].unique().to_list()
    assert left == [day_of(DAYS)]
    (normal,) = read_normals(lake)
    assert (normal.by, normal.note, normal.from_day) == ("Ada", "it was turned up", day_of(DAYS + 1))


def test_nobody_can_accept_what_is_not_watched(kept: Lake) -> None:
    with pytest.raises(ConfigurationError, match="is no watched table"):
        accept(kept, "house.rack_l0_hk", "", START, "Ada", "-")
    with pytest.raises(ConfigurationError, match="'whel_rpm' is no channel; it has temp_degc, bus_v"):
        accept(kept, TABLE, "whel_rpm", START, "Ada", "-")


def test_a_trend_can_be_accepted_by_its_column(kept: Lake, tmp_path: Path) -> None:
    lake = rewatched(
        Lake(tmp_path / "lake", kept.definitions), tmp_path, "watch: {trends: [flagged_share, time:nulls]}"
    )
    assert accept(lake, TABLE, "quality_flag", START, "Ada", "-")
    assert accept(lake, TABLE, "time", START, "Ada", "-")
    with pytest.raises(ConfigurationError, match="'epoch_tt2000' is no channel"):
        accept(lake, TABLE, "epoch_tt2000", START, "Ada", "-")


def test_the_plots_query_gives_the_channel_from_an_orbit_before_to_an_orbit_after(lake: Lake) -> None:
    refresh(lake)
    (query,) = anomalies(lake).filter(severity="yellow")["plot"]
    with duckdb.connect(Path(lake.root) / "catalog.duckdb", read_only=True) as connection:
        rows = connection.sql(query).pl()
    assert rows.columns == ["time", "load_ma"]
    assert rows.height == 90 + 120 + 90  # minutes: an orbit of 5400 s, the fault, an orbit
    assert rows["time"].is_sorted()


def measured(lake: Lake, number: int, column: str, metric: str, value: float, run: str) -> None:
    about = {"table_name": TABLE, "day": day_of(number), "column_name": column, "metric": metric, "value": value}
    append_ops(lake, "metrics", [about | {"content": run, "run_id": run}])


def test_the_history_has_the_newest_value_of_the_metrics_that_were_asked_for(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path)
    for number in range(2, 5):
        measured(lake, number, "", "rows", 1440.0, "run-2")
        measured(lake, number, "temp_degc", "max", 26.0, "run-2")
    measured(lake, 3, "temp_degc", "max", 1020.0, "run-3")
    measured(lake, 2, "temp_degc", "max", 99.0, "run-1")
    found = metric_history(lake, [(TABLE, "", "rows"), (TABLE, "", "nulls"), (TABLE, "temp_degc", "max")])
    assert found.rows() == [
        (TABLE, day_of(2), "", "rows", 1440.0),
        (TABLE, day_of(2), "temp_degc", "max", 26.0),
        (TABLE, day_of(3), "", "rows", 1440.0),
        (TABLE, day_of(3), "temp_degc", "max", 1020.0),
        (TABLE, day_of(4), "", "rows", 1440.0),
        (TABLE, day_of(4), "temp_degc", "max", 26.0),
    ]
    assert metric_history(lake, []).is_empty()


def test_a_metric_of_the_day_that_is_far_out_is_told_by_the_name_of_the_metric(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path)
    for number in range(9):
        write(lake, number)
        measured(lake, number, "", "completeness", 0.3 if number == 8 else 1.0, "run-1")
    (found,) = [a for _, _, a in watch_all(lake).found]
    assert (found.rule, found.column, found.value, found.baseline) == ("trend:completeness", "", 0.3, 1.0)
    assert found.start == datetime.combine(day_of(8), datetime.min.time(), UTC)
    (plot,) = anomalies(lake).filter(rule="trend:completeness")["plot"]
    measured(lake, 8, "", "completeness", 0.4, "run-2")
    refresh(lake)
    with duckdb.connect(Path(lake.root) / "catalog.duckdb", read_only=True) as connection:
        assert connection.sql(plot).fetchall() == [(day_of(n), 0.4 if n == 8 else 1.0) for n in range(9)]
