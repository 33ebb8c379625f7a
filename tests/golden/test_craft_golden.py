# SPDX-License-Identifier: Apache-2.0
"""The real CRAFT files through ingest and transforms: every row accounted for, every golden value asked for in SQL."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from lake.catalog import open_catalog
from lake.ledger import read_ops
from lake.store import Lake
from tests.meddea import DEFINITIONS, drop, empty_lake, quarantined, take
from tests.shared_data import golden_folder, telemetry_folder
from transforms.engine import build_all

pytestmark = pytest.mark.telemetry

CRAFT = DEFINITIONS.mission("padre").instrument("craft")
FAMILIES = {
    "obc": "padre_get_OBC_0_Data_1761872211189_1762025056586",
    "eps": "padre_get_EPS_9_Data_1761872211190_1762025056586",
    "battery": "padre_get_EPS2_BP_INST0_BP_INFO_Data_1761872211195_1762025056591",
    "adcs_op_status": "padre_get_CUBEADCS_GEN2_OP_STATUS_APP_Data_1761936771334_1762106179414",
    "gnss": "padre_get_GNSS_BESTXYZ_Data_1762025414752_1762106689224",
    "meddea_housekeeping": "padre_get_MEDDEA_HOUSE_KEEPING_Data_1762493454480_1762611866270",
}
DIRLIST = "padre_craft_dirlist_1772908542"
BAD_TIME = "badtime_get_OBC_0_Data_1761872211189_1762025056586"
CLOCK_INVALID, RETRANSMITTED, EMPTY_ROW, SOLUTION_OLD, NO_SOLUTION = 1, 2, 1 << 8, 1 << 12, 1 << 14
MILLI = {"mv": "v", "ma": "a", "mw": "w"}
CALIBRATED = {
    "fp_temp": "fp_temp_degc",
    "dib_temp": "dib_temp_degc",
    "hvps_temp": "hvps_temp_degc",
    "hvps_vsense": "hvps_vsense_v",
    "hvps_csense": "hvps_csense_na",
    "csense_15v": "csense_15v_ma",
    "csense_33vd": "csense_33vd_ma",
    "csense_33va": "csense_33va_ma",
    "heater_pwm_duty_cycle": "heater_pwm_duty_cycle_percent",
}
COUNTERS = ("hit_rate", "good_cmd_cnt", "error_cnt", "decimation_rate", "error_summary")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with the given files; the one whose name is none of the mission's under the name it stands for."""
    folder = telemetry_folder("padre", "craft")
    lake = empty_lake(tmp_path_factory.mktemp("craft") / "lake")
    take(lake, *(folder / f"{name}.csv" for name in FAMILIES.values()), folder / f"{DIRLIST}.txt")
    octets = (folder / f"{BAD_TIME}.csv").read_bytes()
    take(lake, drop(tmp_path_factory.mktemp("inbox"), "padre_get_OBC_0_Data_1761872211189_1762025056587.csv", octets))
    build_all(lake, "build")
    return lake


