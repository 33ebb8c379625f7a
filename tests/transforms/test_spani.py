# SPDX-License-Identifier: Apache-2.0
"""SPAN-I's transforms: where codes go, what is never guessed, and how well beams are recovered from packets."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.errors import CalibrationError
from simulate.packets import assemble
from tests.hermes_spani import (
    APIDS,
    DAY,
    LIVE_S,
    MET,
    SPANI,
    SPECIES,
    TABLES,
    beam,
    calibration,
    cells,
    changed,
    codes_of,
    collected,
    flagged,
    l0,
    l1_counts,
    l2_flux,
    l2_moments,
    moments_of,
    nothing,
    packets,
    velocity,
)
from transforms.day import conform
from transforms.hermes import spani
from transforms.hermes.spani_fit import energy_bins, fit_beam, spectrum
from transforms.physics import PROTON_MASS

G_NARROW = 3.04e-4 * 11.25 / 360


def one_code(code: int, anode: int = 3, energy_step: int = 5, deflection_step: int = 2, rows: int = 1) -> np.ndarray:
    codes = np.zeros((rows, 16, 32, 8), np.int64)
    codes[:, anode, energy_step, deflection_step] = code
    return codes.reshape(rows, 4096)


def three(code: int = 7, **settings: Any) -> dict[str, pl.LazyFrame]:
    return {s: l0(s, packets(s, one_code(code), **settings)) for s in SPECIES}


# ---- L1: cells -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("energy_step", "deflection_step", "energy", "deflection"),
    [(0, 0, 31, 0), (0, 7, 31, 7), (1, 0, 30, 7), (5, 2, 26, 5), (31, 7, 0, 0)],
)
def test_energies_ascend_and_deflections_are_turned_back_where_the_sweep_ran_backwards(
    energy_step: int, deflection_step: int, energy: int, deflection: int
) -> None:
    frames = three() | {"h": l0("h", packets("h", one_code(9, 11, energy_step, deflection_step)))}
    counts = cells(l1_counts(**frames), "h_counts")
    assert np.argwhere(counts[0]).tolist() == [[11, energy, deflection]]
    assert counts[0, 11, energy, deflection] == 9


def test_a_code_becomes_its_smallest_count_with_the_uncertainty_of_its_width() -> None:
    # code 0x73 = 115: (16 + 3) << 6 = 1216, and 64 counts share it
    rows = l1_counts(**{s: l0(s, packets(s, one_code(0x73))) for s in SPECIES})
    assert cells(rows, "he_counts")[0, 3, 26, 5] == 1216
    assert cells(rows, "he_counts_uncertainty")[0, 3, 26, 5] == pytest.approx((1216 + 64**2 / 12) ** 0.5, rel=1e-6)
    assert rows["quality_flag"].to_list() == [0]
    assert rows["sweeps"].to_list() == [4]
    assert rows["accumulation_s"].to_list() == pytest.approx([2**24 / 19.2e6])


def test_the_largest_code_may_stand_for_more_and_is_null() -> None:
    rows = l1_counts(**three() | {"o": l0("o", packets("o", one_code(255)))})
    counts = cells(rows, "o_counts")
    assert np.argwhere(np.isnan(counts[0])).tolist() == [[3, 26, 5]]
    assert np.isnan(cells(rows, "o_counts_uncertainty")).sum() == 1
    assert flagged(rows, "counts_saturated") == [True]
    assert rows["h_counts"].list.eval(pl.element().is_null()).list.any().to_list() == [False]


# ---- L1: accumulations ---------------------------------------------------------------------------------------------
def test_a_missing_species_is_null_and_flagged_and_never_zero() -> None:
    codes = one_code(7, rows=3)
    frames = {s: l0(s, packets(s, codes)) for s in SPECIES}
    frames["he"] = l0("he", packets("he", codes[:2]))
    frames["o"] = nothing("o")
    rows = l1_counts(**frames)
    assert rows["he_counts"].is_null().to_list() == [False, False, True]
    assert rows["o_counts"].is_null().all()
    assert flagged(rows, "he_missing") == [False, False, True]
    assert flagged(rows, "o_missing") == [True] * 3
    assert rows["h_counts"].list.sum().to_list() == [7, 7, 7]
    flux = l2_flux(rows)
    assert flux["he_eflux"].is_null().to_list() == [False, False, True]
    assert flux["o_eflux"].is_null().all()


def test_species_of_different_times_stay_apart() -> None:
    rows = l1_counts(**three() | {"he": l0("he", packets("he", one_code(7), first_met=MET + 5))})
    assert len(rows) == 2
    assert flagged(rows, "he_missing") == [True, False]
    assert flagged(rows, "h_missing") == [False, True]


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"table_id": 2}, "table_unknown"),
        ({"log_compressed": 0}, "packing_unknown"),
        ({"summed": 0}, "packing_unknown"),
    ],
)
def test_codes_that_the_calibration_cannot_read_stay_in_l0(settings: dict[str, int], flag: str) -> None:
    rows = l1_counts(**three(**settings))
    assert all(rows[f"{s}_counts"].is_null().all() for s in SPECIES)
    assert flagged(rows, flag) == [True]
    flux = l2_flux(rows)
    assert all(flux[f"{s}_eflux"].is_null().all() for s in SPECIES)
    moments = l2_moments(flux)
    assert all(moments[f"{s}_density_cm3"].is_null().all() for s in SPECIES)
    assert flagged(moments, flag) == [True]


def test_a_species_byte_that_contradicts_the_apid_is_not_believed() -> None:
    rows = l1_counts(**three() | {"he": l0("he", packets("he", one_code(7), species=3))})
    assert flagged(rows, "species_mismatch") == [True]
    assert [rows[f"{s}_counts"].is_null().all() for s in SPECIES] == [False, True, False]


def test_packets_of_one_accumulation_with_different_settings_are_not_chosen_from() -> None:
    rows = l1_counts(**three() | {"o": l0("o", packets("o", one_code(7), attenuator=2))})
    assert flagged(rows, "settings_differ") == [True]
    assert all(rows[f"{s}_counts"].is_null().all() for s in SPECIES)


def test_targeted_sweeps_are_left_out() -> None:
    targeted = l0("h", packets("h", one_code(9), first_met=MET + 1, apid=323))
    frames = three()
    rows = l1_counts(**frames | {"h": pl.concat([frames["h"], targeted])})
    assert rows["h_counts"].list.sum().to_list() == [7]


def test_packets_received_twice_are_counted_once_and_impossible_clocks_not_at_all() -> None:
    frames = three()
    again = l0("h", packets("h", one_code(7)), file="b", flags=2)
    wrong = l0("h", packets("h", one_code(9), first_met=5), file="c", flags=1)
    rows = l1_counts(**frames | {"h": pl.concat([again, wrong, frames["h"]])})
    assert len(rows) == 1
    assert rows["h_counts"].list.sum().to_list() == [7]
    assert rows["quality_flag"].to_list() == [0]


@pytest.mark.parametrize("sequences", [(100, 200), (200, 100)])
@pytest.mark.parametrize("files", [("a", "b"), ("b", "a")])
def test_of_two_packets_of_the_same_time_that_with_the_smaller_sequence_count_is_used_and_flagged(
    sequences: tuple[int, int], files: tuple[str, str]
) -> None:
    both = [
        l0("h", packets("h", one_code(code), sequence=count), file=file)
        for code, count, file in zip((9, 7), sequences, files, strict=True)
    ]
    for sent in (both, both[::-1]):
        rows = l1_counts(**three() | {"h": pl.concat(sent)})
        assert flagged(rows, "time_conflict") == [True]
        assert rows["h_counts"].list.sum().to_list() == [9 if sequences[0] < sequences[1] else 7]


def test_nothing_received_makes_no_rows() -> None:
    assert l1_counts(**{s: nothing(s) for s in SPECIES}).is_empty()


def test_a_sweep_that_misses_a_cell_and_tables_that_differ_are_refused() -> None:
    twice = changed("sweep", energy=pl.when(pl.col("step") == 0).then(30).otherwise("energy"))
    with pytest.raises(CalibrationError, match=r"sweep_20000101\.csv: needs steps 0 to 255, each cell once"):
        l1_counts(**three(), sweep=twice)
    with pytest.raises(CalibrationError, match=r"table_id is \[1, 2\]"):
        l1_counts(**three(), deflection=changed("deflection", table_id=pl.lit(2)))


# ---- L1 rates ------------------------------------------------------------------------------------------------------
def rates_of(counters: np.ndarray, **settings: int) -> pl.DataFrame:
    """Rates of one packet of counters [3, 16]."""
    values = {"met": MET, "summed": 1, "sweeps_log2": 2, "attenuator": 1, "high_voltage_on": 1} | settings
    sent = {k: np.array([v]) for k, v in values.items()} | dict(zip(("start", "stop", "valid"), counters, strict=True))
    frame = l0("rates", assemble(SPANI.packet("rates"), np.array([5]), np.array([0]), sent))
    known = {n: calibration(n) for n in TABLES["l1_rates"].calibrations}
    return collected("l1_rates", [spani.l1_rates(TABLES["l1_rates"], rates=frame, **known).collect()])


def test_rates_are_counters_over_the_accumulation_and_full_counters_are_null() -> None:
    counters = np.arange(48).reshape(3, 16) * 100
    counters[0, 15] = 65535
    rows = rates_of(counters, attenuator=2)
    period = 2**24 / 19.2e6
    assert rows["start_rate"][0].to_list()[:15] == pytest.approx([100 * i / period for i in range(15)], rel=1e-6)
    assert rows["start_rate"][0][15] is None
    assert rows["valid_rate"][0][15] == pytest.approx(4700 / period)
    assert flagged(rows, "counts_saturated") == [True]
    assert flagged(rows, "attenuator_in") == [True]
    assert flagged(rows, "packing_unknown") == flagged(rows, "not_in_flight_state") == [False]


def test_counters_of_one_sweep_instead_of_a_sum_have_no_rate() -> None:
    rows = rates_of(np.full((3, 16), 100), summed=0)
    assert all(rows[f"{name}_rate"].is_null().all() for name in ("start", "stop", "valid"))
    assert flagged(rows, "packing_unknown") == [True]
    assert rows["accumulation_s"].null_count() == 0


@pytest.mark.parametrize("settings", [{"test_pulser": 1}, {"high_voltage_on": 0}])
def test_rates_outside_the_state_of_flight_are_flagged(settings: dict[str, int]) -> None:
    assert flagged(rates_of(np.full((3, 16), 100), **settings), "not_in_flight_state") == [True]


# ---- L2 flux -------------------------------------------------------------------------------------------------------
def flux_in_a_cell(h: int, he: int = 0, o: int = 0, anode: int = 3, **settings: Any) -> pl.DataFrame:
    """The flux of counts below 32, which are their own codes, in one cell of one accumulation."""
    frames = {s: l0(s, packets(s, one_code(c, anode), **settings)) for s, c in zip(SPECIES, (h, he, o), strict=True)}
    return l2_flux(l1_counts(**frames))


def test_flux_is_rate_over_geometric_factor_after_dead_time_and_leakage() -> None:
    flux = flux_in_a_cell(31, 5)
    rate_h, rate_he = 31 / LIVE_S, 5 / LIVE_S
    live = 1 - (rate_h + rate_he) * 500e-9
    true_h = rate_h / live / 0.988
    assert cells(flux, "h_eflux")[0, 3, 26, 5] == pytest.approx(true_h / G_NARROW, rel=1e-5)
    assert cells(flux, "he_eflux")[0, 3, 26, 5] == pytest.approx((rate_he / live - 0.01 * true_h) / G_NARROW, rel=1e-5)
    assert cells(flux, "o_eflux")[0, 3, 26, 5] == pytest.approx(-0.002 * true_h / G_NARROW, rel=1e-5)
    sigma_h, sigma_he = 32**0.5 / LIVE_S, 6**0.5 / LIVE_S  # that of one count more
    expected = (sigma_he**2 + (0.01 / 0.988 * sigma_h) ** 2) ** 0.5 / G_NARROW
    assert cells(flux, "he_eflux_uncertainty")[0, 3, 26, 5] == pytest.approx(expected, rel=0.01)  # dead time: 0.6 %


def test_the_uncertainty_of_no_counts_is_that_of_one() -> None:
    flux = flux_in_a_cell(31, attenuator=2)
    sigma = cells(flux, "h_eflux_uncertainty")[0]
    one = 10 / LIVE_S / 0.988 / G_NARROW
    assert sigma[0, 0, 0] == pytest.approx(one, rel=1e-6)
    assert sigma[12, 0, 0] == pytest.approx(one / 2, rel=1e-6)  # a wide anode
    assert sigma[3, 26, 5] == pytest.approx(32**0.5 * one, rel=0.02)  # dead time: 1 %
    assert np.nanmin(cells(flux, "o_eflux_uncertainty")) > 0


def test_where_a_count_is_full_nobody_knows_the_dead_time_of_the_cell() -> None:
    frames = three(0x70)
    full = l2_flux(l1_counts(**frames | {"o": l0("o", packets("o", one_code(255)))}))
    for s in SPECIES:
        assert np.argwhere(np.isnan(cells(full, f"{s}_eflux")[0])).tolist() == [[3, 26, 5]]
    assert flagged(full, "counts_saturated") == [True]


def test_a_missing_species_leaves_the_dead_time_of_the_others_and_says_so() -> None:
    frames = three(31)
    flux = l2_flux(l1_counts(**frames | {"o": nothing("o")}))
    live = 1 - 62 / LIVE_S * 500e-9
    assert cells(flux, "h_eflux")[0, 3, 26, 5] == pytest.approx(31 / LIVE_S / live / 0.988 / G_NARROW, rel=1e-5)
    assert flagged(flux, "dead_time_incomplete") == [True]
    assert flagged(flux, "leakage_unknown") == [False]
    assert flagged(l2_flux(l1_counts(**frames)), "dead_time_incomplete") == [False]


def test_without_h_nobody_knows_what_leaked_from_it() -> None:
    flux = l2_flux(l1_counts(**three() | {"h": nothing("h")}))
    assert all(flux[f"{s}_eflux"].is_null().all() for s in SPECIES)
    assert flagged(flux, "leakage_unknown") == [True]
    assert flagged(l2_flux(l1_counts(**three())), "leakage_unknown") == [False]


def test_a_wide_anode_has_twice_the_geometric_factor() -> None:
    narrow, wide = (cells(flux_in_a_cell(31, anode=a), "h_eflux")[0, a, 26, 5] for a in (9, 10))
    assert narrow / wide == pytest.approx(2)


def test_the_attenuator_takes_nine_tenths() -> None:
    out, inside = flux_in_a_cell(31), flux_in_a_cell(31, attenuator=2)
    ratio = cells(inside, "h_eflux")[0, 3, 26, 5] / cells(out, "h_eflux")[0, 3, 26, 5]
    assert ratio == pytest.approx(10)
    assert (flagged(out, "attenuator_in"), flagged(inside, "attenuator_in")) == ([False], [True])


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"attenuator": 0}, "attenuator_unknown"),
        ({"attenuator": 3}, "attenuator_unknown"),
        ({"test_pulser": 1}, "not_in_flight_state"),
        ({"high_voltage_on": 0}, "not_in_flight_state"),
    ],
)
def test_no_flux_where_the_instrument_did_not_measure_as_calibrated(settings: dict[str, int], flag: str) -> None:
    flux = flux_in_a_cell(31, **settings)
    assert all(flux[f"{s}_eflux"].is_null().all() for s in SPECIES)
    assert all(flux[f"{s}_eflux_uncertainty"].is_null().all() for s in SPECIES)
    assert flagged(flux, flag) == [True]


def test_dead_time_is_flagged_and_then_refused() -> None:
    # Code c stands for the middle of its counts: 2112 of 3.072 ms are dead for 0.34, 5120 for 0.84 of the time.
    flux = {c: l2_flux(l1_counts(**three(0) | {"h": l0("h", packets("h", one_code(c)))})) for c in (0x80, 0x94)}
    assert flagged(flux[0x80], "dead_time_high") == [True]
    assert flagged(flux[0x80], "dead_time_rejected") == [False]
    counts = 2048 + 63.5
    expected = counts / LIVE_S / (1 - counts / LIVE_S * 500e-9) / 0.988 / G_NARROW
    assert cells(flux[0x80], "h_eflux")[0, 3, 26, 5] == pytest.approx(expected, rel=1e-5)
    assert flagged(flux[0x94], "dead_time_rejected") == [True]
    assert np.isnan(cells(flux[0x94], "h_eflux")).sum() == 1
    assert l2_moments(flux[0x94])["h_density_cm3"].is_null().all()


def test_leakage_that_cannot_be_inverted_and_timing_of_two_rows_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"leakage_20000101\.csv: its parts cannot be inverted"):
        l2_flux(l1_counts(**three()), leakage=changed("leakage", part=pl.lit(0.0)))
    timing = calibration("timing")
    double = changed("timing")
    double.frame.vstack(timing.frame, in_place=True)
    with pytest.raises(CalibrationError, match="has 2 rows"):
        l2_flux(l1_counts(**three()), timing=double)


# ---- the fit -------------------------------------------------------------------------------------------------------
EDGES = np.geomspace(2 / 1.16018, 20000 * 1.16018, 33)


@pytest.mark.parametrize(("bulk", "temperature"), [(300, 5), (437, 12), (555, 6), (700, 30), (250, 120)])
def test_a_spectrum_without_noise_gives_its_maxwellian_back(bulk: float, temperature: float) -> None:
    bins = energy_bins(EDGES[:-1], EDGES[1:], PROTON_MASS, 1)
    thermal = np.sqrt(temperature / PROTON_MASS)
    flux, _ = spectrum(bins, np.array([8.0]), np.array([bulk * 1e5]), np.array([thermal]))
    found = fit_beam(bins, flux, np.zeros_like(flux), flux.sum(axis=1) / 3000, 0.04)
    assert found.converged.all()
    assert found.density_cm3[0] == pytest.approx(8, rel=0.01)
    assert found.bulk[0] == pytest.approx(bulk * 1e5, rel=0.005)
    assert found.thermal[0] == pytest.approx(thermal, rel=0.02)


def test_the_slopes_of_the_spectrum_are_its_derivatives() -> None:
    bins = energy_bins(EDGES[:-1], EDGES[1:], PROTON_MASS, 1)
    at = np.log(np.array([[5.0, 400e5, 40e5]]))
    _, slopes = spectrum(bins, *np.exp(at).T)
    for i in range(3):
        step = np.eye(3)[i] * 1e-5
        above, below = (spectrum(bins, *np.exp(at + sign * step).T)[0] for sign in (1, -1))
        np.testing.assert_allclose(slopes[..., i], (above - below) / 2e-5, rtol=1e-5, atol=1e-3 * slopes.max() * 1e-3)


# ---- round trips ---------------------------------------------------------------------------------------------------
BEAMS = [
    (1, 450, 12, 56.25, 0),
    (5, 300, 5, 50.6, 5.6),
    (5, 400, 5, 56.25, 3),
    (5, 400, 10, 47.0, -9),
    (8, 520, 7, 61.5, 12),
    (10, 700, 30, 56.25, 0),
    (20, 600, 20, 40.0, -4),
    (30, 300, 5, 56.25, 3),
    (30, 700, 30, 66.0, 7),
    (30, 450, 8, 53.0, 9),
]


@pytest.mark.parametrize(("n", "speed", "temperature", "azimuth", "elevation"), BEAMS)
def test_beams_come_back_from_packets(
    n: float, speed: float, temperature: float, azimuth: float, elevation: float
) -> None:
    flow = velocity(speed, azimuth, elevation)
    rows = moments_of(*beam(n, flow, temperature, rows=48, seed=20))
    assert rows["h_density_cm3"].null_count() == 0
    assert rows["h_density_cm3"].mean() == pytest.approx(n, rel=0.05)
    assert rows["h_speed_km_s"].mean() == pytest.approx(speed, rel=0.02)
    assert rows["h_temperature_ev"].mean() == pytest.approx(temperature, rel=0.15)
    found = np.array(rows["h_velocity_km_s"].to_list()).mean(axis=0)
    assert np.linalg.norm(found - flow) < 0.02 * speed
    assert rows["h_coverage"].min() > 0.99  # type: ignore[operator]


def test_single_accumulations_of_dense_wind_are_within_the_tolerances() -> None:
    flow = velocity(400, 55, 2)
    rows = moments_of(*beam(30, flow, 15, rows=40, seed=21))
    relative = {
        "h_density_cm3": (30, 0.05),
        "h_speed_km_s": (400, 0.02),
        "h_temperature_ev": (15, 0.15),
    }
    for column, (truth, tolerance) in relative.items():
        off = (rows[column] / truth - 1).abs()
        assert (off < tolerance).mean() >= 0.95, column  # type: ignore[operator]


def test_uncertainties_are_those_of_the_scatter() -> None:
    rows = moments_of(*beam(10, velocity(420, 56.25, 1), 12, rows=150, seed=22))
    for column, sigma in (
        ("h_density_cm3", "h_density_uncertainty_cm3"),
        ("h_speed_km_s", "h_speed_uncertainty_km_s"),
        ("h_temperature_ev", "h_temperature_uncertainty_ev"),
    ):
        assert rows[column].std() / rows[sigma].mean() == pytest.approx(1, abs=0.25), column  # type: ignore[operator]


def test_alphas_are_told_from_leaked_protons() -> None:
    flow = velocity(400, 56.25, 3)
    counts, position = beam(20, flow, 10, rows=48, seed=23)
    rows = moments_of(counts, position)
    assert rows["alpha_ratio"].mean() == pytest.approx(0.04, rel=0.05)
    assert rows["he_speed_km_s"].mean() == pytest.approx(400, rel=0.02)
    assert rows["he_temperature_ev"].mean() == pytest.approx(40, rel=0.15)
    none, position = beam(20, flow, 10, rows=48, seed=24, alphas=1e-6)
    rows = moments_of(none, position)
    assert none["he"].sum() > 100  # leaked protons were counted as He++
    assert rows["he_density_cm3"].fill_null(0).mean() < 0.004 * 20  # type: ignore[operator]


def test_the_bus_frame_is_the_instrument_turned_by_the_mounting() -> None:
    rows = moments_of(*beam(30, velocity(400, 56.25, 0), 10, rows=16, seed=25))
    found = np.array(rows["h_velocity_bus_km_s"].to_list()).mean(axis=0)
    np.testing.assert_allclose(found, [-400, 0, 0], atol=6)


def test_a_beam_at_the_edge_is_flagged_and_extrapolated() -> None:
    rows = moments_of(*beam(30, velocity(400, 56.25, 41), 20, rows=24, seed=26))
    assert 0.6 < rows["h_coverage"].mean() < 0.95  # type: ignore[operator]
    assert np.mean(flagged(rows, "h_partly_outside")) > 0.8
    assert rows["h_density_cm3"].mean() == pytest.approx(30, rel=0.15)


def test_too_few_counts_make_no_moments() -> None:
    rows = moments_of(*beam(0.1, velocity(300, 56.25, 0), 10, rows=4, seed=27))
    assert rows["h_density_cm3"].is_null().all()
    assert rows["h_velocity_km_s"].is_null().all()
    assert flagged(rows, "h_not_fitted") == [True] * 4


def test_results_do_not_depend_on_the_stretches_or_the_order_of_the_packets() -> None:
    counts, position = beam(5, velocity(400, 56.25, 3), 10, rows=30, seed=28)
    frames = {s: l0(s, packets(s, codes_of(c), attenuator=position)) for s, c in counts.items()}
    whole = l1_counts(**frames)
    shuffled = {s: f.collect().sample(fraction=1, shuffle=True, seed=3).lazy() for s, f in frames.items()}
    assert l1_counts(**shuffled, stretch_s=4).equals(whole)
    flux = l2_flux(whole)
    assert l2_flux(whole.reverse(), stretch_s=1).equals(flux)
    assert l2_moments(flux.reverse(), stretch_s=3).equals(l2_moments(flux))
    assert whole["epoch_tt2000"].is_sorted()


def test_every_table_has_the_columns_and_types_of_its_definition() -> None:
    rows = l1_counts(**three())
    flux = l2_flux(rows)
    for name, frame in (("l1_counts", rows), ("l2_flux", flux), ("l2_moments", l2_moments(flux))):
        conform(TABLES[name], DAY, frame)
        assert frame.height == 1
    assert set(APIDS.values()) == {row["full_apid"] for row in calibration("species").frame.iter_rows(named=True)}
