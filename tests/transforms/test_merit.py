# SPDX-License-Identifier: Apache-2.0
"""MERiT's transforms against values computed by hand, and power laws recovered from what they make a head count."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad

from lake.definitions import Calibration
from lake.errors import CalibrationError
from tests.hermes_merit import (
    BINS,
    ELECTRON_BINS,
    FLAGS,
    HEADS,
    PROTON_BINS,
    SECOND,
    calibration,
    cells,
    changed,
    edges,
    frame,
    l0_counts,
    l1_counts,
    l1_pha,
    l2_flux,
    only,
    ql_rates,
    seconds,
    table,
)
from transforms.hermes import merit
from transforms.hermes.merit_flux import bin_mean, local_index, means_of_stretches, to_bin_energies

GEOMETRIC_FACTOR, TAU, BACKGROUND, SYSTEMATIC = 0.5, 2e-6, 0.02, 0.1
SIGNIFICANT = 3.0
MANY = [65_534, 65_534]  # units of triggers: more than any counts


def counts_of(**bins: int) -> list[int]:
    """No counts but in the bins named `head_bin`, as `h0_b3=5`."""
    values = np.zeros((HEADS, BINS), int)
    for name, value in bins.items():
        head, bin_ = name[1:].split("_b")
        values[int(head), int(bin_)] = value
    flat: list[int] = values.ravel().tolist()
    return flat


# ---- L1 counts -----------------------------------------------------------------------------------------------------
def test_counters_become_seconds_triggers_and_degrees() -> None:
    row = l1_counts(l0_counts({"live_time": [50_000, 1234], "triggers": [3, 65_534], "temperature": [2560, -640]})).row(
        0, named=True
    )
    assert row["live_time_s"] == pytest.approx([1.0, 0.02468])
    assert row["triggers"] == [48, 1_048_544]
    assert row["head_temperature_degc"] == [20, -5]
    assert row["counts"] == [1] * HEADS * BINS
    assert row["quality_flag"] == 0


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"saturation": 1}, ["head_0_saturated"]),
        ({"saturation": 2}, ["head_1_saturated"]),
        ({"saturation": 3}, ["head_0_saturated", "head_1_saturated"]),
        ({"counts": counts_of(h0_b30=65_535), "triggers": MANY}, ["head_0_saturated"]),
        ({"counts": counts_of(h1_b0=65_535), "triggers": MANY}, ["head_1_saturated"]),
        ({"counts": counts_of(h1_b0=65_534), "triggers": MANY}, []),
        ({"triggers": [100, 65_535]}, ["head_1_saturated"]),
        # 31 counts: one unit of 16 triggers stands for 31 at most.
        ({"triggers": [1, 100]}, []),
        ({"triggers": [0, 100]}, ["triggers_too_few"]),
        ({"triggers": [100, 0]}, ["triggers_too_few"]),
        ({"counts": counts_of(h0_b3=20, h0_b30=12), "triggers": [1, 0]}, ["triggers_too_few"]),
        ({"counts": counts_of(h0_b0=15, h1_b0=15), "triggers": [0, 0]}, []),
        ({"counts": counts_of(h1_b30=16), "triggers": [0, 0]}, ["triggers_too_few"]),
        ({"mode": 1}, ["burst_mode"]),
        ({"mode": 7}, ["mode_unknown"]),
        ({"lut_version": 2}, ["lut_unknown"]),
        ({"lut_version": 0}, ["lut_unknown"]),
        ({"live_time": [0, 50_000]}, ["live_time_low"]),
        ({"live_time": [50_000, 499]}, ["live_time_low"]),
        ({"live_time": [50_000, 500]}, []),
        ({"live_time": [50_001, 50_000]}, ["live_time_impossible"]),
    ],
)
def test_a_second_that_cannot_be_used_is_flagged(fields: dict[str, Any], flags: list[str]) -> None:
    assert l1_counts(l0_counts(fields))["quality_flag"].to_list() == [sum(FLAGS[name] for name in flags)]


def test_one_row_of_each_packet_in_order_of_time() -> None:
    first = {"epoch_tt2000": 5, "checksum": 9, "seconds": 5, "sequence_count": 1}
    again = {**first, "file_sha256": "b", "quality_flag": FLAGS["retransmitted"]}
    earlier = {"epoch_tt2000": 3, "checksum": 8}
    impossible = {"epoch_tt2000": 1, "checksum": 7, "quality_flag": FLAGS["clock_invalid"]}
    rows = l1_counts(l0_counts(again, first, earlier, impossible))
    assert rows["epoch_tt2000"].to_list() == [3, 5]
    assert rows["quality_flag"].to_list() == [0, 0]


def test_two_packets_of_one_time_leave_one_row_that_says_so() -> None:
    rows = l1_counts(l0_counts({"epoch_tt2000": 5, "checksum": 1}, {"epoch_tt2000": 5, "checksum": 2}))
    assert rows["quality_flag"].to_list() == [FLAGS["time_conflict"]]
    assert rows["sequence_count"].to_list() == [0]


# ---- L1 pulse heights ----------------------------------------------------------------------------------------------
def test_events_are_in_order_of_time_and_those_of_a_repeated_packet_once() -> None:
    packet = [
        {"epoch_tt2000": t, "event_number": i, "pha_apd": t, "byte_offset": 0, "sequence_count": 4, "seconds": 1}
        for i, t in enumerate((30, 10, 10))
    ]
    again = [{**event, "file_sha256": "b", "quality_flag": FLAGS["retransmitted"]} for event in packet]
    earlier = {"epoch_tt2000": 5, "byte_offset": 99, "sequence_count": 3, "seconds": 0, "pha_apd": 5}
    events = l1_pha(frame("l0_pha", [*again, *packet, earlier], species=1))
    assert events["pha_apd"].to_list() == [5, 10, 10, 30]
    assert events["event_number"].to_list() == [0, 1, 2, 0]
    assert events["quality_flag"].to_list() == [0] * 4


def test_the_saturation_bits_of_the_heads_are_the_calibration_s() -> None:
    """A calibration that gives the sunward head bit 5 and the other bit 4."""
    bits = {"head_0_saturation_bit": 5, "head_1_saturation_bit": 4}
    value = pl.col("name").replace_strict(bits, default=pl.col("value"), return_dtype=pl.Float64)
    sent = l0_counts({"saturation": 32}, {"saturation": 16}, {"saturation": 3})
    rows = l1_counts(sent, counter=changed("counter", value=value))
    assert rows["quality_flag"].to_list() == [FLAGS["head_0_saturated"], FLAGS["head_1_saturated"], 0]


def test_which_species_is_unknown_is_the_calibration_s() -> None:
    counter = changed("counter", value=pl.when(pl.col("name") == "species_unknown").then(3).otherwise(pl.col("value")))
    sent = frame("l0_pha", [{"species": 0, "byte_offset": 1}, {"species": 3, "byte_offset": 2}])
    events = l1_pha(sent, counter=counter)
    assert events["quality_flag"].to_list() == [0, FLAGS["species_unknown"]]


def test_an_event_without_species_is_flagged() -> None:
    events = l1_pha(frame("l0_pha", [{"species": 0, "byte_offset": 1}, {"species": 2, "byte_offset": 2}]))
    assert events["quality_flag"].to_list() == [FLAGS["species_unknown"], 0]


# ---- QL ------------------------------------------------------------------------------------------------------------
def test_a_rate_is_corrected_for_live_and_dead_time() -> None:
    row = {"counts": counts_of(h0_b3=900, h1_b20=400), "live_time_s": [0.9, 0.5], "triggers": [90_000, 400]}
    rates = ql_rates(seconds(row))
    dead = 90_000 / 0.9 * TAU
    assert cells(rates, "rate")[0, 0, 3] == pytest.approx(1000 / (1 - dead), rel=1e-6)
    assert cells(rates, "rate_uncertainty")[0, 0, 3] == pytest.approx(30 / 0.9 / (1 - dead), rel=1e-6)
    assert cells(rates, "rate")[0, 1, 20] == pytest.approx(800 / (1 - 800 * TAU), rel=1e-6)
    assert cells(rates, "dead_time_ratio")[0, :, 0] == pytest.approx([dead, 800 * TAU], rel=1e-6)
    assert rates["quality_flag"].to_list() == [0]


def test_no_count_is_a_rate_of_zero_with_the_uncertainty_of_one() -> None:
    rates = ql_rates(seconds({"counts": counts_of(), "live_time_s": [0.5, 1.0], "triggers": [0, 0]}))
    assert (cells(rates, "rate") == 0).all()
    assert cells(rates, "rate_uncertainty")[0, :, 0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"quality_flag": FLAGS["head_0_saturated"]}, [True, False]),
        ({"quality_flag": FLAGS["head_1_saturated"]}, [False, True]),
        ({"live_time_s": [0.0, 0.9]}, [True, False]),
        ({"live_time_s": [0.9, 0.0099]}, [False, True]),
        ({"live_time_s": [0.9, 1.00002]}, [False, True]),
        ({"live_time_s": [1.0, 1.0]}, [False, False]),
        ({"triggers": [0, 1600], "quality_flag": FLAGS["triggers_too_few"]}, [True, False]),
        ({"triggers": [1600, 0], "quality_flag": FLAGS["triggers_too_few"]}, [False, True]),
        ({"triggers": [16, 16]}, [False, False]),
    ],
)
def test_a_head_that_cannot_be_used_has_no_rate_and_no_flux_and_the_other_has(
    fields: dict[str, Any], without: list[bool]
) -> None:
    rates, flux = ql_rates(seconds(fields)), l2_flux(seconds(fields))
    columns = [(rates, "rate"), (rates, "rate_uncertainty"), (rates, "dead_time_ratio")]
    columns += [(flux, f"{s}_flux{u}") for s in ("proton", "electron") for u in ("", "_uncertainty")]
    for rows, column in columns:
        assert np.isnan(cells(rows, column)[0]).all(axis=1).tolist() == without, column
        assert np.isnan(cells(rows, column)[0]).any(axis=1).tolist() == without, column


@pytest.mark.parametrize(("dead", "flagged", "rate"), [(0.29, False, True), (0.31, True, True), (0.95, True, False)])
def test_a_high_dead_time_is_flagged_and_a_hopeless_one_has_no_rate(dead: float, flagged: bool, rate: bool) -> None:
    row = seconds({"triggers": [round(dead * 0.9 / TAU), 1600]})
    for rows, column in ((ql_rates(row), "rate"), (l2_flux(row), "proton_flux")):
        assert rows["quality_flag"].to_list() == [FLAGS["dead_time_high"] if flagged else 0]
        assert np.isfinite(cells(rows, column)[0, 0]).all() == rate
        assert np.isfinite(cells(rows, column)[0, 1]).all()


# ---- L2 ------------------------------------------------------------------------------------------------------------
def no_leakage() -> Calibration:
    same = pl.col("measured_bin") == pl.col("true_bin")
    return changed("leakage", fraction=pl.when(same).then(1.0).otherwise(0.0))


def no_dead_time() -> Calibration:
    return changed("head", dead_time_s=0.0)


def test_flux_of_a_lone_bin_by_hand() -> None:
    """Neighbours without counts tell no index, so the mean over the bin stands at its geometric centre."""
    row = {"counts": counts_of(h0_b5=10_000), "live_time_s": [1.0, 1.0], "triggers": [10_000, 0]}
    flux = l2_flux(seconds(row), leakage=no_leakage(), head=no_dead_time())
    _, low, high = edges("proton")
    efficiency = calibration("response").frame.filter((pl.col("head") == 0) & (pl.col("bin") == 5))["efficiency"][0]
    sensitivity = GEOMETRIC_FACTOR * efficiency * (high[5] - low[5])
    expected = (10_000 - BACKGROUND) / sensitivity
    assert cells(flux, "proton_flux")[0, 0, 5] == pytest.approx(expected, rel=1e-6)
    sigma = np.hypot(100 / sensitivity, SYSTEMATIC * expected)
    assert cells(flux, "proton_flux_uncertainty")[0, 0, 5] == pytest.approx(sigma, rel=1e-6)


def test_where_the_background_prevails_the_flux_is_below_zero() -> None:
    flux = l2_flux(seconds({"counts": counts_of(), "live_time_s": [1.0, 1.0]}), leakage=no_leakage())
    assert (cells(flux, "proton_flux") < 0).all()
    assert (cells(flux, "electron_flux") < 0).all()
    assert (cells(flux, "proton_flux_uncertainty") > -cells(flux, "proton_flux")).all()


def test_a_table_of_bins_that_the_calibration_does_not_cover_has_no_flux() -> None:
    flux = l2_flux(seconds({"quality_flag": FLAGS["lut_unknown"]}, {}))
    assert flux["quality_flag"].to_list() == [FLAGS["lut_unknown"], 0]
    for column in ("proton_flux", "proton_flux_uncertainty", "electron_flux", "electron_flux_uncertainty"):
        assert np.isnan(cells(flux, column)[0]).all()
        assert np.isfinite(cells(flux, column)[1]).all()
        assert flux[column][0].null_count() == len(flux[column][0])


def test_electrons_that_leak_into_proton_bins_are_taken_out() -> None:
    counts = np.zeros((HEADS, BINS))
    counts[0, 20:] = 1e4
    matrix = np.zeros((BINS, BINS))
    for measured, true, fraction in calibration("leakage").frame.select("measured_bin", "true_bin", "fraction").rows():
        matrix[measured, true] = fraction
    seen = np.rint(counts @ matrix.T).astype(int)
    assert seen[0, 5] == 200
    row = {"counts": seen.ravel().tolist(), "live_time_s": [1.0, 1.0], "triggers": [200_000, 0]}
    flux = l2_flux(seconds(row), head=no_dead_time())
    protons, sigma = (cells(flux, f"proton_flux{u}")[0, 0, :ELECTRON_BINS] for u in ("", "_uncertainty"))
    assert (np.abs(protons) < 0.2 * sigma).all()


def test_the_mean_of_a_stretch_leaves_out_what_is_not_there() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan, 5.0])[:, np.newaxis]
    mean, sigma = means_of_stretches(values, np.array([3.0, 9.0, 4.0, 9.0, 1.0])[:, np.newaxis], np.array([0, 3, 4]))
    assert mean[:, 0].tolist() == pytest.approx([2, np.nan, 5], nan_ok=True)
    assert sigma[:, 0].tolist() == pytest.approx([2.5, np.nan, 1], nan_ok=True)


def test_a_spectral_index_belongs_to_one_stretch() -> None:
    """Two minutes of a soft spectrum change nothing in the stretch before it."""
    hard = {"counts": [1000 - 30 * (i % BINS) for i in range(HEADS * BINS)]}
    soft = {"counts": [int(1e4 * 0.5 ** (i % BINS)) for i in range(HEADS * BINS)]}
    alone = l2_flux(seconds(*[{**hard, "epoch_tt2000": i * SECOND} for i in range(3)]))
    later = [{**soft, "epoch_tt2000": (300 + i) * SECOND} for i in range(3)]
    both = l2_flux(seconds(*[{**hard, "epoch_tt2000": i * SECOND} for i in range(3)], *later))
    assert both[:3].equals(alone)


def test_no_rows_give_none() -> None:
    some = {name: calibration(name) for name in table("l2_flux").calibrations}
    assert not list(merit.l2_flux(table("l2_flux"), counts=seconds(), **some))
    assert not list(merit.ql_rates(table("ql_rates"), counts=seconds(), counter=some["counter"], head=some["head"]))


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"counts": np.random.default_rng(i).poisson(200, HEADS * BINS).tolist(), "epoch_tt2000": i * 100 * SECOND}
        for i in range(14)
    ]
    whole = [made(seconds(*rows)) for made in (ql_rates, l2_flux)]
    monkeypatch.setattr(merit, "BLOCK_S", 300)
    for made, expected in zip((ql_rates, l2_flux), whole, strict=True):
        assert made(seconds(*rows)).equals(expected)


def test_rows_come_in_order_of_time_whatever_the_order_of_the_input() -> None:
    rows = [{"epoch_tt2000": t, "counts": counts_of(h0_b0=t)} for t in (30, 10, 20)]
    for made in (ql_rates, l2_flux):
        assert made(seconds(*rows))["epoch_tt2000"].to_list() == [10, 20, 30]


# ---- power laws ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("species", ["proton", "electron"])
@pytest.mark.parametrize("index", [0.5, 1.0, 1.5, 2.5, 3.0, 4.0, 5.5])
def test_the_flux_at_the_bin_energy_comes_from_the_mean_over_the_bin(species: str, index: float) -> None:
    energy, low, high = edges(species)
    mean = np.array([quad(lambda e: 7 * e**-index, a, b)[0] / (b - a) for a, b in zip(low, high, strict=True)])
    np.testing.assert_allclose(
        mean * to_bin_energies(mean, 1e-3 * mean, energy, (low, high), SIGNIFICANT), 7 * energy**-index, rtol=2e-5
    )


def test_taking_the_mean_for_the_centre_would_be_wrong() -> None:
    """The correction matters: 4 % for protons and 6 % for electrons of index 5, more at arithmetic centres."""
    for species, error in (("proton", 1.043), ("electron", 1.061)):
        energy, low, high = edges(species)
        assert bin_mean(np.full(len(energy), 5.0), energy, (low, high)) == pytest.approx(error, abs=2e-3)


def test_a_break_in_the_spectrum_is_followed() -> None:
    energy, low, high = edges("proton")

    def flux_of(e: float) -> float:
        return float(e**-1.5 if e < 20 else 20**2.5 * e**-4)

    mean = np.array([quad(flux_of, a, b, points=[20])[0] / (b - a) for a, b in zip(low, high, strict=True)])
    flux = mean * to_bin_energies(mean, 1e-3 * mean, energy, (low, high), SIGNIFICANT)
    truth = np.array([flux_of(e) for e in energy])
    np.testing.assert_allclose(flux, truth, rtol=0.06)
    whole = (high < 20) | (low > 20)
    np.testing.assert_allclose(flux[whole], truth[whole], rtol=0.01)


def test_what_is_significant_is_the_calibration_s() -> None:
    """Nothing tells an index if 1000 sigma are asked for, so a steep law keeps its mean over each bin."""
    counts = [int(1e4 * 0.6 ** (i % BINS)) for i in range(HEADS * BINS)]
    row = seconds({"counts": counts, "triggers": [65_536, 65_536]})
    high = pl.when(pl.col("name") == "significant_sigma").then(1000).otherwise(pl.col("value"))
    usual, none = l2_flux(row), l2_flux(row, counter=changed("counter", value=high))
    ratio = (cells(none, "proton_flux") / cells(usual, "proton_flux"))[0, 0]
    assert ratio[5] > 1.005, "the mean is above the value at the centre"


def test_noise_tells_no_index() -> None:
    energy, low, high = edges("electron")
    noise = np.array([3.0, -1.0, 0.5, 2.0, 0.0, 1.0, -2.0, 0.3, 0.2, 1.0, 4.0])
    sigma = np.full_like(noise, 2.0)
    np.testing.assert_allclose(to_bin_energies(noise, sigma, energy, (low, high), SIGNIFICANT), 1, rtol=1e-6)
    assert (local_index(np.full((1, 1, ELECTRON_BINS), np.nan), energy) == 2).all()


def expected_counts(index: dict[str, float], strength: dict[str, float], live_s: float) -> np.ndarray:
    """Counts of a head in each bin by numerical integration, with efficiency, background and leakage."""
    response = calibration("response").frame.filter(pl.col("head") == 0).sort("bin")
    rate = response["background_per_s"].to_numpy().copy()
    first = {"proton": 0, "electron": PROTON_BINS}
    for species, gamma in index.items():
        _, low, high = edges(species)
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            bin_ = first[species] + i
            flux = quad(lambda e, s=species, g=gamma: strength[s] * e**-g, a, b)[0]
            rate[bin_] += GEOMETRIC_FACTOR * response["efficiency"][bin_] * flux
    matrix = np.zeros((BINS, BINS))
    for measured, true, fraction in calibration("leakage").frame.select("measured_bin", "true_bin", "fraction").rows():
        matrix[measured, true] = fraction
    return np.asarray(matrix @ rate * live_s)


@pytest.mark.parametrize(
    ("proton", "electron"), [(1.5, 2.0), (2.5, 3.0), (3.5, 4.0), (4.5, 5.0)], ids=lambda index: f"{index}"
)
def test_power_laws_come_back_from_counts_within_ten_percent_and_the_counting_error(
    proton: float, electron: float
) -> None:
    strength = {"proton": 3000.0, "electron": 1000.0}
    counts = expected_counts({"proton": proton, "electron": electron}, strength, 0.95)
    random = np.random.default_rng(7)
    size = 300
    rows = [
        {"counts": random.poisson(np.tile(counts, HEADS)).tolist(), "live_time_s": [0.95, 0.95], "triggers": MANY}
        for _ in range(size)
    ]
    flux = l2_flux(seconds(*rows), head=no_dead_time())
    for species, gamma in (("proton", proton), ("electron", electron)):
        energy, low, high = edges(species)
        truth = strength[species] * energy**-gamma
        ratio = cells(flux, f"{species}_flux").mean(axis=(0, 1)) / truth
        bins = slice(0, PROTON_BINS) if species == "proton" else slice(PROTON_BINS, BINS)
        own = strength[species] * (high - low) * energy**-gamma * GEOMETRIC_FACTOR * 0.6 * 0.95 * HEADS * size
        counting = np.sqrt(counts[bins] * HEADS * size) / own
        assert (np.abs(ratio - 1) < 0.1 + 3 * counting).all(), species
        assert (np.abs(ratio - 1)[:6] < 0.02 + 3 * counting[:6]).all(), species


# ---- calibrations --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "calibration_", "reason"),
    [
        ("counter", only("counter", pl.col("name") != "trigger_unit"), "no row trigger_unit"),
        ("head", only("head", pl.col("head") == 0), "one row for each head 0 to 1"),
        ("head", changed("head", geometric_factor_cm2_sr=0.0), "geometric factor is not above 0"),
        ("head", changed("head", dead_time_s=None), "a cell is empty"),
        ("response", only("response", pl.col("bin") != 30), "2 heads and 31 bins"),
        ("response", changed("response", efficiency=0.0), "efficiency above 0"),
        ("counter", only("counter", pl.col("name") != "head_1_saturation_bit"), "no row head_1_saturation_bit"),
        ("counter", only("counter", pl.col("name") != "significant_sigma"), "no row significant_sigma"),
        ("response", changed("response", species=pl.lit("proton")), "the protons have the bins 0, 1, 2"),
        ("proton_energy", changed("proton_energy", bin=pl.col("bin").reverse()), "Give both files the same bins"),
        ("electron_energy", changed("electron_energy", bin=pl.col("bin") - 20), "have the bins 20, 21"),
        ("electron_energy", only("electron_energy", pl.col("bin") < 30), "Give both files the same bins"),
        ("leakage", only("leakage", pl.col("measured_bin") != 3), "bin 3 gives others more than it keeps"),
        ("leakage", changed("leakage", true_bin=pl.col("true_bin") + 1), "not in 0 to 30"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(name: str, calibration_: Calibration, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason) as error:
        l2_flux(seconds({}), **{name: calibration_})
    assert f"{name}_20000101.csv" in str(error.value)
