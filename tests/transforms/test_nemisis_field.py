# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's field, in the bus, in GSE and without the host's, and calibrations that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.errors import CalibrationError
from tests.hermes_nemisis import (
    DAY,
    FLAGS,
    MIDNIGHT,
    NOON,
    NS,
    calibration,
    changed,
    flagged,
    l1_mag,
    l2_mag,
    l3_ambient,
    packets,
    ql_mag,
    samples,
    status_at,
    still,
    vectors,
)
from transforms.hermes.nemisis_field import SpikeRule, spikes

SLOT_NS = 10**15 / 10_000_790
NEXT = DAY + timedelta(days=1)
STEPS_NS = (14_933 + NS / 65536) / 2  # of the two counters of a tone


# ---- the field -----------------------------------------------------------------------------------------------------
RULE = SpikeRule(window=21, sigmas=6, floor_nt=0.5, gap_ns=350_000_000)


def test_a_field_becomes_nanotesla_in_the_bus_frame() -> None:
    times = still()
    mag = samples(times, fg_b=[[1000.0, 0.0, 0.0]] * 60, pni2_b=[[0.0, 100.0, 200.0]] * 60)
    row = l2_mag(mag, status_at(times, fg=30, pni2=25)).row(9, named=True)
    # fg x: gain 1.0012 (1 + 20e-6 * 10) gives 1001.40024; orthogonality gives y and z their parts; offset + 0.02 * 10.
    x = 1001.40024
    sensor = np.array([x - 3.4, x * 0.0017453283658983088 + 1.5, -x * 0.0008726645152351496 - 5.6])
    root = 0.7071067811865476
    expected = [root * (sensor[0] - sensor[1]), root * (sensor[0] + sensor[1]), sensor[2]]
    assert row["fg_b_bus_nt"] == pytest.approx(expected, rel=1e-6)
    # pni2: gains 0.99, 1.03, 0.98 times 1 + 300e-6 * 5, offsets -60, 150, -30 plus 2 * 5, turned by 180 deg about x.
    assert row["pni2_b_bus_nt"] == pytest.approx([50, -(103 * 1.0015 - 160), -(196 * 1.0015 + 20)], rel=1e-6)
    assert row["quality_flag"] == 0


def test_a_saturated_sensor_has_no_value_and_the_others_have() -> None:
    times = still(4)
    mag = samples(times, quality_flag=[0, FLAGS["saturated_pni1"], 0, FLAGS["saturated_fg"]])
    level2 = l2_mag(mag, status_at(times))
    assert np.isnan(vectors(level2["pni1_b_bus_nt"])).any(axis=1).tolist() == [False, True, False, False]
    assert np.isnan(vectors(level2["fg_b_gse_nt"])).any(axis=1).tolist() == [False, False, False, True]
    assert np.isnan(vectors(ql_mag(mag)["fg_b_bus_nt"])).any(axis=1).tolist() == [False, False, False, True]
    ambient = l3_ambient(level2)
    assert flagged(ambient, "sensor_missing") == [False, True, False, True]
    assert np.isnan(vectors(ambient["b_bus_nt"])).any(axis=1).tolist() == [False, True, False, True]


def test_quick_look_takes_each_axis_at_its_own_reference() -> None:
    frame = calibration("gain_offset").frame
    other = pl.when(pl.col("axis") == "y").then(50.0).otherwise(35.0).alias("reference_degc")
    mag = samples(still(1), fg_b=[[1000.0, 2000.0, -500.0]])
    quick = ql_mag(mag)
    assert ql_mag(mag, gain_offset=changed("gain_offset", frame.with_columns(other))).equals(quick)
    # Gains 1.0012, 0.9987, 1.0005 and offsets 3.2, -1.7, 5.4, then 45 deg about z.
    x, y, z = 1001.2, 1997.4 + 1001.2 * 0.0017453283658983088, -500.25
    z += -1001.2 * 0.0008726645152351496 + 1997.4 * 0.0013962629479142763
    x, y, root = x - 3.2, y + 1.7, 0.7071067811865476
    assert quick["fg_b_bus_nt"][0].to_list() == pytest.approx([root * (x - y), root * (x + y), z - 5.4], rel=1e-6)


