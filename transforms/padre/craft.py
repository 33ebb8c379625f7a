# SPDX-License-Identifier: Apache-2.0
"""CRAFT: what the spacecraft says about itself, MeDDEA's housekeeping as it passes it on, and its orbit.

Each function makes the table of its name for one UTC day; tables that need nothing but their definition have the method
`calibrated` instead. Source of names and codes: padre_craft, the team's package, and the real files.
"""

from __future__ import annotations

from datetime import date
from functools import reduce

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS, tt2000_from_unix_ns
from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import Floats, calibration_rows, convert_columns, named_numbers
from transforms.orbit import (
    DAY_S,
    earth_fixed,
    geodetic,
    gives_an_orbit,
    inside,
    is_sunlit,
    sun_direction,
    teme_positions,
)
from transforms.rows import (
    columns_of,
    flags_where,
    list_column,
    one_of_each,
    set_flags,
    spare_packets,
    utc_column,
    with_conflicts,
    with_valid_clock,
    without,
)

OLD_SOLUTION_S = 60  # the samples' spacing: an older position belongs to an earlier sample
M_PER_KM = 1000
# The 14 words of a housekeeping packet behind its time, and its checksum, in their order.
WORDS = (
    "fp_temp",
    "dib_temp",
    "hvps_temp",
    "hvps_vsense",
    "hvps_csense",
    "csense_15v",
    "csense_33vd",
    "csense_33va",
    "hit_rate",
    "good_cmd_cnt",
    "error_cnt",
    "heater_pwm_duty_cycle",
    "decimation_rate",
    "error_summary",
    "checksum",
)
ZONES = ("saa", "upper_belt", "lower_belt")


