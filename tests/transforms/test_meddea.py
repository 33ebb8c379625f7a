# SPDX-License-Identifier: Apache-2.0
"""MeDDEA's transforms against values computed by hand; every frame is the L0 of one short day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.errors import CalibrationError
from tests.transforms.meddea_frames import (
    BIN_SATURATED,
    CLOCK_INVALID,
    DEFAULT_IDS,
    ENERGY_UNCALIBRATED,
    GARBAGE,
    GROUND_DETECTOR,
    GUARD_RING,
    LIVE_TIME_ZERO,
    OUT_OF_RANGE,
    PHOTONS_DROPPED,
    PIXEL_UNKNOWN,
    RETRANSMITTED,
    SLOT_NOT_DEFAULT,
    TABLES,
    calibration,
    changed,
    frame,
    histogram,
    l1_housekeeping,
    l1_photon,
    l1_spectrum,
    ql_lightcurve,
    spectra,
)
from transforms.padre import meddea
from transforms.rows import one_of_each


# ---- photons -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asic", "channel", "pixel", "flag"),
    [
        (0, 26, 0, 0),
        (1, 15, 1, 0),
        (2, 8, 2, 0),
        (3, 1, 3, 0),
        (0, 29, 4, 0),
        (0, 18, 5, 0),
        (0, 5, 6, 0),
        (0, 0, 7, 0),
        (0, 30, 8, 0),
        (0, 21, 9, 0),
        (0, 11, 10, 0),
        (0, 3, 11, 0),
        (0, 31, 12, GUARD_RING),
        (7, 26, 0, GROUND_DETECTOR),
        (7, 31, 12, GROUND_DETECTOR | GUARD_RING),
        (0, 2, None, PIXEL_UNKNOWN),
        (4, 26, None, PIXEL_UNKNOWN),
        (5, 31, None, PIXEL_UNKNOWN),
        (7, 2, None, PIXEL_UNKNOWN | GROUND_DETECTOR),
    ],
)
def test_channels_are_connected_to_pixels(asic: int, channel: int, pixel: int | None, flag: int) -> None:
    row = l1_photon(frame("l0_photon", [{"asic": asic, "channel": channel}])).row(0, named=True)
    assert row["pixel"] == pixel
    assert row["quality_flag"] == flag | ENERGY_UNCALIBRATED
    assert row["energy_kev"] is None


def test_flags_word_holds_decimation_level_and_dropped_photons() -> None:
    words = [0x8000, 0x903E, 0x7000, 0x0FFF, 0x0800, 0x1000]
    rows = [{"epoch_tt2000": i, "flags": w, "channel": 26, "sequence_count": i} for i, w in enumerate(words)]
    got = l1_photon(frame("l0_photon", rows))
    assert got["decimation_level"].to_list() == [0, 1, 7, 0, 0, 1]
    dropped = (got["quality_flag"] & PHOTONS_DROPPED) > 0
    assert dropped.to_list() == [False, True, False, True, True, False]


@pytest.mark.parametrize(
    ("day", "level", "atod", "weight"),
    [
        (date(2024, 9, 16), 0, 100, 1),
        (date(2024, 9, 16), 1, 4095, 4 / 3),
        (date(2024, 9, 16), 7, 0, 6),
        (date(2025, 3, 13), 1, 312, 8 / 7),
        (date(2025, 3, 13), 1, 313, 4 / 3),
        (date(2025, 3, 13), 7, 1094, 128),
        (date(2025, 3, 13), 7, 1093, 64),
        (date(2025, 3, 14), 4, 3812, 10 / 9),
        (date(2025, 3, 14), 4, 3813, 48),
        (date(2025, 3, 14), 7, 4095, 256),
        (date(2025, 3, 14), 7, 32767, 256),
    ],
)
def test_weight_is_that_of_the_first_edge_above_the_pulse_height(
    day: date, level: int, atod: int, weight: float
) -> None:
    photon = frame("l0_photon", [{"flags": level << 12, "atod": atod, "channel": 26}])
    got = l1_photon(photon, decimation=calibration("decimation", day))
    assert got["decimation_weight"].to_list() == pytest.approx([weight], rel=1e-7)


@pytest.mark.parametrize("name", ["decimation_20240101", "decimation_20250313", "decimation_20250314"])
def test_no_event_stands_for_less_than_itself(name: str) -> None:
    day = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
    rows = [{"flags": level << 12, "atod": atod} for level in range(8) for atod in range(0, 4096, 13)]
    weights = l1_photon(frame("l0_photon", rows), decimation=calibration("decimation", day))["decimation_weight"]
    assert weights.min() == 1
    assert weights.max() <= 512  # type: ignore[operator]


def test_energy_is_the_polynomial_of_the_pixel() -> None:
    energies = pl.DataFrame(
        {"asic": [0, 3], "pixel": [0, 11], "c0": [-5.0, 1.0], "c1": [0.03, 0.02], "c2": [None, 1e-6]}
    )
    rows = [
        {"epoch_tt2000": i, "asic": a, "channel": c, "atod": 1000}
        for i, (a, c) in enumerate([(0, 26), (3, 3), (3, 26)])
    ]
    got = l1_photon(frame("l0_photon", rows), photon_energy=changed("photon_energy", energies))
    assert got["energy_kev"].to_list() == [pytest.approx(25), pytest.approx(22), None]
    assert got["quality_flag"].to_list() == [0, 0, ENERGY_UNCALIBRATED]


def test_events_are_ordered_by_time_then_sequence_count() -> None:
    rows = [
        {"epoch_tt2000": t, "sequence_count": s, "atod": a} for t, s, a in [(3, 1, 0), (1, 9, 1), (3, 0, 2), (2, 5, 3)]
    ]
    assert l1_photon(frame("l0_photon", rows))["atod"].to_list() == [1, 3, 2, 0]


def test_events_with_an_invalid_clock_are_left_out_and_other_flags_kept() -> None:
    rows = [{"atod": 1, "quality_flag": CLOCK_INVALID}, {"atod": 2, "quality_flag": 4, "byte_offset": 9, "checksum": 1}]
    got = l1_photon(frame("l0_photon", rows, channel=26))
    assert got["atod"].to_list() == [2]
    assert got["quality_flag"].to_list() == [4 | ENERGY_UNCALIBRATED]


def packet(file: str, offset: int, flag: int, **fields: Any) -> list[dict[str, Any]]:
    """A packet with three events, two of them simultaneous and equal."""
    where = {"file_sha256": file, "byte_offset": offset, "quality_flag": flag, "channel": 26}
    return [{**where, "epoch_tt2000": t, "atod": t, **fields} for t in (10, 10, 30)]


@pytest.mark.parametrize("flags", [(0, RETRANSMITTED), (RETRANSMITTED, 0), (0, 0)])
def test_one_of_two_equal_packets_is_kept_and_equal_events_stay(flags: tuple[int, int]) -> None:
    rows = [*packet("b", 0, flags[0], checksum=7), *packet("a", 500, flags[1], checksum=7)]
    got = l1_photon(frame("l0_photon", rows))
    assert got["epoch_tt2000"].to_list() == [10, 10, 30]
    assert got["quality_flag"].to_list() == [ENERGY_UNCALIBRATED] * 3


@pytest.mark.parametrize("differs", ["sequence_count", "time_s", "time_clocks", "checksum"])
def test_packets_that_differ_are_both_kept(differs: str) -> None:
    rows = [*packet("a", 0, 0), *packet("a", 500, RETRANSMITTED, **{differs: 1})]
    assert len(l1_photon(frame("l0_photon", rows))) == 6


def test_a_packet_received_only_as_a_retransmission_is_kept_with_its_flag() -> None:
    got = l1_photon(frame("l0_photon", packet("a", 0, RETRANSMITTED)))
    assert got["quality_flag"].to_list() == [RETRANSMITTED | ENERGY_UNCALIBRATED] * 3


events = st.fixed_dictionaries(
    {
        "epoch_tt2000": st.integers(0, 3),
        "file_sha256": st.sampled_from("ab"),
        "channel": st.sampled_from([26, 31, 2]),
        "atod": st.integers(0, 3),
        "baseline": st.none() | st.integers(0, 1),
    }
)


def as_packets(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drawn events with one packet for each file and atod; equal identities are in both files."""
    return [
        {
            **event,
            "byte_offset": event["atod"],
            "sequence_count": event["atod"] // 2,
            "checksum": event["atod"],
            "quality_flag": RETRANSMITTED * (event["file_sha256"] == "a"),
            "flags": event["atod"] << 12,
            "pixel_id": event["channel"],
        }
        for event in drawn
    ]


