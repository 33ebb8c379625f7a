# SPDX-License-Identifier: Apache-2.0
"""The rows of a watched table-day: which columns are read, and the channels in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lake.clock import unix_ns_from_tt2000
from lake.definitions import Table
from lake.packet_definitions import INTEGER_BITS
from lake.watch_definitions import DAY_SECONDS, Channel, Limit, Watch
from quality.anomalies.limits import Limited
from quality.anomalies.series import Bool, Float64, Int64, Series, Texts
from quality.modes import in_mode

EPOCH, FLAGS = "epoch_tt2000", "quality_flag"
TIME = "unix_us"
SETTINGS = ("state", "constant")
# Bins of the pattern: an orbit turns by ten degrees in one, a day has two to the hour.
ORBIT_BINS, DAY_BINS = 36, 48
LARGEST = 1e100  # squares of what lies beyond, or below its inverse, are no numbers any more; no channel means it


@dataclass(frozen=True)
class Plan:
    """What is watched in a table: its channels and limits, and the period of its pattern in seconds (none: 0)."""

    table: Table
    watch: Watch
    channels: tuple[Channel, ...]
    limits: tuple[Limit, ...]
    period_s: float
    packets: tuple[int, ...] = ()

    @property
    def bins(self) -> int:
        """Phase bins of the pattern."""
        return {"orbit": ORBIT_BINS, "day": DAY_BINS, "none": 1}[self.watch.period]

    @property
    def columns(self) -> list[str]:
        """The columns that are read, in the table's order; none for tables that are watched by their metrics alone."""
        wanted = {channel.column for channel in self.channels} | {limit.column for limit in self.limits}
        wanted |= {channel.mode for channel in self.channels if channel.mode}
        wanted |= {limit.when.column for limit in self.limits if limit.when}
        wanted |= {EPOCH, FLAGS}
        return [column.name for column in self.table.columns if column.name in wanted]


def plan_of(table: Table, channels: Sequence[Channel], limits: Sequence[Limit], orbit_s: float | None) -> Plan:
    """What is watched in a table that has a `watch`."""
    watch = table.watch or Watch()
    period = {"orbit": orbit_s or 0.0, "day": DAY_SECONDS, "none": 0.0}[watch.period]
    if not period:
        watch = watch.model_copy(update={"period": "none"})
    return Plan(
        table,
        watch,
        tuple(channel for channel in channels if channel.table == table.name),
        tuple(limit for limit in limits if limit.table == table.name),
        period,
    )


def in_time_order(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a time and came for the first time, in time order, with `unix_us` (UTC)."""
    if EPOCH not in frame.columns:
        return frame.clear().with_columns(pl.lit(None, pl.Int64).alias(TIME))
    rows = frame.filter(pl.col(EPOCH).is_not_null())
    again = next((flag.mask for flag in plan.table.flags if flag.name == "retransmitted"), 0)
    if plan.table.level == "l0" and again and FLAGS in frame.columns:
        rows = rows.filter(pl.col(FLAGS) & again == 0)
    rows = rows.sort(EPOCH, maintain_order=True)
    times = unix_ns_from_tt2000(rows[EPOCH].to_numpy()) // 1000
    return rows.with_columns(pl.Series(TIME, times, pl.Int64))


def series_of(plan: Plan, rows: pl.DataFrame, column: str, mode: str | None = None) -> Series:
    """The numbers of a column; NaN, infinity and what is near to it are none."""
    numbers = _numbers(rows, column)
    known = np.abs(numbers) < LARGEST
    numbers = np.where(np.abs(numbers) < 1 / LARGEST, 0.0, numbers)
    times = rows[TIME].to_numpy()[known]
    period = round(plan.period_s * 1e6)
    phase = (times % period) / period if period else np.zeros(len(times))
    names = np.full(len(times), "")
    if mode:
        names = rows[mode].cast(pl.String).fill_null("").to_numpy()[known].astype(str)
    step = 1.0 if plan.table.by_name[column].type in INTEGER_BITS else 0.0
    return Series(column, times, numbers[known], phase, names, step)


def _numbers(rows: pl.DataFrame, column: str) -> Float64:
    """A column as float64, NaN where there is no value."""
    values = rows[column]
    return np.asarray((values if values.dtype == pl.Float64 else values.cast(pl.Float64)).to_numpy(), np.float64)


def texts_of(rows: pl.DataFrame, column: str) -> Texts:
    """The values of a setting; rows without one are left out."""
    known = rows.filter(pl.col(column).is_not_null())
    return Texts(column, known[TIME].to_numpy(), known[column].cast(pl.String).to_numpy().astype(str))


def empty_rows(rows: pl.DataFrame, column: str) -> Bool:
    """True for rows without a value; NaN, infinity and what is near to it are none."""
    if not rows.schema[column].is_numeric():
        return np.asarray(rows[column].is_null().to_numpy(), np.bool_)
    return np.asarray(~(np.abs(_numbers(rows, column)) < LARGEST), np.bool_)


def flagged_rows(plan: Plan, rows: pl.DataFrame, column: str) -> Bool:
    """True for rows without a number because the word was outside of the calibrated range, as their flag says."""
    mask = next((flag.mask for flag in plan.table.flags if flag.name == "adc_out_of_range"), 0)
    if not mask or FLAGS not in rows.columns or plan.table.by_name[column].conversion is None:
        return np.zeros(rows.height, bool)
    flagged = (rows[FLAGS].fill_null(0).to_numpy() & mask) != 0
    return np.asarray(flagged & rows[column].is_null().to_numpy(), np.bool_)


def times_of(column: str, rows: pl.DataFrame) -> Series:
    """All rows of the day, of a column whose numbers do not matter."""
    zeros = np.zeros(rows.height)
    return Series(column, rows[TIME].to_numpy(), zeros, zeros, np.full(rows.height, ""))


def limited(plan: Plan, rows: pl.DataFrame, limit: Limit, pieces: Int64) -> Limited:
    """The rows that a limit is about; `pieces` says how many gaps lie before each row of the day."""
    numbers = _numbers(rows, limit.column)
    known = ~np.isnan(numbers)
    if limit.when is not None:
        known &= rows.select(inside=in_mode(plan.table, limit.when))["inside"].to_numpy()
    gaps = int(pieces[-1]) if len(pieces) else 0
    return Limited(limit, rows[TIME].to_numpy()[known], numbers[known], pieces[known], gaps)
