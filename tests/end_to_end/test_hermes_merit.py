# SPDX-License-Identifier: Apache-2.0
"""MERiT from simulated packets to flux and CDF: what was put into the scenario comes out of the products."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import cdflib
import numpy as np
import polars as pl
import pytest

from lake.clock import NS, tt2000_of_day
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from simulate.faults import Fault
from simulate.hermes import merit
from simulate.hermes.merit import simulate_day
from simulate.hermes.merit_scenario import read_merit_scenario
from simulate.hermes.plasma import PlasmaScenario, read_scenario
from swxlake.night import run_night
from tests.hermes_merit import BINS, DAY, DEFINITIONS, FLAGS, HEADS, HERMES, MERIT, MISSIONS, calibration, cells, edges

PRODUCTS = ("l1-counts", "l1-pha", "l2-flux", "ql-rates")
REFERENCE_MEV = {"proton": 10, "electron": 1}
# Each day of these has one pair of power laws, J0 at 10 and at 1 MeV: soft, as in the test spectrum, hard.
LAWS = {
    date(2025, 8, 3): ((100.0, 2.5), (50.0, 3.0)),
    date(2025, 8, 4): ((200.0, 1.5), (100.0, 2.0)),
    date(2025, 8, 5): ((20.0, 4.0), (40.0, 4.5)),
}
LAW_SECONDS = 900


def night(root: Path, inbox: Path, missions: Path = MISSIONS) -> tuple[Lake, list[str]]:
    """A lake in which a night was run over the inbox, and the problems of the night."""
    lake = Lake(root, DEFINITIONS if missions == MISSIONS else read_definitions(missions))
    outcome = run_night(lake, Settings(root=root, settle_seconds=0), inbox)
    assert outcome.exit_code == bool(outcome.problems)
    return lake, list(outcome.problems)


def rows_of(lake: Lake, table: str) -> pl.DataFrame:
    return scan(lake, lake.definitions.tables[f"hermes.merit_{table}"]).sort("epoch_tt2000").collect()


def steady(law: tuple[tuple[float, float], tuple[float, float]]) -> PlasmaScenario:
    """The scenario with one power law for protons and one for electrons, all day."""
    scenario = read_scenario()
    species = {
        name: getattr(scenario.particles, name).model_copy(update={"quiet_j0": j0, "quiet_index": index})
        for name, (j0, index) in zip(("protons", "electrons"), law, strict=True)
    }
    particles = scenario.particles.model_copy(update={**species, "after_s": 1e9})
    return scenario.model_copy(update={"particles": particles})


# ---- the scenario's half hour --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scenario_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inbox")
    simulate_day(HERMES, MERIT, DAY, folder, seed=1, hours=0.5)
    return folder


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, scenario_folder: Path) -> Lake:
    """Half an hour of the scenario and, on days of their own, a quarter of an hour of each pair of power laws."""
    inbox = tmp_path_factory.mktemp("all")
    shutil.copytree(scenario_folder, inbox, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for number, (day, law) in enumerate(LAWS.items()):
            patch.setattr(merit, "read_scenario", lambda law=law: steady(law))
            simulate_day(HERMES, MERIT, day, inbox, seed=10 + number, hours=LAW_SECONDS / 3600)
    shutil.rmtree(inbox / "truth")
    made, problems = night(tmp_path_factory.mktemp("lake"), inbox)
    assert problems == []
    return made


def test_every_packet_and_event_of_the_scenario_arrives(lake: Lake, scenario_folder: Path) -> None:
    truth = pl.read_csv(scenario_folder / "truth" / f"merit_{DAY:%Y%m%d}.csv")
    counts = rows_of(lake, "l1_counts").filter(pl.col("day") == DAY)
    assert counts.height == 1800
    sums = cells(counts, "counts").sum(axis=2)
    for head in range(HEADS):
        assert sums[:, head].reshape(-1, 10).sum(axis=1).tolist() == truth[f"counts_head_{head}"].to_list()
    assert counts["epoch_tt2000"].gather_every(10).to_list() == truth["epoch_tt2000"].to_list()
    assert rows_of(lake, "l1_pha").filter(pl.col("day") == DAY).height == truth["events"].sum()
    assert read_ops(lake, "quarantine").is_empty()
    gaps = read_ops(lake, "gaps")
    assert set(gaps["day"]) <= set(LAWS), "runs of other days begin at other sequence counts"


def law_integral(truth: pl.DataFrame, species: str) -> np.ndarray:
    """The flux of the truth's power law integrated over each bin [1/(cm2 s sr)], averaged over the rows."""
    _, low, high = edges(species)
    j0, index = (truth[f"{species}_{name}"].to_numpy()[:, None, None] for name in ("j0", "index"))
    energy = np.geomspace(low, high, 65)
    flux = (j0 * (energy / REFERENCE_MEV[species]) ** -index).mean(axis=0)
    return np.trapezoid(flux, energy, axis=0)