@settings(max_examples=40, deadline=None)
@given(drawn=st.lists(events, min_size=1, max_size=12), order=st.randoms(use_true_random=False))
def test_photons_do_not_depend_on_the_order_of_rows(drawn: list[dict[str, Any]], order: Any) -> None:
    rows = as_packets(drawn)
    first = l1_photon(frame("l0_photon", rows))
    order.shuffle(rows)
    assert l1_photon(frame("l0_photon", rows)).equals(first)
    assert (first["decimation_weight"] >= 1).all()


@settings(max_examples=40, deadline=None)
@given(drawn=st.lists(events, min_size=1, max_size=12))
def test_taking_one_of_each_twice_is_taking_it_once(drawn: list[dict[str, Any]]) -> None:
    rows = frame("l0_photon", as_packets(drawn))
    once = one_of_each(rows, TABLES["l1_photon"]).collect()
    twice = one_of_each(once.lazy(), TABLES["l1_photon"]).collect()
    assert twice.equals(once)
    packets = once.unique(["file_sha256", "byte_offset"])
    assert len(packets) == once.select(TABLES["l1_photon"].identity).n_unique()
    assert set(once["checksum"]) == {row["checksum"] for row in as_packets(drawn)}


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("decimation", lambda f: f.filter(pl.col("level") < 7), r"decimation_20240101\.csv: needs levels 0 to 7"),
        (
            "decimation",
            lambda f: f.with_columns(keep=pl.lit(0)),
            r"decimation_20240101\.csv: needs .* keep of 1 or more",
        ),
        ("pixel_map", lambda f: pl.concat([f, f]), r"pixel_map_20240101\.csv: the same channel is there twice"),
        ("pixel_map", lambda f: f.drop("size"), r"pixel_map_20240101\.csv \(size\): there is no such column"),
    ],
)
def test_a_photon_calibration_that_does_not_fit_is_named(
    name: str, change: Callable[[pl.DataFrame], pl.DataFrame], complaint: str
) -> None:
    bad = changed(name, change(calibration(name).frame))
    with pytest.raises(CalibrationError, match=complaint):
        l1_photon(frame("l0_photon", [{}]), **{name: bad})


