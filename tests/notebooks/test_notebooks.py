# SPDX-License-Identifier: Apache-2.0
"""Every notebook runs without a browser, and finds what was simulated: a flare, a shock, an event, an orbit, a file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from exports.export import export_all
from ingest.intake import take_in
from lake.catalog import connect
from lake.clock import utc_now
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from quality.checks import check_all
from simulate.hermes.plasma import read_scenario
from simulate.run import simulate
from tests.conftest import Place
from transforms.engine import build_all

NOTEBOOKS = CHECKOUT / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
DEFINITIONS = read_definitions(CHECKOUT / "missions")
DAY = date(2026, 8, 1)
MIDNIGHT = datetime(2026, 8, 1, tzinfo=UTC)
HERMES_HOURS = 0.31  # 19 minutes: a shock after ten, energetic particles after fifteen
PADRE_HOURS = 1.9  # the day's first flare is at 01:42
QUIET = "kind,stream,start,stop,count\ngap,{0},00:00:00,00:07:00,\n"  # packets that would only cost time
NEEDED = ("exports/", "tables/ops/exports/", "tables/padre/meddea_ql_lightcurve/")
UNSEEN = ("_ql_moments", "_ql_mag", "_ql_rates", "_l1_pha", "_l1_rates")  # tables that no notebook reads


def hermes_telemetry(drop: Path) -> None:
    for name in ("merit", "nemisis"):
        simulate(DEFINITIONS, "hermes", name, DAY, drop, seed=7, hours=HERMES_HOURS)
    for name in ("eea", "spani"):
        faults = drop / f"{name}.csv"
        faults.write_text(QUIET.format(name))
        simulate(DEFINITIONS, "hermes", name, DAY, drop, seed=7, faults_path=faults, hours=HERMES_HOURS)


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drop")
    simulate(DEFINITIONS, "padre", "meddea", DAY, folder, seed=7, hours=PADRE_HOURS)
    hermes_telemetry(folder)
    return folder


@pytest.fixture(scope="module")
def root(drop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the first flare of a day of PADRE, and the event of HERMES."""
    folder = tmp_path_factory.mktemp("lake")
    lake = Lake(folder, DEFINITIONS)
    files = [path for path in sorted(drop.iterdir()) if path.suffix.lower() in (".bin", ".dat")]
    take_in(lake, files, "20260802T000000.000000Z-aaaaaa", utc_now(), 0)
    wanted = [table for address, table in DEFINITIONS.tables.items() if not address.endswith(UNSEEN)]
    assert build_all(lake, "20260802T000001.000000Z-aaaaaa", wanted).failed == []
    light_curve = lake.definitions.tables["padre.meddea_ql_lightcurve"]
    check_all(lake, "20260802T000002.000000Z-aaaaaa", tables=[light_curve])
    assert len(export_all(lake, tables=[light_curve]).published) == 1
    return folder


Run = Callable[[str], dict[str, Any]]


def values_of(name: str, root: Path | str) -> dict[str, Any]:
    """What a notebook computes on a lake; its pictures are drawn and closed."""
    spec = importlib.util.spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch, plt.rc_context():
        plt.switch_backend("agg")
        patch.setenv("SWXLAKE_ROOT", str(root))
        spec.loader.exec_module(module)
        _, values = module.app.run()
        plt.close("all")
    return dict(values)


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    """Runs each notebook once."""
    done: dict[str, dict[str, Any]] = {}

    def values(name: str) -> dict[str, Any]:
        if name not in done:
            done[name] = values_of(name, root)
        return done[name]

    return values


def test_the_first_queries_show_tables_units_rates_and_files(run: Run, drop: Path) -> None:
    found = run("first_queries")
    assert "padre.meddea_ql_lightcurve" in set(found["tables"]["table_name"])
    comments = dict(found["columns"].select("column_name", "comment").iter_rows())
    assert comments["rate_5_10_kev"].endswith("[count/s]")
    assert len(found["rates"]) == pytest.approx(PADRE_HOURS * 60, abs=1)
    sent = {path.name for path in drop.glob("padreMDA2*")}
    assert set(found["files"]["name"]) == sent
    sums = found["files"]["bytes_decoded"] + found["files"]["bytes_quarantined"]
    assert sums.to_list() == found["files"]["bytes"].to_list()


