# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's transforms against values known beforehand; packets come from tests/hermes_nemisis.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.clock import day_bounds
from lake.errors import CalibrationError
from tests.hermes_nemisis import (
    DAY,
    FLAGS,
    MIDNIGHT,
    NS,
    TABLES,
    calibration,
    changed,
    flagged,
    l1_mag,
    l1_status,
    l2_mag,
    l3_ambient,
    packets,
    ql_mag,
    rtc,
    samples,
    status_at,
    vectors,
    with_field,
)
from transforms.conversions import named_numbers
from transforms.hermes.nemisis_field import SpikeRule, spikes
from transforms.hermes.nemisis_timing import fit_lines

SLOT_NS = 10**15 / 10_000_790
NOON = MIDNIGHT + 43_200 * NS
NEXT = DAY + timedelta(days=1)
STEPS_NS = (14_933 + NS / 65536) / 2  # of the two counters of a tone


def first_times(mag: pl.DataFrame) -> np.ndarray:
    return mag.filter(pl.col("sample") == 0)["epoch_tt2000"].to_numpy()


# ---- times ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("early", [Fraction(403, 100), Fraction(4), Fraction(337, 100), Fraction(0)])
def test_sample_times_are_exact_to_a_microsecond(early: Fraction) -> None:
    frame, truth = packets(500, ticks_early=early)
    times = l1_mag(frame)["epoch_tt2000"].to_numpy().reshape(500, 40)
    expected = truth[:, None] + np.arange(40) * SLOT_NS
    assert np.abs(times - expected).max() < 1000


def test_a_dropped_slot_stays_a_gap_and_is_flagged() -> None:
    frame, truth = packets(500)
    mag = l1_mag(frame)
    (slip,) = np.flatnonzero(np.diff(truth) > 4.05e9) + 1
    where = np.flatnonzero(flagged(mag, "slot_slipped"))
    assert where.tolist() == [40 * slip]
    steps = np.diff(mag["epoch_tt2000"].to_numpy())
    assert steps[40 * slip - 1] == pytest.approx(2 * SLOT_NS, abs=1000)
    assert np.abs(np.delete(steps, 40 * slip - 1) - SLOT_NS).max() < 1000


def test_a_dropped_slot_is_seen_across_lost_packets() -> None:
    frame, truth = packets(500)
    (slip,) = np.flatnonzero(np.diff(truth) > 4.05e9) + 1
    kept = [i for i in range(500) if i not in (slip - 1, slip)]
    mag = l1_mag(frame[kept])
    assert np.flatnonzero(flagged(mag, "slot_slipped")).tolist() == [40 * (slip - 1)]
    assert np.abs(first_times(mag) - truth[kept]).max() < 1000


def test_an_oscillator_that_wanders_is_followed_within_the_steps_of_the_counters() -> None:
    frame, _ = packets(400)
    # 3 ms more or less within 27 minutes: 20 ppm, far more than a line over 40 minutes can follow.
    wander = np.rint(200 * np.sin(np.arange(400) / 64)).astype(int)
    mag = l1_mag(frame.with_columns(isr_count=pl.col("isr_count") + 300 + pl.Series(wander)))
    straight, _ = packets(400)
    before = l1_mag(straight.with_columns(isr_count=pl.col("isr_count") + 300))
    moved = first_times(before) - first_times(mag)
    assert not any(flagged(mag, "timing_unfitted"))
    assert np.abs(moved - wander * 14_933).max() < 30_000


def test_a_lonely_packet_stands_for_itself() -> None:
    frame, truth = packets(1)
    mag = l1_mag(frame)
    assert all(flagged(mag, "timing_unfitted"))
    assert np.abs(mag["epoch_tt2000"].to_numpy() - truth[0] - np.arange(40) * SLOT_NS).max() < 15_000


