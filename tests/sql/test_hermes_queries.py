# SPDX-License-Identifier: Apache-2.0
"""The queries about HERMES on two simulated minutes of its instruments, compared with polars on the tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import polars as pl
import pytest

from ingest.intake import take_in
from lake.catalog import open_catalog
from lake.clock import utc_now
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.reading import scan
from lake.store import Lake
from simulate.run import simulate
from transforms.engine import build_all

DEFINITIONS = read_definitions(CHECKOUT / "missions")
DAY = date(2026, 8, 1)
HOURS = 0.035  # two minutes and six seconds
FAULTS = "kind,stream,start,stop,count\ngap,eea,00:00:30,00:00:30.5,\n"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Four instruments; half a second of EEA's packets is lost."""
    drop = tmp_path_factory.mktemp("drop")
    faults = drop / "faults.csv"
    faults.write_text(FAULTS)
    for instrument in ("nemisis", "spani", "merit"):
        simulate(DEFINITIONS, "hermes", instrument, DAY, drop / "telemetry", seed=7, hours=HOURS)
    simulate(DEFINITIONS, "hermes", "eea", DAY, drop / "telemetry", seed=7, faults_path=faults, hours=HOURS)
    lake = Lake(tmp_path_factory.mktemp("lake"), DEFINITIONS)
    take_in(lake, [*(drop / "telemetry").glob("*.bin")], "20260802T000000.000000Z-aaaaaa", utc_now(), 0)
    assert build_all(lake, "20260802T000001.000000Z-aaaaaa").failed == []
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


def rows(lake: Lake, name: str) -> pl.DataFrame:
    return scan(lake, lake.definitions.tables[f"hermes.{name}"], [DAY]).collect()


def of_minute(frame: pl.DataFrame, minute: int) -> pl.DataFrame:
    return frame.filter(pl.col("time").dt.hour() == 0, pl.col("time").dt.minute() == minute)


def array(frame: pl.DataFrame, column: str) -> np.ndarray:
    """Values of a list column as [rows, cells], missing ones NaN."""
    return np.array(frame[column].to_list(), np.float64)


def axis(lake: Lake, table: str, name: str) -> tuple[float, ...]:
    return lake.definitions.on_day(lake.definitions.tables[f"hermes.{table}"], DAY).axis(name).values


def test_the_wind_is_that_of_each_instrument(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    wind = result(connection, "solar_wind_per_minute")
    row = wind.filter(pl.col("minute").dt.minute() == 1).row(0, named=True)
    ions, electrons = of_minute(rows(lake, "spani_l2_moments"), 1), of_minute(rows(lake, "eea_l2_moments"), 1)
    assert row["proton_density_cm3"] == pytest.approx(ions["h_density_cm3"].median())
    assert row["proton_speed_km_s"] == pytest.approx(ions["h_speed_km_s"].median())
    assert row["alpha_density_cm3"] == pytest.approx(ions["he_density_cm3"].median())
    assert row["electron_density_cm3"] == pytest.approx(electrons["density_cm3"].median())
    assert row["electron_temperature_ev"] == pytest.approx(electrons["temperature_ev"].median())
    field = array(of_minute(rows(lake, "nemisis_l3_ambient"), 1), "b_bus_nt")
    assert row["ambient_field_nt"] == pytest.approx(np.nanmean(np.linalg.norm(field, axis=1)), rel=1e-5)
    charges = row["proton_density_cm3"] + 2 * row["alpha_density_cm3"]
    assert row["electron_density_cm3"] == pytest.approx(charges, rel=0.1)


def test_the_spectrum_is_the_mean_over_directions(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    spectrum = result(connection, "electron_spectrum_per_hour").filter(pl.col("hour").dt.date() == DAY)
    energies = axis(lake, "eea_l2_flux", "energy")
    assert spectrum["energy_ev"].to_list() == pytest.approx(list(energies))
    flux = array(rows(lake, "eea_l2_flux"), "energy_flux").reshape(-1, len(energies), 128)
    assert spectrum["energy_flux_ev_per_cm2_s_sr_ev"].to_list() == pytest.approx(
        np.nanmean(flux, axis=(0, 2)), rel=1e-5
    )
    assert spectrum["cells_count"].to_list() == np.isfinite(flux).sum(axis=(0, 2)).tolist()


def test_sweeps_that_lack_steps_are_found(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    found = result(connection, "incomplete_sweeps")
    sweeps = rows(lake, "eea_l1_counts").filter(pl.col("n_steps") < 164)
    assert found["steps_count"].to_list() == sweeps["n_steps"].to_list()
    assert found["missing_steps_count"].to_list() == [164 - n for n in sweeps["n_steps"]]
    lost = found.filter(pl.col("time").dt.minute() == 0, pl.col("time").dt.second().is_between(28, 31))
    assert lost["missing_steps_count"].sum() >= 70  # half a second, of 164 steps in 1.014 s


def test_the_host_is_seen_inboard_and_not_in_the_ambient_field(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    host = result(connection, "host_field_per_minute").filter(pl.col("minute").dt.date() == DAY)
    ambient, sensor = rows(lake, "nemisis_l3_ambient"), rows(lake, "nemisis_l2_mag")
    assert host["samples_count"].sum() == len(ambient)
    field = array(of_minute(ambient, 1), "b_bus_nt")
    above = array(of_minute(sensor, 1), "pni1_b_bus_nt") - field
    row = host.filter(pl.col("minute").dt.minute() == 1).row(0, named=True)
    assert row["host_field_nt"] == pytest.approx(np.linalg.norm(np.nanmean(above, axis=0)), rel=1e-4)
    assert row["ambient_field_nt"] == pytest.approx(np.linalg.norm(np.nanmean(field, axis=0)), rel=1e-4)
    first, second = host["host_field_nt"].to_list()[:2]  # 200 nT are switched each minute
    assert abs(first - second) > 100
    assert abs(np.diff(host["ambient_field_nt"].to_list()[:2])[0]) < 1


def test_protons_are_the_mean_of_the_heads(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    protons = result(connection, "energetic_protons_per_minute")
    energies = axis(lake, "merit_l2_flux", "proton_energy")
    flux = array(of_minute(rows(lake, "merit_l2_flux"), 1), "proton_flux").reshape(-1, 2, len(energies))
    of_channel = protons.filter(pl.col("minute").dt.minute() == 1, pl.col("minute").dt.date() == DAY)
    assert of_channel["energy_mev"].to_list() == pytest.approx(list(energies))
    means = of_channel["proton_flux_per_cm2_s_sr_mev"].to_list()
    assert means == pytest.approx(np.nanmean(flux, axis=(0, 1)), rel=1e-5)
