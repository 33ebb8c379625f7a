# SPDX-License-Identifier: Apache-2.0
"""The three real MeDDEA files through a whole night, and every golden value asked for in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.catalog import open_catalog
from lake.config import Settings
from lake.store import Lake
from swxlake.night import run_night
from swxlake.outcome import Outcome
from tests.meddea import GOLDEN, MEDDEA, REAL, empty_lake, missions_with_policy, take
from transforms.engine import build_all

pytestmark = [
    pytest.mark.telemetry,
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden files in {GOLDEN}; set SWXLAKE_TELEMETRY"),
]

# Unix time of 2000-01-01T12:00:00, and TT - UTC since 2017: 37 s + 32.184 s.
J2000, TT_AHEAD = 946_728_000 * 10**9, 69_184_000_000
REFERENCE_ROUNDING = 200  # ns; largest seen 118 (golden/README.md)
COUNTS_12_8_US = 12.8e-6
DAY = "2024-09-16"

Int64 = NDArray[np.int64]


def golden(file: str, table: str, key: str) -> pl.DataFrame:
    [folder] = GOLDEN.glob(f"padre{file}_*")
    return pl.read_parquet(folder / f"{table}.parquet").sort(key, maintain_order=True)


PACKETS = golden("MDA0", "packets", "seqcount") if GOLDEN.is_dir() else pl.DataFrame()
EVENTS = golden("MDA0", "events", "seqcount") if GOLDEN.is_dir() else pl.DataFrame()
SPECTRUM_PACKETS = golden("MDA2", "packets", "seqcount") if GOLDEN.is_dir() else pl.DataFrame()
SPECTRA = golden("MDA2", "spectra", "packet_index").sort("packet_index", "slot") if GOLDEN.is_dir() else pl.DataFrame()
HK = "CCSDS_SEQUENCE_COUNT"
HOUSEKEEPING = golden("MDU8", "housekeeping_raw", HK) if GOLDEN.is_dir() else pl.DataFrame()
WORDS = [field.name for field in MEDDEA.packets[2].fields if field.name != "time_s"]
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


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return empty_lake(tmp_path_factory.mktemp("golden") / "lake")


@pytest.fixture(scope="module")
def night(lake: Lake) -> Outcome:
    return run_night(lake, Settings(root=lake.root, settle_seconds=0), REAL)


@pytest.fixture(scope="module")
def sql(lake: Lake, night: Outcome) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(lake) as connection:
        yield connection


def ask(sql: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return sql.sql(query).fetchall()


def columns(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return frame.select(names).rows()


def assert_times(tt2000: list[tuple[int]], reference: pl.DataFrame) -> None:
    """Times equal the exact integers, and the reference's own but for its rounding."""
    unix = np.array(tt2000, np.int64)[:, 0] + J2000 - TT_AHEAD
    assert unix.tolist() == reference["exact_unix_ns_leap"].to_list()
    assert np.abs(unix - reference["time_utc_unix_ns"].to_numpy()).max() <= REFERENCE_ROUNDING


# ---- the night -----------------------------------------------------------------------------------------------------
def test_the_night_ends_well_with_a_cdf_for_each_product(lake: Lake, night: Outcome) -> None:
    assert (night.exit_code, night.problems) == (0, [])
    assert night.facts["ingest"]["packets"] == 12
    assert sorted(Path(path).name for path in night.facts["products"]) == [
        "padre_meddea_l1-housekeeping_20240916_v1.0.0.cdf",
        "padre_meddea_l1-photon_20240916_v1.0.0.cdf",
        "padre_meddea_l1-spectrum_20240916_v1.0.0.cdf",
        "padre_meddea_ql-lightcurve_20240916_v1.0.0.cdf",
    ]
    assert all((lake.root / path).stat().st_size > 10_000 for path in night.facts["products"])


def test_all_twelve_packets_pass_their_checksums_and_every_byte_is_decoded(sql: duckdb.DuckDBPyConnection) -> None:
    assert ask(sql, "SELECT count(*) FROM ops.quarantine") == [(0,)]
    query = "SELECT bytes, bytes_decoded, bytes_quarantined, packets, duplicates, status FROM ops.files ORDER BY name"
    assert ask(sql, query) == [
        (4690, 4690, 0, 4, 0, "ingested"),
        (98_592, 98_592, 0, 4, 0, "ingested"),
        (160, 160, 0, 4, 0, "ingested"),
    ]
    words = {
        "photon_packet": [0x6325, 0xE38D, 0xB7EC, 0x957D],
        "spectrum": [0x86BB, 0x85E9, 0x8069, 0x8641],
        "housekeeping": [0x6994, 0x69DB, 0x686D, 0x69F8],
    }
    for table, checksums in words.items():
        query = f"SELECT checksum FROM padre.meddea_l0_{table} ORDER BY sequence_count"  # noqa: S608
        assert [row[0] for row in ask(sql, query)] == checksums
    assert ask(sql, "SELECT count(*) FROM padre.meddea_l0_register") == [(0,)]
    assert ask(sql, "SELECT count(*) FROM ops.gaps") == [(0,)]


