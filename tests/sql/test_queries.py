# SPDX-License-Identifier: Apache-2.0
"""Every query of sql/queries and view of sql/views on a simulated hour, compared with polars on the tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ingest.intake import take_in
from lake.catalog import open_catalog
from lake.clock import met_from_tt2000, tt2000_of_day, utc_now
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from lake.watch_definitions import Limit
from quality.checks import check_all
from simulate.run import simulate
from tests.packets import pack, seal
from transforms.engine import build_all

CHECKOUT = Path(__file__).resolve().parents[2]
QUERIES = sorted((CHECKOUT / "sql" / "queries").glob("*.sql"))
VIEWS = sorted((CHECKOUT / "sql" / "views").glob("*.sql"))
TOO_LOW = Limit(table="meddea_l1_housekeeping", column="csense_15v_ma", low=0, high=100, source="a data sheet")


def with_limit(limit: Limit) -> Definitions:
    """The definitions with a limit of MeDDEA's that every simulated row breaks."""
    found = read_definitions(CHECKOUT / "missions")
    padre = found.mission("padre")
    instruments = [
        i.model_copy(update={"limits": (*i.limits, limit)}) if i.name == "meddea" else i for i in padre.instruments
    ]
    changed = padre.model_copy(update={"instruments": tuple(instruments)})
    return replace(found, missions=tuple(changed if m.name == "padre" else m for m in found.missions))


DEFINITIONS = with_limit(TOO_LOW)
MEDDEA = DEFINITIONS.mission("padre").instrument("meddea")
HOUSEKEEPING = DEFINITIONS.tables["padre.meddea_l1_housekeeping"]
DAY = date(2026, 8, 1)
HOURS = 0.2
REGISTER_READS = ((0, 17), (2, 1234), (65534, 7))  # the last address has no name
CLOCK_INVALID, RETRANSMITTED, GARBAGE, NO_LIVE_TIME = 1 << 0, 1 << 1, 1 << 12, 1 << 16


def register_file() -> bytes:
    """Register reads, one second apart, as the instrument answers them; the second one is sent twice."""
    start = int(met_from_tt2000(MEDDEA.clock, tt2000_of_day(DAY))) // 1_000_000_000 + 100
    packet = MEDDEA.packet("register")
    reads = [
        seal(pack(packet, [start + i, 0, address, value, 0], sequence_count=i), 18)
        for i, (address, value) in enumerate(REGISTER_READS)
    ]
    return b"".join([*reads, reads[1]])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Twelve simulated minutes with faults, register reads, some junk, and a file of unknown name."""
    drop = tmp_path_factory.mktemp("drop")
    simulate(DEFINITIONS, "padre", "meddea", DAY, drop, seed=7, hours=HOURS)
    (drop / "padreMDU8_260801120000.dat").write_bytes(b"junk!" + register_file())
    lake = Lake(tmp_path_factory.mktemp("lake"), DEFINITIONS)
    take_in(lake, [drop], "20260801T000000.000000Z-aaaaaa", utc_now(), 0)
    build_all(lake, "20260801T000001.000000Z-aaaaaa")
    check_all(lake, "20260801T000002.000000Z-aaaaaa")
    return lake


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(lake) as opened:
        yield opened


def result(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """What the query of that name gives."""
    text = (CHECKOUT / "sql" / "queries" / f"{name}.sql").read_text()
    frame = pl.from_arrow(connection.sql(text).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def view_of(name: str, ops_table: str, rows: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    """A catalog of its own that holds one ops table with these rows, and the view."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA ops")
    connection.from_arrow(rows.to_arrow()).create(f"ops.{ops_table}")
    connection.execute((CHECKOUT / "sql" / "views" / f"{name}.sql").read_text())
    return connection


def table(lake: Lake, name: str) -> pl.DataFrame:
    return scan(lake, lake.definitions.tables[f"padre.{name}"]).collect()


