# SPDX-License-Identifier: Apache-2.0
"""EEA's transforms: sweeps from packets in any order, flux with dead time, moments and what makes them null."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.clock import day_bounds
from lake.errors import CalibrationError
from lake.store import Lake
from tests.hermes_eea import (
    CLOCK_INVALID,
    COUNTER_SATURATED,
    DAY,
    DEAD_HIGH,
    DEAD_REJECTED,
    DEFINITIONS,
    FEW,
    INCOMPLETE,
    PERIOD_US,
    SHAPE,
    STEP_UNKNOWN,
    TIME_CONFLICT,
    TIME_UNLIKELY,
    TOTAL_SATURATED,
    UNFIT,
    calibrations,
    cells,
    changed,
    counts_frame,
    flux_frame,
    flux_of,
    l0,
    l1,
    maxwellian_flux,
    moments_of,
    packet,
    quick_moments_of,
    stamps_us,
    sweep_packets,
    sweeps_of,
    take,
)

HOUR = 3_600_000_000  # us since the clock's epoch, 2000-01-01T11:58:55.816 UTC


def three_sweeps() -> list[list[bytes]]:
    return [sweep_packets(k, HOUR + k * PERIOD_US) for k in range(3)]


def all_of(sweeps: Iterable[list[bytes]]) -> list[bytes]:
    return [*chain.from_iterable(sweeps)]


def lake_of(tmp_path: Path, packets: list[bytes]) -> Lake:
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    take(lake, tmp_path / "inbox", b"".join(packets))
    return lake


# ---- sweeps --------------------------------------------------------------------------------------------------------
def test_every_packet_lands_in_the_cell_of_its_own_step(tmp_path: Path):
    rows = sweeps_of(tmp_path, b"".join(all_of(three_sweeps())))
    assert rows["epoch_tt2000"].to_list() == [(HOUR + k * PERIOD_US) * 1000 for k in range(3)]
    accum, offset = cells(rows, "accum"), cells(rows, "offset_us")
    for step in range(164):
        # Up, down, up, down: the energies of deflections 1 and 3 run backwards.
        deflection, place = divmod(step, 41)
        energy = place if deflection % 2 == 0 else 40 - place
        for sweep in range(3):
            assert accum[sweep, energy, deflection].tolist() == [(sweep + step + a) % 7 for a in range(32)]
        assert offset[:, energy, deflection].tolist() == [stamps_us()[step]] * 3
    assert rows["n_steps"].to_list() == [164] * 3
    assert rows["completeness"].to_list() == [1.0] * 3
    assert rows["quality_flag"].to_list() == [0] * 3
    assert rows["first_sequence_count"].to_list() == [0, 164, 328]
    assert rows["last_sequence_count"].to_list() == [163, 327, 491]
    assert rows["total_counts"].to_list() == accum.sum(axis=(1, 2, 3)).tolist()


def test_the_epoch_is_the_end_of_the_first_step_and_the_deltas_reach_over_the_sweep(tmp_path: Path):
    rows = sweeps_of(tmp_path, b"".join(sweep_packets(0, HOUR)))
    assert rows["delta_minus_s"].to_list() == [0.006]
    assert rows["delta_plus_s"].to_list() == [pytest.approx(1.007529)]
    late = sweeps_of(tmp_path / "late", b"".join(sweep_packets(0, HOUR, range(41, 164))))
    assert late["delta_minus_s"].to_list() == [0.010]


def test_counters_and_pulses_are_kept_as_sent(tmp_path: Path):
    sent = packet(5, HOUR, 7, [*range(100, 132), 4000, 4001], counters=54321)
    rows = sweeps_of(tmp_path, sent)
    assert [cells(rows, name)[0, 7, 0] for name in ("pulse_a", "pulse_b", "counter1", "counter2")] == [
        4000,
        4001,
        54321,
        54321,
    ]
    assert rows["quality_flag"].to_list() == [INCOMPLETE]
    assert np.count_nonzero(cells(rows, "counter1") != -1) == 1
    assert np.count_nonzero(cells(rows, "accum") != -1) == 32


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.1, 2.0, 100.0])
def test_the_length_of_a_block_does_not_matter(tmp_path: Path, seconds: float):
    sweeps = three_sweeps()
    unknown = packet(900, HOUR + 2 * PERIOD_US + 3000, 200, [1] * 34)
    early = packet(901, HOUR + 2 * PERIOD_US + stamps_us()[60] + 3000, 90, [9] * 34)
    odd = [*sweeps[0], *sweeps[1][:70], *sweeps[1][90:], *sweeps[2], unknown, early, sweeps[2][8]]
    packets = l0(lake_of(tmp_path, odd))
    rows = l1(packets, block_s=seconds)
    assert rows["quality_flag"].to_list() == [0, INCOMPLETE, STEP_UNKNOWN | TIME_UNLIKELY]
    assert rows["n_steps"].to_list() == [164, 144, 164]
    assert rows.equals(l1(packets))


def test_the_order_of_rows_does_not_matter(tmp_path: Path):
    packets = l0(lake_of(tmp_path, all_of(three_sweeps()))).collect()
    assert l1(packets.sample(fraction=1, shuffle=True, seed=3).lazy()).equals(l1(packets.lazy()))


def test_a_sweep_begins_where_the_gap_is_too_long_for_its_steps(tmp_path: Path):
    """Steps 0-99 of one sweep and 121-163 of the next but one: STEP rises, but three seconds have passed."""
    first, second = sweep_packets(0, HOUR, range(100)), sweep_packets(1, HOUR + 2 * PERIOD_US, range(121, 164))
    rows = sweeps_of(tmp_path, b"".join(first + second))
    assert rows["n_steps"].to_list() == [100, 43]
    assert rows["quality_flag"].to_list() == [INCOMPLETE] * 2
    assert cells(rows, "accum")[1].max(axis=(0, 2)).tolist() == [-1, -1, 6, 6]


def test_a_sweep_with_a_hole_stays_one_sweep(tmp_path: Path):
    rows = sweeps_of(tmp_path, b"".join(sweep_packets(0, HOUR, [0, 163])))
    assert rows["n_steps"].to_list() == [2]


def test_sweeps_across_midnight_belong_to_the_day_of_their_first_packet(tmp_path: Path):
    midnight_us = day_bounds(DAY)[1] // 1000
    starts = [midnight_us - PERIOD_US - 400_000 + k * PERIOD_US for k in range(4)]
    packets = l0(lake_of(tmp_path, all_of(sweep_packets(k, start) for k, start in enumerate(starts))))
    before, after = l1(packets, DAY), l1(packets, DAY + timedelta(days=1))
    assert before["epoch_tt2000"].to_list() == [start * 1000 for start in starts[:2]]
    assert after["epoch_tt2000"].to_list() == [start * 1000 for start in starts[2:]]
    assert set(before["n_steps"]) == set(after["n_steps"]) == {164}


def test_packets_of_one_time_and_other_content_are_flagged_and_the_smallest_count_stays(tmp_path: Path):
    sweep = sweep_packets(0, HOUR)
    other = packet(9000, HOUR + stamps_us()[8], 8, [9] * 34)
    rows = sweeps_of(tmp_path, b"".join([*sweep[:20], other, *sweep[20:]]))
    assert rows["quality_flag"].to_list() == [TIME_CONFLICT]
    assert cells(rows, "accum").max() == 6


def test_a_stepper_table_without_any_step_of_the_day_is_refused(tmp_path: Path):
    packets = l0(lake_of(tmp_path, [packet(k, HOUR + 6083 * k, 200 + k, [1] * 34) for k in range(5)]))
    with pytest.raises(CalibrationError, match=r"stepper_20000101.csv: has none of the steps of the day's 5 packets"):
        l1(packets)


def test_unknown_steps_of_the_day_before_refuse_only_that_day(tmp_path: Path):
    midnight_us = day_bounds(DAY)[1] // 1000
    unknown = [packet(k, midnight_us - 60_000 + 6083 * k, 200 + k, [1] * 34) for k in range(5)]
    packets = l0(lake_of(tmp_path, unknown))
    assert l1(packets, DAY + timedelta(days=1)).is_empty()
    with pytest.raises(CalibrationError, match="has none of the steps"):
        l1(packets, DAY)


@pytest.mark.parametrize(
    "change",
    [
        pl.col("step") + 1,
        pl.col("energy_index") + 1,
        pl.col("deflection_index").clip(0, 2),
    ],
)
def test_a_stepper_table_that_does_not_fit_the_axes_is_refused(tmp_path: Path, change: pl.Expr):
    packets = l0(lake_of(tmp_path, sweep_packets(0, HOUR)))
    stepper = changed("stepper", calibrations("stepper")["stepper"].frame.with_columns(change))
    with pytest.raises(CalibrationError, match="needs steps 0, 1, 2"):
        l1(packets, stepper=stepper)


def test_full_counters_are_flagged(tmp_path: Path):
    sweeps = three_sweeps()
    sweeps[0][3] = packet(3, HOUR + stamps_us()[3], 3, [4095] * 32 + [0, 0])
    sweeps[1][3] = packet(167, HOUR + PERIOD_US + stamps_us()[3], 3, [4094] * 34, counters=65535)
    rows = sweeps_of(tmp_path, b"".join(all_of(sweeps)))
    assert rows["quality_flag"].to_list() == [COUNTER_SATURATED, TOTAL_SATURATED, 0]


def test_packets_with_an_impossible_clock_are_left_out(tmp_path: Path):
    packets = l0(lake_of(tmp_path, sweep_packets(0, HOUR))).with_columns(
        quality_flag=pl.when(pl.col("step") == 5).then(CLOCK_INVALID).otherwise(0).cast(pl.Int32)
    )
    assert l1(packets)["n_steps"].to_list() == [163]


def test_a_day_without_science_packets_has_no_sweeps(tmp_path: Path):
    packets = l0(lake_of(tmp_path, sweep_packets(0, HOUR, sheid=0)))
    assert l1(packets).is_empty()


# ---- flux ----------------------------------------------------------------------------------------------------------
def counts_of(value: int, sweeps: int = 1) -> NDArray[Any]:
    return np.full((sweeps, *SHAPE), value, np.int64)


def test_flux_is_the_rate_over_the_geometric_factor():
    rows = flux_of(counts_frame(counts_of(82)), detector=changed("detector", dead_time=0.0))
    np.testing.assert_allclose(cells(rows, "energy_flux"), 82 / 6e-3 / 3e-4, rtol=1e-6)
    np.testing.assert_allclose(cells(rows, "energy_flux_uncertainty"), np.sqrt(83) / 6e-3 / 3e-4, rtol=1e-6)


def test_no_counts_have_an_uncertainty():
    rows = flux_of(counts_frame(counts_of(0)))
    assert set(cells(rows, "energy_flux").reshape(-1)) == {0.0}
    np.testing.assert_allclose(cells(rows, "energy_flux_uncertainty"), 1 / 6e-3 / 3e-4, rtol=1e-6)


def test_dead_time_is_corrected_then_flagged_then_refused():
    # 1, 3 and 9 counts in 6 ms with 600 us of dead time: 10, 30 (not above the mark), 40, 80 and 90 percent dead.
    counts = np.concatenate([counts_of(value) for value in (1, 3, 4, 8, 9)])
    rows = flux_of(counts_frame(counts), detector=changed("detector", dead_time=600_000.0, dead_time_high=0.31))
    assert rows["quality_flag"].to_list() == [0, 0, DEAD_HIGH, DEAD_HIGH, DEAD_HIGH | DEAD_REJECTED]
    found = cells(rows, "energy_flux")[:, 0, 0, 0]
    expected = [c / 6e-3 / (1 - c * 0.1) / 3e-4 for c in (1, 3, 4, 8)]
    np.testing.assert_allclose(found, [*expected, -1], rtol=1e-5)
    sigma = cells(rows, "energy_flux_uncertainty")[2, 0, 0, 0]
    assert sigma == pytest.approx(np.sqrt(5) / 6e-3 / 0.6**2 / 3e-4, rel=1e-5)


def test_a_full_counter_has_no_flux():
    counts = counts_of(10)
    counts[0, 20, 1, 5] = 4095
    rows = flux_of(counts_frame(counts, flags=COUNTER_SATURATED))
    assert np.flatnonzero(cells(rows, "energy_flux") == -1).tolist() == [20 * 128 + 32 + 5]
    assert rows["quality_flag"].to_list() == [COUNTER_SATURATED]


def test_a_missing_step_has_no_flux_and_no_zero():
    there = np.ones((1, *SHAPE), np.bool_)
    there[0, 40, 3] = False
    rows = flux_of(counts_frame(counts_of(10), there, INCOMPLETE))
    missing = cells(rows, "energy_flux") == -1
    assert missing[0, 40, 3].all()
    assert missing.sum() == 32
    assert (cells(rows, "energy_flux_uncertainty") == -1).sum() == 32


def test_efficiency_by_energy_and_geometric_factor_by_anode_are_used():
    efficiency = changed(
        "efficiency",
        calibrations("efficiency")["efficiency"].frame.with_columns(
            efficiency=pl.when(pl.col("energy_index") == 3).then(0.5).otherwise(1.0)
        ),
    )
    geometry = changed(
        "geometry",
        calibrations("geometry")["geometry"].frame.with_columns(
            geometric_factor_cm2_sr=pl.when(pl.col("anode") == 7).then(6e-4).otherwise(3e-4)
        ),
    )
    flux = cells(flux_of(counts_frame(counts_of(6)), efficiency=efficiency, geometry=geometry), "energy_flux")[0]
    np.testing.assert_allclose(flux[3, 0, 0] / flux[0, 0, 0], 2, rtol=1e-6)
    np.testing.assert_allclose(flux[0, 0, 7] / flux[0, 0, 0], 0.5, rtol=1e-6)


def test_a_response_with_a_hole_is_refused():
    short = changed("geometry", calibrations("geometry")["geometry"].frame.head(31))
    with pytest.raises(CalibrationError, match="for each anode 0 to 31"):
        flux_of(counts_frame(counts_of(1)), geometry=short)
    lacking = changed("detector", calibrations("detector")["detector"].frame.filter(pl.col("name") != "dead_time"))
    with pytest.raises(CalibrationError, match="no row dead_time"):
        flux_of(counts_frame(counts_of(1)), detector=lacking)


# ---- moments -------------------------------------------------------------------------------------------------------
def test_a_maxwellian_is_recovered_within_one_percent():
    rows = moments_of(flux_frame(maxwellian_flux(5, 10)[None]))
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.01)
    assert rows["temperature_ev"][0] == pytest.approx(10, rel=0.01)
    np.testing.assert_allclose(rows["velocity_km_s"][0], [0, 0, 0], atol=1)
    np.testing.assert_allclose(rows["temperature_tensor_ev"][0], [10, 10, 10, 0, 0, 0], rtol=0.01, atol=0.01)
    assert rows["coverage"][0] == pytest.approx(0.38268, abs=1e-5)
    assert rows["quality_flag"].to_list() == [0]
    assert rows["potential_v"].to_list() == [None]


def test_a_maxwellian_of_many_counts_is_recovered_from_its_counts():
    """n = 5 cm-3 and T = 10 eV within 3 percent, by way of counts and dead time; the quick look too."""
    random = np.random.default_rng(7)
    expected = maxwellian_flux(5, 10) * 3e-4 * 6e-3
    measured = expected / (1 + expected * 1e-7 / 6e-3)
    counts = random.poisson(measured, (20, *SHAPE))
    for rows in (moments_of(flux_of(counts_frame(counts)).lazy()), quick_moments_of(counts_frame(counts))):
        np.testing.assert_allclose(rows["density_cm3"].to_numpy(), 5, rtol=0.03)
        np.testing.assert_allclose(rows["temperature_ev"].to_numpy(), 10, rtol=0.03)
        scatter = (rows["density_cm3"].to_numpy() - rows["density_cm3"].mean()) / rows["density_uncertainty_cm3"]
        assert 0.6 < scatter.std() < 1.5


@pytest.mark.parametrize("velocity", [(-400.0, 20.0, -10.0), (0.0, 300.0, 0.0), (0.0, 0.0, 400.0)])
def test_a_drift_is_recovered(velocity: tuple[float, float, float]):
    rows = moments_of(flux_frame(maxwellian_flux(5, 20, velocity)[None]))
    np.testing.assert_allclose(rows["velocity_km_s"][0], velocity, rtol=0.05, atol=5)
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.03)
    assert rows["temperature_ev"][0] == pytest.approx(20, rel=0.03)


def test_the_spacecraft_potential_is_corrected_where_it_is_known():
    flux = flux_frame(maxwellian_flux(5, 10, potential_v=10)[None])
    potential = changed("detector", pl.DataFrame({"potential_v": [10.0]}))
    rows = moments_of(flux, spacecraft_potential=potential)
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.01)
    assert rows["temperature_ev"][0] == pytest.approx(10, rel=0.01)
    assert rows["potential_v"].to_list() == [10.0]
    assert rows["quality_flag"].to_list() == [0]
    assert moments_of(flux)["temperature_ev"][0] > 13


def test_a_potential_that_leaves_no_energy_is_refused():
    potential = changed("detector", pl.DataFrame({"potential_v": [20_000.0]}))
    with pytest.raises(CalibrationError, match="potential_v below 16380"):
        moments_of(flux_frame(maxwellian_flux(5, 10)[None]), spacecraft_potential=potential)


@pytest.mark.parametrize("flag", [COUNTER_SATURATED, DEAD_REJECTED])
def test_cells_without_flux_leave_no_moments(flag: int):
    flux = flux_frame(maxwellian_flux(5, 10)[None]).with_columns(quality_flag=pl.lit(flag, pl.Int32))
    rows = moments_of(flux)
    assert rows["density_cm3"].to_list() == [None]
    assert rows["quality_flag"].to_list() == [flag | UNFIT]


def test_few_counts_have_a_density_but_neither_velocity_nor_temperature():
    counts = counts_of(0, 2)
    counts[0, 20, 1, :20] = 3
    rows = quick_moments_of(counts_frame(counts))
    assert rows["density_cm3"][0] > rows["density_uncertainty_cm3"][0] > 0
    assert rows["density_cm3"][1] == 0
    assert rows["temperature_ev"].to_list() == [None, None]
    assert rows["velocity_km_s"].to_list() == [[None] * 3] * 2
    assert rows["quality_flag"].to_list() == [FEW] * 2


def test_the_definition_of_a_day_before_the_first_calibration_is_refused():
    with pytest.raises(CalibrationError, match="no calibration"):
        DEFINITIONS.on_day(DEFINITIONS.tables["hermes.eea_l2_flux"], date(1999, 1, 1))