@pytest.mark.parametrize("sensor", ["fg", "pni1", "pni2"])
def test_a_spike_is_taken_out_of_its_sensor_and_a_step_stays(sensor: str) -> None:
    times = still()
    field = [[500.0, 0.0, 0.0]] * 30 + [[2500.0, 0.0, 0.0]] * 30
    field[10] = [500.0, 900.0, 0.0]
    mag = samples(times, **{f"{sensor}_b": field})
    level2 = l2_mag(mag, status_at(times))
    for name in ("fg", "pni1", "pni2"):
        expected = [10] if name == sensor else []
        assert np.flatnonzero(flagged(level2, f"despiked_{name}")).tolist() == expected
        assert np.flatnonzero(np.isnan(vectors(level2[f"{name}_b_bus_nt"])).any(axis=1)).tolist() == expected
    assert not any(flagged(ql_mag(mag), f"despiked_{sensor}"))


def test_a_window_ends_where_samples_are_lost() -> None:
    """Eight samples between two silences are no spikes of the field before and after."""
    rng = np.random.default_rng(3)
    times = np.array(still(100))
    times[46:] += 4 * NS
    times[54:] += 4 * NS
    values = rng.normal(0, 0.1, 100) + np.where((np.arange(100) >= 46) & (np.arange(100) < 54), 40.0, 0.0)
    assert not spikes(times, values, RULE).any()
    # Where only a slot was dropped the window goes on: the same values are spikes.
    closed = np.array(still(100)) + 100_000_000 * (np.arange(100) >= 46)
    assert not spikes(closed, values[::-1], RULE)[:40].any()
    one = np.where(np.arange(100) == 46, 40.0, rng.normal(0, 0.1, 100))
    assert np.flatnonzero(spikes(closed, one, RULE)).tolist() == [46]