# ---- style ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [*QUERIES, *VIEWS], ids=lambda path: path.name)
def test_a_header_gives_the_question_and_the_grain(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("-- ")
    assert lines[0].endswith("?") or "? " in lines[0]
    assert lines[1].startswith("-- Grain: one row per ")


@pytest.mark.parametrize("path", [*QUERIES, *VIEWS], ids=lambda path: path.name)
def test_columns_are_named_one_by_one(path: Path) -> None:
    assert not re.search(r"SELECT\s+(DISTINCT\s+)?\*", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("path", [*QUERIES, *VIEWS], ids=lambda path: path.name)
def test_flag_masks_are_those_of_the_definitions(path: Path) -> None:
    bits = {flag.name: flag.bit for flag in MEDDEA.flags}
    for mask, comment in re.findall(r"quality_flag & (\d+) = 0  -- (.*)", path.read_text()):
        named = {name: int(bit) for bit, name in re.findall(r"bit (\d+), (\w+)", comment)}
        assert named == {name: bits[name] for name in named}
        assert int(mask) == sum(1 << bit for bit in named.values())


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.name)
def test_a_view_has_the_name_of_its_file(path: Path) -> None:
    assert re.findall(r"CREATE VIEW (\S+) AS", path.read_text()) == [path.stem]


# ---- DuckDB --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.name)
def test_duckdb_plans_every_query(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    assert connection.execute(f"EXPLAIN {path.read_text()}").fetchall()


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.name)
def test_every_view_can_be_read_and_every_column_has_a_comment(
    connection: duckdb.DuckDBPyConnection, path: Path
) -> None:
    schema, name = path.stem.split(".")
    assert connection.execute(f"EXPLAIN FROM {path.stem}").fetchall()
    words = "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?"
    comments = dict(connection.execute(words, [schema, name]).fetchall())
    assert list(comments) == connection.sql(f"FROM {path.stem} LIMIT 0").columns
    assert all(comments.values())
    said = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = ?", [name]).fetchall()
    assert len(said) == 1
    assert said[0][0]


# ---- values of the queries -----------------------------------------------------------------------------------------
def test_photon_rates_are_weighted_photons_over_live_time(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    rates = result(connection, "photon_rate_per_minute")
    photons, packets = table(lake, "meddea_l1_photon"), table(lake, "meddea_l0_photon_packet")
    assert rates["photons_count"].sum() == len(photons) > 1000
    third = pl.col("time").dt.hour().eq(0) & pl.col("time").dt.minute().eq(3)
    seen = photons.filter(third, pl.col("asic") == 2)
    once = packets.filter(third, pl.col("quality_flag") & (CLOCK_INVALID | RETRANSMITTED) == 0)
    live = once["live_time"].sum() * 12.8e-6
    row = rates.filter(pl.col("minute").dt.minute() == 3, pl.col("detector") == 2).row(0, named=True)
    assert row["photons_count"] == len(seen)
    assert row["live_time_s"] == pytest.approx(live)
    assert row["photon_rate_per_s"] == pytest.approx(float(seen["decimation_weight"].cast(pl.Float64).sum()) / live)


def test_the_spectrum_of_the_day_keeps_every_count(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    spectrum = result(connection, "spectrum_of_day")
    good = table(lake, "meddea_l1_spectrum").filter(pl.col("quality_flag") & (GARBAGE | NO_LIVE_TIME) == 0)
    axes = {axis.name: axis for axis in lake.definitions.tables["padre.meddea_l1_spectrum"].axes}
    energies = axes["energy"].values
    assert len(spectrum) == axes["slot"].size * len(energies)
    assert spectrum.filter(pl.col("slot") == 5)["energy_kev"].to_list() == pytest.approx(list(energies))
    counts = good["counts"].explode().cast(pl.Float64).sum()
    assert spectrum["counts_count"].sum() == pytest.approx(counts)
    at_6_kev = [row[7 * len(energies) + 31] for row in good["counts"].to_list()]  # slot 7, -9.75 + 31 * 0.5 = 5.75 keV
    row = spectrum.filter(pl.col("slot") == 7, pl.col("energy_kev") == 5.75).row(0, named=True)
    assert row["counts_count"] == pytest.approx(sum(at_6_kev))
    assert row["rate_per_s_kev"] == pytest.approx(sum(at_6_kev) / good["live_time_s"].sum() / 0.5)


def test_limits_count_the_rows_outside(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    outside = result(connection, "housekeeping_outside_limits")
    rows = table(lake, "meddea_l1_housekeeping")
    broken: dict[tuple[str, str, str], pl.Series] = {}
    for limit in (limit for limit in MEDDEA.limits if limit.when is None):
        values = rows[limit.column]
        for end, found in (("low", values < limit.low), ("high", values > limit.high)):
            key = limit.column, str(limit.severity), end
            broken[key] = found | broken[key] if key in broken else found
    expected = {key: int(found.sum()) for key, found in broken.items() if found.any()}
    names = ("column_name", "severity", "limit_end")
    counts = {tuple(r[name] for name in names): r["rows_outside_count"] for r in outside.iter_rows(named=True)}
    in_modes = {(limit.column, str(limit.severity)) for limit in MEDDEA.limits if limit.when is not None}
    assert {key: count for key, count in counts.items() if key[:2] not in in_modes} == {
        key: count for key, count in expected.items() if key[:2] not in in_modes
    }
    assert counts
    first = outside.row(0, named=True)
    column = rows[first["column_name"]]
    assert (first["lowest"], first["highest"]) == pytest.approx((column.min(), column.max()))
    assert first["description_and_unit"].endswith(f"[{HOUSEKEEPING.by_name[first['column_name']].unit}]")


def test_live_and_dead_time_add_up_to_the_integration_time(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    hours = result(connection, "live_time_per_hour")
    spectra = table(lake, "meddea_l1_spectrum")
    assert hours["spectra_count"].to_list() == [len(spectra)]
    row = hours.row(0, named=True)
    assert row["live_time_s"] == pytest.approx(float(spectra["live_time_s"].sum()))
    dead = float((spectra["integration_time_s"] - spectra["live_time_s"]).sum())
    assert row["dead_time_s"] == pytest.approx(dead)
    assert row["live_time_percent"] == pytest.approx(100 * row["live_time_s"] / (row["live_time_s"] + dead))
    assert row["observed_percent"] == pytest.approx(float(spectra["integration_time_s"].sum()) / 36)


def test_every_built_day_leads_back_to_its_raw_files(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    files = result(connection, "raw_files_of_day")
    assert files["accounted_for"].all()
    photons = table(lake, "meddea_l0_photon").group_by("file_sha256").agg(pl.len())
    of_photon = files.filter(pl.col("table_name") == "padre.meddea_l1_photon")
    assert dict(zip(of_photon["file_sha256"], of_photon["rows_count"], strict=True)) == dict(photons.iter_rows())
    quick_look = files.filter(pl.col("table_name") == "padre.meddea_ql_lightcurve")
    assert set(quick_look["l0_table"]) == {"padre.meddea_l0_spectrum"}
    assert len(quick_look) == table(lake, "meddea_l0_spectrum")["file_sha256"].n_unique()


# ---- values of the views -------------------------------------------------------------------------------------------
def test_registers_have_their_names_and_subsystems(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(
        "SELECT address, name, subsystem, value FROM padre.meddea_register ORDER BY byte_offset"
    ).fetchall()
    assert rows == [
        (0, "mode", "control", 17),
        (2, "pulser_interval", "control", 1234),
        (65534, None, None, 7),
        (2, "pulser_interval", "control", 1234),
    ]


def test_error_bits_are_those_of_error_summary(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    values = table(lake, "meddea_l1_housekeeping")["error_summary"].to_list()
    expected = Counter(bit for value in values for bit in range(16) if value >> bit & 1)
    found = connection.execute("SELECT bit, count(*) FROM padre.meddea_error_bits GROUP BY bit").fetchall()
    assert dict(found) == expected


def test_error_bits_have_their_names(lake: Lake) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA padre")
        connection.execute(
            "CREATE TABLE padre.meddea_l1_housekeeping AS SELECT 1 AS epoch_tt2000, now() AS time,"
            " 32769 AS error_summary, DATE '2024-09-16' AS day"
        )
        connection.execute(
            "CREATE TABLE padre.meddea_calibration_error_bits AS"
            " FROM (VALUES (DATE '2024-01-01', 0, 'old'), (DATE '2024-09-01', 0, 'new')) AS t (valid_from, bit, name)"
        )
        connection.execute((CHECKOUT / "sql" / "views" / "padre.meddea_error_bits.sql").read_text())
        rows = connection.execute("SELECT bit, name FROM padre.meddea_error_bits ORDER BY bit").fetchall()
    assert rows == [(0, "new"), (15, None)]


def test_no_file_is_out_of_balance_until_one_is(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute("SELECT name FROM ops.unbalanced_files").fetchall() == []
    miscounted = read_ops(lake, "files").with_columns(bytes_decoded=pl.col("bytes_decoded") + 1)
    with view_of("ops.unbalanced_files", "files", miscounted) as other:
        found = other.execute("SELECT bytes_unaccounted FROM ops.unbalanced_files").fetchall()
    assert found == [(-1,)] * len(read_ops(lake, "files"))


def test_the_newest_run_of_a_day_counts(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute("SELECT table_name, day, status FROM ops.latest_runs ORDER BY table_name").fetchall()
    built = sorted(t.address for t in lake.definitions.tables.values() if t.inputs and t.instrument == "meddea")
    assert rows == [(address, DAY, "done") for address in built]


def test_the_newest_verdicts_of_a_day_count(lake: Lake) -> None:
    run = "20260801T000009.000000Z-aaaaaa"
    older = read_ops(lake, "checks").filter(pl.col("table_name") == "padre.meddea_l1_photon")
    newer = older.head(3).with_columns(content=pl.lit("changed"), passed=pl.lit(False), run_id=pl.lit(run))
    with view_of("ops.latest_checks", "checks", pl.concat([newer, older])) as connection:
        rows = connection.execute("SELECT rule, passed, run_id FROM ops.latest_checks ORDER BY rule").fetchall()
    assert rows == sorted((rule, False, run) for rule in newer["rule"])


def test_a_day_that_was_judged_again_in_the_same_state_is_there_once(lake: Lake) -> None:
    older = read_ops(lake, "checks").filter(pl.col("table_name") == "padre.meddea_l1_photon")
    newer = older.with_columns(run_id=pl.lit("20260801T000009.000000Z-aaaaaa"))
    with view_of("ops.latest_checks", "checks", pl.concat([newer, older])) as connection:
        rows = connection.execute("SELECT rule FROM ops.latest_checks ORDER BY rule").fetchall()
    assert [rule for (rule,) in rows] == older["rule"].sort().to_list()
