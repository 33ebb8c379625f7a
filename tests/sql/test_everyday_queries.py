# SPDX-License-Identifier: Apache-2.0
"""The questions of every day, on books that are known row by row: nights, late files, versions, quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from lake.tables import append_ops

QUERIES = CHECKOUT / "sql" / "queries"
MORNING = datetime(2026, 8, 2, 3, tzinfo=UTC)
PHOTON, L0 = "padre.meddea_l1_photon", "padre.meddea_l0_photon"


def stage(night: str, number: int, name: str, seconds: float, state: str = "ok", **said: list[str]) -> dict[str, Any]:
    return {
        "night_id": night,
        "number": number,
        "stage": name,
        "started_at": MORNING,
        "seconds": seconds,
        "state": state,
        "facts": "{}",
        "notes": json.dumps(said.get("notes", [])),
        "problems": json.dumps(said.get("problems", [])),
        "code_version": "0.1.0",
        "run_id": night,
    }


def export(version: str, hours: int, records: int, algorithm: str, raw: list[str]) -> dict[str, Any]:
    return {
        "product": PHOTON,
        "day": date(2026, 8, 1),
        "version": version,
        "path": f"exports/photon_v{version}.cdf",
        "bytes": 10 * records,
        "sha256": "ab",
        "records": records,
        "parents": "[]",
        "created_at": MORNING + timedelta(hours=hours),
        "run_id": f"run-{hours:04d}",
        "status": "published",
        "fingerprint": "f",
        "code_version": "0.1.0",
        "deliverable": True,
        "made_from": json.dumps(
            {"algorithm": algorithm, "calibrations": {"gain": "1"}, "definitions": "d", "raw": raw}
        ),
    }


def raw_file(sha: str, days: int) -> dict[str, Any]:
    """A file of 2026-08-01 that was received so many days after its end."""
    return {
        "file_sha256": sha,
        "name": f"{sha}.DAT",
        "mission": "padre",
        "instrument": "meddea",
        "received_at": datetime(2026, 8, 2, tzinfo=UTC) + timedelta(days=days),
        "bytes": 1000,
        "bytes_decoded": 990,
        "bytes_quarantined": 10,
        "packets": 9,
        "duplicates": 0,
        "status": "ingested",
        "reason": "",
        "revision": 0,
        "arrival": days,
        "definition": "d",
        "receipt": sha,
        "run_id": "run-0001",
    }


def refused_file(sha: str, days: int) -> dict[str, Any]:
    return raw_file(sha, days) | {"status": "refused", "definition": "", "bytes_decoded": 0, "bytes_quarantined": 1000}


def content(sha: str, rows: int, new_rows: int) -> dict[str, Any]:
    return {
        "table_name": L0,
        "day": date(2026, 8, 1),
        "file_sha256": sha,
        "rows": rows,
        "new_rows": new_rows,
        "definition": "d",
        "table_id": "t",
        "run_id": "run-0001",
        "mission": "padre",
        "instrument": "meddea",
    }


def check(rule: str, severity: str, passed: bool, run: int) -> dict[str, Any]:
    return {
        "table_name": PHOTON,
        "day": date(2026, 8, 1),
        "rule": rule,
        "severity": severity,
        "passed": passed,
        "value": 7.0,
        "detail": "why",
        "content": "c",
        "rules": f"r{run}",
        "checked_at": MORNING + timedelta(hours=run),
        "run_id": f"run-{run:04d}",
    }


def stretch(sha: str, offset: int, size: int, reason: str) -> dict[str, Any]:
    return {
        "file_sha256": sha,
        "name": f"{sha}.DAT",
        "byte_offset": offset,
        "bytes": size,
        "reason": reason,
        "detail": "why",
        "mission": "padre",
        "instrument": "meddea",
        "packets": 1,
        "day": date(2026, 8, 1),
        "run_id": "run-0001",
    }


def accounted(day: date, received: int, missing: int) -> dict[str, Any]:
    return {
        "mission": "padre",
        "instrument": "meddea",
        "apid": 160,
        "day": day,
        "received": received,
        "distinct": received,
        "duplicates": 0,
        "expected": received + missing,
        "missing": missing,
        "gaps": 1,
        "longest_gap_s": 5.0,
        "restarts": 0,
        "checksum_failures": 0,
        "bytes": 100 * received,
        "run_id": "run-0001",
    }


BOOKS = {
    "nights": [
        stage("20260801", 1, "ingest", 10),
        stage("20260801", 2, "check", 4, "failed", problems=["one", "two"]),
        stage("20260802", 1, "ingest", 30, "warn", notes=["look"]),
        stage("20260802", 2, "check", 4),
    ],
    "exports": [export("1.0.9", 0, 90, "a", ["f1"]), export("1.0.10", 200, 100, "b", ["f1", "f2"])],
    "files": [raw_file("fresh", 0), raw_file("late", 5), refused_file("junk", 6)],
    "contents": [
        content("fresh", 100, 100),
        content("late", 50, 20),
        content("late", 3, 3) | {"day": date(2026, 8, 4)},  # a few packets of another day
        content("late", 9, 9) | {"definition": "of before", "run_id": "run-0000", "day": date(2026, 7, 1)},
    ],
    "checks": [
        check("rows are there", "info", False, 1),
        check("gaps", "warn", False, 1),
        check("times ascend", "fail", False, 1),
        check("values", "fail", False, 0),  # held since
        check("values", "fail", True, 1),
    ],
    "quarantine": [
        stretch("fresh", 0, 10, "checksum"),
        stretch("late", 7, 6, "checksum"),
        stretch("late", 0, 4, "junk"),
        stretch("junk", 0, 1000, "no definition"),
    ],
    "packets": [
        accounted(date(2026, 8, 1), 99, 1),
        accounted(date(2026, 8, 2), 100, 0),
        accounted(date(2026, 9, 1), 5, 5),
    ],
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    lake = Lake(tmp_path_factory.mktemp("lake"), read_definitions(CHECKOUT / "missions"))
    for name, rows in BOOKS.items():
        append_ops(lake, name, rows)
    with open_catalog(lake) as opened:
        yield opened


def answer(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    found = pl.from_arrow(connection.sql((QUERIES / f"{name}.sql").read_text()).to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found.rows(named=True)


def test_there_are_at_least_thirty_questions() -> None:
    assert len(list(QUERIES.glob("*.sql"))) >= 30


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.stem)
def test_every_query_has_an_answer_where_there_are_no_data(connection: duckdb.DuckDBPyConnection, path: Any) -> None:
    assert connection.sql(path.read_text()).to_arrow_table().column_names


def test_nights_say_which_stage_was_not_well_and_why(connection: duckdb.DuckDBPyConnection) -> None:
    found = answer(connection, "nights_that_failed")
    assert [(r["night_id"], r["stage"], r["state"], r["said_first"]) for r in found] == [
        ("20260802", "ingest", "warn", "look"),
        ("20260801", "check", "failed", "one"),
    ]
    assert [(r["problems_count"], r["notes_count"]) for r in found] == [(0, 1), (2, 0)]


def test_a_slow_night_stands_out_from_its_median(connection: duckdb.DuckDBPyConnection) -> None:
    ingest, check = answer(connection, "seconds_of_nights")
    assert (ingest["stage"], ingest["last_night_s"], ingest["median_s"], ingest["last_to_median"]) == (
        "ingest",
        30,
        20,
        1.5,
    )
    assert (check["stage"], check["nights"], check["last_to_median"]) == ("check", 2, 1.0)


def test_what_changed_since_names_the_version_before(connection: duckdb.DuckDBPyConnection) -> None:
    (changed,) = answer(connection, "products_changed_since")  # the other one is older than a week
    assert (changed["version"], changed["version_before"], changed["records"]) == ("1.0.10", "1.0.9", 100)


def test_two_versions_are_compared_in_the_order_of_their_numbers(connection: duckdb.DuckDBPyConnection) -> None:
    (pair,) = answer(connection, "versions_of_products")
    assert (pair["version_before"], pair["version"]) == ("1.0.9", "1.0.10")
    assert (pair["more_records"], pair["more_bytes"], pair["more_raw_files"]) == (10, 100, 1)
    assert (pair["other_algorithm"], pair["other_calibrations"], pair["other_definitions"]) == (True, False, False)


def test_a_file_is_late_after_the_hours_of_its_mission(connection: duckdb.DuckDBPyConnection) -> None:
    refused, late = answer(connection, "late_files")
    assert (late["name"], late["day"], late["late_h"]) == ("late.DAT", date(2026, 8, 1), 120)
    assert (late["rows_count"], late["new_rows_count"]) == (53, 23)
    assert (refused["name"], refused["status"], refused["late_h"]) == ("junk.DAT", "refused", 144)
    assert (refused["rows_count"], refused["new_rows_count"]) == (0, 0)


def test_the_hours_after_which_a_file_is_late_are_those_of_its_mission(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    query = (QUERIES / "late_files.sql").read_text()
    with duckdb.connect() as other:
        for name in ("files", "contents", "quarantine", "missions"):
            other.register(f"of_{name}", connection.sql(f"FROM ops.{name}").to_arrow_table())
        other.execute("SET TimeZone='UTC'; CREATE SCHEMA ops")
        for name in ("files", "contents", "quarantine", "missions"):
            other.execute(f"CREATE TABLE ops.{name} AS FROM of_{name}")
        other.execute("UPDATE ops.missions SET late_after_hours = 130")
        assert [row[0] for row in other.sql(query).fetchall()] == ["junk.DAT"]


def test_data_are_told_by_the_day_of_receipt_and_so_are_files_without_any(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    fresh, late, refused = answer(connection, "data_by_ingestion_date")
    assert (fresh["received_day"], fresh["files"], fresh["new_rows_count"]) == (date(2026, 8, 2), 1, 100)
    assert (late["received_day"], late["first_day"], late["rows_count"]) == (date(2026, 8, 7), date(2026, 8, 1), 53)
    assert [row["files_without_data"] for row in (fresh, late, refused)] == [0, 0, 1]
    assert (refused["files"], refused["rows_count"], refused["first_day"]) == (1, 0, None)


def test_the_checks_that_hold_a_product_back_come_first(connection: duckdb.DuckDBPyConnection) -> None:
    found = answer(connection, "checks_that_failed")
    assert [(row["rule"], row["severity"]) for row in found] == [
        ("times ascend", "fail"),
        ("gaps", "warn"),
        ("rows are there", "info"),
    ]
    assert {row["value"] for row in found} == {7.0}


def test_quarantine_is_summed_by_reason_and_set_against_what_came(connection: duckdb.DuckDBPyConnection) -> None:
    _, checksum, junk = answer(connection, "quarantine_by_reason")  # the first is the file that was refused
    assert (checksum["reason"], checksum["stretches"], checksum["files"], checksum["bytes"]) == ("checksum", 2, 2, 16)
    assert checksum["bytes_of_a_million"] == pytest.approx(16e6 / 3000)
    assert (junk["reason"], junk["bytes"]) == ("junk", 4)


def test_a_month_has_days_with_data_and_a_completeness(connection: duckdb.DuckDBPyConnection) -> None:
    august, september = answer(connection, "coverage_by_month")
    assert (august["days_with_data"], august["days_of_month"], august["packets_missing"]) == (2, 31, 1)
    assert august["complete_percent"] == pytest.approx(99.5)
    assert (september["days_of_month"], september["complete_percent"]) == (30, 50)