def test_an_energy_calibration_names_each_pixel_once() -> None:
    twice = changed("photon_energy", pl.DataFrame({"asic": [0, 0], "pixel": [1, 1], "c0": [0.0, 1.0]}))
    with pytest.raises(CalibrationError, match=r"photon_energy_20240101\.csv: the same asic, pixel is there twice"):
        l1_photon(frame("l0_photon", [{}]), photon_energy=twice)


# ---- spectra -------------------------------------------------------------------------------------------------------
def test_times_are_in_seconds() -> None:
    row = l1_spectrum(spectra({"counts": histogram()})).row(0, named=True)
    assert row["integration_time_s"] == 10.0
    assert row["live_time_s"] == pytest.approx(729_476 * 12.8e-6, rel=1e-15)
    assert row["quality_flag"] == 0


def test_counts_go_to_the_energy_of_their_slot_and_bin() -> None:
    # Slot 0, bin 100: centre 0.2531962 * 100 - 4.4827262 = 20.8369, so 20.7103 to 20.9635, inside channel 20.5-21.
    # Slot 23, bin 400: centre 0.2469742 * 400 - 6.5456038 = 92.2441, so 92.1206 to 92.3675, inside channel 92-92.5.
    counts = l1_spectrum(spectra({"counts": histogram((0, 100, 900), (23, 400, 50))}))["counts"].to_numpy()[0]
    channels = np.array(counts).reshape(24, 280)
    assert channels[0, 61] == 900  # -10 + 61 * 0.5 = 20.5
    assert channels[23, 204] == 50
    assert channels.sum() == 950