def test_the_flare_is_found_within_a_minute_and_its_hard_x_rays_come_first(run: Run, drop: Path) -> None:
    found = run("a_flare_in_meddea")
    (flare,) = pl.read_csv(drop / "truth" / "flares_20260801.csv", try_parse_dates=True).rows(named=True)
    peak = flare["peak_time"].replace(tzinfo=UTC)
    assert abs(found["peak_time"] - peak) < timedelta(minutes=1)
    assert found["times"]["start"] < found["times"]["peak"] < found["times"]["half"]
    assert 20 <= found["hard_lead_s"] <= 120  # a minute, of spectra of ten seconds
    assert found["neupert"] > 0.5


def test_the_temperature_is_that_of_the_flare(run: Run) -> None:
    assert run("a_flare_in_meddea")["kt_kev"] == pytest.approx(1.3, rel=0.15)


def test_the_photons_of_the_flare_are_counted_with_their_weights(run: Run, root: Path) -> None:
    found = run("a_flare_in_meddea")
    with connect(root) as lake:
        ((seen,),) = lake.execute(
            "SELECT sum(decimation_weight) FROM padre.meddea_l1_photon"
            " WHERE time >= $start AND time < $stop AND atod BETWEEN 200 AND 1999",
            found["window"],
        ).fetchall()
    assert found["photons"]["photons"].sum() == pytest.approx(seen)
    assert seen > 1000


def test_the_shock_is_at_its_time_and_as_strong_as_it_was(run: Run) -> None:
    found, shock = run("an_energetic_particle_event"), read_scenario().shock
    assert abs(found["shock_time"] - MIDNIGHT - timedelta(seconds=shock.after_s)) <= timedelta(seconds=20)
    assert found["density_ratio"] == pytest.approx(shock.density_factor, rel=0.1)
    assert found["field_ratio"] == pytest.approx(shock.field_factor, rel=0.15)
    places = [place for place, _ in found["jumps"].values()]
    assert max(places) - min(places) <= 2  # three instruments agree on 20 s


def test_the_onset_of_the_particles_is_at_its_time_and_their_spectrum_as_it_was(run: Run) -> None:
    found, particles = run("an_energetic_particle_event"), read_scenario().particles
    begun = MIDNIGHT + timedelta(seconds=particles.after_s)
    assert timedelta(0) <= found["onset_time"] - begun <= timedelta(seconds=30)
    assert {row["species"] for row in found["onsets"]} == {"protons", "electrons"}
    assert found["proton_index"] == pytest.approx(particles.protons.peak_index, rel=0.05)


def test_an_envelope_keeps_every_extreme(run: Run, root: Path) -> None:
    found = run("housekeeping_trends")
    with connect(root) as lake:
        rows = lake.sql("SELECT time, dib_temp_degc FROM padre.meddea_l1_housekeeping ORDER BY time").pl()
    buckets = rows.group_by(pl.col("time").dt.truncate("10m")).agg(
        low=pl.col("dib_temp_degc").min(), high=pl.col("dib_temp_degc").max()
    )
    expected = buckets.sort("time")
    assert found["trend"]["low"].to_list() == expected["low"].to_list()
    assert found["trend"]["high"].to_list() == expected["high"].to_list()
    assert found["trend"]["samples"].sum() == len(rows)


def test_the_orbit_and_the_limits_are_those_of_the_definitions(run: Run) -> None:
    found = run("housekeeping_trends")
    assert found["orbit_s"] == pytest.approx(DEFINITIONS.mission("padre").orbit_seconds, rel=0.03)
    limits = DEFINITIONS.mission("padre").instrument("meddea").limits
    assert set(found["margins"]["channel"]) == {limit.column for limit in limits}
    assert found["margins"]["margin"].is_between(0, 0.5).all()