def test_times_do_not_depend_on_the_order_or_on_repetition() -> None:
    frame, _ = packets(120, first_tone_s=60_000.25)
    frame = frame.with_columns(mag_data=pl.Series([[i] * 360 for i in range(120)], dtype=pl.List(pl.Int32)))
    once = l1_mag(frame)
    again = pl.concat([frame.sample(fraction=1, shuffle=True, seed=1), frame[20:60]])
    again = again.with_columns(byte_offset=pl.int_range(pl.len()) * 1129)
    retransmitted = again.with_columns(
        quality_flag=pl.when(pl.int_range(pl.len()) >= 120).then(2).otherwise(0).cast(pl.Int32)
    )
    assert l1_mag(retransmitted).equals(once)
    assert l1_status(retransmitted).equals(l1_status(frame))


def test_packets_with_an_invalid_clock_are_left_out() -> None:
    frame, _ = packets(5)
    assert len(l1_mag(with_field(frame, 2, quality_flag=1))) == 160


def test_packets_of_one_time_and_other_content_are_flagged() -> None:
    frame, _ = packets(20)
    other = frame[5:6].with_columns(checksum=pl.lit(9, pl.Int32), byte_offset=pl.lit(99_999, pl.Int64))
    mag = l1_mag(pl.concat([frame, other]))
    assert len(mag) == 800
    assert sorted(set(mag.filter(pl.Series(flagged(mag, "time_conflict")))["pkt_id"])) == [6]


def test_a_packet_within_the_time_of_another_is_kept_and_flagged() -> None:
    frame, _ = packets(20)
    inside, _ = packets(1, first_tone_s=43_200 + 21.05)
    inside = inside.with_columns(pkt_id=pl.lit(900, pl.Int64), byte_offset=pl.lit(10**6, pl.Int64))
    mag = l1_mag(pl.concat([frame, inside]))
    assert len(mag) == 21 * 40
    assert (np.diff(mag["epoch_tt2000"].to_numpy()) > 0).all()
    assert sorted(mag.filter(pl.Series(flagged(mag, "time_conflict")))["pkt_id"].unique()) == [7, 900]


def test_samples_belong_to_the_day_of_their_own_time() -> None:
    # The first tone is 0.3 s after midnight: nine samples and a part are of the day before.
    frame, truth = packets(700, first_tone_s=86_400 - 1200.2)
    today, tomorrow = l1_mag(frame), l1_mag(frame, DAY + timedelta(days=1))
    stop = MIDNIGHT + 86_400 * NS
    assert today["epoch_tt2000"].max() < stop <= tomorrow["epoch_tt2000"].min()  # type: ignore[operator]
    together = pl.concat([today, tomorrow])
    assert len(together) == 700 * 40
    assert np.abs(first_times(together) - truth).max() < 1000


def seen_on(day: date, frame: pl.DataFrame, table: str, keyword: str, more_s: float = 0) -> pl.DataFrame:
    """The rows of an input that a table's margins let a day see, and some seconds more."""
    before, after = TABLES[table].margins[keyword]
    first, stop = day_bounds(day)
    ends = first - round((before + more_s) * NS), stop + round((after + more_s) * NS)
    return frame.filter(pl.col("epoch_tt2000").is_between(*ends, closed="left"))


@pytest.fixture(scope="module")
def over_midnight() -> pl.DataFrame:
    """Packets for 1,900 s before and 2,300 s after a midnight; the last 75 before a good one after it have no tone."""
    frame, _ = packets(1050, first_tone_s=86_400 - 1900.2)
    silent = pl.int_range(pl.len()).is_between(473, 547)
    return frame.with_columns(xsum=pl.when(silent).then(0).otherwise("xsum").cast(pl.Int8))


@pytest.mark.parametrize("day", [DAY, NEXT])
@pytest.mark.parametrize("more_s", [0, 100, 250])
def test_a_day_needs_no_more_than_its_margins(over_midnight: pl.DataFrame, day: date, more_s: float) -> None:
    """To the last bit: the same as from all packets, where some are lost and many at midnight have no tone."""
    frame = over_midnight.filter(pl.Series(np.random.default_rng(6).random(len(over_midnight)) > 0.1))
    for name, function in (("l1_mag", l1_mag), ("l1_status", l1_status)):
        cut = seen_on(day, frame, name, "mag", more_s)
        assert 500 < len(cut) < len(frame)
        whole = function(frame, day)
        assert any(flagged(whole, "timing_back_filled"))
        assert function(cut, day).equals(whole)