def test_a_bin_that_straddles_two_channels_is_shared() -> None:
    # Slot 0, bin 101: 0.2531962 * (100.5, 101.5) - 4.4827262 = 20.9634936 to 21.2166898; 14.4182 % below 21.
    counts = l1_spectrum(spectra({"counts": histogram((0, 101, 10000))}))["counts"].to_numpy()[0]
    slope, intercept = 0.2531962180681988, -4.48272624819979
    below = (21 - (slope * 100.5 + intercept)) / slope
    np.testing.assert_allclose(np.array(counts)[61:63], [10000 * below, 10000 * (1 - below)], rtol=1e-6)
    assert below == pytest.approx(0.144182, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"counts": histogram((3, 7, 0xCA00 - 1))}, 0),
        ({"counts": histogram((3, 7, 0xCA00))}, GARBAGE),
        ({"counts": histogram((3, 7, 0xCA7F))}, GARBAGE),
        ({"counts": histogram((3, 7, 0xCA80))}, 0),
        ({"counts": histogram((3, 7, 0xCCFF))}, 0),
        ({"counts": histogram((3, 7, 0xCD00))}, GARBAGE),
        ({"counts": histogram((3, 7, 0xEAFF))}, GARBAGE),
        ({"counts": histogram((3, 7, 0xEB00))}, 0),
        ({"counts": histogram(*((0, b, 50_000) for b in range(20)))}, 0),
        ({"counts": histogram((1, 1, 1), *((0, b, 50_000) for b in range(20)))}, GARBAGE),
        ({"counts": histogram((3, 7, 65535))}, BIN_SATURATED),
        ({"counts": histogram(), "live_time": 0}, LIVE_TIME_ZERO),
        ({"counts": histogram(), "pixel_id": [51738 + 1, *DEFAULT_IDS[1:]]}, SLOT_NOT_DEFAULT),
        ({"counts": histogram(), "quality_flag": 4}, 4),
    ],
)
def test_spectra_are_flagged_and_keep_their_counts(change: dict[str, Any], flag: int) -> None:
    row = l1_spectrum(spectra(change)).row(0, named=True)
    assert row["quality_flag"] == flag
    assert sum(row["counts"]) == pytest.approx(sum(change["counts"]), rel=1e-6)


def test_one_spectrum_of_each_packet_and_of_each_time() -> None:
    a, b = {"counts": histogram((0, 0, 1))}, {"counts": histogram((0, 0, 2)), "checksum": 5}
    same_packet = {**a, "epoch_tt2000": 0, "time_s": 0, "quality_flag": RETRANSMITTED}
    same_time = {**b, "epoch_tt2000": 0, "time_s": 0}
    got = l1_spectrum(spectra(a, same_packet, same_time, {**a, "quality_flag": CLOCK_INVALID}, b))
    assert got["epoch_tt2000"].to_list() == [0, 40]
    assert [sum(c) for c in got["counts"]] == pytest.approx([1, 2])


def test_spectra_do_not_depend_on_the_order_of_rows_and_blocks() -> None:
    rng = np.random.default_rng(3)
    rows = [
        {"counts": rng.poisson(1, 24 * 512).tolist(), "epoch_tt2000": 10 * (i // 2), "checksum": i % 3}
        for i in range(300)
    ]
    given_order = spectra(*rows).collect()
    first = l1_spectrum(given_order.lazy())
    shuffled = l1_spectrum(given_order.sample(fraction=1, shuffle=True, seed=4).lazy())
    assert first.equals(shuffled)
    assert len(first) == 150
    assert ql_lightcurve(first).equals(ql_lightcurve(first.reverse()))


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (
            "spectrum_energy",
            lambda f: f.head(23),
            r"spectrum_energy_20240101\.csv: needs one row for each slot 0 to 23",
        ),
        ("default_slots", lambda f: f.head(23), r"default_slots_20240101\.csv: needs one row for each slot 0 to 23"),
        (
            "spectrum_energy",
            lambda f: f.with_columns(intercept_kev=pl.lit(-10.0)),
            r"spectrum_energy_20240101\.csv: slot 0: its bins cover -10\.12.* widen the axis",
        ),
        (
            "spectrum_energy",
            lambda f: f.drop("slot"),
            r"spectrum_energy_20240101\.csv \(slot\): there is no such column",
        ),
    ],
)
def test_a_spectrum_calibration_that_does_not_fit_is_named(
    name: str, change: Callable[[pl.DataFrame], pl.DataFrame], complaint: str
) -> None:
    bad = changed(name, change(calibration(name).frame))
    with pytest.raises(CalibrationError, match=complaint):
        l1_spectrum(spectra({"counts": histogram()}), **{name: bad})