@pytest.fixture(scope="module")
def sql(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(lake) as connection:
        yield connection


def ask(sql: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return sql.sql(query).fetchall()


def golden(name: str, table: str = "timeseries") -> pl.DataFrame:
    return pl.read_parquet(golden_folder("padre") / name / f"{table}.parquet")


def fields(family: str) -> dict[str, str]:
    """Column names of L0 by those of the file."""
    return {f.header: f.name for records in CRAFT.records if records.name == family for f in records.fields}


# ---- accounting ----------------------------------------------------------------------------------------------------
def test_every_row_and_every_byte_of_all_files_is_decoded(lake: Lake) -> None:
    assert quarantined(lake) == []
    files = read_ops(lake, "files")
    assert (files["bytes_decoded"] == files["bytes"]).all()
    rows = dict(files.select("name", "packets").iter_rows())
    expected = {f"{name}.csv": 13 if family == "meddea_housekeeping" else 10 for family, name in FAMILIES.items()}
    expected |= {f"{DIRLIST}.txt": 121, "padre_get_OBC_0_Data_1761872211189_1762025056587.csv": 10}
    assert rows == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_lie_where_they_begin_in_the_file(sql: duckdb.DuckDBPyConnection, family: str) -> None:
    octets = (telemetry_folder("padre", "craft") / f"{FAMILIES[family]}.csv").read_bytes()
    query = f"""
        SELECT byte_offset, timestamp_ms FROM padre.craft_l0_{family}
        JOIN ops.files USING (file_sha256) WHERE name LIKE '{FAMILIES[family]}%' ORDER BY byte_offset"""  # noqa: S608
    rows = ask(sql, query)
    lines = octets.splitlines(keepends=True)
    starts = np.cumsum([len(line) for line in lines])[:-1].tolist()
    assert rows == [(at, int(line.rpartition(b",")[2])) for at, line in zip(starts, lines[1:], strict=True)]


# ---- values --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_have_the_golden_values_and_exact_times(sql: duckdb.DuckDBPyConnection, family: str) -> None:
    expected = golden(FAMILIES[family])
    kept = {header: name for header, name in fields(family).items() if header in expected.columns}
    query = f"""
        SELECT DISTINCT epoch_ms(time), {", ".join(kept.values())} FROM padre.craft_l0_{family}
        JOIN ops.files USING (file_sha256) WHERE name LIKE '{FAMILIES[family]}%' ORDER BY timestamp_ms"""  # noqa: S608
    rows = ask(sql, query)
    assert [row[1:] for row in rows] == expected.select(list(kept)).rows()
    stamps = expected["timestamp_ms"].to_list()
    assert [row[0] for row in rows] == [stamp if stamp < 1_790_000_000_000 else None for stamp in stamps]


def test_lists_in_cells_are_kept(sql: duckdb.DuckDBPyConnection) -> None:
    """The reference drops these columns."""
    with (telemetry_folder("padre", "craft") / f"{FAMILIES['gnss']}.csv").open() as file:
        cells = [[row[name] for name in ("message", "port", "stn_id", "end2")] for row in csv.DictReader(file)]
    rows = ask(sql, "SELECT message, port, station_id, end2 FROM padre.craft_l0_gnss ORDER BY byte_offset")
    assert [[str(cell) for cell in row] for row in rows] == cells
    assert bytes(rows[0][0][:8]) == b"BESTXYZA"


@pytest.mark.parametrize("family", ["eps", "battery"])
def test_milli_units_become_units(sql: duckdb.DuckDBPyConnection, family: str) -> None:
    expected = golden(FAMILIES[family])
    names = [(header, name) for header, name in fields(family).items() if name.rpartition("_")[2] in MILLI]
    assert len(names) == {"eps": 24, "battery": 2}[family]
    for header, name in names:
        base, _, unit = name.rpartition("_")
        query = f"SELECT {base}_{MILLI[unit]} FROM padre.craft_l1_{family} ORDER BY epoch_tt2000"  # noqa: S608
        values = [row[0] for row in ask(sql, query)]
        np.testing.assert_allclose(values, expected[header].to_numpy() / 1000, rtol=1e-12)


def test_the_unordered_rows_of_the_attitude_control_are_put_in_order(sql: duckdb.DuckDBPyConnection) -> None:
    expected = golden(FAMILIES["adcs_op_status"])
    names = ["run_mode", "control_mode", "magnetic_control_timeout", "estimator_main", "estimator_backup"]
    query = f"SELECT epoch_ms(time), {', '.join(names)} FROM padre.craft_l1_adcs_op_status"  # noqa: S608
    for day in ("2025-10-31", "2025-11-02"):
        rows = ask(sql, f"{query} WHERE day = '{day}'")
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert sorted(ask(sql, query)) == expected.select("timestamp_ms", *names).rows()


def test_positions_are_the_golden_ones_and_known_to_be_old(sql: duckdb.DuckDBPyConnection) -> None:
    expected = golden(FAMILIES["gnss"])
    query = "SELECT position_km, velocity_km_s, solution_age_s, quality_flag FROM padre.craft_l1_gnss ORDER BY time"
    for row, theirs in zip(ask(sql, query), expected.iter_rows(named=True), strict=True):
        np.testing.assert_allclose(row[0], [theirs[name] / 1000 for name in ("px", "py", "pz")], rtol=1e-12)
        np.testing.assert_allclose(row[1], [theirs[name] / 1000 for name in ("vx", "vy", "vz")], rtol=1e-12)
        assert row[2] == theirs["sol_age"] > 970
        assert row[3] == SOLUTION_OLD | NO_SOLUTION


# ---- rows that the reference refuses or blanks ---------------------------------------------------------------------
def test_a_row_of_the_launch_day_is_flagged_and_the_rest_of_its_file_kept(sql: duckdb.DuckDBPyConnection) -> None:
    """The reference refuses the whole file. Its other nine rows are those of the good file, once in level 1."""
    query = "SELECT day, count(*), min(up_time_s) FROM padre.craft_l1_obc WHERE up_time_s IS NOT NULL GROUP BY day"
    assert ask(sql, query) == [(date(2025, 11, 1), 10, 346_896)]
    flagged = f"SELECT count(*) FROM padre.craft_l0_obc WHERE quality_flag & {RETRANSMITTED} > 0"  # noqa: S608
    assert ask(sql, flagged) == [(9,)]
    early = "SELECT timestamp_ms, time, quality_flag, up_time_s FROM padre.craft_l0_obc WHERE time IS NULL"
    assert ask(sql, early) == [(1_750_636_800_000, None, CLOCK_INVALID, 347_436)]


def test_the_row_of_the_future_is_flagged_and_not_in_level_1(sql: duckdb.DuckDBPyConnection) -> None:
    query = f"""
        SELECT timestamp_ms, time FROM padre.craft_l0_meddea_housekeeping
        WHERE quality_flag & {CLOCK_INVALID} > 0"""  # noqa: S608
    assert ask(sql, query) == [(1_862_493_724_575, None)]
    assert ask(sql, "SELECT count(*), count(DISTINCT day) FROM padre.craft_l1_meddea_housekeeping") == [(12, 1)]


def test_housekeeping_has_the_golden_values_and_zero_rows_are_flagged(sql: duckdb.DuckDBPyConnection) -> None:
    names = [*CALIBRATED.values(), *COUNTERS]
    query = f"SELECT quality_flag, {', '.join(names)} FROM padre.craft_l1_meddea_housekeeping ORDER BY time"  # noqa: S608
    rows = ask(sql, query)
    assert [row[0] for row in rows] == [0] * 10 + [EMPTY_ROW] * 2
    assert all(value is None for row in rows[10:] for value in row[1:])
    expected = golden(FAMILIES["meddea_housekeeping"], "meddea_calibrated").head(10)
    theirs = expected.select(*CALIBRATED, *COUNTERS).rows()
    np.testing.assert_allclose([row[1:] for row in rows[:10]], theirs, rtol=1e-9)
    counts = (
        "SELECT packet_sequence_count, packet_time_s FROM padre.craft_l1_meddea_housekeeping ORDER BY time LIMIT 10"
    )
    raw = golden(FAMILIES["meddea_housekeeping"]).head(10)
    assert ask(sql, counts) == raw.select(pl.col("CCSDS2") - 0xC000, "timestmp").rows()


# ---- directory list ------------------------------------------------------------------------------------------------
def plain(name: str) -> str:
    """The reference leaves these out of names; we leave names as they are."""
    return name.replace("padre", "").replace("_", "")


def test_files_on_the_spacecraft_are_the_golden_ones(sql: duckdb.DuckDBPyConnection) -> None:
    expected = golden(DIRLIST, "file_list")
    query = "SELECT file_name, size_bytes, instrument, epoch(time)::BIGINT FROM padre.craft_l1_dirlist"
    theirs = expected.filter(pl.col("timestamp") > 0).select(
        "file_name", "size(in bytes)", pl.col("instrument").str.replace("padre_", ""), "timestamp"
    )
    rows = [(plain(name), *rest) for name, *rest in ask(sql, query)]
    assert sorted(rows) == sorted((plain(name), *rest) for name, *rest in theirs.rows())
    assert ask(sql, "SELECT count(*) FROM padre.craft_l0_dirlist WHERE time IS NULL") == [(4,)]


def test_streams_and_times_in_file_names_are_the_golden_ones(sql: duckdb.DuckDBPyConnection) -> None:
    streams = {"photon": "A0", "spectrum": "A2", "hk": "U8", "det_hk": "20", "response": "30", "histogram": "122"}
    streams |= {"shipboot_hk": "160", "ship_hk": "162", **{f"det{n}": f"1{n}" for n in range(8)}}
    expected = {
        plain(name): (streams.get(kind), None if kind == "padre_craft" else datetime.fromisoformat(time))
        for name, kind, time in golden(DIRLIST, "file_list").select("file_name", "data_type", "file_time").rows()
    }
    rows = ask(sql, "SELECT file_name, stream, file_time::TIMESTAMP FROM padre.craft_l1_dirlist")
    assert len(rows) == 117
    assert all(expected[plain(name)] == (stream, time) for name, stream, time in rows)


# ---- families that nobody has described ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "token", ["CUBEADCS_GEN2_TLM_FRAME_172", "EPS2_BP_INST0_BALANCER_INFO", "GNSS_TIME", "SHIP_HK"]
)
def test_a_family_without_a_definition_is_archived_and_quarantined_whole(tmp_path: Path, token: str) -> None:
    lake = empty_lake(tmp_path / "lake")
    octets = b"opMode,timestamp_ms\n5,1762023976398\n"
    take(lake, drop(tmp_path / "inbox", f"padre_get_{token}_Data_1761872211189_1762025056586.csv", octets))
    assert quarantined(lake) == [(0, len(octets), "NO_DEFINITION")]
    assert octets in [path.read_bytes() for path in (tmp_path / "lake" / "raw").rglob("*") if path.is_file()]