def test_the_cdf_has_the_bits_of_the_table_in_every_reader(run: Run) -> None:
    found = run("reading_the_cdfs")
    assert (found["same_times"], found["same_values"]) == (True, True)
    assert found["tplot_unit"] == "count/s"
    rates = found["rows"]["rate_5_10_kev"].to_numpy()
    np.testing.assert_array_equal(found["tplot_values"], rates)
    if "series" in found:
        np.testing.assert_array_equal(found["series"].to_dataframe()["rate_5_10_kev"], rates)


def test_sunpy_reads_the_cdf(run: Run) -> None:
    pytest.importorskip("mpl_animators", reason="needs sunpy[timeseries,visualization]")
    assert str(run("reading_the_cdfs")["series"].units["rate_5_10_kev"]) == "ct / s"


def test_queries_agree_with_notebooks(run: Run, root: Path) -> None:
    with connect(root) as lake:

        def answer(name: str) -> list[dict[str, Any]]:
            return lake.sql((CHECKOUT / "sql" / "queries" / f"{name}.sql").read_text()).pl().rows(named=True)

        flares, newest, hours, flagged, field = map(
            answer,
            (
                "flare_candidates",
                "latest_housekeeping",
                "channel_envelope_per_hour",
                "flagged_rows_by_reason",
                "field_direction_per_minute",
            ),
        )
    (flare,) = flares
    assert abs(flare["peak_minute"] - run("a_flare_in_meddea")["peak_time"]) <= timedelta(minutes=2)
    trend = run("housekeeping_trends")["trend"]
    assert min(hour["lowest"] for hour in hours) == trend["low"].min()
    assert max(hour["highest"] for hour in hours) == trend["high"].max()
    assert {row["column_name"] for row in newest} >= {"dib_temp_degc", "hvps_vsense_v", "heater_pwm_duty_cycle_percent"}
    assert {row["table_name"] for row in flagged} >= {"hermes.eea_l2_moments"}  # the first sweep is cut
    by_minute = {row["minute"]: row["magnitude_nt"] for row in field}
    ratio = by_minute[MIDNIGHT + timedelta(minutes=11)] / by_minute[MIDNIGHT + timedelta(minutes=9)]
    assert ratio == pytest.approx(read_scenario().shock.field_factor, rel=0.1)


def test_a_notebook_gives_the_same_numbers_on_object_storage(run: Run, root: Path, s3_place: Place) -> None:
    with s3_place() as bucket:
        storage = Lake(bucket, DEFINITIONS).storage
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            key = path.relative_to(root).as_posix()
            if key.startswith(NEEDED):
                storage.put(key, path)
        found = values_of("reading_the_cdfs", bucket)  # queries tables, and fetches a product
    here = run("reading_the_cdfs")
    assert found["rows"].equals(here["rows"])
    assert found["light_curve"] == here["light_curve"]
    assert (found["same_times"], found["same_values"]) == (True, True)


def test_a_notebook_of_an_empty_lake_says_what_is_missing(tmp_path: Path) -> None:
    take_in(Lake(tmp_path, DEFINITIONS), [], "20260802T000000.000000Z-aaaaaa", utc_now(), 0)
    known = {name: set(values_of(name, tmp_path)) for name in NAMES}
    assert "peak_time" not in known["a_flare_in_meddea"]
    assert "onset_time" not in known["an_energetic_particle_event"]
    assert "orbit_s" not in known["housekeeping_trends"]
    assert "series" not in known["reading_the_cdfs"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_reaches_for_no_other_host(name: str) -> None:
    text = (NOTEBOOKS / f"{name}.py").read_text()
    assert "http" not in text
    assert "SWXLAKE_ROOT" in text
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert len(text.splitlines()) < 400