# ---- housekeeping --------------------------------------------------------------------------------------------------
GROUND = {
    "fp_temp": 31116,
    "dib_temp": 7088,
    "hvps_temp": 20683,
    "hvps_vsense": 21951,
    "hvps_csense": 5428,
    "csense_15v": 28189,
    "csense_33vd": 36659,
    "csense_33va": 37148,
    "heater_pwm_duty_cycle": 25449,
    "error_summary": 111,
    "hit_rate": 1114,
}


def test_housekeeping_of_the_ground_sample() -> None:
    row = l1_housekeeping(frame("l0_housekeeping", [GROUND])).row(0, named=True)
    assert row["hvps_vsense_v"] == pytest.approx(1.291 - 0.0101 * 21951, rel=1e-12)
    assert row["fp_temp_degc"] == pytest.approx(-15.498193, abs=6e-7)
    assert (row["error_summary"], row["hit_rate"], row["quality_flag"]) == (111, 1114, 0)


def test_housekeeping_takes_one_of_each_and_of_each_time_in_order() -> None:
    rows = [
        {"epoch_tt2000": 9, "time_s": 9, "byte_offset": 1, "error_cnt": 1},
        {"epoch_tt2000": 5, "time_s": 5, "byte_offset": 2, "error_cnt": 2},
        {"epoch_tt2000": 5, "time_s": 5, "byte_offset": 3, "error_cnt": 2, "quality_flag": RETRANSMITTED},
        {"epoch_tt2000": 9, "time_s": 9, "byte_offset": 0, "error_cnt": 4, "checksum": 8},
        {"epoch_tt2000": 1, "time_s": 1, "byte_offset": 5, "quality_flag": CLOCK_INVALID},
    ]
    for order in (rows, rows[::-1]):
        got = l1_housekeeping(frame("l0_housekeeping", [GROUND | row for row in order]))
        assert got.select("epoch_tt2000", "error_cnt", "quality_flag").rows() == [(5, 2, 0), (9, 1, 4)]


def test_a_raw_value_outside_the_calibrated_range_is_flagged() -> None:
    row = l1_housekeeping(frame("l0_housekeeping", [GROUND | {"dib_temp": 65535}])).row(0, named=True)
    assert row["dib_temp_degc"] is None
    assert row["quality_flag"] == OUT_OF_RANGE


