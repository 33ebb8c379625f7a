# SPDX-License-Identifier: Apache-2.0
"""The daily health report of a rehearsal: what it tells, that it is the same again, and that text stays text."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lake.errors import StorageError
from lake.store import Lake
from lake.tables import append_ops
from quality.anomalies.watch import watch_all
from quality.checks import check_all
from swxlake.contacting import account
from swxlake.health_report import as_csv, newest_day, parts_of, write_health_report
from tests.passes import EVENING, REHEARSED, rehearse, write_settings
from tests.toy import toy_lake
from transforms.engine import build_all

DAY = date(2024, 9, 16)
EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The rehearsal, accounted for, with level 1 and its checks, and an alert in the words of somebody else."""
    folder = tmp_path_factory.mktemp("health")
    lake = rehearse(folder)
    account(lake, write_settings(folder), EVENING)
    wanted = [lake.definitions.tables[f"padre.meddea_{name}"] for name in ("l0_housekeeping", "l1_housekeeping")]
    build_all(lake, tables=wanted[1:])
    check_all(lake, None, wanted)
    watch_all(lake, None, wanted)
    at = datetime(2024, 9, 16, 13, tzinfo=UTC)
    times = dict.fromkeys(("start_time", "since_time", "end_time", "opened_at", "changed_at"), at)
    alert = {"alert_id": "a1", "subject": "=1+1", "mission": "padre", "instrument": "meddea", "table_name": "",
             "column_name": "", "rules": "level", "severity": "red", "state": "open", "episodes": 1,
             "message": EVIL, "plot": "", "run_id": "run-1"}  # fmt: skip
    over = {"alert_id": "a2", "state": "resolved"}
    append_ops(lake, "alerts", [alert | times, alert | times | over])
    return lake


@pytest.fixture(scope="module")
def out(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    outcome = write_health_report(lake, folder)
    names = [f"health_2024-09-16.{form}" for form in ("html", "json", "csv")]
    assert outcome.facts["written"] == [str(folder / name) for name in names]
    return folder


@pytest.fixture(scope="module")
def told(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "health_2024-09-16.json").read_text())
    return found


def test_passes_files_and_packets_of_the_day_are_told(told: dict[str, Any]) -> None:
    states = {row["pass_id"]: row["state"] for row in told["passes"]}
    assert states == {name: state for name, state in REHEARSED.items() if name != "tomorrow"}
    assert [(row["status"], row["files"], row["packets"]) for row in told["files"]] == [("ingested", 6, 36)]
    assert [(row["apid"], row["received"], row["missing"]) for row in told["packets"]] == [(163, 36, 6)]
    assert [(row["sequence_from"], row["sequence_to"]) for row in told["gaps"]] == [(33, 38)]
    assert told["summary"].startswith("Passes: 1 complete, 2 incomplete, 1 late, 1 missing. Files: 6. Packets: 36")


def test_channels_have_their_range_unit_and_broken_limits(told: dict[str, Any]) -> None:
    rows = {row["channel"]: row for row in told["housekeeping"]}
    # Each word of these packets but fp_temp is 1000; this sensor is hotter than its red limit of 65 degC then.
    hot = rows["hvps_temp_degc"]
    assert (hot["unit"], hot["broken"]) == ("degC", "red_high:hvps_temp_degc")
    assert hot["min"] == hot["mean"] == hot["max"] == pytest.approx(128.44, abs=0.01)
    assert rows["fp_temp_degc"]["broken"] == ""
    assert {"severity": "info", "rule": "red_high:hvps_temp_degc"}.items() <= told["broken"][-1].items()


def test_latency_is_that_of_the_packets(told: dict[str, Any]) -> None:
    (row,) = (row for row in told["latency"] if row["table"] == "padre.meddea_l1_housekeeping")
    # 30 of 36 packets came 1145 to 1230 s after they were made, those of the late file 12485, 12490, ..., 12510 s.
    assert (row["median_s"], row["p95_s"]) == (1195, 12505)


def test_alerts_that_stand_are_told_and_products_that_are_not_there(told: dict[str, Any]) -> None:
    assert [row["alert_id"] for row in told["alerts"]] == ["a1"]
    products = {row["product"]: row["state"] for row in told["products"]}
    assert products["padre.meddea_l1_housekeeping"] == "not exported"


def test_the_page_has_no_script_and_asks_nobody(out: Path) -> None:
    text = (out / "health_2024-09-16.html").read_text()
    assert "<title>Health of 2024-09-16</title>" in text
    assert EVIL not in text
    assert "&lt;script&gt;alert(" in text
    assert not re.search(r"<script|https?://|src=", text)


def test_the_csv_has_what_the_json_has_and_no_formula(out: Path, told: dict[str, Any]) -> None:
    rows = list(csv.DictReader((out / "health_2024-09-16.csv").read_text().splitlines()))
    found = {(row["part"], row["row"], row["column"]): row["value"] for row in rows}
    assert found["packets", "1", "missing"] == "6"
    assert found["alerts", "1", "subject"] == "'=1+1"
    assert {part for part, _, _ in found} == {key for key, value in told.items() if isinstance(value, list) and value}


def test_the_same_lake_and_day_give_the_same_bytes(lake: Lake, out: Path, tmp_path: Path) -> None:
    write_health_report(lake, tmp_path, DAY)
    for path in out.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in out.iterdir())


def test_a_day_without_anything_has_a_report_and_a_lake_without_one_has_none(lake: Lake, tmp_path: Path) -> None:
    empty = parts_of(lake, date(2020, 1, 1))
    assert {part.key for part in empty if part.rows.height} == {"alerts"}
    assert as_csv(empty).startswith("part,row,column,value\n")
    none = toy_lake(tmp_path)
    assert newest_day(none) is None
    assert write_health_report(none, tmp_path / "out").notes == [
        "there is no day with packets or passes yet; nothing was written"
    ]


def test_a_folder_that_cannot_be_written_is_named(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("-")
    with pytest.raises(StorageError, match=r"Give --out a folder that can be written\."):
        write_health_report(lake, tmp_path / "file", DAY)
