# SPDX-License-Identifier: Apache-2.0
"""CRAFT's transforms on rows made by hand: old positions, file names, housekeeping words, and elements near and far."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pytest

from lake.clock import tt2000_from_unix_ns
from lake.definitions import Calibration
from lake.errors import CalibrationError
from tests.frames import calibration, checked, frame, with_rows
from tests.meddea import DEFINITIONS
from transforms.padre import craft

CRAFT = DEFINITIONS.mission("padre").instrument("craft")
TABLES = {table.name: table for table in (*CRAFT.tables, *DEFINITIONS.mission("padre").instrument("meddea").tables)}
DAY = date(2025, 11, 7)
NOON = datetime(2025, 11, 7, 12, tzinfo=UTC)
CLOCK_INVALID, RETRANSMITTED, TIME_CONFLICT = 1, 2, 4
EMPTY_ROW, CHECKSUM_WRONG, OUT_OF_RANGE, PACKET_DIFFERS = (1 << bit for bit in range(8, 12))
SOLUTION_OLD, ELEMENTS_OLD, NO_SOLUTION = (1 << bit for bit in range(12, 15))


def rows(name: str, given: list[dict[str, Any]]) -> pl.LazyFrame:
    """Rows of an L0 table, a second apart from noon on unless they have another time, each with other contents."""
    numbers = count()
    return frame(TABLES[name], [{**origin(next(numbers)), **row} for row in given])


def origin(number: int) -> dict[str, Any]:
    stamp = at(NOON.timestamp() + number)
    return {**stamp, "row_id": number, "file_sha256": "a", "byte_offset": number, "day": DAY}


def at(unix: float) -> dict[str, Any]:
    tt2000 = int(tt2000_from_unix_ns(np.array([round(unix * 1e9)]))[0])
    return {"epoch_tt2000": tt2000, "time": datetime.fromtimestamp(unix, UTC)}


def known(name: str) -> Calibration:
    return calibration(CRAFT, name, DAY)


# ---- receiver ------------------------------------------------------------------------------------------------------
def l1_gnss(given: list[dict[str, Any]]) -> pl.DataFrame:
    table = TABLES["craft_l1_gnss"]
    return checked(table, craft.l1_gnss(table, gnss=rows("craft_l0_gnss", given)), DAY)


def test_positions_and_velocities_are_vectors_in_kilometres() -> None:
    place = {"px_m": 1000.0, "py_m": -2500.0, "pz_m": 1.0, "vx_m_s": 7500.0, "vz_sigma_m_s": 2.0, "py_sigma_m": 3.0}
    row = l1_gnss([place]).row(0, named=True)
    assert row["position_km"] == [1.0, -2.5, 0.001]
    assert row["velocity_km_s"] == [7.5, 0.0, 0.0]
    assert row["velocity_sigma_km_s"] == [0.0, 0.0, 0.002]
    assert row["position_sigma_km"] == [0.0, 0.003, 0.0]


def test_a_position_older_than_a_minute_is_flagged() -> None:
    made = l1_gnss([{"solution_age_s": age} for age in (0.0, 60.0, 60.5, 970.7)])
    assert made["quality_flag"].to_list() == [0, 0, SOLUTION_OLD, SOLUTION_OLD]


def test_a_position_that_the_receiver_disowns_is_flagged() -> None:
    made = l1_gnss([{"p_sol_status": status} for status in (0, 1)])
    assert made["quality_flag"].to_list() == [0, NO_SOLUTION]


def test_rows_come_in_the_order_of_time_without_impossible_ones_and_repetitions() -> None:
    late, early = at(NOON.timestamp() + 60), at(NOON.timestamp() - 60)
    given = [
        {**late, "gps_week": 3},
        {**early, "gps_week": 1, "row_id": 7},
        {"gps_week": 2, "quality_flag": CLOCK_INVALID},
        {**early, "gps_week": 1, "row_id": 7, "quality_flag": RETRANSMITTED},
        {**late, "gps_week": 4, "row_id": 9},
    ]
    made = l1_gnss(given)
    assert made["gps_week"].to_list() == [1, 3]
    assert made["quality_flag"].to_list() == [0, TIME_CONFLICT]


# ---- directory lists -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "instrument", "stream", "time"),
    [
        ("/sd/MDA0260121102925.dat", "meddea", "A0", datetime(2026, 1, 21, 10, 29, 25, tzinfo=UTC)),
        ("/sd/padreMDU8_251128215238.dat", "meddea", "U8", datetime(2025, 11, 28, 21, 52, 38, tzinfo=UTC)),
        ("/sd/SP13260205223638.dat", "sharp", "13", datetime(2026, 2, 5, 22, 36, 38, tzinfo=UTC)),
        ("/sd/SP122260205223638.dat", "sharp", "122", datetime(2026, 2, 5, 22, 36, 38, tzinfo=UTC)),
        ("/sd/padreSP160_250723210805.idx", "sharp", "160", datetime(2025, 7, 23, 21, 8, 5, tzinfo=UTC)),
        ("/sd/SP13269905223638.dat", "sharp", "13", None),
        ("/sd/SP1_deployment.mpy", "craft", None, None),
        ("/sd/11760320802.tlm", "craft", None, None),
        ("/sd/STMainEstHiRes.txt", "craft", None, None),
    ],
)
def test_names_on_the_memory_card_tell_instrument_stream_and_time(
    path: str, instrument: str, stream: str | None, time: datetime | None
) -> None:
    table = TABLES["craft_l1_dirlist"]
    made = checked(table, craft.l1_dirlist(table, dirlist=rows("craft_l0_dirlist", [{"file_name": path}])), DAY)
    assert made.select("file_name", "instrument", "stream", "file_time").row(0) == (
        path.removeprefix("/sd/"),
        instrument,
        stream,
        time,
    )


# ---- housekeeping --------------------------------------------------------------------------------------------------
# A real row of November 2025, and what the instrument's calibration gives for it.
GOOD = {
    "ccsds1": 163,
    "ccsds2": 50853,
    "ccsds3": 33,
    "time_s": 815808650,
    **dict(
        zip(
            craft.WORDS,
            (45978, 56895, 48784, 1103, 4688, 28379, 36680, 37096, 0, 16, 0, 0, 0, 128, 716),
            strict=True,
        )
    ),
}
PACKET = {name: GOOD[name] for name in ("time_s", *craft.WORDS)} | {"sequence_count": 50853 - 0xC000}


def l1_housekeeping(given: list[dict[str, Any]], packets: list[dict[str, Any]] | None = None) -> pl.DataFrame:
    table = TABLES["craft_l1_meddea_housekeeping"]
    made = craft.l1_meddea_housekeeping(
        table,
        day=DAY,
        housekeeping=rows("craft_l0_meddea_housekeeping", given),
        packets=frame(TABLES["meddea_l0_housekeeping"], packets or []),
        housekeeping_polynomial=known("housekeeping_polynomial"),
        housekeeping_spline=known("housekeeping_spline"),
    )
    return checked(table, made, DAY)


def test_a_whole_row_has_its_values_and_no_flag() -> None:
    row = l1_housekeeping([GOOD]).row(0, named=True)
    assert row["quality_flag"] == 0
    assert row["packet_sequence_count"] == 1701
    assert row["fp_temp_degc"] == pytest.approx(-31.754978, abs=1e-6)  # a check value of the instrument team
    assert row["csense_15v_ma"] == pytest.approx(446.17 - 0.010776 * 28379, rel=1e-12)
    assert (row["packet_received"], row["words_equal"]) == (False, None)


@pytest.mark.parametrize("word", ["ccsds2", "time_s", "fp_temp", "error_summary", "checksum"])
@pytest.mark.parametrize("bit", [0, 7, 15])
def test_a_bit_that_turned_over_in_any_word_is_seen(word: str, bit: int) -> None:
    row = l1_housekeeping([GOOD | {word: GOOD[word] ^ 1 << bit}]).row(0, named=True)
    assert row["quality_flag"] & CHECKSUM_WRONG


def test_a_row_of_zeros_is_kept_without_values() -> None:
    """All its words pass the checksum, but 0 is no temperature."""
    row = l1_housekeeping([dict.fromkeys(GOOD, 0)]).row(0, named=True)
    assert row["quality_flag"] == EMPTY_ROW
    kept = {"epoch_tt2000", "time", "quality_flag", "packet_received"}
    assert {name for name, value in row.items() if value is not None} == kept


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_a_row_of_zeros_gives_way_to_another_of_its_time(numbers: tuple[int, int]) -> None:
    noon = at(NOON.timestamp())
    given = [GOOD | noon | {"row_id": numbers[0]}, noon | {"row_id": numbers[1]}]
    (made,) = l1_housekeeping(given).to_dicts()
    assert made["fp_temp_degc"] is not None
    assert made["quality_flag"] == 0


def test_a_channel_outside_its_calibrated_range_is_fill_and_flagged() -> None:
    row = l1_housekeeping([GOOD | {"fp_temp": 60_000}]).row(0, named=True)
    assert row["fp_temp_degc"] is None
    assert row["quality_flag"] == OUT_OF_RANGE | CHECKSUM_WRONG


def test_a_row_is_compared_with_the_packet_of_its_count_and_time() -> None:
    def compared(*packets: dict[str, Any]) -> tuple[bool, bool | None, int]:
        made = l1_housekeeping([GOOD], list(packets))
        assert len(made) == 1
        return made.select("packet_received", "words_equal", "quality_flag").row(0)

    other = PACKET | {"hit_rate": 5}
    assert compared(PACKET) == (True, True, 0)
    assert compared(PACKET, PACKET) == (True, True, 0)
    assert compared(other) == (True, False, PACKET_DIFFERS)
    assert compared(other, PACKET) == (True, True, 0)
    assert compared(PACKET | {"sequence_count": 1702}) == (False, None, 0)
    assert compared(PACKET | {"time_s": 815808651}) == (False, None, 0)


# ---- orbit ---------------------------------------------------------------------------------------------------------
ELEMENTS = {
    "norad_id": 64559,
    "mean_motion_rev_per_day": 14.916,
    "bstar": 2e-4,
    "inclination_deg": 97.76,
    "raan_deg": 20.0,
    "eccentricity": 0.001,
    "arg_of_perigee_deg": 10.0,
    "mean_anomaly_deg": 30.0,
}


def elements(days_after_noon: float, **changes: Any) -> dict[str, Any]:
    unix = NOON.timestamp() + 86_400 * days_after_noon
    return {**ELEMENTS, **at(unix), "epoch_unix_us": round(unix * 1e6), **changes}


def l1_orbit(given: list[dict[str, Any]], **changes: Calibration) -> pl.DataFrame:
    table = TABLES["craft_l1_orbit"]
    calibrations: dict[str, Any] = {name: known(name) for name in ("orbit", "particle_zones")}
    made = craft.l1_orbit(table, day=DAY, tle=rows("craft_l0_tle", given), **calibrations | changes)
    return checked(table, made, DAY)


def test_a_day_has_a_row_for_each_minute_from_midnight_on() -> None:
    made = l1_orbit([elements(0)])
    midnight = datetime(2025, 11, 7, tzinfo=UTC)
    assert made["time"].to_list() == [midnight.replace(hour=h, minute=m) for h in range(24) for m in range(60)]
    assert made["elements_age_d"][0] == -0.5
    assert made["altitude_km"].is_between(570, 650).all()
    assert made["latitude_deg"].abs().max() == pytest.approx(82.3, abs=0.3)  # type: ignore[arg-type]
    lengths = made["position_km"].list.eval(pl.element() ** 2).list.sum().sqrt()
    assert (lengths - made["altitude_km"]).is_between(6356, 6379).all()


def test_particles_and_good_follow_from_the_zones_and_the_sun() -> None:
    made = l1_orbit([elements(0)])
    zones = made["in_saa"] | made["in_upper_belt"] | made["in_lower_belt"]
    assert made["in_particles"].to_list() == zones.to_list()
    assert made["good"].to_list() == (made["sunlit"] & ~zones).to_list()
    for name in ("sunlit", "in_saa", "in_upper_belt", "in_lower_belt", "good"):
        assert 0 < made[name].sum() < 1440, name
    saa = made.filter("in_saa")
    assert saa["latitude_deg"].is_between(-50, -3).all()
    assert saa["longitude_deg"].is_between(-84, 24).all()
    assert (made.filter("in_upper_belt")["latitude_deg"] > 35).all()
    assert (made.filter("in_lower_belt")["latitude_deg"] < -40).all()


def test_the_elements_nearest_in_time_are_used_in_either_direction() -> None:
    """Between two sets six hours to either side of noon the change is at noon."""
    made = l1_orbit([elements(0.25, row_id=2, raan_deg=21.0), elements(-0.25, row_id=1)])
    ages = made["elements_age_d"].to_numpy()
    minutes = np.arange(1440) / 1440 - 0.5
    assert ages == pytest.approx(np.where(minutes <= 0, minutes + 0.25, minutes - 0.25), abs=1e-9)


def test_elements_that_give_no_orbit_leave_it_to_others() -> None:
    made = l1_orbit([elements(0, row_id=2, eccentricity=1.5), elements(-0.5, row_id=1)])
    assert len(made) == 1440
    assert made["elements_age_d"][0] == 0.0


def test_elements_that_are_more_than_three_days_away_are_flagged() -> None:
    made = l1_orbit([elements(-3)])
    assert made["quality_flag"].to_list() == [0] * 721 + [ELEMENTS_OLD] * 719


def test_minutes_without_elements_within_two_weeks_have_no_row() -> None:
    assert len(l1_orbit([elements(-14)])) == 721
    assert len(l1_orbit([elements(14)])) == 720
    assert l1_orbit([]).is_empty()


def test_elements_of_other_objects_and_impossible_ones_are_left_out() -> None:
    assert l1_orbit([elements(0, norad_id=25544), elements(0, quality_flag=CLOCK_INVALID)]).is_empty()


def test_elements_received_twice_in_any_order_give_the_same_orbit() -> None:
    once = [elements(0, row_id=5), elements(1, row_id=6)]
    again = [elements(1, row_id=6, quality_flag=RETRANSMITTED), *reversed(once)]
    assert l1_orbit(once).equals(l1_orbit(again))


def test_of_elements_of_one_epoch_those_numbered_last_are_used_at_any_time() -> None:
    newer = elements(0, row_id=1, element_set=8, raan_deg=21.0)
    older = elements(0, row_id=2, element_set=7)
    assert l1_orbit([newer, older]).equals(l1_orbit([newer]))


def test_a_zone_without_corners_is_refused() -> None:
    zones = known("particle_zones")
    broken = with_rows(zones, zones.frame.filter((pl.col("zone") != "saa") | (pl.col("corner") < 2)))
    with pytest.raises(CalibrationError, match=r"\(saa\): has 2 corners"):
        l1_orbit([elements(0)], particle_zones=broken)
