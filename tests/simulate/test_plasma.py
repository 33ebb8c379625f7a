# SPDX-License-Identifier: Apache-2.0
"""The plasma that all simulators of HERMES see: quiet wind, shock, particles, host fields, attitude and truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.clock import NS, tt2000_of_day
from lake.errors import StorageError
from simulate.hermes.plasma import Plasma, PlasmaScenario, attitude_at, plasma_at, read_scenario, write_truth
from tests.hermes_merit import DAY

MIDNIGHT = tt2000_of_day(DAY)
SCENARIO = read_scenario()


def at(*seconds: float, scenario: PlasmaScenario = SCENARIO, midnight: int = MIDNIGHT) -> Plasma:
    return plasma_at(scenario, midnight + np.array([round(s * NS) for s in seconds], np.int64), midnight)


def test_the_wind_is_quiet_before_the_shock() -> None:
    quiet = at(*range(0, 600, 10))
    assert quiet.density_cm3.mean() == pytest.approx(5, rel=0.15)
    assert np.linalg.norm(quiet.velocity_gse_km_s, axis=1) == pytest.approx(400, rel=0.06)
    assert (quiet.velocity_gse_km_s[:, 0] < -370).all()
    assert quiet.proton_temperature_ev.mean() == pytest.approx(10, rel=0.1)
    assert quiet.electron_temperature_ev.mean() == pytest.approx(10, rel=0.1)
    assert np.linalg.norm(quiet.b_gse_nt, axis=1) == pytest.approx(5, rel=0.12)
    assert set(quiet.alpha_ratio) == {0.04}
    assert set(quiet.oxygen_ratio) == {0.001}


def test_the_field_lies_along_the_parker_spiral() -> None:
    mean = at(*range(0, 86_400, 60)).b_gse_nt.mean(axis=0)
    assert np.degrees(np.arctan2(mean[1], mean[0])) == pytest.approx(135, abs=5)


def test_the_shock_jumps_within_its_ramp() -> None:
    before, after = at(600), at(610)
    assert after.density_cm3 / before.density_cm3 == pytest.approx(2.5, rel=0.01)
    assert after.proton_temperature_ev / before.proton_temperature_ev == pytest.approx(4, rel=0.01)
    assert after.electron_temperature_ev / before.electron_temperature_ev == pytest.approx(4, rel=0.01)
    speed = [np.linalg.norm(p.velocity_gse_km_s) for p in (before, after)]
    assert speed[1] - speed[0] == pytest.approx(150, abs=1)
    field = [np.linalg.norm(p.b_gse_nt) for p in (before, after)]
    assert field[1] / field[0] == pytest.approx(2.5, rel=0.02)
    assert before.density_cm3 < at(605).density_cm3 < after.density_cm3


def test_the_wind_comes_back_to_rest() -> None:
    late = at(*range(80_000, 86_400, 100))
    assert late.density_cm3.mean() == pytest.approx(5, rel=0.15)


def test_particles_rise_over_minutes_to_the_stated_spectra_and_decay_over_a_day() -> None:
    event = SCENARIO.particles
    times = np.arange(0, 90_000, 10)
    plasma = at(*times)
    peak = int(np.argmax(plasma.proton_j0))
    assert plasma.proton_j0[:90].max() == pytest.approx(0.1)
    assert 1200 < times[peak] < 3600
    assert plasma.proton_j0[peak] == pytest.approx(100, rel=1e-3)
    assert plasma.proton_index[peak] == pytest.approx(2.5, rel=1e-2)
    assert plasma.electron_j0[peak] == pytest.approx(50, rel=1e-3)
    assert plasma.electron_index[peak] == pytest.approx(3, rel=1e-2)
    later = at(times[peak] + event.decay_s)
    assert later.proton_j0 == pytest.approx(100 / np.e, rel=0.02)


def test_the_quiet_background_is_a_thousandth_of_the_event() -> None:
    quiet, peak = at(0), at(2500)
    assert quiet.proton_j0 / peak.proton_j0 == pytest.approx(1e-3, rel=0.1)
    assert quiet.electron_j0 / peak.electron_j0 == pytest.approx(1e-3, rel=0.1)


def test_the_host_switches_200_nt_every_minute() -> None:
    plasma = at(0, 59.9, 60, 119.9, 120, 86_400, 86_460)
    assert plasma.host_source_nt[:, 0].tolist() == [200, 200, 0, 0, 200, 200, 0]
    assert plasma.host_source_nt.shape[1] == len(SCENARIO.host_sources)


def test_everything_but_the_switching_is_continuous_over_midnight() -> None:
    steps = at(86_399.9, 86_400, 86_400.1)
    for name, values in vars(steps).items():
        if name != "host_source_nt":
            assert np.abs(np.diff(values, axis=0)).max() < 1e-3 * np.abs(values).max(), name


def test_events_happen_once_in_a_run_of_several_days() -> None:
    day = 86_400
    plasma = at(day + 599, day + 611, day + 899, day + 1200)
    assert plasma.density_cm3[1] == pytest.approx(plasma.density_cm3[0], rel=0.02)
    assert plasma.proton_j0[3] < plasma.proton_j0[2]


def test_the_same_time_gives_the_same_plasma_whatever_is_asked_with_it() -> None:
    alone, among = at(1234.5), at(1.0, 1234.5, 99_999.0)
    for name, values in vars(alone).items():
        assert (values[0] == getattr(among, name)[1]).all(), name


def test_the_attitude_turns_slowly_by_a_few_degrees() -> None:
    times = MIDNIGHT + np.arange(0, 86_400, 60, dtype=np.int64) * NS
    attitude = attitude_at(SCENARIO, times)
    assert 1 < np.degrees(attitude.magnitude()).max() < 10
    assert np.degrees((attitude[:-1].inv() * attitude[1:]).magnitude()).max() < 0.1
    matrix = attitude.as_matrix()[0]
    np.testing.assert_allclose(attitude[0].apply([1, 0, 0]), matrix[:, 0])


def test_the_truth_says_what_the_simulators_saw_and_is_written_once(tmp_path: Path) -> None:
    write_truth(SCENARIO, MIDNIGHT, 1800, tmp_path)
    path = tmp_path / "truth" / f"plasma_{DAY:%Y%m%d}.csv"
    written = path.stat().st_mtime_ns
    write_truth(SCENARIO, MIDNIGHT, 1800, tmp_path)
    assert path.stat().st_mtime_ns == written
    rows = pl.read_csv(path)
    assert rows.height == 180
    assert rows["time"][61] == "2025-08-01T00:10:10Z"
    plasma = at(610)
    assert rows["density_cm3"][61] == pytest.approx(plasma.density_cm3[0], rel=1e-6)
    assert rows["b_gse_nt_2"][61] == pytest.approx(plasma.b_gse_nt[0, 1], rel=1e-6)
    assert rows["host_source_nt_1"][61] == 200
    quaternion = [rows[f"quaternion_bus_to_gse_{i}"][61] for i in (1, 2, 3, 4)]
    assert np.linalg.norm(quaternion) == pytest.approx(1, abs=1e-6)


def test_the_truth_of_another_run_is_not_overwritten(tmp_path: Path) -> None:
    write_truth(SCENARIO, MIDNIGHT, 600, tmp_path)
    with pytest.raises(StorageError, match="holds other data"):
        write_truth(SCENARIO, MIDNIGHT, 1200, tmp_path)


def test_the_profile_of_the_event_has_its_maximum_at_one() -> None:
    event = SCENARIO.particles
    top = event.profile(np.linspace(event.after_s, event.after_s + 10 * event.rise_s, 100_001)).max()
    assert top == pytest.approx(1, abs=1e-6)