# ---- light curve ---------------------------------------------------------------------------------------------------
def l1_rows(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame(
        "l1_spectrum",
        [{"epoch_tt2000": i, "live_time_s": 8.0, "pixel_id": DEFAULT_IDS, **r} for i, r in enumerate(rows)],
    ).collect()


def channels(*cells: tuple[int, float, float]) -> list[float]:
    """Counts of (slot, energy of a channel's centre)."""
    counts = np.zeros((24, 280))
    for slot, energy, count in cells:
        counts[slot, round((energy + 9.75) / 0.5)] = count
    counts_list: list[float] = counts.ravel().tolist()
    return counts_list


def test_rates_are_counts_of_all_slots_over_live_time() -> None:
    cells = ((0, 5.25, 10), (23, 9.75, 6), (4, 10.25, 9), (4, 99.75, 25), (4, 100.25, 1e6), (4, 4.75, 1e6))
    row = ql_lightcurve(l1_rows({"counts": channels(*cells)})).row(0, named=True)
    assert row["rate_5_10_kev"] == 16 / 8
    assert row["rate_5_10_kev_uncertainty"] == 4 / 8
    assert (row["rate_10_15_kev"], row["rate_10_15_kev_uncertainty"]) == (9 / 8, 3 / 8)
    assert (row["rate_15_25_kev"], row["rate_25_50_kev"]) == (0, 0)
    assert (row["rate_50_100_kev"], row["rate_50_100_kev_uncertainty"]) == (25 / 8, 5 / 8)


def test_a_channel_that_a_band_cuts_gives_its_part() -> None:
    curve = TABLES["ql_lightcurve"]
    shifted = curve.axis("energy").model_copy(update={"first": -9.6})  # Channel edges at 4.65 + 0.5 i.
    moved = curve.model_copy(update={"axes": tuple(shifted if a.name == "energy" else a for a in curve.axes)})
    spectrum = l1_rows({"counts": channels((0, 4.75, 100))}).lazy()  # Covers 4.65 to 5.15, 30 % of it above 5.
    got = meddea.ql_lightcurve(moved, spectrum=spectrum, lightcurve_bands=calibration("lightcurve_bands")).collect()
    assert got["rate_5_10_kev"].to_list() == [pytest.approx(100 * 0.3 / 8)]


@pytest.mark.parametrize("bad", [{"quality_flag": GARBAGE}, {"quality_flag": LIVE_TIME_ZERO}, {"live_time_s": 0.0}])
def test_a_spectrum_without_a_rate_keeps_its_row_and_flag(bad: dict[str, Any]) -> None:
    row = ql_lightcurve(l1_rows({"counts": channels((0, 7.25, 9)), **bad})).row(0, named=True)
    assert {value for name, value in row.items() if name.startswith("rate")} == {None}
    assert row["quality_flag"] == bad.get("quality_flag", 0)


def test_other_flags_leave_the_rate() -> None:
    row = ql_lightcurve(l1_rows({"counts": channels((0, 7.25, 9)), "quality_flag": SLOT_NOT_DEFAULT})).row(
        0, named=True
    )
    assert row["rate_5_10_kev"] == 9 / 8


@pytest.mark.parametrize(
    ("bands", "complaint"),
    [
        (
            {"low_kev": [5], "high_kev": [11]},
            r"lightcurve_bands_20240101\.csv: bands and columns .* differ in .*, rate_5_11_kev, rate_5_11_kev_unc",
        ),
        ({"low_kev": [5, None], "high_kev": [10, 15]}, r"lightcurve_bands_20240101\.csv \(low_kev\): a cell is empty"),
    ],
)
def test_a_band_that_does_not_fit_is_named(bands: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CalibrationError, match=complaint):
        ql_lightcurve(l1_rows({"counts": channels()}), changed("lightcurve_bands", pl.DataFrame(bands)))


def test_a_band_off_the_energy_axis_is_refused() -> None:
    curve = TABLES["ql_lightcurve"]
    short = curve.axis("energy").model_copy(update={"size": 200})  # Ends at 90 keV.
    axes = tuple(short if a.name == "energy" else a for a in curve.axes)
    with pytest.raises(CalibrationError, match=r"band 50-100 keV is not on the axis -10 to 90 keV"):
        meddea.ql_lightcurve(
            curve.model_copy(update={"axes": axes}),
            spectrum=l1_rows({"counts": channels()}).lazy(),
            lightcurve_bands=calibration("lightcurve_bands"),
        )


# ---- all -----------------------------------------------------------------------------------------------------------
def test_a_day_without_rows_gives_a_table_without_rows() -> None:
    assert l1_photon(frame("l0_photon", [])).is_empty()
    assert l1_housekeeping(frame("l0_housekeeping", [])).is_empty()
    spectrum = l1_spectrum(frame("l0_spectrum", []))
    assert spectrum.is_empty()
    assert ql_lightcurve(spectrum).is_empty()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_both_engines_give_the_same(engine: Any) -> None:
    photon = frame("l0_photon", [*packet("b", 0, 0), *packet("a", 0, RETRANSMITTED)])
    lazy = meddea.l1_photon(
        TABLES["l1_photon"], photon=photon, pixel_map=calibration("pixel_map"), decimation=calibration("decimation")
    )
    assert lazy.collect(engine=engine)["epoch_tt2000"].to_list() == [10, 10, 30]
    spectrum = meddea.l1_spectrum(
        TABLES["l1_spectrum"],
        spectrum=spectra({"counts": histogram((0, 100, 7))}, {"counts": histogram((0, 100, 9))}),
        spectrum_energy=calibration("spectrum_energy"),
        default_slots=calibration("default_slots"),
    )
    assert spectrum.collect(engine=engine)["counts"].list.sum().to_list() == [7, 9]