def once_each(table: Table, rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each time that can be believed; flagged time_conflict where rows of other content have it, too."""
    valid = with_valid_clock(rows, table)
    kept = without(valid, spare_packets(valid, table, once="epoch_tt2000"))
    return with_conflicts(kept, valid, table)


# ---- positions of the receiver -------------------------------------------------------------------------------------
def l1_gnss(table: Table, *, gnss: pl.LazyFrame) -> pl.LazyFrame:
    """Position [km] and velocity [km/s] with their standard deviations, Earth-fixed, one row for each time."""

    def vector(first: str, rest: str) -> pl.Expr:
        return pl.concat_list(*(pl.col(f"{first}{axis}_{rest}") / M_PER_KM for axis in "xyz"))

    rows = once_each(table, gnss).with_columns(
        position_km=vector("p", "m"),
        position_sigma_km=vector("p", "sigma_m"),
        velocity_km_s=vector("v", "m_s"),
        velocity_sigma_km_s=vector("v", "sigma_m_s"),
        quality_flag=set_flags(
            table, solution_old=pl.col("solution_age_s") > OLD_SOLUTION_S, no_solution=pl.col("p_sol_status") != 0
        ),
    )
    return columns_of(table, rows).sort("epoch_tt2000")


# ---- files on the memory card --------------------------------------------------------------------------------------
def l1_dirlist(table: Table, *, dirlist: pl.LazyFrame) -> pl.LazyFrame:
    """Files on the spacecraft in the order of their times, with the instrument and stream that their names tell.

    Names: MDA0, MDA2, MDU8 or SP and two or three digits, then yymmddhhmmss, with or without `padre` and `_`.
    """
    rows = one_of_each(with_valid_clock(dirlist, table), table)
    rows = rows.with_columns(file_name=pl.col("file_name").str.replace(r"^/sd/", ""))
    plain = pl.col("file_name").str.replace(r"^padre", "").str.replace_all("_", "")
    parts = plain.str.extract_groups(r"^(?:MD(?<meddea>A0|A2|U8)|SP(?<sharp>\d{2,3}))(?<stamp>\d{12})\.")
    meddea, sharp, stamp = (parts.struct.field(name) for name in ("meddea", "sharp", "stamp"))
    rows = rows.with_columns(
        instrument=pl.when(meddea.is_not_null())
        .then(pl.lit("meddea"))
        .when(sharp.is_not_null())
        .then(pl.lit("sharp"))
        .otherwise(pl.lit("craft")),
        stream=pl.coalesce(meddea, sharp),
        file_time=stamp.str.to_datetime("%y%m%d%H%M%S", time_unit="us", time_zone="UTC", strict=False),
    )
    return columns_of(table, rows).sort("epoch_tt2000", "file_name", "size_bytes")


# ---- housekeeping of MeDDEA ----------------------------------------------------------------------------------------
def l1_meddea_housekeeping(
    table: Table,
    *,
    day: date,
    housekeeping: pl.LazyFrame,
    packets: pl.LazyFrame,
    housekeeping_polynomial: Calibration,
    housekeeping_spline: Calibration,
) -> pl.LazyFrame:
    """MeDDEA housekeeping in physical units, one row for each time, checked and compared with packets of its time.

    A row of zeros stands for no packet: it is flagged and has no values. `packets` reach a minute over the day, for the
    computer stamps a row some seconds after the packet's time. Raises CalibrationError if a channel is not calibrated.
    """
    rows = once_each(table, _without_needless_zeros(housekeeping)).with_columns(
        packet_sequence_count=(pl.col("ccsds2") % 2**14).cast(pl.Int16)
    )
    rows = rows.with_columns(
        quality_flag=set_flags(table, empty_row=pl.col("empty"), checksum_wrong=_checksum() != 0),
        **{name: pl.when(~pl.col("empty")).then(name) for name in ("time_s", "packet_sequence_count", *WORDS)},
    )
    rows = _compared(rows, packets).with_columns(quality_flag=set_flags(table, packet_differs=~pl.col("words_equal")))
    rows = convert_columns(rows, table, housekeeping_polynomial, housekeeping_spline)
    return columns_of(table, rows).sort("epoch_tt2000")


def _without_needless_zeros(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, with `empty` for those of zeros; without these where another row has the time."""
    empty = pl.all_horizontal(pl.col("ccsds1", "ccsds2", "ccsds3", "time_s", *WORDS) == 0)
    rows = rows.with_columns(empty=empty)
    return rows.filter(~pl.col("empty") | pl.col("empty").all().over("epoch_tt2000"))


def _checksum() -> pl.Expr:
    """The XOR of all 16-bit words of the packet that a row was; 0 if it is whole."""
    words = [pl.col(name).cast(pl.Int64) for name in ("ccsds1", "ccsds2", "ccsds3", *WORDS)]
    seconds = pl.col("time_s")
    return reduce(pl.Expr.xor, words, (seconds // 2**16).xor(seconds % 2**16))


def _compared(rows: pl.LazyFrame, packets: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with packet_received, and words_equal: whether one of the packets of its count and time equals it."""
    keys = {"packet_sequence_count": "sequence_count", "time_s": "time_s"}
    came = packets.select(*keys.values(), *WORDS).unique()
    pairs = rows.select("epoch_tt2000", *keys, *WORDS).join(
        came, left_on=list(keys), right_on=list(keys.values()), suffix="_came"
    )
    equal = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_came") for name in WORDS)
    found = pairs.group_by("epoch_tt2000").agg(words_equal=equal.any())
    return rows.join(found, on="epoch_tt2000", how="left").with_columns(
        packet_received=pl.col("words_equal").is_not_null()
    )


# ---- orbit ---------------------------------------------------------------------------------------------------------
def l1_orbit(
    table: Table, *, day: date, tle: pl.LazyFrame, orbit: Calibration, particle_zones: Calibration
) -> pl.LazyFrame:
    """Position, sunlight and particle zones for each minute of the day, from the elements nearest in time.

    `tle` reaches as far over the day as elements may be away. Minutes without such elements have no row.
    Raises: CalibrationError if the parameters or the polygons of the zones cannot be used.
    """
    needed = named_numbers(orbit, "norad_id", "elements_old_age", units={"elements_old_age": "day"})
    own = one_of_each(with_valid_clock(tle, table), table).filter(pl.col("norad_id") == needed["norad_id"])
    ordered = own.sort("epoch_unix_us", "element_set", "row_id").collect()
    sets = ordered.unique("epoch_unix_us", keep="last", maintain_order=True)  # of one epoch the one numbered last
    sets = sets.filter(
        pl.Series([gives_an_orbit(elements) for elements in sets.iter_rows(named=True)], dtype=pl.Boolean)
    )
    unix_s = _minutes(table, day)
    chosen, age_s = _nearest(sets["epoch_unix_us"].to_numpy() / 1e6, unix_s, min(table.margins["tle"]))
    teme = np.full((len(unix_s), 3), np.nan)
    for index in np.unique(chosen[chosen >= 0]).tolist():
        teme[chosen == index] = teme_positions(sets.row(index, named=True), unix_s[chosen == index])
    known = np.isfinite(teme).all(axis=1)
    unix_s, teme, age_d = unix_s[known], teme[known], age_s[known] / DAY_S
    columns = _places(unix_s, teme, particle_zones) | {
        "elements_age_d": pl.Series(age_d),
        "quality_flag": flags_where(table, {"elements_old": np.abs(age_d) > needed["elements_old_age"]}),
    }
    return columns_of(table, pl.LazyFrame(columns))


def _minutes(table: Table, day: date) -> Floats:
    """Unix seconds of the times of a day; a leap second has none."""
    assert table.cadence_seconds, "the definition has it"  # noqa: S101
    midnight = (day - date(1970, 1, 1)).days * DAY_S
    return np.asarray(midnight + np.arange(0, DAY_S, table.cadence_seconds), np.float64)


def _nearest(epochs: Floats, times: Floats, reach: float) -> tuple[NDArray[np.int64], Floats]:
    """The place of the epoch nearest to each time, -1 if none is within reach, and the time since it [s]."""
    if not len(epochs):
        return np.full(len(times), -1), np.zeros(len(times))
    following = np.searchsorted(epochs, times)
    before, after = np.maximum(following - 1, 0), np.minimum(following, len(epochs) - 1)
    chosen = np.where(times - epochs[before] <= epochs[after] - times, before, after)
    age = times - epochs[chosen]
    return np.where(np.abs(age) <= reach, chosen, -1), age


def _places(unix_s: Floats, teme: Floats, particle_zones: Calibration) -> dict[str, pl.Series]:
    """Times, positions, sunlight and zones of TEME positions [n, 3] in km."""
    fixed = earth_fixed(teme, unix_s)
    latitude, longitude, altitude = geodetic(fixed)
    zones = {f"in_{zone}": inside(longitude, latitude, _corners(particle_zones, zone)) for zone in ZONES}
    particles = np.any(list(zones.values()), axis=0)
    sunlit = is_sunlit(teme, sun_direction(unix_s))
    tt2000 = tt2000_from_unix_ns(np.asarray(unix_s, np.int64) * NS)
    named = {"latitude_deg": latitude, "longitude_deg": longitude, "altitude_km": altitude, "sunlit": sunlit} | zones
    return {
        "epoch_tt2000": pl.Series(tt2000),
        "time": utc_column(tt2000),
        "position_km": list_column(fixed),
        **{name: pl.Series(values) for name, values in named.items()},
        "in_particles": pl.Series(particles),
        "good": pl.Series(sunlit & ~particles),
    }


def _corners(particle_zones: Calibration, zone: str) -> Floats:
    """The corners [n, 2] of a zone: longitude and latitude [deg]. Raises CalibrationError if it has none."""
    names = ("longitude_deg", "latitude_deg")
    rows = calibration_rows(particle_zones, key=("zone", "corner"), numbers=("corner", *names))
    corners = rows.filter(pl.col("zone") == zone).select(names).cast(pl.Float64).to_numpy()
    if len(corners) < 3:
        raise CalibrationError(f"{particle_zones.path} ({zone}): has {len(corners)} corners. Give three or more.")
    return corners