@pytest.mark.parametrize("first", [0, 1000, 1300, 1700])
def test_the_decoded_counts_are_those_that_the_plasma_of_the_truth_makes(
    lake: Lake, scenario_folder: Path, first: int
) -> None:
    """100 s of every bin of both heads: power laws through efficiency, background, leakage, live and dead time."""
    truth = pl.read_csv(scenario_folder / "truth" / f"plasma_{DAY:%Y%m%d}.csv")[first // 10 : first // 10 + 11]
    rows = rows_of(lake, "l1_counts").filter(pl.col("day") == DAY)[first : first + 100]
    flux = np.concatenate([law_integral(truth, species) for species in ("proton", "electron")])
    matrix, response, head = np.zeros((BINS, BINS)), calibration("response").frame, calibration("head").frame
    for measured, true, fraction, _ in calibration("leakage").frame.iter_rows():
        matrix[measured, true] = fraction
    for number, part in enumerate(h.flux_part for h in read_merit_scenario().heads):
        own = response.filter(pl.col("head") == number).sort("bin")
        geometric, tau = head.filter(pl.col("head") == number).row(0)[1:3]
        rate = matrix @ (geometric * part * own["efficiency"].to_numpy() * flux + own["background_per_s"].to_numpy())
        live, triggers = (cells(rows, name)[:, number].sum() for name in ("live_time_s", "triggers"))
        expected = rate * (live - triggers * tau)
        counts = cells(rows, "counts")[:, number].sum(axis=0)
        # Rows of the truth are 10 s apart: two percent between them where the event rises fastest.
        assert (np.abs(counts - expected) < 0.02 * expected + 4 * np.sqrt(expected) + 1).all()
        assert counts.sum() == pytest.approx(expected.sum(), rel=0.02 + 4 * expected.sum() ** -0.5)


def test_burst_mode_is_flagged_and_nothing_else(lake: Lake) -> None:
    flux = rows_of(lake, "l2_flux").filter(pl.col("day") == DAY)
    burst = read_merit_scenario().burst
    expected = [FLAGS["burst_mode"] if burst.after_s <= i < burst.after_s + burst.seconds else 0 for i in range(1800)]
    assert flux["quality_flag"].to_list() == expected


def test_the_event_rises_in_the_flux_as_in_the_scenario(lake: Lake, scenario_folder: Path) -> None:
    """Sums over stretches of 100 s: quiet, onset and peak, in all bins with enough counts."""
    truth = pl.read_csv(scenario_folder / "truth" / f"plasma_{DAY:%Y%m%d}.csv")
    rows = rows_of(lake, "l2_flux").filter(pl.col("day") == DAY)
    epochs = rows["epoch_tt2000"].to_numpy()
    for first in (1000, 1200, 1700):
        for species, bins in (("proton", 12), ("electron", 4)):
            energy, low, high = (values[:bins] for values in edges(species))
            j0, index = (
                np.interp(epochs[first : first + 100], truth["epoch_tt2000"], truth[f"{species}_{name}"])[:, None]
                for name in ("j0", "index")
            )
            expected = (j0 * (energy / REFERENCE_MEV[species]) ** -index).mean(axis=0)
            measured = cells(rows[first : first + 100], f"{species}_flux")[:, 0, :bins].mean(axis=0)
            counting = (0.5 * 0.6 * expected * (high - low) * 100) ** -0.5
            assert (np.abs(measured / expected - 1) < 0.03 + 3 * counting).all(), f"{species} at {first} s"


def test_the_quiet_flux_stands_above_the_background(lake: Lake) -> None:
    """About 0.06 counts a second in each bin, of which a quarter is background: all bins and ten minutes together."""
    rows = rows_of(lake, "l2_flux").filter(pl.col("day") == DAY)[:600]
    energy, low, high = edges("proton")
    integral = (cells(rows, "proton_flux").mean(axis=0) * (high - low)).sum(axis=1)
    law = read_scenario().particles.protons
    expected = (law.quiet_j0 * (energy / law.reference_mev) ** -law.quiet_index * (high - low)).sum()
    assert integral / expected == pytest.approx([1.0, 0.6], rel=0.15)


# ---- power laws ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("day", LAWS, ids=str)
@pytest.mark.parametrize("species", ["proton", "electron"])
def test_power_laws_come_back_within_ten_percent_and_the_counting_error(lake: Lake, day: date, species: str) -> None:
    j0, index = LAWS[day][species == "electron"]
    rows = rows_of(lake, "l2_flux").filter(pl.col("day") == day)
    assert rows.height == LAW_SECONDS
    energy, low, high = edges(species)
    truth = j0 * (energy / REFERENCE_MEV[species]) ** -index
    for head, part in enumerate(h.flux_part for h in read_merit_scenario().heads):
        flux = cells(rows, f"{species}_flux")[:, head].mean(axis=0)
        # Particles of the bin and background and leakage from the law's neighbours, a fifth at most.
        counts = 0.5 * 0.6 * truth * part * (high - low) * LAW_SECONDS
        counting = np.sqrt(1.2 * counts + 0.02 * LAW_SECONDS) / counts
        error = np.abs(flux / (part * truth) - 1)
        assert (error < 0.1 + 3 * counting).all(), (error, counting)
        # Where the counts are many the flux is much better than that.
        assert (error[counting < 0.01] < 0.03).all()
        assert (counting < 0.01).any()


@pytest.mark.parametrize("species", ["proton", "electron"])
def test_the_uncertainty_covers_the_scatter_of_the_seconds(lake: Lake, species: str) -> None:
    rows = rows_of(lake, "l2_flux").filter(pl.col("day") == next(iter(LAWS)))
    flux, sigma = (cells(rows, f"{species}_flux{u}")[:, 0] for u in ("", "_uncertainty"))
    counting = np.sqrt(np.maximum(sigma**2 - (0.1 * flux) ** 2, 0))
    scatter, stated = flux.std(axis=0), np.sqrt((counting**2).mean(axis=0))
    assert (scatter < 1.15 * stated).all()
    assert (scatter[:3] > 0.85 * stated[:3]).all()


# ---- CDF -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def products(lake: Lake) -> dict[str, Path]:
    found = {path.name.split("_")[2]: path for path in sorted(lake.root.glob(f"exports/**/*_{DAY:%Y%m%d}_*.cdf"))}
    assert tuple(sorted(found)) == PRODUCTS
    return found


def test_the_cdf_holds_the_flux_with_its_energies(lake: Lake, products: dict[str, Path]) -> None:
    assert products["l2-flux"].name == "hermes_mrt_l2-flux_20250801_v0.1.0.cdf"
    file, rows = cdflib.CDF(str(products["l2-flux"])), rows_of(lake, "l2_flux").filter(pl.col("day") == DAY)
    assert file.varget("Epoch").tolist() == rows["epoch_tt2000"].to_list()
    for species in ("proton", "electron"):
        np.testing.assert_array_equal(file.varget(f"{species}_flux"), cells(rows, f"{species}_flux"))
        np.testing.assert_allclose(file.varget(f"{species}_energy").ravel(), edges(species)[0], rtol=1e-6)
        attributes = file.varattsget(f"{species}_flux")
        assert attributes["DEPEND_2"] == f"{species}_energy"
        assert attributes["DELTA_PLUS_VAR"] == attributes["DELTA_MINUS_VAR"] == f"{species}_flux_uncertainty"
        assert attributes["UNITS"] == "1/(cm2 s sr MeV)"


def test_the_cdf_says_what_is_assumed(products: dict[str, Path]) -> None:
    for path in products.values():
        assert "No packet definition" in " ".join(cdflib.CDF(str(path)).globalattsget()["TEXT"])
    text = " ".join(cdflib.CDF(str(products["l2-flux"])).globalattsget()["TEXT"])
    for name in ("counter", "head", "lut", "response", "leakage", "proton_energy", "electron_energy"):
        assert f"{name}_20000101" in text


# ---- bad input -----------------------------------------------------------------------------------------------------
OTHER_BINS, FLOODED, UNCALIBRATED = date(2025, 8, 6), date(2025, 8, 8), DAY
FAULTS = (
    Fault(kind="gap", stream="merit", start=timedelta(seconds=20), stop=timedelta(seconds=25)),
    Fault(kind="duplicate", stream="merit", start=timedelta(seconds=30), stop=timedelta(seconds=40)),
    Fault(kind="bit_flip", stream="merit", start=timedelta(seconds=50), stop=timedelta(seconds=51), count=2),
)


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, list[str]]:
    """Minutes of three days: one before its leakage is calibrated, one with other bins and faults, one flooded."""
    folder = tmp_path_factory.mktemp("bad")
    missions = _later_leakage(folder / "missions")
    scenario, inbox = read_merit_scenario(), folder / "inbox"
    heads = tuple(h.model_copy(update={"flux_part": p}) for h, p in zip(scenario.heads, (200.0, 0.1), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        simulate_day(HERMES, MERIT, UNCALIBRATED, inbox, seed=1, hours=1 / 60)
        patch.setattr(merit, "read_merit_scenario", lambda: scenario.model_copy(update={"lut_version": 2}))
        simulate_day(HERMES, MERIT, OTHER_BINS, inbox, seed=2, hours=1 / 60, faults=FAULTS)
        patch.setattr(merit, "read_merit_scenario", lambda: scenario.model_copy(update={"heads": heads}))
        patch.setattr(merit, "read_scenario", lambda: steady(((100.0, 2.5), (50.0, 3.0))))
        simulate_day(HERMES, MERIT, FLOODED, inbox, seed=3, hours=1 / 60)
    shutil.rmtree(inbox / "truth")
    return night(folder / "lake", inbox, missions)


def _later_leakage(missions: Path) -> Path:
    shutil.copytree(MISSIONS, missions)
    folder = missions / "hermes" / "merit"
    (folder / "calibration" / "leakage_20000101.csv").rename(folder / "calibration" / "leakage_20250802.csv")
    text = (folder / "instrument.yaml").read_text()
    (folder / "instrument.yaml").write_text(text.replace("leakage_20000101", "leakage_20250802"))
    return missions


def test_a_day_without_calibration_is_refused_with_the_reason(bad_night: tuple[Lake, list[str]]) -> None:
    lake, problems = bad_night
    named = [problem for problem in problems if "no calibration leakage is valid" in problem]
    assert len(named) == 1
    assert f"hermes.merit_l2_flux@{UNCALIBRATED}" in named[0]
    assert rows_of(lake, "ql_rates").filter(pl.col("day") == UNCALIBRATED).height == 60
    days = {path.name.split("_")[3] for path in lake.root.glob("exports/**/*l2-flux*.cdf")}
    assert f"{UNCALIBRATED:%Y%m%d}" not in days
    assert f"{FLOODED:%Y%m%d}" in days


def test_repeated_and_lost_and_broken_seconds_are_noticed(bad_night: tuple[Lake, list[str]]) -> None:
    lake, _ = bad_night
    sent = rows_of(lake, "l0_counts").filter(pl.col("day") == OTHER_BINS)
    assert sent.filter(pl.col("quality_flag") & FLAGS["retransmitted"] > 0).height == 10
    flux = rows_of(lake, "l2_flux").filter(pl.col("day") == OTHER_BINS)
    elapsed = (flux["epoch_tt2000"] - tt2000_of_day(OTHER_BINS)) // NS
    assert set(range(60)) - set(elapsed.to_list()) == {20, 21, 22, 23, 24, 50}
    gaps = read_ops(lake, "gaps").filter((pl.col("apid") == 384) & (pl.col("day") == OTHER_BINS))
    assert {1, 5} <= set(gaps["missing"])
    assert read_ops(lake, "quarantine").height >= 1


def test_a_table_of_bins_without_calibration_gives_rates_and_no_flux(bad_night: tuple[Lake, list[str]]) -> None:
    lake, _ = bad_night
    flux, rates = (rows_of(lake, name).filter(pl.col("day") == OTHER_BINS) for name in ("l2_flux", "ql_rates"))
    assert (flux["quality_flag"] == FLAGS["lut_unknown"]).all()
    assert np.isnan(cells(flux, "proton_flux")).all()
    assert np.isnan(cells(flux, "electron_flux")).all()
    assert np.isfinite(cells(rates, "rate")).all()


def test_a_flooded_head_has_no_flux_and_the_other_has(bad_night: tuple[Lake, list[str]]) -> None:
    flux = rows_of(bad_night[0], "l2_flux").filter(pl.col("day") == FLOODED)
    assert (flux["quality_flag"] & FLAGS["head_0_saturated"] > 0).all()
    assert (flux["quality_flag"] & FLAGS["head_1_saturated"] == 0).all()
    assert np.isnan(cells(flux, "proton_flux")[:, 0]).all()
    assert np.isfinite(cells(flux, "proton_flux")[:, 1]).all()
