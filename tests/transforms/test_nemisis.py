# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's transforms against values known beforehand; packets come from tests/hermes_nemisis.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from lake.clock import day_bounds
from lake.errors import CalibrationError
from tests.hermes_nemisis import (
    DAY,
    FLAGS,
    MIDNIGHT,
    NOON,
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
    still,
    with_field,
)
from transforms.conversions import named_numbers
from transforms.hermes.nemisis_timing import fit_lines

SLOT_NS = 10**15 / 10_000_790
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
