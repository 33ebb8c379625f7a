# SPDX-License-Identifier: Apache-2.0
"""An instrument scientist adds a housekeeping channel to a lake that is in use, by two lines of text."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import cdflib
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.store import Lake
from simulate.run import simulate
from swxlake.night import Selection, check, run_night, transform, transform_plan

DAYS = (date(2026, 8, 1), date(2026, 8, 2))
COLUMN = """
      - {name: hvps_vsense_kv, type: float64, unit: kV, description: High voltage in kilovolts, source: hvps_vsense,
         conversion: polynomial, valid: [-0.7, 0.01], nullable: true, label: HV}
      - hit_rate
"""


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return shutil.copytree(CHECKOUT / "missions", tmp_path / "missions")


@pytest.fixture
def filled(tmp_path: Path, missions: Path) -> Lake:
    """A lake with a few minutes of two days."""
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    for day in DAYS:
        inbox = tmp_path / f"drop-{day}"
        simulate(lake.definitions, "padre", "meddea", day, inbox, 5, None, 0.05)
        run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)
    return lake


def add_channel(missions: Path) -> None:
    meddea = missions / "padre" / "meddea"
    tables = (meddea / "tables.yaml").read_text()
    head, tail = tables.split("\n      - hit_rate\n")
    (meddea / "tables.yaml").write_text(head + COLUMN + tail)
    with (meddea / "calibration" / "housekeeping_polynomial_20240101.csv").open("a") as file:
        file.write("hvps_vsense_kv,273,63351,0.001291,-0.0000101,,\n")


def test_the_channel_shows_with_its_unit_in_sql_and_in_the_cdf(filled: Lake, missions: Path) -> None:
    add_channel(missions)
    lake = Lake(filled.root, read_definitions(missions))
    run_night(lake, Settings(root=lake.root, settle_seconds=0), None)
    with open_catalog(lake) as connection:
        rows = connection.execute(
            "SELECT min(hvps_vsense_kv * 1000 - hvps_vsense_v), max(hvps_vsense_kv * 1000 - hvps_vsense_v), count(*) "
            "FROM padre.meddea_l1_housekeeping"
        ).fetchall()
        comment = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE column_name = 'hvps_vsense_kv'"
        ).fetchall()
    assert rows[0][:2] == pytest.approx((0, 0), abs=1e-9)
    assert rows[0][2] == 36
    assert comment == [("High voltage in kilovolts [kV]",)]
    files = sorted(lake.root.glob("exports/**/*housekeeping*_v2.0.0.cdf"))
    assert [cdflib.CDF(str(f)).varattsget("hvps_vsense_kv")["UNITS"] for f in files] == ["kV", "kV"]


def test_before_it_is_built_the_channel_reads_as_null_and_nothing_else_is_lost(filled: Lake, missions: Path) -> None:
    add_channel(missions)
    lake = Lake(filled.root, read_definitions(missions))
    with open_catalog(lake) as connection:
        rows = connection.execute(
            "SELECT count(*), count(hvps_vsense_v), count(hvps_vsense_kv) FROM padre.meddea_l1_housekeeping"
        ).fetchall()
    assert rows == [(36, 36, 0)]
    assert check(lake, Selection(force=True)).exit_code == 0


def test_asking_for_one_day_builds_all_days_of_a_table_whose_structure_changed(filled: Lake, missions: Path) -> None:
    add_channel(missions)
    lake = Lake(filled.root, read_definitions(missions))
    table = lake.definitions.tables["padre.meddea_l1_housekeeping"]
    one_day = Selection([table], {DAYS[1]})
    assert [row["day"] for row in transform_plan(lake, one_day).tables["plan"]] == sorted(DAYS, reverse=True)
    transform(lake, one_day)
    with open_catalog(lake) as connection:
        days = connection.execute("SELECT DISTINCT day FROM padre.meddea_l1_housekeeping ORDER BY day").fetchall()
    assert days == [(day,) for day in DAYS]
