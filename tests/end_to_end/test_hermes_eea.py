# SPDX-License-Identifier: Apache-2.0
"""A simulated quarter of an hour of EEA through a whole night: plasma in, moments and CDFs out."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import cdflib
import numpy as np
import polars as pl
import pytest

from lake.clock import day_bounds
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.reading import scan
from lake.store import Lake
from simulate.hermes.eea import simulate_day
from swxlake.night import run_night
from tests.hermes_eea import (
    DEFINITIONS,
    FEW,
    INCOMPLETE,
    PERIOD_US,
    UNFIT,
    cells,
    missions_of_eea,
    sweep_packets,
    take,
)
from transforms.engine import build_all

DAY = date(2026, 8, 1)
PRODUCTS = ("l1-counts", "l2-flux", "l2-moments", "ql-moments")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path]:
    """Twelve minutes with the shock at 600 s, and the night on them."""
    folder = tmp_path_factory.mktemp("eea")
    definitions = read_definitions(missions_of_eea(folder / "missions"))
    mission = definitions.mission("hermes")
    made = simulate_day(mission, mission.instrument("eea"), DAY, folder / "inbox", seed=11, hours=0.2)
    lake = Lake(folder / "lake", definitions)
    outcome = run_night(lake, Settings(root=lake.root, settle_seconds=0), *made.files)
    assert (outcome.exit_code, outcome.problems) == (0, [])
    return lake, folder / "inbox" / "truth"


def table(simulated: tuple[Lake, Path], name: str) -> pl.DataFrame:
    lake = simulated[0]
    return scan(lake, lake.definitions.tables[f"hermes.eea_{name}"]).collect().sort("epoch_tt2000")


@pytest.fixture(scope="module")
def truth(simulated: tuple[Lake, Path]) -> pl.DataFrame:
    return pl.read_csv(simulated[1] / "eea_sweeps_20260801.csv")


def test_every_sweep_is_there_and_only_those_at_the_ends_are_cut(simulated: tuple[Lake, Path], truth: pl.DataFrame):
    rows = table(simulated, "l1_counts")
    assert rows.height == truth.height
    assert rows["n_steps"][1:-1].to_list() == [164] * (rows.height - 2)
    assert rows["quality_flag"].to_list() == [INCOMPLETE, *[0] * (rows.height - 2), INCOMPLETE]
    whole = rows[1:-1].join(truth, on="epoch_tt2000")
    assert whole["total_counts"].to_list() == whole["counts"].to_list()


@pytest.mark.parametrize("name", ["ql_moments", "l2_moments"])
def test_moments_are_those_of_the_plasma(simulated: tuple[Lake, Path], truth: pl.DataFrame, name: str):
    rows = table(simulated, name)[1:-1].join(truth, on="epoch_tt2000", suffix="_true")
    assert rows["density_cm3"].null_count() == 0
    # A flow of 400 km/s in the plane of the anodes is worth 2 percent, the counts 0.4 percent in each sweep.
    np.testing.assert_allclose(rows["density_cm3"], rows["density_cm3_true"], rtol=0.04)
    assert rows["density_cm3"].mean() == pytest.approx(rows["density_cm3_true"].mean(), rel=0.022)
    np.testing.assert_allclose(rows["temperature_ev"], rows["temperature_ev_true"], rtol=0.03)
    velocity = np.array(rows["velocity_km_s"].to_list())
    true = rows.select("vx_km_s", "vy_km_s", "vz_km_s").to_numpy()
    assert np.abs((velocity - true).mean(axis=0)).max() < 10
    # The shock is in both: the density behind it is more than twice that before.
    before, after = rows["density_cm3"][:500], rows["density_cm3"][-60:]
    assert after.mean() > 2 * before.mean()
    assert set(rows["quality_flag"]) == {0}


def test_cut_sweeps_have_no_moments(simulated: tuple[Lake, Path]):
    rows = table(simulated, "l2_moments")
    cut = rows.filter(pl.col("n_steps") < 140)
    assert cut["density_cm3"].null_count() == cut.height > 0
    assert set(cut["quality_flag"]) == {INCOMPLETE | UNFIT}
    assert not (rows["quality_flag"] & FEW).max()


def test_flux_is_counts_over_the_response(simulated: tuple[Lake, Path]):
    counts, flux = cells(table(simulated, "l1_counts"), "accum"), cells(table(simulated, "l2_flux"), "energy_flux")
    assert np.array_equal(counts == -1, flux == -1)
    seen = counts > 0
    rate = counts[seen] / 6e-3
    np.testing.assert_allclose(flux[seen], rate / (1 - rate * 1e-7) / 3e-4, rtol=1e-5)


def test_the_cdfs_hold_the_tables(simulated: tuple[Lake, Path]):
    lake = simulated[0]
    files = {path.name.split("_")[2]: cdflib.CDF(str(path)) for path in lake.root.glob("exports/**/*.cdf")}
    assert tuple(sorted(files)) == PRODUCTS
    moments = table(simulated, "l2_moments")
    density = files["l2-moments"].varget("density_cm3")
    np.testing.assert_allclose(density, moments["density_cm3"].fill_null(-1e31))
    assert files["l2-moments"].varget("velocity_km_s").shape == (moments.height, 3)
    flux = files["l2-flux"].varget("energy_flux")
    expected = cells(table(simulated, "l2_flux"), "energy_flux", missing=np.float32(-1e31))
    np.testing.assert_array_equal(flux, expected)
    start, stop = (files["l1-counts"].varattsget("Epoch")[f"DELTA_{end}_VAR"] for end in ("MINUS", "PLUS"))
    assert start != stop
    assert files["l1-counts"].varget(start).shape == files["l1-counts"].varget(stop).shape == (moments.height,)


def test_a_sweep_across_midnight_is_whole_and_in_one_day_whichever_file_comes_first(tmp_path: Path):
    """The file of the second day holds the end of the first day's last sweep; it comes a night later."""
    midnight_us = day_bounds(DAY)[1] // 1000
    packets = [sent for k in range(4) for sent in sweep_packets(k, midnight_us - 1_500_000 + k * PERIOD_US)]
    before = sum(int.from_bytes(sent[6:10], "big") < midnight_us // 10**6 for sent in packets)
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    counts = DEFINITIONS.tables["hermes.eea_l1_counts"]
    for number, part in enumerate((packets[:before], packets[before:])):
        take(lake, tmp_path / f"inbox{number}", b"".join(part))
        assert build_all(lake, f"night{number}").failed == []
    rows = scan(lake, counts).collect().sort("epoch_tt2000")
    assert rows["n_steps"].to_list() == [164] * 4
    assert rows["day"].to_list() == [DAY, DAY, DAY + timedelta(days=1), DAY + timedelta(days=1)]
    moments = scan(lake, DEFINITIONS.tables["hermes.eea_l2_moments"]).collect()
    assert moments["density_cm3"].null_count() == 0