def test_a_line_is_the_same_to_the_last_bit_whatever_stands_beyond_its_window() -> None:
    rng, parameters = np.random.default_rng(9), named_numbers(calibration("parameters"))
    # Lost packets and a silence make windows of many widths; the oscillator is 20 ppm off its nominal rate.
    slots = np.flatnonzero((rng.random(2000) > 0.1) & (np.arange(2000) // 100 != 9)) * 40
    start = MIDNIGHT + np.rint(np.rint(slots * SLOT_NS * (1 + 20e-6) / 14_933) * 14_933).astype(np.int64)
    whole = fit_lines(start, parameters)
    for cut in (1, 17, 300):
        part, near = fit_lines(start[cut:-cut], parameters), slice(cut + 301, -cut - 301)
        for name, values in vars(part).items():
            assert values[301:-301].tobytes() == vars(whole)[name][near].tobytes()


def test_a_day_takes_the_samples_of_a_packet_of_the_next_one(over_midnight: pl.DataFrame) -> None:
    midnight = day_bounds(NEXT)[0]
    today, tomorrow = (l1_mag(seen_on(day, over_midnight, "l1_mag", "mag"), day) for day in (DAY, NEXT))
    assert today["epoch_tt2000"].max() < midnight <= tomorrow["epoch_tt2000"].min()  # type: ignore[operator]
    shared = set(today["pkt_id"]) & set(tomorrow["pkt_id"])
    assert len(shared) == 1
    assert flagged(tomorrow.filter(pl.col("pkt_id").is_in(shared)), "timing_back_filled")[0]
    together = pl.concat([today, tomorrow])
    assert len(together) == 1050 * 40
    steps = np.diff(together["epoch_tt2000"].to_numpy())
    assert steps.min() > 0.99 * SLOT_NS
    assert np.count_nonzero(steps > 1.01 * SLOT_NS) == np.count_nonzero(flagged(together, "slot_slipped"))


def test_level_2_needs_no_more_than_its_margins() -> None:
    """Temperatures come too rarely, spikes stand beside midnight: still each day is what all rows make of it."""
    midnight = day_bounds(NEXT)[0]
    rng = np.random.default_rng(8)
    field = rng.normal(0, 0.05, (2400, 3))
    field[1190:1210:3] += 50
    mag = samples([midnight + i * 100_000_000 for i in range(-1200, 1200)], fg_b=field.tolist())
    known = [midnight + s * NS for s in (-290, -230, -65, -20, 52, 130, 190, 290)]
    warm = pl.concat([status_at([at], fg=20.0 + i, pni2=15.0 - i) for i, at in enumerate(known)])
    for day in (DAY, NEXT):
        cut = seen_on(day, mag, "l2_mag", "mag"), seen_on(day, warm, "l2_mag", "status")
        assert 1200 < len(cut[0]) < len(mag)
        assert 0 < len(cut[1]) < len(warm)
        whole = l2_mag(mag, warm, day)
        assert any(flagged(whole, "despiked_fg"))
        assert 0 < np.mean(flagged(whole, "temperature_missing_fg")) < 1
        assert l2_mag(*cut, day).equals(whole)


@pytest.mark.parametrize(
    ("name", "value"),
    [("fit_half_window_s", 1500), ("fit_gap_max_s", 1400), ("back_fill_packets_max", 150), ("tone_age_max_s", 60)],
)
def test_timing_that_reaches_beyond_the_margins_is_refused(name: str, value: float) -> None:
    frame = calibration("parameters").frame
    new = pl.when(pl.col("name") == name).then(pl.lit(value, pl.Float64)).otherwise("value").alias("value")
    farther = changed("parameters", frame.with_columns(new))
    for function in (l1_mag, l1_status):
        with pytest.raises(
            CalibrationError, match=r"parameters_20000101\.csv: .* missions/hermes/nemisis/tables\.yaml"
        ):
            function(packets(3)[0], parameters=farther)


@pytest.mark.parametrize("column", ["window", "gap_s"])
def test_spikes_and_temperatures_that_reach_beyond_the_margins_are_refused(column: str) -> None:
    rules = calibration("despike").frame
    wide = {"despike": changed("despike", rules.with_columns((pl.lit(10 if column == "gap_s" else 999)).alias(column)))}
    warm = pl.DataFrame({"name": ["temperature_gap_max_s", "attitude_gap_max_s"], "value": [71.0, 900.0]})
    for change in (wide, {"parameters": changed("parameters", warm)}):
        with pytest.raises(CalibrationError, match=rf"{next(iter(change))}_20000101\.csv: .*nemisis/tables\.yaml"):
            l2_mag(samples(still(3)), status_at(still(3)), **change)


@pytest.mark.parametrize("name", ["l1_mag", "l1_status", "l2_mag"])
@pytest.mark.parametrize("margins", [(0.0, 10_000.0), (10_000.0, 0.0)])
def test_a_table_without_its_margins_is_refused(
    name: str, margins: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES[name]
    monkeypatch.setitem(TABLES, name, table.model_copy(update={"margins": dict.fromkeys(table.margins, margins)}))
    makers: dict[str, Callable[[], pl.DataFrame]] = {
        "l1_mag": lambda: l1_mag(packets(3)[0]),
        "l1_status": lambda: l1_status(packets(3)[0]),
        "l2_mag": lambda: l2_mag(samples(still(3)), status_at(still(3))),
    }
    with pytest.raises(CalibrationError, match=r"widen the margins in missions/hermes/nemisis/tables\.yaml"):
        makers[name]()


def test_the_residual_tells_how_far_the_tones_lie_from_the_line() -> None:
    frame, _ = packets(400)
    # Whole steps of one counter: 7.5 us at most, and nearly that somewhere.
    residual = l1_status(frame)["timing_residual_ns"].to_numpy()
    assert residual.min() > 0.8 * 14_933 / 2
    assert residual.max() < 1.2 * 14_933 / 2
    # One tone that is half a tick off is what the lines around it report.
    odd = l1_status(with_field(frame, 200, isr_count=int(frame["isr_count"][200]) + 1))["timing_residual_ns"].to_numpy()
    assert odd[200] > residual[200]
    assert odd.max() <= 2 * STEPS_NS


def test_a_packet_that_no_line_timed_has_no_residual() -> None:
    frame, _ = packets(30)
    last = with_field(with_field(frame, 29, xsum=0), 12, xsum=0)
    lonely, _ = packets(1, first_tone_s=50_000.0)
    status = l1_status(pl.concat([last, lonely.with_columns(byte_offset=pl.lit(10**6, pl.Int64))]))
    assert status["timing_residual_ns"].is_null().to_list() == [i in (29, 30) for i in range(31)]
    assert status["timing_residual_ns"][12] == status["timing_residual_ns"][13]
    assert flagged(status, "timing_unfitted") == [i == 30 for i in range(31)]


# ---- packets without a valid tone ----------------------------------------------------------------------------------
@pytest.mark.parametrize("reason", [{"relay_state": 0}, {"start_flag": 1}, {"xsum": 0}, {"stcf_seconds": 7}])
def test_a_packet_without_a_tone_is_placed_before_the_next_good_one(reason: dict[str, int]) -> None:
    frame, truth = packets(30)
    frame = with_field(frame, 9, isr_count=5000, acq_pos_num=0, **reason)
    mag = l1_mag(with_field(frame, 10, isr_count=1, **reason))
    assert np.abs(first_times(mag) - truth).max() < 1000
    filled = mag.filter(pl.Series(flagged(mag, "timing_back_filled")))
    assert sorted(filled["pkt_id"].unique()) == [10, 11]
    assert any(flagged(mag, "relay_off")) == ("relay_state" in reason)
    starts = np.flatnonzero(flagged(mag, "start_packet")).tolist()
    assert starts == ([360, 400] if "start_flag" in reason else [])


def test_a_slot_dropped_among_packets_without_a_tone_has_no_known_place() -> None:
    frame, truth = packets(500)
    (slip,) = np.flatnonzero(np.diff(truth) > 4.05e9) + 1
    silent = pl.int_range(pl.len()).is_in([slip - 2, slip - 1, slip - 40])
    mag = l1_mag(frame.with_columns(xsum=pl.when(silent).then(0).otherwise("xsum").cast(pl.Int8)))
    doubtful = mag.filter(pl.Series(flagged(mag, "slip_place_unknown")))
    assert doubtful.group_by("pkt_id").len().sort("pkt_id").rows() == [(slip - 1, 40), (slip, 40), (slip + 1, 40)]
    # The packets are counted back from the good one after the slip, so those before it are a slot late.
    late = first_times(mag) - truth
    assert late[[slip - 2, slip - 1]] == pytest.approx([SLOT_NS] * 2, abs=1000)
    assert np.abs(np.delete(late, [slip - 2, slip - 1])).max() < 1000
    assert np.flatnonzero(flagged(mag, "slot_slipped")).tolist() == [40 * (slip - 2)]
    assert (pl.Series(flagged(mag, "timing_back_filled")).sum()) == 3 * 40


def test_a_slot_dropped_beside_lost_packets_has_its_place() -> None:
    frame, truth = packets(500)
    (slip,) = np.flatnonzero(np.diff(truth) > 4.05e9) + 1
    assert not any(flagged(l1_mag(frame[[i for i in range(500) if i != slip - 1]]), "slip_place_unknown"))


def test_trailing_packets_without_a_tone_are_only_in_the_status() -> None:
    frame, _ = packets(12)
    frame = with_field(with_field(frame, 10, xsum=0), 11, xsum=0)
    assert sorted(l1_mag(frame)["pkt_id"].unique()) == list(range(1, 11))
    status = l1_status(frame)
    assert status["pkt_id"].to_list() == list(range(1, 13))
    assert flagged(status, "timing_missing") == [False] * 10 + [True] * 2
    last = status.row(11, named=True)
    assert (last["tone_tt2000"], last["first_sample_tt2000"], last["sample_period_ns"]) == (None, None, None)


def test_a_packet_before_a_power_cycle_is_not_placed_by_the_run_after_it() -> None:
    before, _ = packets(10)
    after, _ = packets(10, first_tone_s=43_240.0)
    frame = pl.concat([with_field(before, 9, xsum=0), after.with_columns(byte_offset=pl.col("byte_offset") + 10**6)])
    status = l1_status(frame)
    assert flagged(status, "timing_missing") == [i == 9 for i in range(20)]
    assert len(l1_mag(frame)) == 19 * 40


def test_status_holds_the_exact_tone() -> None:
    frame, truth = packets(20)
    row = l1_status(frame).row(7, named=True)
    fields = frame.row(7, named=True)
    exact = Fraction(fields["met_seconds"] + fields["stcf_seconds"]) + Fraction(fields["stcf_subseconds"], 65536)
    assert row["tone_tt2000"] == round(exact * NS)
    assert abs(row["first_sample_tt2000"] - truth[7]) < 1000
    assert row["sample_period_ns"] == pytest.approx(SLOT_NS, abs=50)


def test_no_packets_make_no_rows() -> None:
    frame, _ = packets(2)
    assert l1_mag(frame.clear()).is_empty()
    assert l1_status(frame.clear()).is_empty()
    assert ql_mag(samples([])).is_empty()
    assert l3_ambient(l2_mag(samples([]), status_at([]))).is_empty()


# ---- values and status ---------------------------------------------------------------------------------------------
def test_counts_become_pseudo_nanotesla() -> None:
    frame, _ = packets(2)
    data = [0] * 360
    data[9 * 3 : 9 * 3 + 9] = [1, -8_388_608, 4_194_304, 7, -14, 0, 1, 0, 8_257_535]
    row = l1_mag(with_field(frame, 1, mag_data=data)).row(43, named=True)
    assert row["fg_b"] == [65000 / 8388608, -65000, 32500]
    assert row["pni1_b"] == pytest.approx([13.66, -27.32, 0], rel=1e-15)
    assert row["pni2_b"] == pytest.approx([13.66 / 7, 0, 8_257_535 * 13.66 / 7], rel=1e-15)
    assert (row["pkt_id"], row["sample"], row["quality_flag"]) == (
        2,
        3,
        FLAGS["timing_unfitted"] | FLAGS["saturated_fg"],
    )


@pytest.mark.parametrize(("place", "sensor"), [(0, "fg"), (4, "pni1"), (8, "pni2")])
@pytest.mark.parametrize(("count", "saturated"), [(8_257_535, False), (8_257_536, True), (-8_257_536, True)])
def test_a_sample_near_full_scale_is_flagged_for_its_sensor(
    place: int, sensor: str, count: int, saturated: bool
) -> None:
    frame, _ = packets(1)
    mag = l1_mag(with_field(frame, 0, mag_data=[count if i == place else 0 for i in range(360)]))
    for name in ("fg", "pni1", "pni2"):
        assert flagged(mag, f"saturated_{name}") == [saturated and name == sensor, *[False] * 39]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rtc_csec": 0x9A},
        {"rtc_seconds": 0x60},
        {"rtc_minutes": 0xF0},
        {"rtc_hours": 0x24},
        {"rtc_day": 0x32},
        {"rtc_day": 0x00},
        {"rtc_month": 0x13},
        {"rtc_month": 0x00},
        {"rtc_month": 0x02, "rtc_day": 0x29},
    ],
)
def test_a_real_time_clock_that_shows_no_time_is_null_and_flagged(wrong: dict[str, int]) -> None:
    frame, _ = packets(2)
    status = l1_status(with_field(frame, 1, **wrong))
    assert flagged(status, "rtc_invalid") == [False, True]
    assert status["rtc_time"].to_list()[1] is None
    assert status["rtc_tt2000"].to_list() == [NOON + 450_000_000, None]


def test_the_real_time_clock_knows_leap_years() -> None:
    frame, _ = packets(2, **rtc("280229235959"))
    assert str(l1_status(frame)["rtc_time"][0]) == "2028-02-29 23:59:59.450000+00:00"


def test_temperatures_outside_their_range_are_null_and_flagged() -> None:
    frame, _ = packets(2)
    status = l1_status(with_field(frame, 1, ebox_temp=-640, fg_temp=0, pni2_temp=-256))
    assert status["ebox_temp_degc"].to_list() == [20, -5]
    assert status["fg_temp_degc"].to_list() == [pytest.approx(910 * 3.3 / 1024 * 100 - 273.15), None]
    assert status["pni2_temp_degc"].to_list() == [20, -1]
    assert flagged(status, "adc_out_of_range") == [False, True]


def test_states_are_flagged() -> None:
    frame, _ = packets(6)
    frame = with_field(with_field(frame, 0, start_flag=1, relay_state=0), 5, ops_mode=1)
    status = l1_status(frame)
    assert flagged(status, "start_packet") == [True] + [False] * 5
    assert flagged(status, "relay_off") == [True] + [False] * 5
    assert flagged(status, "safe_mode") == [False] * 5 + [True]
    assert flagged(status, "timing_back_filled") == [True] + [False] * 5


# ---- the field -----------------------------------------------------------------------------------------------------
RULE = SpikeRule(window=21, sigmas=6, floor_nt=0.5, gap_ns=350_000_000)


def still(count: int = 60, at: int = NOON) -> list[int]:
    return [at + i * 100_000_000 for i in range(count)]


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