def test_saturated_samples_hold_their_places_in_a_window() -> None:
    """Eight good samples within a long saturated stretch stay, though all others that are good differ."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 0.1, 100)
    values[46:54] += 40
    values[30:46] = values[54:70] = np.nan
    assert not spikes(np.array(still(100)), values, RULE).any()
    # A single saturated sample is no border.
    values = rng.normal(0, 0.1, 100)
    values[50], values[51] = np.nan, 40.0
    assert np.flatnonzero(spikes(np.array(still(100)), values, RULE)).tolist() == [51]


def test_at_its_ends_a_window_is_half_a_window() -> None:
    ramp = 20.0 * np.arange(60)
    assert not spikes(np.array(still(60)), ramp, RULE).any()
    for place in (0, 3, 56, 59):
        values = np.random.default_rng(place).normal(0, 0.1, 60)
        values[place] += 40
        assert np.flatnonzero(spikes(np.array(still(60)), values, RULE)).tolist() == [place]
    # Ten values alone tell nothing.
    assert not spikes(np.array(still(10)), np.array([40.0] + [0.0] * 9), RULE).any()
    assert spikes(np.array(still(11)), np.array([40.0] + [0.0] * 10), RULE).tolist() == [True] + [False] * 10
    assert spikes(np.array([], np.int64), np.array([]), RULE).tolist() == []


def test_without_a_temperature_there_is_no_field() -> None:
    times = [NOON - 31 * NS, *(NOON + s * NS for s in (-30, 0, 29, 61, 62, 90, 91, 120, 200))]
    # 90 s between two temperatures are too many to connect them; each is held for 30 s.
    level2 = l2_mag(samples(times), status_at([NOON, NOON + 31 * NS, NOON + 121 * NS]))
    missing = [True, False, False, False, False, True, True, False, False, True]
    for sensor in ("fg", "pni1", "pni2"):
        assert flagged(level2, f"temperature_missing_{sensor}") == missing
        assert np.isnan(vectors(level2[f"{sensor}_b_bus_nt"])).any(axis=1).tolist() == missing


def test_a_sensor_without_a_temperature_is_the_one_that_is_flagged() -> None:
    times = still(3)
    status = status_at(times).with_columns(pni2_temp_degc=pl.lit(None, pl.Float64))
    level2 = l2_mag(samples(times), status)
    for sensor in ("fg", "pni1", "pni2"):
        assert flagged(level2, f"temperature_missing_{sensor}") == [sensor == "pni2"] * 3
        assert np.isnan(vectors(level2[f"{sensor}_b_bus_nt"])).all() == (sensor == "pni2")


def attitude(*rows: tuple[str, float, float, float, float]) -> Any:
    return changed("attitude", pl.DataFrame(rows, schema=["time", "qx", "qy", "qz", "qw"], orient="row"))


TURNING = attitude(("2026-08-01T12:00:00Z", 0, 0, 0, 1), ("2026-08-01T12:10:00Z", 0, 0, 0.5**0.5, 0.5**0.5))


def test_attitude_is_interpolated_along_the_turn() -> None:
    # 90 deg about z in 600 s: 30 deg after 200 s. The field at zero counts is minus the offset.
    times = [NOON + 200 * NS]
    row = l2_mag(samples(times), status_at(times), attitude=TURNING).row(0, named=True)
    x, y, z = row["pni1_b_bus_nt"]
    assert (x, y, z) == (-80, -120, -45)  # offsets 120, -80, 45 turned by 90 deg about z, with minus
    c, s = 3**0.5 / 2, 0.5
    assert row["pni1_b_gse_nt"] == pytest.approx([c * x - s * y, s * x + c * y, z], rel=1e-6)


def test_attitudes_are_in_order_of_time_and_not_of_their_text() -> None:
    root, part = 0.5**0.5, 2**-2
    half = attitude(
        ("2026-08-01T12:00:00.500Z", 0, 0, root, root),
        ("2026-08-01T12:00:00Z", 0, 0, 0, 1),
        ("2026-08-01T11:59:59.25Z", 0, 0, 0, 1),
    )
    row = l2_mag(samples([NOON + round(part * NS)]), status_at([NOON]), attitude=half).row(0, named=True)
    x, y, z = row["pni1_b_bus_nt"]
    assert row["pni1_b_gse_nt"] == pytest.approx([root * (x - y), root * (x + y), z], rel=1e-6)


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        (TURNING, [True, False, False, True]),
        (None, [True, True, True, True]),
        (attitude(("2026-08-01T12:00:00Z", 0, 0, 0, 1)), [True, False, True, True]),
        (attitude(("2026-08-01T11:00:00Z", 0, 0, 0, 1), ("2026-08-01T13:00:00Z", 0, 0, 0, 1)), [True] * 4),
        (calibration("attitude"), [False] * 4),
    ],
)
def test_where_no_attitude_is_known_there_is_no_gse(known: Any, missing: list[bool]) -> None:
    times = [NOON - 1, NOON, NOON + 600 * NS, NOON + 600 * NS + 1]
    for frame in (l2_mag(samples(times), status_at(times), attitude=known), ql_mag(samples(times), attitude=known)):
        assert flagged(frame, "attitude_missing") == missing
        assert np.isnan(vectors(frame["fg_b_gse_nt"])).any(axis=1).tolist() == missing
        assert not np.isnan(vectors(frame["fg_b_bus_nt"])).any()


def test_the_attitude_of_another_day_is_not_extrapolated() -> None:
    later = date(2026, 8, 20)
    times = [NOON + 19 * 86_400 * NS]
    row = l2_mag(samples(times), status_at(times), later, attitude=calibration("attitude", later)).row(0, named=True)
    assert row["quality_flag"] == FLAGS["attitude_missing"]
    assert row["fg_b_gse_nt"] == [None, None, None]


def test_margins_of_the_neighbouring_days_are_not_returned() -> None:
    midnight = MIDNIGHT + 86_400 * NS
    times = [midnight + i * 100_000_000 for i in range(-30, 30)]
    spike = [[0.0, 0.0, 90.0 * (i in (29, 31))] for i in range(60)]
    today = l2_mag(samples(times, fg_b=spike), status_at([midnight]))
    tomorrow = l2_mag(samples(times, fg_b=spike), status_at([midnight]), DAY + timedelta(days=1))
    assert (today.height, tomorrow.height) == (30, 30)
    assert np.flatnonzero(flagged(pl.concat([today, tomorrow]), "despiked_fg")).tolist() == [29, 31]


# ---- the ambient field ---------------------------------------------------------------------------------------------
def test_host_sources_are_removed_and_the_ambient_field_stays() -> None:
    rng = np.random.default_rng(5)
    ambient, heater, pump = rng.normal(0, 30, (3, 50, 3))
    near = {"fg": (2.4, 2.6), "pni1": (0.45, 0.65), "pni2": (0.60, 0.52)}
    columns = {
        f"{name}_b_{frame}_nt": (ambient + heater * (0.45 / a) ** 3 + pump * (0.65 / b) ** 3).tolist()
        for name, (a, b) in near.items()
        for frame in ("bus", "gse")
    }
    level2 = pl.DataFrame({"epoch_tt2000": still(50), **columns, "quality_flag": [0] * 50})
    result = l3_ambient(level2.with_columns(pl.col("quality_flag").cast(pl.Int32)))
    np.testing.assert_allclose(vectors(result["b_bus_nt"]), ambient, atol=1e-4)
    np.testing.assert_allclose(vectors(result["b_gse_nt"]), ambient, atol=1e-4)
    np.testing.assert_allclose(vectors(result["host_b_bus_nt"]), heater + pump, atol=1e-4)
    assert 0.05 < vectors(result["b_uncertainty_nt"])[0, 0] < 0.1


def test_a_distance_that_is_5_percent_wrong_leaves_little_of_the_source() -> None:
    """200 nT at PNI 1; the fluxgate sees 1.3 nT of it, so errors of the geometry are errors of a small number."""
    heater = np.array([[200.0, 0.0, 0.0]])
    columns = {
        f"{name}_b_{frame}_nt": (heater * (0.45 / distance) ** 3).tolist()
        for name, distance in (("fg", 2.4), ("pni1", 0.45), ("pni2", 0.60))
        for frame in ("bus", "gse")
    }
    level2 = pl.DataFrame({"epoch_tt2000": [NOON], **columns, "quality_flag": pl.Series([0], dtype=pl.Int32)})
    for sensor in ("fg", "pni1", "pni2"):
        wrong = pl.when(pl.col("sensor") == sensor).then(pl.col("distance_m") * 1.05).otherwise("distance_m")
        geometry = changed("host_sources", calibration("host_sources").frame.with_columns(distance_m=wrong))
        left = np.linalg.norm(vectors(l3_ambient(level2, host_sources=geometry)["b_bus_nt"]))
        assert 0 < left < 0.005 * 200


# ---- calibrations that do not fit ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (
            "parameters",
            lambda f: f.filter(pl.col("name") != "isr_tick_ns"),
            r"parameters_20000101\.csv: .* isr_tick_ns",
        ),
        ("scale", lambda f: f.head(2), r"scale_20000101\.csv: needs one row for each of fg, pni1, pni2"),
        ("scale", lambda f: f.drop("range_nt"), r"scale_20000101\.csv \(range_nt\): there is no such column"),
    ],
)
def test_a_calibration_of_level_1_that_does_not_fit_is_named(
    name: str, change: Callable[[pl.DataFrame], pl.DataFrame], complaint: str
) -> None:
    frame, _ = packets(3)
    with pytest.raises(CalibrationError, match=complaint):
        l1_mag(frame, **{name: changed(name, change(calibration(name).frame))})


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("gain_offset", lambda f: f.head(8), r"gain_offset_20000101\.csv: needs rows x, y, z for fg, pni1, pni2"),
        ("gain_offset", lambda f: f.with_columns(gain=0.0), r"gain_offset_20000101\.csv.*: a gain is 0"),
        ("orthogonality", lambda f: f.with_columns(z=pl.lit(0.0)), r"orthogonality.*lie in a plane"),
        ("alignment", lambda f: f.with_columns(z=2 * pl.col("z")), r"alignment_20000101\.csv \(fg\): is no rotation"),
        ("alignment", lambda f: f.with_columns(z=-pl.col("z")), r"alignment_20000101\.csv \(fg\): is no rotation"),
        ("despike", lambda f: f.with_columns(window=20), r"despike_20000101\.csv \(window\): is not odd"),
        ("attitude", lambda f: f.with_columns(qw=0.0), r"attitude_20000101\.csv: a quaternion is not of length 1"),
        (
            "attitude",
            lambda f: pl.concat([f, f[3:4].with_columns(pl.col("time").str.replace("Z", ".0Z"))]),
            r"attitude_20000101\.csv \(time\): a time is there twice",
        ),
        ("attitude", lambda f: f.with_columns(time=pl.col("time") + "?"), r"attitude_20000101\.csv \(time\): a cell"),
    ],
)
def test_a_calibration_of_level_2_that_does_not_fit_is_named(
    name: str, change: Callable[[pl.DataFrame], pl.DataFrame], complaint: str
) -> None:
    bad = changed(name, change(calibration(name).frame))
    with pytest.raises(CalibrationError, match=complaint):
        l2_mag(samples(still(3)), status_at(still(3)), **{name: bad})


def test_sources_that_cannot_be_told_apart_are_refused() -> None:
    frame = calibration("host_sources").frame
    same = frame.with_columns(distance_m=pl.lit(1.0))
    three = pl.concat(
        [frame, frame[:3].with_columns(host_source=pl.lit("wheel"), distance_m=pl.Series([3.0, 2.0, 1.0]))]
    )
    for bad in (same, three):
        with pytest.raises(CalibrationError, match=r"host_sources_20000101\.csv.*cannot be told"):
            l3_ambient(l2_mag(samples([]), status_at([])), host_sources=changed("host_sources", bad))
    with pytest.raises(CalibrationError, match=r"host_sources_20000101\.csv: needs a distance above 0"):
        l3_ambient(l2_mag(samples([]), status_at([])), host_sources=changed("host_sources", frame.head(5)))
