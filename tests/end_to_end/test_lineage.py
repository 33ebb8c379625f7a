# SPDX-License-Identifier: Apache-2.0
"""Lineage in both directions: the view ops.lineage, its queries, and `swxlake describe` of files and products."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.ledger import l0_definition, read_ops
from lake.reading import table_id
from lake.store import Lake
from lake.tables import append, append_ops, day_files
from swxlake.describe import describe
from tests.kept_lake import DAYS, HK_FILES, L0, L1, LATE_FILE
from tests.meddea import MEDDEA, MISSIONS, PHOTON_FILE
from tests.toy import DAY, table_rows, toy_lake, write_missions
from tests.toy import L0 as TICKS
from tests.toy import L1 as VOLTS
from tests.toy import QL as MEAN
from tests.transforms.test_engine import code, rewrite
from tests.transforms.test_margins import SUMS
from transforms.engine import build_all

__all__ = ["code"]  # a fixture

OLD, NEW = "padre_meddea_l1-housekeeping_20240916_v1.0.0.cdf", "padre_meddea_l1-housekeeping_20240916_v1.0.1.cdf"
OTHER = "padre_meddea_l1-housekeeping_20240917_v1.0.0.cdf"
NEXT = DAY + timedelta(days=1)
Rows = list[tuple[Any, ...]]


def sql(lake: Lake, query: str, *values: Any) -> Rows:
    with open_catalog(lake) as connection:
        return connection.execute(query, list(values)).fetchall()


def ancestors(lake: Lake, kind: str, descendant: str, day: date) -> list[str]:
    query = "SELECT ancestor FROM ops.lineage WHERE ancestor_kind = ? AND descendant = ? AND day = ? ORDER BY ALL"
    return [name for (name,) in sql(lake, query, kind, descendant, day)]


def descendants(lake: Lake, where: str, *values: Any) -> Rows:
    return sql(lake, f"SELECT descendant, day FROM ops.lineage WHERE {where} ORDER BY ALL", *values)  # noqa: S608


def query(lake: Lake, name: str) -> Rows:
    return sql(lake, (CHECKOUT / "sql/queries" / f"{name}.sql").read_text())


# ---- the real tables -------------------------------------------------------------------------------------------------
def test_a_table_day_descends_from_its_inputs_raw_files_and_calibrations(healthy: Lake) -> None:
    assert ancestors(healthy, "table-day", L1, DAYS[0]) == [L0]
    assert ancestors(healthy, "raw file", L1, DAYS[0]) == [HK_FILES[0], LATE_FILE]
    assert ancestors(healthy, "raw file", L1, DAYS[1]) == [HK_FILES[1]]
    assert ancestors(healthy, "raw file", L0, DAYS[0]) == [HK_FILES[0], LATE_FILE]
    assert ancestors(healthy, "calibration", L1, DAYS[0]) == ["housekeeping_polynomial", "housekeeping_spline"]


def test_each_version_of_a_product_has_the_raw_files_that_it_was_made_from(healthy: Lake) -> None:
    assert ancestors(healthy, "raw file", OLD, DAYS[0]) == [HK_FILES[0]]
    assert ancestors(healthy, "raw file", NEW, DAYS[0]) == [HK_FILES[0], LATE_FILE]
    assert ancestors(healthy, "table-day", OLD, DAYS[0]) == []  # what those days held then is gone
    assert ancestors(healthy, "table-day", NEW, DAYS[0]) == [L0, L1]


def test_what_descends_from_a_raw_file_a_calibration_and_a_table_day(healthy: Lake) -> None:
    late = "ancestor_kind = 'raw file' AND ancestor = ?"
    assert descendants(healthy, late, LATE_FILE) == [(L0, DAYS[0]), (L1, DAYS[0]), (NEW, DAYS[0])]
    spline = MEDDEA.calibration("housekeeping_spline", DAYS[0])
    assert spline is not None
    found = descendants(healthy, "ancestor_sha256 = ?", spline.sha256)
    assert found == [(L1, DAYS[0]), (L1, DAYS[1]), (OLD, DAYS[0]), (NEW, DAYS[0]), (OTHER, DAYS[1])]
    of_day = "ancestor_kind = 'table-day' AND ancestor = ? AND ancestor_day = ?"
    assert descendants(healthy, of_day, L0, DAYS[0]) == [(L1, DAYS[0]), (NEW, DAYS[0])]


def test_the_way_of_a_table_day_is_that_of_the_run_whose_files_are_there(kept: Lake) -> None:
    row = read_ops(kept, "runs").filter(table_name=L1, day=DAYS[1]).row(-1, named=True)
    other = {"run_id": "9", "files": '["part-other.parquet"]', "depends_on": '{"calibration x": "1"}'}
    append_ops(kept, "runs", [row | other])
    assert ancestors(kept, "calibration", L1, DAYS[1]) == ["housekeeping_polynomial", "housekeeping_spline"]
    assert ancestors(kept, "raw file", L1, DAYS[1]) == [HK_FILES[1]]


def test_a_descendant_and_an_ancestor_are_one_row(healthy: Lake) -> None:
    columns = "descendant, day, ancestor_kind, ancestor, ancestor_day, ancestor_sha256"
    twice = f"SELECT {columns} FROM ops.lineage GROUP BY ALL HAVING count(*) > 1"  # noqa: S608
    assert sql(healthy, twice) == []


# ---- queries ---------------------------------------------------------------------------------------------------------
def test_the_ancestors_of_products_are_those_of_their_newest_versions(healthy: Lake) -> None:
    rows = query(healthy, "ancestors_of_products")
    assert {row[0] for row in rows if "housekeeping" in row[0]} == {NEW, OTHER}
    raw = [(row[2], row[3]) for row in rows if row[0] == OTHER and row[2] == "raw file"]
    assert raw == [("raw file", HK_FILES[1])]


def test_the_descendants_of_raw_files_are_table_days_and_products(healthy: Lake) -> None:
    found = [(kind, name) for raw, _, kind, name, _ in query(healthy, "descendants_of_raw_files") if raw == HK_FILES[1]]
    assert found == [("product", OTHER), ("table-day", L0), ("table-day", L1)]


def test_the_descendants_of_calibrations_are_counted(healthy: Lake) -> None:
    found = {(row[0], row[2]): row[3:] for row in query(healthy, "descendants_of_calibrations")}
    assert found["housekeeping_spline", L1] == (2, *DAYS)
    assert found["housekeeping_spline", None] == (3, *DAYS)  # one of them is an older version
    assert ("pixel_map", "padre.meddea_l1_photon") in found


# ---- describe --------------------------------------------------------------------------------------------------------
def test_a_raw_file_is_described_by_name_and_by_the_beginning_of_its_hash(healthy: Lake) -> None:
    sha256 = str(read_ops(healthy, "files").filter(name=LATE_FILE)["file_sha256"][0])
    expected = [
        {"kind": "product", "name": NEW, "day": DAYS[0]},
        {"kind": "table-day", "name": L0, "day": DAYS[0]},
        {"kind": "table-day", "name": L1, "day": DAYS[0]},
    ]
    for name in (LATE_FILE, sha256, sha256[:8]):
        outcome = describe(healthy, name)
        assert outcome.tables[f"descends from {sha256[:12]}"] == expected
        (arrival,) = outcome.tables["arrivals"]
        assert (arrival["name"], arrival["packets"], arrival["duplicates"]) == (LATE_FILE, 6, 2)


def test_a_calibration_is_described_with_what_was_made_with_it(healthy: Lake) -> None:
    outcome = describe(healthy, "housekeeping_spline_20240101.csv")
    (file,) = outcome.tables["files"]
    assert file["stands"] == "today's missions/padre/meddea/calibration/housekeeping_spline_20240101.csv"
    names = [row["name"] for row in outcome.tables[f"descends from housekeeping_spline_20240101 {file['sha256'][:12]}"]]
    assert names == [OLD, NEW, OTHER, L1, L1]
    assert describe(healthy, file["sha256"][:10]).tables == outcome.tables


def test_what_was_made_with_a_calibration_that_was_replaced_can_be_followed(healthy: Lake, tmp_path: Path) -> None:
    before = MEDDEA.calibration("housekeeping_spline", DAYS[0])
    assert before is not None
    missions = Path(shutil.copytree(MISSIONS, tmp_path / "missions"))
    path = missions / "padre/meddea/calibration/housekeeping_spline_20240101.csv"
    path.write_text(f"{path.read_text()}\n")
    lake = Lake(healthy.root, read_definitions(missions))
    outcome = describe(lake, "housekeeping_spline_20240101")
    assert [(row["sha256"] == before.sha256, row["stands"]) for row in outcome.tables["files"]] == [
        (False, "today's missions/padre/meddea/calibration/housekeeping_spline_20240101.csv"),
        (True, "no more"),
    ]
    title = f"descends from housekeeping_spline_20240101 {before.sha256[:12]}"
    assert [row["name"] for row in outcome.tables[title]] == [OLD, NEW, OTHER, L1, L1]
    assert describe(lake, before.sha256).tables[title] == outcome.tables[title]


def test_a_product_is_described_with_all_that_it_was_made_from(healthy: Lake) -> None:
    outcome = describe(healthy, OLD)
    assert (outcome.facts["product"], outcome.facts["version"], outcome.facts["records"]) == (L1, "1.0.0", 6)
    assert [row["name"] for row in outcome.tables["descends from"]] == [
        "housekeeping_polynomial_20240101",
        "housekeeping_spline_20240101",
        HK_FILES[0],
    ]


def test_a_table_day_is_described_with_what_descends_from_it(healthy: Lake) -> None:
    outcome = describe(healthy, f"{L0}@{DAYS[1]}")
    assert [row["name"] for row in outcome.tables["descends from it"]] == [OTHER, L1]
    assert "descends from it" in describe(healthy, f"{L1}@{DAYS[1]}").tables
    assert describe(healthy, L0).facts["title"]
    assert describe(healthy, "ops.files").facts["title"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("padre.meddea_l0_hosekeeping", L0),
        ("padreMDA0_240916122900.dat", PHOTON_FILE),
        (NEW.replace("1.0.1", "9.0.1"), NEW),
    ],
)
def test_what_is_not_there_is_told_with_what_is(healthy: Lake, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no table, raw file, calibration or product") as caught:
        describe(healthy, name)
    assert hint in str(caught.value)


# ---- margins ---------------------------------------------------------------------------------------------------------
def receive(lake: Lake, name: str, day: date, seconds: int) -> None:
    """A file with one row so many seconds after midnight, and all that ingest notes of it."""
    mission, table = lake.definitions.mission("toy"), lake.definitions.tables[TICKS]
    definition, sha256 = l0_definition(mission, mission.instrument("box")), name.ljust(64, "0")
    rows = table_rows(table, [seconds], sha256, day)
    place = rows.schema.get_field_index("epoch_tt2000")
    late = pa.array([rows["epoch_tt2000"][0].as_py() + seconds * 10**9])
    with day_files(lake, table, definition) as files:
        files.write(rows.set_column(place, rows.schema.field(place), late), day)
        files.close()
        append(lake, files, f"ingest/{sha256}")
    books = {"file_sha256": sha256, "definition": definition, "run_id": f"run-{name}"}
    content = {"table_name": TICKS, "day": day, "rows": 1, "new_rows": 1, "table_id": table_id(lake, table)}
    append_ops(lake, "contents", [content | books])
    counts = dict.fromkeys(("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates"), 0)
    words = {"name": name, "mission": "toy", "instrument": "box", "status": "ingested", "reason": "", "receipt": name}
    received = {"received_at": datetime(2024, 9, 18, tzinfo=UTC), "revision": 1}
    append_ops(lake, "files", [counts | words | received | books])


def test_of_a_neighbouring_day_only_the_files_within_the_margin_are_ancestors(tmp_path: Path, code: Path) -> None:
    rewrite(code, SUMS)
    path = write_missions(tmp_path / "missions") / "toy/box/tables.yaml"
    inputs = "inputs: {tick: box_l0_tick}"
    path.write_text(path.read_text().replace(inputs, f"{inputs}\n    margins: {{tick: [3, 2.5]}}"))
    lake = toy_lake(tmp_path)
    for name, day, seconds in (("aa", DAY, 40_000), ("bb", NEXT, 1), ("cc", NEXT, 40_000)):
        receive(lake, name, day, seconds)
    assert build_all(lake, "run-z").failed == []
    assert ancestors(lake, "raw file", VOLTS, DAY) == ["aa", "bb"]
    assert ancestors(lake, "raw file", VOLTS, NEXT) == ["bb", "cc"]
    assert ancestors(lake, "raw file", MEAN, DAY) == ["aa", "bb"]
    files = [row[:5] for row in query(lake, "raw_files_of_day") if row[0] == VOLTS]
    assert files == [
        (VOLTS, DAY, TICKS, DAY, "aa"), (VOLTS, DAY, TICKS, NEXT, "bb"),
        (VOLTS, NEXT, TICKS, NEXT, "bb"), (VOLTS, NEXT, TICKS, NEXT, "cc"),
    ]  # fmt: skip
    assert descendants(lake, "ancestor_kind = 'raw file' AND ancestor = 'cc'") == [
        (TICKS, NEXT), (VOLTS, NEXT), (MEAN, NEXT)
    ]  # fmt: skip
