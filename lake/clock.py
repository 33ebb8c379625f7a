# SPDX-License-Identifier: Apache-2.0
"""Time in exact integers: TT2000 nanoseconds, Unix nanoseconds, UTC days, and the clocks of instruments.

TT2000 counts nanoseconds since J2000 (2000-01-01T12:00:00 TT) with leap seconds included, as CDF stores it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lake.leap_seconds import LEAP_SECONDS

if TYPE_CHECKING:
    from lake.definitions import ValidTime
    from lake.packet_definitions import Clock

Int64 = npt.NDArray[np.int64]

NS = 1_000_000_000
DAY_S = 86_400
DAY_NS = DAY_S * NS
J2000_UNIX_NS = 946_728_000 * NS  # 2000-01-01T12:00:00 as a count of 86,400 s days since 1970
# Farther from a clock's epoch no mission has been: four octets of seconds, two of days. Nanoseconds of it fit int64.
LONGEST_S, LONGEST_DAYS = 1 << 32, 100_000
TT_MINUS_TAI_NS = 32_184_000_000  # IAU 1991, resolution A4


@cache
def _leap_table() -> tuple[Int64, Int64]:
    """Unix ns at which each offset begins, and TT - UTC [ns] from then on."""
    starts = np.array([day for day, _ in LEAP_SECONDS], "datetime64[ns]").astype(np.int64)
    offsets = np.array([seconds for _, seconds in LEAP_SECONDS], np.int64) * NS + TT_MINUS_TAI_NS
    return starts, offsets


def tt2000_from_unix_ns(unix_ns: npt.ArrayLike) -> Int64:
    """TT2000 [ns] of UTC given as Unix nanoseconds (86,400 s in every day)."""
    unix = np.asarray(unix_ns, np.int64)
    starts, offsets = _leap_table()
    return np.asarray(unix - J2000_UNIX_NS + offsets[_segments(starts, unix)], np.int64)


def unix_ns_from_tt2000(tt2000: npt.ArrayLike) -> Int64:
    """Unix nanoseconds (UTC) of TT2000 [ns]. Inside a leap second: the last nanosecond before midnight.

    Unix time has no name for a leap second; staying before midnight keeps the datum on its UTC day.
    """
    tt = np.asarray(tt2000, np.int64)
    starts, offsets = _leap_table()
    begins = starts - J2000_UNIX_NS + offsets
    if tt.size:
        # The usual case, no leap second among the times, costs one pass.
        first, last = _segments(begins, np.array([tt.min(), tt.max()])).tolist()
        if first == last and (last + 1 == len(begins) or tt.max() < begins[last + 1] - NS):
            return np.asarray(tt + (J2000_UNIX_NS - offsets[last]), np.int64)
    which = _segments(begins, tt)
    unix = tt + J2000_UNIX_NS - offsets[which]
    following = np.append(starts[1:], np.iinfo(np.int64).max)[which]
    return np.asarray(np.minimum(unix, following - 1), np.int64)


def _segments(begins: Int64, times: Int64) -> npt.NDArray[np.intp]:
    """Which stretch of constant TAI - UTC each time is in; times before the first belong to it."""
    return np.maximum(np.searchsorted(begins, times, side="right") - 1, 0)


@cache
def tt2000_of_day(day: date) -> int:
    """TT2000 [ns] of the UTC day's first instant."""
    return int(tt2000_from_unix_ns((day - date(1970, 1, 1)).days * DAY_NS))


def day_bounds(day: date) -> tuple[int, int]:
    """First TT2000 [ns] of the UTC day, and of the next: a half-open range that holds a leap second too."""
    return tt2000_of_day(day), tt2000_of_day(day + timedelta(days=1))


def day_number(tt2000: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """UTC day of TT2000 [ns], in days since 1970-01-01."""
    return (unix_ns_from_tt2000(tt2000) // DAY_NS).astype(np.int32)


def tt2000_from_met(clock: Clock, coarse: Int64, fine: Int64 | None, days: Int64 | None = None) -> Int64:
    """TT2000 [ns] of an instrument's clock: ticks in `coarse` and `fine`, and `days`, under the clock's leap policy."""
    per_second = clock.coarse_ticks_per_second
    elapsed = coarse // per_second * NS + (rounded_ns(coarse % per_second, per_second) if per_second > 1 else 0)
    elapsed += (ticks_ns(clock, fine) if fine is not None else 0) + (days * DAY_NS if days is not None else 0)
    epoch = int(np.datetime64(clock.epoch, "ns").astype(np.int64))
    if clock.policy == "leap":
        return np.asarray(tt2000_from_unix_ns(epoch) + elapsed, np.int64)
    return tt2000_from_unix_ns(epoch + elapsed)


def ticks_ns(clock: Clock, ticks: Int64) -> Int64:
    """Nanoseconds of a number of fine ticks below one second, rounded to the nearest."""
    return rounded_ns(ticks, clock.fine_ticks_per_second)


def rounded_ns(ticks: Int64, per_second: int) -> Int64:
    """Nanoseconds of ticks below one second, rounded to the nearest."""
    # In lowest terms, so that the product fits: for picoseconds, and for up to five octets of fine time. More of them
    # take whole numbers of any size.
    common = gcd(NS, per_second)
    numerator, denominator = NS // common, per_second // common
    if (2 * per_second + 1) * numerator >= 1 << 63:
        exact = [
            (2 * tick * numerator + denominator) // (2 * denominator) for tick in np.asarray(ticks).ravel().tolist()
        ]
        return np.array(exact, np.int64).reshape(np.shape(ticks))
    return np.asarray((2 * ticks * numerator + denominator) // (2 * denominator), np.int64)


def met_from_tt2000(clock: Clock, tt2000: npt.ArrayLike) -> Int64:
    """Nanoseconds since the clock's epoch that its counters show at TT2000 [ns]; the reverse of `tt2000_from_met`."""
    epoch = int(np.datetime64(clock.epoch, "ns").astype(np.int64))
    if clock.policy == "leap":
        return np.asarray(np.asarray(tt2000, np.int64) - tt2000_from_unix_ns(epoch), np.int64)
    return unix_ns_from_tt2000(tt2000) - epoch


def possible(
    clock: Clock, coarse: Int64, fine: Int64 | None = None, days: Int64 | None = None
) -> npt.NDArray[np.bool_]:
    """True where a clock can show these counters: others would wrap, or run into another day, and seem to be a time.

    A day has 86,400 s: within a leap second, a clock that counts days tells no time.
    """
    per_second = clock.coarse_ticks_per_second
    if days is None:
        good = (coarse > -LONGEST_S * per_second) & (coarse < LONGEST_S * per_second)
    else:
        good = (coarse >= 0) & (coarse < DAY_S * per_second) & (days > -LONGEST_DAYS) & (days < LONGEST_DAYS)
    if fine is not None and clock.fine_ticks_per_second:
        good &= (fine >= 0) & (fine < clock.fine_ticks_per_second // per_second)
    return np.asarray(good)


def believable(
    clock: Clock, valid_time: ValidTime, tt2000: Int64, counters: tuple[Int64, Int64 | None, Int64 | None]
) -> npt.NDArray[np.bool_]:
    """True where the counters (coarse, fine, days) are possible and the time lies within the mission's valid time."""
    if clock.policy == "none":
        return np.zeros(tt2000.shape, np.bool_)
    start, stop = tt2000_of_day(valid_time.start), tt2000_of_day(valid_time.stop)
    return np.asarray((tt2000 >= start) & (tt2000 < stop) & possible(clock, *counters))


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)