# ---- photons -------------------------------------------------------------------------------------------------------
def test_photon_packets_have_the_reference_values(sql: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT sequence_count, time_s, time_clocks, packet_bytes - 7, live_time, integration_time, flags,
            flags >> 12 & 7, flags & 2047, flags & 32768, event_count
        FROM padre.meddea_l0_photon_packet ORDER BY sequence_count"""
    names = "seqcount pkttimes pktclock pktlength livetime inttime flags decim_lvl drop_cnt int_time_flag num_hits"
    assert ask(sql, query) == columns(PACKETS, *names.split())
    assert_times(ask(sql, "SELECT epoch_tt2000 FROM padre.meddea_l0_photon_packet ORDER BY sequence_count"), PACKETS)


def test_photon_packets_have_the_reference_rates(sql: duckdb.DuckDBPyConnection) -> None:
    query = f"""
        SELECT event_count / (integration_time * {COUNTS_12_8_US}), event_count / (live_time * {COUNTS_12_8_US})
        FROM padre.meddea_l0_photon_packet ORDER BY sequence_count"""  # noqa: S608
    np.testing.assert_allclose(ask(sql, query), columns(PACKETS, "rate", "corr_rate"), rtol=1e-9)


def test_there_are_767_photons(sql: duckdb.DuckDBPyConnection) -> None:
    assert ask(sql, "SELECT count(*) FROM padre.meddea_l0_photon") == [(767,)]
    assert ask(sql, f"SELECT count(*) FROM padre.meddea_l1_photon WHERE day = '{DAY}'") == [(767,)]  # noqa: S608


def test_photons_have_the_reference_values_and_times_in_l0(sql: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT sequence_count, clocks, asic, channel, atod, coalesce(baseline, 0), time_s, time_clocks, epoch_tt2000
        FROM padre.meddea_l0_photon"""
    names = ["seqcount", "clocks", "asic", "channel", "atod", "baseline", "pkttimes", "pktclock"]
    expected = EVENTS.select(*names, pl.col("exact_unix_ns_leap") - J2000 + TT_AHEAD)
    assert sorted(ask(sql, query)) == sorted(expected.rows())
    assert ask(sql, "SELECT count(baseline) FROM padre.meddea_l0_photon") == [(0,)]


def test_photons_have_the_reference_values_and_pixels_in_l1(sql: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT epoch_tt2000, sequence_count, asic, channel, pixel, atod, decimation_level
        FROM padre.meddea_l1_photon"""
    names = ["seqcount", "asic", "channel", "pixel", "atod", "decim_lvl"]
    events = EVENTS.join(PACKETS.select("seqcount", "decim_lvl"), on="seqcount")
    expected = events.select(pl.col("exact_unix_ns_leap") - J2000 + TT_AHEAD, *names)
    assert sorted(ask(sql, query)) == sorted(expected.rows())
    assert_times(
        ask(sql, "SELECT epoch_tt2000 FROM padre.meddea_l1_photon ORDER BY epoch_tt2000"),
        EVENTS.sort("exact_unix_ns_leap", "time_utc_unix_ns"),
    )


def test_pulse_heights_have_the_reference_spectrum(sql: duckdb.DuckDBPyConnection) -> None:
    spectrum = golden("MDA0", "spectrum_all_pixels", "spectral_axis").filter(pl.col("counts") > 0)
    query = "SELECT atod + 0.5, count(*) FROM padre.meddea_l1_photon GROUP BY atod ORDER BY atod"
    assert [(float(axis), count) for axis, count in ask(sql, query)] == columns(spectrum, "spectral_axis", "counts")


# ---- spectra -------------------------------------------------------------------------------------------------------
def test_spectrum_packets_have_the_reference_values(sql: duckdb.DuckDBPyConnection) -> None:
    query = """
        SELECT sequence_count, time_s, time_clocks, live_time, integration_time
        FROM padre.meddea_l0_spectrum ORDER BY sequence_count"""
    assert ask(sql, query) == columns(SPECTRUM_PACKETS, "seqcount", "pkttimes", "pktclock", "livetime", "inttime")
    for table in ("l0_spectrum", "l1_spectrum", "ql_lightcurve"):
        query = f"SELECT epoch_tt2000 FROM padre.meddea_{table} ORDER BY epoch_tt2000"  # noqa: S608
        assert_times(ask(sql, query), SPECTRUM_PACKETS)


def test_spectra_have_the_reference_counts_and_pixels(sql: duckdb.DuckDBPyConnection) -> None:
    stored = ask(sql, "SELECT pixel_id, counts FROM padre.meddea_l0_spectrum ORDER BY sequence_count")
    ids, counts = (np.array([row[index] for row in stored]) for index in (0, 1))
    assert ids.reshape(-1).tolist() == SPECTRA["pixel_id"].to_list()
    assert counts.reshape(-1, 512).tolist() == SPECTRA["counts"].to_list()
    assert counts.sum() == 45_595
    pixels = pl.read_parquet(GOLDEN / "padreMDA2_240916122851" / "pixel_list.parquet")
    assert ids.tolist() == [pixels["id"].to_list()] * 4
    assert list(zip(ids[0] >> 5 & 7, ids[0] & 31, strict=True)) == columns(pixels, "asic", "channel")


def test_the_energy_axis_keeps_every_count(sql: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT sum(list_sum(counts::DOUBLE[])) FROM padre.meddea_l1_spectrum"
    assert ask(sql, query)[0][0] == pytest.approx(45_595, rel=1e-6)
    by_slot = "SELECT counts FROM padre.meddea_l1_spectrum ORDER BY sequence_count"
    rebinned = np.array([row[0] for row in ask(sql, by_slot)], np.float64).reshape(96, -1).sum(axis=1)
    np.testing.assert_allclose(rebinned, SPECTRA["counts"].list.sum().to_numpy(), rtol=1e-5)


def test_spectra_have_their_live_times_in_seconds(sql: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT integration_time_s, live_time_s FROM padre.meddea_l1_spectrum ORDER BY sequence_count"
    expected = SPECTRUM_PACKETS.select(pl.col("inttime", "livetime") * COUNTS_12_8_US).rows()
    np.testing.assert_allclose(ask(sql, query), expected, rtol=1e-12)


# ---- housekeeping --------------------------------------------------------------------------------------------------
def test_housekeeping_has_the_reference_words(sql: duckdb.DuckDBPyConnection) -> None:
    query = f"""
        SELECT apid, sequence_flags, sequence_count, packet_bytes - 7, time_s, {", ".join(WORDS)}
        FROM padre.meddea_l0_housekeeping ORDER BY sequence_count"""  # noqa: S608
    header = ["CCSDS_APID", "CCSDS_SEQUENCE_FLAG", HK, "CCSDS_PACKET_LENGTH", "pkttimes"]
    assert ask(sql, query) == columns(HOUSEKEEPING, *header, *WORDS)
    for level in ("l0", "l1"):
        query = f"SELECT epoch_tt2000 FROM padre.meddea_{level}_housekeeping ORDER BY sequence_count"  # noqa: S608
        assert_times(ask(sql, query), HOUSEKEEPING)


def test_housekeeping_has_the_reference_values_in_physical_units(sql: duckdb.DuckDBPyConnection) -> None:
    query = f"SELECT {', '.join(CALIBRATED.values())} FROM padre.meddea_l1_housekeeping ORDER BY sequence_count"  # noqa: S608
    expected = columns(golden("MDU8", "housekeeping_calibrated", HK), *CALIBRATED)
    np.testing.assert_allclose(ask(sql, query), expected, rtol=1e-9)
    raw = ["hit_rate", "good_cmd_cnt", "error_cnt", "decimation_rate", "error_summary"]
    query = f"SELECT {', '.join(raw)} FROM padre.meddea_l1_housekeeping ORDER BY sequence_count"  # noqa: S608
    assert ask(sql, query) == columns(HOUSEKEEPING, *raw)


def test_error_bits_have_the_reference_names(sql: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    bits = lake.definitions.mission("padre").instrument("meddea").calibration("error_bits", date.fromisoformat(DAY))
    assert bits is not None
    names = {int(row["bit"]): str(row["name"]) for row in pl.read_csv(bits.path).iter_rows(named=True)}
    flags = golden("MDU8", "error_flags", "time_utc_unix_ns")
    summaries = [row[0] for row in ask(sql, "SELECT error_summary FROM padre.meddea_l1_housekeeping ORDER BY time")]
    assert [names[bit] for bit in range(10)] == flags.columns[5:]
    assert [tuple(bool(value >> bit & 1) for bit in range(10)) for value in summaries] == columns(
        flags, *flags.columns[5:]
    )


# ---- the other reading of the clock --------------------------------------------------------------------------------
def test_under_the_posix_policy_times_are_without_leap_seconds(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake", missions_with_policy(tmp_path / "missions", "posix"))
    take(lake, REAL)
    build_all(lake, "build")
    with open_catalog(lake) as connection:
        for table, reference in (
            ("l0_photon_packet", PACKETS),
            ("l1_photon", EVENTS),
            ("l1_spectrum", SPECTRUM_PACKETS),
            ("l1_housekeeping", HOUSEKEEPING),
        ):
            query = f"SELECT epoch_tt2000 FROM padre.meddea_{table} ORDER BY epoch_tt2000"  # noqa: S608
            unix = np.array(ask(connection, query), np.int64)[:, 0] + J2000 - TT_AHEAD
            assert unix.tolist() == reference["exact_unix_ns_noleap"].sort().to_list()
