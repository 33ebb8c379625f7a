# SPDX-License-Identifier: Apache-2.0
"""NEMISIS: timed samples of three magnetometers, status, the field in nT and in GSE, and the ambient field.

Each function makes the table of its name for one UTC day.
Source of the packet's fields and of their conversion: the instrument team's packet code and real bench packets; what is
assumed is named in missions/hermes/nemisis.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS, day_bounds, tt2000_from_unix_ns
from lake.definitions import Calibration, Table
from transforms.conversions import convert_columns, named_numbers
from transforms.hermes.nemisis_calibration import (
    SENSORS,
    Floats,
    by_sensor,
    check_reach,
    nanoseconds,
    read_response,
    rotations,
)
from transforms.hermes.nemisis_field import (
    Bool,
    Int64,
    ambient_weights,
    calibrated,
    interpolated,
    read_attitudes,
    read_spike_rules,
    spikes,
    to_gse,
    turned,
)
from transforms.hermes.nemisis_timing import NEEDED, Timing, reach_s, time_packets
from transforms.rows import (
    columns_of,
    flags_where,
    flat,
    list_column,
    set_flags,
    spare_packets,
    utc_column,
    with_conflicts,
    with_valid_clock,
    without,
)

Int32 = NDArray[np.int32]
Float32 = NDArray[np.float32]

SAMPLES = 40  # of a packet; its array is defined in packets/mag.csv
COMPONENTS = 3
ORDER = ("epoch_tt2000", "pkt_id", "sequence_count")
RTC_YEAR_0 = 2000


# ---- L1 ------------------------------------------------------------------------------------------------------------
def l1_mag(table: Table, *, mag: pl.LazyFrame, scale: Calibration, parameters: Calibration, day: date) -> pl.LazyFrame:
    """Samples in order of time, in pseudo-nT: counts times range over full scale.

    Samples of packets without a valid tone stand before those of the next good packet; where there is none they are
    left out, and `l1_status` tells. Raises CalibrationError if a calibration does not fit.
    """
    packets, timing = _timed_packets(table, mag, parameters)
    scales = by_sensor(scale, "range_nt", "range_count", "saturation_count")
    counts = flat(packets["mag_data"]).reshape(-1, SAMPLES, len(SENSORS), COMPONENTS).astype(np.float64)
    times = timing.sample_times(SAMPLES)
    first, stop = day_bounds(day)
    kept = timing.timed[:, None] & (times >= first) & (times < stop)
    values = counts[kept]
    saturated = np.abs(values) >= scales[:, 2, None]
    flags = _sample_flags(table, packets, timing, times)[kept] | _saturation_flags(
        table, np.asarray(saturated.any(axis=2))
    )
    nanotesla = values * scales[:, 0, None] / scales[:, 1, None]
    which, sample = np.nonzero(kept)
    rows = pl.DataFrame(
        {
            "epoch_tt2000": times[kept],
            "time": utc_column(times[kept]),
            **{f"{sensor}_b": list_column(nanotesla[:, i]) for i, sensor in enumerate(SENSORS)},
            "pkt_id": packets["pkt_id"].to_numpy()[which],
            "sample": sample.astype(np.int8),
            "quality_flag": flags,
        }
    )
    rows = rows.sort("epoch_tt2000", maintain_order=True).unique("epoch_tt2000", keep="first", maintain_order=True)
    return columns_of(table, rows.lazy())


def _timed_packets(table: Table, mag: pl.LazyFrame, parameters: Calibration) -> tuple[pl.DataFrame, Timing]:
    """One of each packet in the order in which they were sent, and their timing."""
    numbers = named_numbers(parameters, *NEEDED)
    check_reach(table, "mag", parameters, *reach_s(numbers))
    valid = with_valid_clock(mag, table)
    once = without(valid, spare_packets(valid, table, once="epoch_tt2000"))
    packets = with_conflicts(once, valid, table).sort(ORDER).collect()
    return packets, time_packets(packets, numbers, SAMPLES)


def _sample_flags(table: Table, packets: pl.DataFrame, timing: Timing, times: Int64) -> Int32:
    """`quality_flag` of each sample [packet, sample], saturation excepted."""
    of_packet = packets["quality_flag"].to_numpy() | _timing_flags(table, packets, timing)
    # A packet that begins before the end of the last one has samples at times that were already taken.
    late = np.maximum.accumulate(np.where(timing.timed, times[:, -1], np.iinfo(np.int64).min))
    overlaps = timing.timed & np.concatenate([np.zeros(1, np.bool_), times[1:, 0] <= late[:-1]])[: len(times)]
    of_packet = of_packet | flags_where(table, {"time_conflict": overlaps})
    flags = np.repeat(of_packet[:, None], SAMPLES, axis=1)
    flags[:, 1:] &= ~(table.flag("start_packet") | table.flag("slot_slipped"))
    return flags


def _timing_flags(table: Table, packets: pl.DataFrame, timing: Timing) -> Int32:
    """Flags of each packet: what it says of itself, and how its time was found."""
    start, relay, mode = (packets[name].to_numpy() for name in ("start_flag", "relay_state", "ops_mode"))
    conditions: dict[str, Bool] = {
        "start_packet": start == 1,
        "relay_off": relay == 0,
        "safe_mode": mode == 1,
        "timing_back_filled": timing.back_filled,
        "timing_missing": ~timing.timed,
        "timing_unfitted": timing.timed & ~timing.fitted,
        "slot_slipped": timing.slipped,
        "slip_place_unknown": timing.slip_unplaced,
    }
    return flags_where(table, conditions)


def _saturation_flags(table: Table, saturated: Bool) -> Int32:
    return flags_where(table, {f"saturated_{sensor}": saturated[:, i] for i, sensor in enumerate(SENSORS)})


def l1_status(
    table: Table, *, mag: pl.LazyFrame, temperature_polynomial: Calibration, parameters: Calibration, day: date
) -> pl.LazyFrame:
    """State, clocks, timing and temperatures [degC] of each packet, also of those that could not be timed.

    Raises CalibrationError if a calibration does not fit.
    """
    packets, timing = _timed_packets(table, mag, parameters)
    rtc_ns, rtc_valid = real_time_clock(packets)
    rows = packets.drop("mag_data").with_columns(
        tone_tt2000=_where(timing.tone_valid, timing.tone_ns),
        first_sample_tt2000=_where(timing.timed, timing.first_ns),
        sample_period_ns=_where(timing.timed, timing.period_ns),
        timing_residual_ns=_where(timing.timed & timing.fitted, timing.residual_ns),
        rtc_tt2000=_where(rtc_valid, tt2000_from_unix_ns(rtc_ns)),
        rtc_time=_where(rtc_valid, rtc_ns // 1000).cast(pl.Datetime("us", "UTC")),
        rtc_valid=pl.Series(rtc_valid),
        timing_flags=pl.Series(_timing_flags(table, packets, timing)),
    )
    first, stop = day_bounds(day)
    of_day = rows.lazy().filter(pl.col("epoch_tt2000").is_between(first, stop, closed="left"))
    flagged = of_day.with_columns(quality_flag=pl.col("quality_flag") | pl.col("timing_flags")).with_columns(
        quality_flag=set_flags(table, rtc_invalid=~pl.col("rtc_valid"))
    )
    return columns_of(table, convert_columns(flagged, table, temperature_polynomial, None))


def real_time_clock(packets: pl.DataFrame) -> tuple[Int64, Bool]:
    """Unix nanoseconds (UTC) that the real-time clock shows, and whether its seven BCD bytes are a date and time."""
    names = ("year", "month", "day", "hours", "minutes", "seconds", "csec")
    octets = np.stack([packets[f"rtc_{name}"].to_numpy().astype(np.int64) for name in names])
    digits = ((octets >> 4 <= 9) & (octets & 15 <= 9)).all(axis=0)
    year, month, day, hour, minute, second, centisecond = 10 * (octets >> 4) + (octets & 15)
    months = 12 * (RTC_YEAR_0 + year - 1970) + month - 1
    first, next_first = (
        m.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for m in (months, months + 1)
    )
    in_year = (month >= 1) & (month <= 12) & (day >= 1) & (day <= next_first - first)
    in_day = (hour < 24) & (minute < 60) & (second < 60)
    seconds = ((24 * (first + day - 1) + hour) * 60 + minute) * 60 + second
    return seconds * NS + centisecond * (NS // 100), np.asarray(digits & in_year & in_day)


# ---- QL and L2 -----------------------------------------------------------------------------------------------------
def ql_mag(
    table: Table,
    *,
    mag: pl.LazyFrame,
    gain_offset: Calibration,
    orthogonality: Calibration,
    alignment: Calibration,
    parameters: Calibration,
    attitude: Calibration | None = None,
) -> pl.LazyFrame:
    """The fluxgate by its gains and offsets at the reference temperatures, in the bus frame and GSE; spikes stay."""
    rows = mag.select("epoch_tt2000", "fg_b", "quality_flag").sort("epoch_tt2000").collect()
    times, flags = rows["epoch_tt2000"].to_numpy(), rows["quality_flag"].to_numpy()
    field = calibrated(_array(rows["fg_b"]), None, 0, read_response(gain_offset, orthogonality))
    field[flags & table.flag("saturated_fg") != 0] = np.nan
    bus = field @ rotations(alignment)[0].T
    matrices = _attitude_at(times, attitude, named_numbers(parameters, "attitude_gap_max_s"))
    flags = flags | flags_where(table, {"attitude_missing": np.isnan(matrices[:, 0, 0])})
    columns = {"fg_b_bus_nt": bus, "fg_b_gse_nt": turned(matrices, bus)}
    return _field_rows(table, times, columns, flags)


def l2_mag(  # noqa: PLR0913
    table: Table,
    *,
    mag: pl.LazyFrame,
    status: pl.LazyFrame,
    gain_offset: Calibration,
    orthogonality: Calibration,
    alignment: Calibration,
    despike: Calibration,
    parameters: Calibration,
    attitude: Calibration | None = None,
    day: date,
) -> pl.LazyFrame:
    """The three sensors despiked, by temperature, gain, orthogonality and offset, in the bus frame and GSE.

    A vector with a saturated component, a spike or no temperature has no value and the row a flag; without an attitude
    it has none in GSE. Raises CalibrationError if a calibration does not fit.
    """
    limits = named_numbers(parameters, "temperature_gap_max_s", "attitude_gap_max_s")
    rules, response, frames = read_spike_rules(despike), read_response(gain_offset, orthogonality), rotations(alignment)
    check_reach(table, "mag", despike, *2 * (max(rule.reach_s for rule in rules),))
    check_reach(table, "status", parameters, *2 * (limits["temperature_gap_max_s"],))
    rows = mag.sort("epoch_tt2000").collect()
    times, flags = rows["epoch_tt2000"].to_numpy(), rows["quality_flag"].to_numpy()
    temperatures = _temperatures(times, status, limits)
    matrices = _attitude_at(times, attitude, limits)
    columns = dict[str, Float32]()
    for i, sensor in enumerate(SENSORS):
        pseudo = _array(rows[f"{sensor}_b"])
        pseudo[flags & table.flag(f"saturated_{sensor}") != 0] = np.nan
        spiky = _any(np.stack([spikes(times, pseudo[:, axis], rules[i]) for axis in range(COMPONENTS)], axis=1))
        pseudo[spiky] = np.nan
        missing = {f"despiked_{sensor}": spiky, f"temperature_missing_{sensor}": np.isnan(temperatures[i])}
        flags = flags | flags_where(table, missing)
        bus = calibrated(pseudo, temperatures[i], i, response) @ frames[i].T
        columns[f"{sensor}_b_bus_nt"] = bus.astype(np.float32)
        columns[f"{sensor}_b_gse_nt"] = turned(matrices, bus).astype(np.float32)
    flags = flags | flags_where(table, {"attitude_missing": np.isnan(matrices[:, 0, 0])})
    first, stop = day_bounds(day)
    return _field_rows(table, times, columns, flags, (times >= first) & (times < stop))


def _temperatures(times: Int64, status: pl.LazyFrame, limits: dict[str, float]) -> Floats:
    """Temperature [degC] of each sensor at each time [sensor, n]; NaN where none is near."""
    rows = status.select("epoch_tt2000", *(f"{sensor}_temp_degc" for sensor in SENSORS)).sort("epoch_tt2000").collect()
    gap, known_at = nanoseconds(limits["temperature_gap_max_s"]), rows["epoch_tt2000"].to_numpy()
    values = (rows[f"{sensor}_temp_degc"].cast(pl.Float64).fill_null(np.nan).to_numpy() for sensor in SENSORS)
    return np.stack([interpolated(times, known_at, value, gap) for value in values])


def _attitude_at(times: Int64, attitude: Calibration | None, limits: dict[str, float]) -> Floats:
    known = read_attitudes(attitude) if attitude is not None else None
    return to_gse(times, known, nanoseconds(limits["attitude_gap_max_s"]))


# ---- L3 ------------------------------------------------------------------------------------------------------------
def l3_ambient(table: Table, *, mag: pl.LazyFrame, host_sources: Calibration, noise: Calibration) -> pl.LazyFrame:
    """The ambient field in the bus frame and GSE: the sum of the sensors that cancels the host's sources.

    Without a value of every sensor there is none, and the row is flagged. Raises CalibrationError if the sources
    cannot be told from the ambient field.
    """
    weights, sigma = ambient_weights(host_sources, noise)
    rows = mag.sort("epoch_tt2000").collect()
    bus, gse = (
        sum(w * _array(rows[f"{sensor}_b_{frame}_nt"]) for w, sensor in zip(weights, SENSORS, strict=True))
        for frame in ("bus", "gse")
    )
    missing = _any(np.isnan(bus))
    flags = rows["quality_flag"].to_numpy() | flags_where(table, {"sensor_missing": missing})
    columns = {
        "b_bus_nt": bus,
        "b_gse_nt": gse,
        "host_b_bus_nt": _array(rows["pni1_b_bus_nt"]) - bus,
        "b_uncertainty_nt": np.where(missing[:, None], np.nan, np.full(bus.shape, sigma)),
    }
    return _field_rows(table, rows["epoch_tt2000"].to_numpy(), columns, flags)


# ---- arrays and columns --------------------------------------------------------------------------------------------
def _field_rows(
    table: Table, times: Int64, columns: Mapping[str, Floats | Float32], flags: Int32, kept: Bool | slice = slice(None)
) -> pl.LazyFrame:
    """Rows of a table of vectors; NaN becomes null."""
    vectors = {name: list_column(values[kept].astype(np.float32, copy=False)) for name, values in columns.items()}
    clock = {"epoch_tt2000": times[kept], "time": utc_column(times[kept])}
    return columns_of(table, pl.LazyFrame({**clock, **vectors, "quality_flag": flags[kept]}))


def _array(vectors: pl.Series) -> Floats:
    """A column of vectors as an array [n, 3]; a null becomes NaN."""
    cells = vectors.list.explode().cast(pl.Float64).fill_null(np.nan)
    return cells.to_numpy().reshape(-1, COMPONENTS).copy()


def _where(known: Bool, values: Int64 | Floats) -> pl.Series:
    """The values, null where they are not known."""
    series = pl.Series(values)
    return series.set(pl.Series(~known), None)


def _any(conditions: Bool) -> Bool:
    """Whether a condition of the row [n, conditions] holds."""
    return np.asarray(conditions.any(axis=1), np.bool_)
